#!/usr/bin/env python3
"""Compares the model of the Cortex-M0+'s timings with rp2040js, an emulator by others.

    npm install --prefix /tmp/rp2040js rp2040js
    python tools/check_rp2040.py --rp2040js /tmp/rp2040js/node_modules/rp2040js

The RP2040's image runs there unchanged, with timings of that emulator's own; modelled are the
cycles of the same kernels in QEMU. Output bytes are compared with the numpy reference in both. Exit
code 8 says that bytes differ, or cycles by more than 10 %.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from elftools.elf.elffile import ELFFile
from elftools.elf.sections import SymbolTableSection

from tinyedge.boards import load_board
from tinyedge.evaluation.session import emulated_device
from tinyedge.exporters.c import CodeOptions, export_c
from tinyedge.exporters.converted import write_converted
from tinyedge.firmware.project import build_firmware
from tinyedge.graph import reference
from tinyedge.models.benchmark import BENCHMARKS
from tinyedge.timing import MODELS

BOARD = "arduino-nano-rp2040"
COUNTED_ON = "mps2-an385-m0"
CASES = (("ds_cnn", 8), ("ds_cnn", 2), ("resnet8", 2))
TOLERANCE = 0.10
DIFFERENT = 8
_VECTORS = 0x100  # behind the second stage of the boot loader
_RUN_S = 900


@dataclass(frozen=True)
class Comparison:
    """One network.

    Attributes:
        name: in ``BENCHMARKS``.
        bits: of its weights.
        emulated: cycles in rp2040js.
        modelled: cycles by the model.
        same_bytes: whether both gave the reference's output.
    """

    name: str
    bits: int
    emulated: int
    modelled: float
    same_bytes: bool

    @property
    def difference(self) -> float:
        """By how much the model lies above the emulator, as a share."""
        return self.modelled / self.emulated - 1


def compare(name: str, bits: int, package: Path) -> Comparison:
    """Runs a network in both.

    Args:
        name: in ``BENCHMARKS``.
        bits: of its weights.
        package: the folder of rp2040js.
    """
    graph = BENCHMARKS[name](bits)
    sample = np.random.default_rng(0).integers(-128, 128, graph.input_tensor.shape).astype(np.int8)
    expected = reference.run(graph, sample[None])[0]
    with tempfile.TemporaryDirectory() as folder:
        options = CodeOptions("cortex-m0")
        model = write_converted(graph, Path(folder), "tools/check_rp2040.py", options=options)
        board = load_board(COUNTED_ON)
        with emulated_device(model, board, "qemu", "gcc", count=True) as device:
            run = device.device.run(sample[None])
            assert device.cycles
            modelled = float(device.cycles.cycles(MODELS["cortex-m0plus"]).sum())
        firmware = build_firmware(model, load_board(BOARD), "gcc")
        symbols = addresses(firmware.elf)
        plan = export_c(graph, options).plan.offsets
        request = {
            "module": str(package.resolve()),
            "image": str(firmware.image.resolve()),
            "origin": firmware.board.flash.origin,
            "vectors": firmware.board.flash.origin + _VECTORS,
            "main": symbols["main"],
            "invoke": symbols["tinyedge_model_invoke"],
            "input": symbols["arena"] + plan[graph.input],
            "input_bytes": sample.tobytes().hex(),
            "output": symbols["arena"] + plan[graph.output],
            "output_size": expected.size,
        }
        file = Path(folder) / "request.json"
        file.write_text(json.dumps(request), encoding="utf-8")
        script = Path(__file__).with_name("rp2040_cycles.mjs")
        done = subprocess.run(
            ["node", str(script), str(file)],
            capture_output=True,
            text=True,
            timeout=_RUN_S,
            check=True,
        )
    answer = json.loads(done.stdout)
    same = np.array_equal(run.logits[0], expected)
    same = same and answer["output"] == expected.astype(np.int8).tobytes().hex()
    return Comparison(name, bits, answer["cycles"], modelled, same)


def addresses(elf: Path) -> dict[str, int]:
    """Addresses of functions and variables."""
    with elf.open("rb") as stream:
        table = ELFFile(stream).get_section_by_name(".symtab")
        assert isinstance(table, SymbolTableSection)
        kinds = ("STT_FUNC", "STT_OBJECT")
        return {
            symbol.name: symbol["st_value"] & (~1 if symbol["st_info"]["type"] == kinds[0] else ~0)
            for symbol in table.iter_symbols()
            if symbol["st_info"]["type"] in kinds
        }


def main() -> int:
    """Compares and prints; see the module."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rp2040js", type=Path, required=True, help="the package's folder")
    arguments = parser.parse_args()
    print("| network | bits | rp2040js (emulated) | modelled | difference | bytes |")
    print("|---|---:|---:|---:|---:|---|")
    failed = False
    for name, bits in CASES:
        found = compare(name, bits, arguments.rp2040js)
        failed |= not found.same_bytes or abs(found.difference) > TOLERANCE
        print(
            f"| {name} | {bits} | {found.emulated:,} | {found.modelled:,.0f} | "
            f"{100 * found.difference:+.1f} % | {'equal' if found.same_bytes else 'DIFFER'} |"
        )
    return DIFFERENT if failed else 0


if __name__ == "__main__":
    sys.exit(main())
