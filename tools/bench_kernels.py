#!/usr/bin/env python3
"""Counts the instructions of layers and whole networks, and models cycles, of Cortex-M cores.

    python tools/bench_kernels.py                        every row on a Cortex-M4
    python tools/bench_kernels.py --core cortex-m0 --bits 2 resnet8
    python tools/bench_kernels.py --json > now.json      the rows as JSON
    python tools/bench_kernels.py --compare before.json  beside an earlier run

Each row is a firmware, built with gcc -O2 and run in QEMU: instructions are counted exactly
(-icount and the core's timer), and every output byte is compared with the numpy reference; a row
with a mismatch ends the program with exit code 8. Weights and inputs are random (seed 0), the
first inputs all -128 and all 127. Counts do not depend on this machine; dense MACs are counted, a
weight of zero as one. Cycles are modelled from counts at each address (``tinyedge.timing``), where
there is a model of the core; none were measured.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from elftools.elf.elffile import ELFFile
from elftools.elf.sections import SymbolTableSection

from tinyedge.boards import load_board
from tinyedge.boards.cores import CORES
from tinyedge.evaluation.cycles import modelling_obstacle
from tinyedge.evaluation.session import LinkOptions, emulated_device
from tinyedge.exporters.c import CodeOptions
from tinyedge.exporters.converted import write_converted
from tinyedge.graph import reference
from tinyedge.models.benchmark import BENCHMARKS
from tinyedge.names import OBJECTIVES, CoreName, Objective
from tinyedge.timing import variants

BOARDS: dict[CoreName, str] = {
    "cortex-m0": "mps2-an385-m0",  # ARMv6-M code on QEMU's Cortex-M3, which runs it unchanged
    "cortex-m3": "mps2-an385",
    "cortex-m4": "mps2-an386",
    "cortex-m7": "mps2-an500",
    "cortex-m33": "mps2-an505",
    "cortex-m55": "mps3-an547",
}
MISMATCH = 8
_SILENCE_S = 300.0  # however busy this machine is


@dataclass(frozen=True)
class Flash:
    """Bytes of flash.

    Attributes:
        code: all machine code, harness and vectors included.
        runtime: the kernels' share of it.
        weights: packed.
        other: biases, multipliers and all other constants.
        total: code, weights and other.
    """

    code: int
    runtime: int
    weights: int
    other: int
    total: int


@dataclass(frozen=True)
class Row:
    """One network on one core.

    Attributes:
        name: in ``BENCHMARKS``.
        core: that the code was made and compiled for.
        weight_bits: of the layers that vary; whole networks keep 8 in their first and last one.
        optimize: speed or size.
        macs: dense multiply-accumulates.
        insn_per_mac: mean over the samples.
        cycles_per_mac: modelled, mean over the samples; None where the core has no model.
        cycles_by_model: the same by every model of the core, as that of the Cortex-M0+.
        flash: of the whole image.
        arena: bytes of activations and scratch.
        arena_lower_bound: bytes that no plan can do without.
        stack_peak: bytes of stack ever in use, an interrupt's frame more or less.
        samples: inferences that were compared.
        mismatches: output bytes that differ from the reference.
    """

    name: str
    core: CoreName
    weight_bits: int
    optimize: Objective
    macs: int
    insn_per_mac: float
    cycles_per_mac: float | None
    cycles_by_model: dict[str, float]
    flash: Flash
    arena: int
    arena_lower_bound: int
    stack_peak: int
    samples: int
    mismatches: int

    @property
    def key(self) -> tuple[str, str, int, str]:
        """The key that tells rows apart."""
        return self.name, self.core, self.weight_bits, self.optimize


def measure(name: str, bits: int, options: CodeOptions, samples: int) -> Row:
    """Builds, runs and compares one network."""
    graph = BENCHMARKS[name](bits)
    random = np.random.default_rng(0)
    inputs = random.integers(-128, 128, (samples, *graph.input_tensor.shape)).astype(np.int8)
    inputs[0], inputs[1] = -128, 127
    expected = reference.run(graph, inputs)
    with tempfile.TemporaryDirectory() as folder:
        model = write_converted(graph, Path(folder), "tools/bench_kernels.py", options=options)
        board = load_board(BOARDS[options.core])
        count = modelling_obstacle(board) is None
        link = LinkOptions(timeout_s=_SILENCE_S)
        with emulated_device(model, board, "qemu", "gcc", link=link, count=count) as emulated:
            run = emulated.device.run(inputs)
            stats = emulated.device.stats()
            cycles: dict[str, float] = {}
            if emulated.cycles:
                for timing in variants(options.core):
                    cycles[timing.name] = float(emulated.cycles.cycles(timing).sum(axis=1).mean())
        footprint = emulated.firmware.footprint
        runtime = runtime_bytes(emulated.firmware.elf, model.runtime_sources)
    assert run.instructions is not None
    macs = int(model.manifest["macs"])
    return Row(
        name=name,
        core=options.core,
        weight_bits=bits,
        optimize=options.optimize,
        macs=macs,
        insn_per_mac=round(float(run.instructions.mean()) / macs, 4),
        cycles_per_mac=round(next(iter(cycles.values())) / macs, 4) if cycles else None,
        cycles_by_model={name: round(total / macs, 4) for name, total in cycles.items()},
        flash=Flash(footprint.code, runtime, footprint.weights, footprint.other, footprint.flash),
        arena=model.arena_bytes,
        arena_lower_bound=int(model.manifest["arena"]["lower_bound"]),
        stack_peak=stats.stack_peak,
        samples=samples,
        mismatches=int(np.count_nonzero(run.logits != expected)),
    )


def runtime_bytes(elf: Path, sources: list[str]) -> int:
    """Bytes of the functions that come from the runtime's sources.

    A symbol table names a file before its local symbols; the runtime's global functions bear their
    file's name.
    """
    total, file = 0, ""
    with elf.open("rb") as stream:
        table = ELFFile(stream).get_section_by_name(".symtab")
        assert isinstance(table, SymbolTableSection)
        for symbol in table.iter_symbols():
            kind, binding = symbol["st_info"]["type"], symbol["st_info"]["bind"]
            if kind == "STT_FILE":
                file = symbol.name
            local = binding == "STB_LOCAL" and file in sources
            if kind == "STT_FUNC" and (local or f"{symbol.name}.c" in sources):
                total += symbol["st_size"]
    return total


Key = tuple[str, str, int, str]
Before = dict[Key, tuple[float, float | None]]
"""Instructions and cycles a MAC of an earlier run."""


def table(rows: list[Row], before: Before) -> str:
    """The rows as a Markdown table; an earlier run's counts beside them."""
    heads = ["name", "core", "bits", "for", "MACs", "insn/MAC", "cycles/MAC"]
    heads += ["code", "runtime", "weights", "flash", "arena", "bound", "mismatches"]
    heads += ["insn before", "change", "cycles before", "change"] if before else []
    lines = ["| " + " | ".join(heads) + " |", "|---|---|" + "---:|" * (len(heads) - 2)]
    for row in rows:
        cells = [row.name, row.core, str(row.weight_bits), row.optimize, f"{row.macs:,}"]
        modelled = row.cycles_per_mac
        cells += [f"{row.insn_per_mac:.3f}", f"{modelled:.3f}" if modelled else "-"]
        flash = row.flash
        for size in (flash.code, flash.runtime, flash.weights, flash.total, row.arena):
            cells.append(f"{size:,}")
        cells += [f"{row.arena_lower_bound:,}", str(row.mismatches)]
        if before:
            known = before.get(row.key)
            for now, then in zip((row.insn_per_mac, modelled), known or (None, None), strict=True):
                change = f"{100 * (now / then - 1):+.1f} %" if now and then else "-"
                cells += [f"{then:.3f}" if then else "-", change]
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)


def earlier(file: Path) -> Before:
    """Instructions and cycles a MAC of a saved run."""
    rows = json.loads(file.read_text(encoding="utf-8"))["rows"]
    return {
        (row["name"], row["core"], row["weight_bits"], row["optimize"]): (
            row["insn_per_mac"],
            row.get("cycles_per_mac"),
        )
        for row in rows
    }


def main() -> int:
    """Measures and prints; see the module."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("names", nargs="*", help=f"of {', '.join(BENCHMARKS)}; default: all")
    again = "; may be given again"
    parser.add_argument("--core", action="append", choices=CORES, help=f"default: M4{again}")
    parser.add_argument(
        "--bits", action="append", type=int, choices=(1, 2, 4, 8), help=f"default: 2, 4, 8{again}"
    )
    parser.add_argument(
        "--optimize", action="append", choices=OBJECTIVES, help=f"default: speed{again}"
    )
    parser.add_argument("--samples", type=int, default=3, help="inferences of each row, at least 2")
    parser.add_argument("--compare", type=Path, metavar="FILE", help="an earlier run's --json")
    parser.add_argument("--json", action="store_true", help="print the rows as JSON")
    arguments = parser.parse_args()
    if unknown := set(arguments.names) - set(BENCHMARKS):
        parser.error(f"no benchmark {', '.join(sorted(unknown))}; known: {', '.join(BENCHMARKS)}")
    if arguments.samples < 2:
        parser.error("--samples has to be at least 2")
    try:
        before = earlier(arguments.compare) if arguments.compare else {}
    except (OSError, ValueError, KeyError, TypeError) as error:
        parser.error(f"{arguments.compare}: no saved run: {error}")

    rows = []
    for core in arguments.core or ["cortex-m4"]:
        for objective in arguments.optimize or ["speed"]:
            for bits in arguments.bits or [2, 4, 8]:
                for name in arguments.names or BENCHMARKS:
                    print(f"{name}, {bits} bits, {core}, {objective}", file=sys.stderr)
                    options = CodeOptions(core, objective)
                    rows.append(measure(name, bits, options, arguments.samples))
    if arguments.json:
        print(json.dumps({"rows": [asdict(row) for row in rows]}, indent=2))
    else:
        print(table(rows, before))
    return MISMATCH if any(row.mismatches for row in rows) else 0


if __name__ == "__main__":
    sys.exit(main())
