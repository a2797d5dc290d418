#!/usr/bin/env python3
"""Models the cycles of the Helium kernels' inner loops on the Cortex-M55, by ``llvm-mca``.

    python tools/helium_loops.py            a Markdown table
    python tools/helium_loops.py --json     the same as JSON

Every file of the runtime for Helium is compiled by gcc for the Cortex-M55. Each innermost loop with
vector arithmetic is one row: its instructions, its vector multiply-accumulates, and the cycles
that LLVM's model of the Cortex-M55 gives one pass of it, the mean of 100. The model knows neither
memory's wait states nor caches, and its figures were measured nowhere; what LLVM names
``cortex-m55`` needs llvm-mca 19 or later, as in Debian's ``llvm-19``.
"""

from __future__ import annotations

import argparse
import json
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

from tinyedge.templates import data_folder
from tinyedge.toolchains.compilers import cross_compiler

PROGRAMS = ("llvm-mca-19", "llvm-mca-20", "llvm-mca-21", "llvm-mca")
PASSES = 100
_LABEL = re.compile(r"^(?P<label>[.\w$]+):")
_BRANCH = re.compile(
    r"^(?:b(?:eq|ne|cs|cc|mi|pl|vs|vc|hi|ls|ge|lt|gt|le)?(?:\.n|\.w)?|cbn?z|le|letp)\s+(?P<to>.*)$"
)
_DOT = re.compile(r"^vml\w+\.[su](?P<bits>8|16|32)\b")
_PRODUCT = re.compile(r"^vmul\.i(?P<bits>8|16|32)\s+(?P<to>q\d)")
_MOVES = ("vldr", "vstr", "vmov", "vdup")


@dataclass(frozen=True)
class Loop:
    """An innermost loop.

    Attributes:
        file: of the runtime.
        function: it lies in.
        body: its instructions, without the branch.
        branch: the instruction that closes it.
    """

    file: str
    function: str
    body: tuple[str, ...]
    branch: str

    @property
    def products(self) -> int:
        """Multiply-accumulates of a pass: a product counts if what follows adds it to a sum."""
        count = 0
        for line, following in zip(self.body, [*self.body[1:], ""], strict=True):
            dot, product = _DOT.match(line), _PRODUCT.match(line)
            if dot:
                count += 128 // int(dot["bits"])
            elif product and re.match(rf"vadd\.i\d+\s+(q\d), \1, {product['to']}$", following):
                count += 128 // int(product["bits"])
        return count


@dataclass(frozen=True)
class Timed:
    """A row of the table.

    Attributes:
        file: of the runtime.
        function: the loop lies in.
        instructions: of a pass, with the branch.
        products: multiply-accumulates of a pass.
        cycles: of a pass, modelled.
    """

    file: str
    function: str
    instructions: int
    products: int
    cycles: float


def loops(assembly: str, file: str) -> Iterator[Loop]:
    """The innermost loops that compute with vectors, in what a compiler wrote with ``-S``.

    A local label like ``1:`` may come several times; ``1b`` names the nearest above.
    """
    function, lines, labels = "", list[str](), dict[str, int]()
    for raw in assembly.splitlines():
        text = raw.split("@")[0].strip()
        label = _LABEL.match(text)
        if label:
            name = label["label"]
            if not name.startswith(".") and not name.isdigit():
                function, lines, labels = name, [], {}
            labels[name] = len(lines)
            text = text[label.end() :].strip()
        if not text or text.startswith("."):
            continue
        branch = _BRANCH.match(text)
        if branch:
            target = re.split(r"[,\s]+", branch["to"])[-1]
            begin = labels.get(target[:-1] if re.fullmatch(r"\d+b", target) else target)
            body = lines[begin:] if begin is not None else []
            straight = not any(_BRANCH.match(line) for line in body)
            if len(body) > 1 and straight and any(map(_computes, body)):
                yield Loop(file, function, tuple(body), text)
        lines.append(text)


def _computes(line: str) -> bool:
    """Whether an instruction works on vectors beyond moving them."""
    return line.startswith("v") and not line.startswith(_MOVES)


def timed(loop: Loop, program: str) -> Timed:
    """A loop by LLVM's model.

    Raises:
        RuntimeError: it does not know an instruction, or the core.
    """
    # Labels are not in the text: a branch gets some target. A low-overhead loop's is free.
    closing = [] if loop.branch.startswith("le") else [f"{loop.branch.split()[0]} #-8"]
    command = [
        program,
        "-mtriple=thumbv8.1m.main-none-eabihf",
        "-mcpu=cortex-m55",
        f"-iterations={PASSES}",
        "-json",
    ]
    done = subprocess.run(
        command,
        input="\n".join([*loop.body, *closing]) + "\n",
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        said = done.stderr.strip().splitlines() or ["no message"]
        raise RuntimeError(f"{loop.file}: {loop.function}: {said[0]}")
    (region,) = json.loads(done.stdout)["CodeRegions"]
    cycles = region["SummaryView"]["TotalCycles"] / PASSES
    return Timed(loop.file, loop.function, len(loop.body) + 1, loop.products, cycles)


def compiled(source: Path) -> str:
    """A file of the runtime as assembly, as gcc makes it for the Cortex-M55's firmware."""
    compiler = cross_compiler("cortex-m55", "gcc")
    command = [*compiler.command, *compiler.c_flags, "-S", "-o", "-", str(source)]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


def sources() -> list[Path]:
    """The runtime's files for Helium."""
    return sorted(data_folder("firmware_templates").joinpath("runtime").glob("te_*mve*.c"))


def table(rows: list[Timed]) -> str:
    """Markdown."""
    lines = [
        "| file | function | instructions | MACs | cycles | cycles/MAC |",
        "|---|---|---:|---:|---:|---:|",
    ]
    for row in rows:
        share = f"{row.cycles / row.products:.3f}" if row.products else "-"
        lines.append(
            f"| {row.file} | `{row.function}` | {row.instructions} | {row.products or '-'} | "
            f"{row.cycles:.2f} | {share} |"
        )
    return "\n".join(lines)


def main() -> int:
    """Prints the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--json", action="store_true", help="the rows as JSON")
    arguments = parser.parse_args()
    program = next(filter(shutil.which, PROGRAMS), None)
    if not program:
        parser.error("llvm-mca is not installed; on Debian: apt-get install llvm-19")
    rows = [
        timed(loop, program)
        for source in sources()
        for loop in loops(compiled(source), source.name)
    ]
    print(json.dumps([asdict(row) for row in rows], indent=1) if arguments.json else table(rows))
    return 0


if __name__ == "__main__":
    sys.exit(main())
