"""simavr as a board: a program of our own that links it, and puts the serial port on a TCP socket.

It is compiled with this machine's C compiler when it is first needed, and kept. simavr is licensed
under the GPL, version 3: it is linked into that program, a process of its own, and nowhere else.
"""

from __future__ import annotations

import functools
import hashlib
from dataclasses import replace
from pathlib import Path

from tinyedge.boards import Board
from tinyedge.errors import ToolchainError
from tinyedge.files import cache_folder, folder_aside
from tinyedge.targets.target import Target, start_server
from tinyedge.templates import data_folder
from tinyedge.toolchains.compilers import host_compiler, run_compiler

_PROGRAM = "te_simavr"
_FLAGS = ("-std=gnu99", "-Wall", "-Wextra", "-Werror", "-O2")
_LIBRARIES = ("-lsimavr",)
_HINT = "on Debian: apt-get install libsimavr-dev gcc"


@functools.cache
def simavr_installed() -> bool:
    """Whether simavr's library can be linked here."""
    try:
        _program()
    except ToolchainError:
        return False
    return True


def open_simavr(board: Board, elf: Path) -> Target:
    """Starts a firmware in simavr, which waits for the serial port to be opened.

    The AVR's counters count cycles, so that its time is what they say, whatever this machine's is.

    Raises:
        ToolchainError: simavr is not installed, or does not start.
    """
    simavr = board.emulator.simavr
    assert simavr
    command = [str(_program()), str(elf), simavr.mcu, str(board.clock.sysclk_hz)]
    return replace(start_server("simavr", command), keeps_time=True)


def _program() -> Path:
    """The program, compiled if it has not been yet."""
    source = data_folder("firmware_templates") / "simavr" / f"{_PROGRAM}.c"
    compiler = host_compiler()
    command = [*compiler.command, compiler.version(), *_FLAGS, *_LIBRARIES]
    digest = hashlib.sha256("\0".join(command).encode() + source.read_bytes()).hexdigest()
    folder = cache_folder("simavr") / digest[:16]
    if not (folder / _PROGRAM).is_file():
        with folder_aside(folder) as aside:
            arguments = [*_FLAGS, str(source), "-o", str(aside / _PROGRAM), *_LIBRARIES]
            try:
                run_compiler(compiler.name, compiler.command, arguments)
            except ToolchainError as error:
                raise ToolchainError(f"simavr cannot be linked: {error}", hint=_HINT) from error
    return folder / _PROGRAM
