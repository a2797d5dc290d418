#!/usr/bin/env python3
"""Measures the machine code of each file of the runtime, by which ``--optimize size`` chooses.

    python tools/measure_code.py            writes tinyedge/exporters/c/kernels/code_bytes.json
    python tools/measure_code.py --check    fails if a file is not about as large as the table says

Files are compiled alone, with arm-none-eabi-gcc as firmware is. One core stands for those with the
same kernels.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from pathlib import Path

from elftools.elf.constants import SH_FLAGS
from elftools.elf.elffile import ELFFile

from tinyedge.names import CoreName
from tinyedge.templates import data_folder
from tinyedge.toolchains.compilers import arm_gcc, run_compiler

TABLE = Path(__file__).parents[1] / "tinyedge" / "exporters" / "c" / "kernels" / "code_bytes.json"
SHARE, BYTES = 0.1, 32
"""By which a file may differ from the table: compilers do."""
MEASURED: tuple[CoreName, ...] = ("cortex-m0", "cortex-m3", "cortex-m4", "cortex-m55")


def code_bytes(source: Path, core: CoreName) -> int:
    """The bytes of code and constants that a file is compiled to."""
    with tempfile.TemporaryDirectory() as folder:
        compiled = Path(folder) / "compiled.o"
        compiler = arm_gcc(core)
        arguments = [*compiler.c_flags, "-c", str(source), "-o", str(compiled)]
        run_compiler(compiler.name, compiler.command, arguments)
        with compiled.open("rb") as stream:
            return sum(
                section["sh_size"]
                for section in ELFFile(stream).iter_sections()
                if section["sh_flags"] & SH_FLAGS.SHF_ALLOC and section["sh_type"] == "SHT_PROGBITS"
            )


def main() -> int:
    """Measures and writes; see the module."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="compare with the table")
    parser.add_argument("--core", choices=MEASURED, help="that alone is compared")
    arguments = parser.parse_args()
    sources = sorted((data_folder("firmware_templates") / "runtime").glob("*.c"))
    if not arguments.check:
        table = {
            core: {source.name: code_bytes(source, core) for source in sources} for core in MEASURED
        }
        TABLE.write_text(json.dumps(table, indent=1) + "\n", encoding="utf-8")
        return 0
    wrong = 0
    known = json.loads(TABLE.read_text(encoding="utf-8"))
    for core in [arguments.core] if arguments.core else MEASURED:
        for source in sources:
            told, size = known[core].get(source.name, 0), code_bytes(source, core)
            if abs(told - size) > max(size * SHARE, BYTES):
                print(f"{source.name}, {core}: {size} bytes, the table says {told}")
                wrong += 1
    return min(wrong, 1)


if __name__ == "__main__":
    sys.exit(main())
