"""Compiling a sketch as Arduino's own builder does, by the recipes of the core's platform.txt."""

from __future__ import annotations

import subprocess
from pathlib import Path

from tinyedge.boards.families.avr import AvrBoard
from tinyedge.toolchains.arduino import find_arduino_core

_C: tuple[str, ...] = ("-g", "-Os", "-std=gnu11", "-ffunction-sections", "-fdata-sections", "-flto")
_CXX: tuple[str, ...] = (
    "-g",
    "-Os",
    "-std=gnu++11",
    "-fpermissive",
    "-fno-exceptions",
    "-ffunction-sections",
)
_CXX += ("-fdata-sections", "-fno-threadsafe-statics", "-Wno-error=narrowing", "-flto")
# Arduino's builder asks for fewer warnings; those that ours would give are a fault of ours.
_OURS: tuple[str, ...] = ("-Wall", "-Wextra", "-Waddr-space-convert", "-Werror")
_OURS_CXX: tuple[str, ...] = ("-Wall", "-Wextra", "-Werror")


def build_sketch(sketch: Path, library: Path, board: AvrBoard, folder: Path) -> Path:
    """Compiles a sketch's folder with a library and the core; gives the program.

    The sketch becomes C++ with Arduino.h before it; all of the library's ``src`` is compiled, and
    all C and C++ files beside the sketch. Core and library are linked by avr-gcc's own script.
    """
    core = find_arduino_core()
    folder.mkdir(parents=True)
    target = [
        f"-mmcu={board.part.gcc}",
        f"-DF_CPU={board.clock.sysclk_hz}L",
        "-DARDUINO=10607",
        f"-DARDUINO_{board.arduino.board}",
        "-DARDUINO_ARCH_AVR",
        "-DDECIMAL_DIG=__DECIMAL_DIG__",
        *core.includes(board.arduino.variant),
    ]
    main = folder / f"{sketch.name}.ino.cpp"
    text = (sketch / f"{sketch.name}.ino").read_text()
    main.write_text(f'#include <Arduino.h>\n#line 1 "{sketch.name}.ino"\n{text}')
    beside = [path for path in sketch.iterdir() if path.suffix in (".c", ".cpp")]
    sources = [path for path in library.joinpath("src").rglob("*") if path.suffix in (".c", ".cpp")]
    includes = [f"-I{library / 'src'}", f"-I{sketch}"]
    objects = [
        _compile(path, folder, [*target, *includes], ours=True)
        for path in (main, *sorted(beside), *sorted(sources))
    ]
    (folder / "core").mkdir()
    archive = folder / "core.a"
    parts = [_compile(path, folder / "core", target, ours=False) for path in core.sources()]
    subprocess.run(["avr-gcc-ar", "rcs", str(archive), *map(str, parts)], check=True)
    elf = folder / f"{sketch.name}.elf"
    link = ["-Os", "-g", "-flto", "-fuse-linker-plugin", "-Wl,--gc-sections"]
    link += [f"-mmcu={board.part.gcc}", "-o", str(elf), *map(str, objects), str(archive), "-lm"]
    subprocess.run(["avr-gcc", "-w", *link], check=True)
    return elf


def _compile(source: Path, folder: Path, target: list[str], *, ours: bool) -> Path:
    flags, command = list(_C), "avr-gcc"
    warnings = _OURS if ours else ("-w",)
    if source.suffix == ".cpp":
        flags, command = list(_CXX), "avr-g++"
        warnings = _OURS_CXX if ours else ("-w",)
    elif source.suffix == ".S":
        flags = ["-g", "-x", "assembler-with-cpp", "-flto"]
    program = folder / f"{source.name}.o"
    arguments = [*flags, *warnings, *target, "-c", str(source), "-o", str(program)]
    subprocess.run([command, *arguments], check=True)
    return program
