"""Arduino's AVR core, on which the firmware of an Arduino board is built."""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tinyedge.boards.families.avr import AvrBoard
from tinyedge.errors import ToolchainError
from tinyedge.files import cache_folder, folder_aside
from tinyedge.toolchains.compilers import Compiler, run_compiler

CORE_VARIABLE = "TINYEDGE_ARDUINO_AVR"
"""The environment variable that names the core's folder."""

_DEBIAN = Path("/usr/share/arduino/hardware/arduino/avr")
_ARDUINO15 = (Path.home() / ".arduino15", Path.home() / "Library" / "Arduino15")
_ARCHIVE = "core.a"
_HINT = (
    "on Debian: apt-get install gcc-avr avr-libc arduino-core-avr; or install 'Arduino AVR Boards' "
    f"with Arduino's board manager, or name its folder in {CORE_VARIABLE}"
)
_IDE_VERSION = 10819
"""The version that sketches see as ``ARDUINO``."""

_SIZE = ("-Os", "-ffunction-sections", "-fdata-sections", "-g0")
# avr-libc lays DECIMAL_DIG out for a C dialect that Arduino's core does not choose.
_DEFINES = ("-DDECIMAL_DIG=__DECIMAL_DIG__",)
_C = ("-std=gnu99", "-Wall", "-Wextra", "-Wmissing-prototypes", "-Waddr-space-convert", "-Werror")
_CXX = ("-std=gnu++11", "-fno-exceptions", "-fno-threadsafe-statics")
_BUFFERS = (64, 128, 256)
"""Bytes that ``Serial`` may have for what it receives: whole powers of two, whose indices are cheap
and have 8 bits."""


@dataclass(frozen=True)
class ArduinoCore:
    """An installed core.

    Attributes:
        folder: holds ``cores`` and ``variants``.
        tools: folder of ``avr-gcc`` and the others; None where they are found in PATH.
    """

    folder: Path
    tools: Path | None

    def tool(self, name: str) -> str:
        """A program of the toolchain."""
        return str(self.tools / name) if self.tools else name

    def includes(self, variant: str) -> tuple[str, ...]:
        """Where sketches find headers.

        Raises:
            ToolchainError: the core does not have the variant.
        """
        folders = (self.folder / "cores" / "arduino", self.folder / "variants" / variant)
        for folder in folders:
            if not folder.is_dir():
                raise ToolchainError(f"{self.folder}: lacks {folder.name}", hint=_HINT)
        return tuple(f"-I{folder}" for folder in folders)

    def sources(self) -> list[Path]:
        """C, C++ and assembler files."""
        folder = self.folder / "cores" / "arduino"
        return sorted(path for path in folder.iterdir() if path.suffix in (".c", ".cpp", ".S"))


def serial_buffer(ring: int) -> int:
    """Bytes of ``Serial``'s buffer, one of which stays free, so that it holds ``ring`` bytes."""
    return next((size for size in _BUFFERS if size > ring), _BUFFERS[-1])


def serial_rings() -> tuple[int, ...]:
    """Bytes that may be received while the model runs, in rising order."""
    return tuple(size - 1 for size in _BUFFERS)


def find_arduino_core() -> ArduinoCore:
    """The core that ``$TINYEDGE_ARDUINO_AVR`` names, else Arduino's own newest, else Debian's.

    Raises:
        ToolchainError: there is none, or no ``avr-gcc``.
    """
    named = os.environ.get(CORE_VARIABLE)
    installed = [
        path
        for root in _ARDUINO15
        for path in _by_version(root / "packages" / "arduino" / "hardware" / "avr")
    ]
    candidates = [Path(named)] if named else [*installed, _DEBIAN]
    found = [path for path in candidates if (path / "cores" / "arduino" / "Arduino.h").is_file()]
    if not found:
        where = f"{CORE_VARIABLE}={named}" if named else "this machine"
        raise ToolchainError(f"{where}: no Arduino core for AVR", hint=_HINT)
    if shutil.which("avr-g++"):
        return ArduinoCore(found[0], None)
    for root in _ARDUINO15:
        for path in _by_version(root / "packages" / "arduino" / "tools" / "avr-gcc"):
            if (path / "bin" / "avr-g++").is_file():
                return ArduinoCore(found[0], path / "bin")
    raise ToolchainError("avr-gcc is not installed", hint=_HINT)


def arduino_installed() -> bool:
    """Whether there are a core and a compiler for it."""
    try:
        find_arduino_core()
    except ToolchainError:
        return False
    return True


def _by_version(folder: Path) -> list[Path]:
    """The versions in a folder, the newest first."""

    def version(path: Path) -> list[int]:
        digits = "".join(c if c.isdigit() else " " for c in path.name)
        return [int(part) for part in digits.split()]

    return sorted(folder.iterdir(), key=version, reverse=True) if folder.is_dir() else []


def arduino_compiler(board: AvrBoard, ring: int) -> Compiler:
    """avr-gcc with Arduino's core, compiled for a board, among what it links.

    Args:
        board: the board.
        ring: bytes that ``Serial`` receives while the model runs.

    Raises:
        ToolchainError: core or compiler are not installed, or the core does not compile.
    """
    core = find_arduino_core()
    target = (
        f"-mmcu={board.part.gcc}",
        f"-DF_CPU={board.clock.sysclk_hz}L",
        f"-DARDUINO={_IDE_VERSION}",
        f"-DARDUINO_{board.arduino.board}",
        "-DARDUINO_ARCH_AVR",
        f"-DSERIAL_RX_BUFFER_SIZE={serial_buffer(ring)}",
        *_DEFINES,
        *core.includes(board.arduino.variant),
    )
    archive = _archive(core, target)
    return Compiler(
        "gcc",
        (core.tool("avr-gcc"), *target),
        ("-mrelax", "-Wl,--gc-sections", str(archive), "-lm"),
        cxx=(core.tool("avr-g++"), *target),
        libraries=(archive,),
        c_flags=(*_C, *_SIZE),
        cxx_flags=(*_CXX, "-Wall", "-Wextra", "-Werror", *_SIZE),
        objcopy=core.tool("avr-objcopy"),
    )


def _archive(core: ArduinoCore, target: Sequence[str]) -> Path:
    """The core's object files, compiled once for each board and setting and then kept."""
    digest = hashlib.sha256("\0".join([core.tool("avr-gcc"), *target]).encode())
    for path in sorted(core.folder.joinpath("cores", "arduino").iterdir()):
        digest.update(path.read_bytes())
    folder = cache_folder("arduino") / digest.hexdigest()[:16]
    if not (folder / _ARCHIVE).is_file():
        with folder_aside(folder) as aside:
            objects = []
            for source in core.sources():
                # wiring_pulse.c and wiring_pulse.S
                objects.append(str(aside / f"{source.name}.o"))
                command = core.tool("avr-g++" if source.suffix == ".cpp" else "avr-gcc")
                flags = _CXX if source.suffix == ".cpp" else ("-std=gnu11",)
                language = ("-x", "assembler-with-cpp") if source.suffix == ".S" else flags
                arguments = ["-w", *_SIZE, *language, "-c", str(source), "-o", objects[-1]]
                run_compiler("avr-gcc", (command, *target), arguments)
            run_compiler("avr-ar", (core.tool("avr-ar"),), ["rcs", str(aside / _ARCHIVE), *objects])
            for each in objects:
                Path(each).unlink()
    return folder / _ARCHIVE
