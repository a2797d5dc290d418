"""Unicorn as a board: a process of its own (``unicorn_server``) that offers a TCP socket."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from tinyedge.boards import Board
from tinyedge.boards.board import Uart
from tinyedge.errors import ToolchainError
from tinyedge.targets.target import Target, start_emulator


def open_unicorn(board: Board, elf: Path) -> Target:
    """Starts a firmware in Unicorn, which waits for the serial port to be opened.

    Raises:
        ToolchainError: the process does not start.
    """
    unicorn = board.emulator.unicorn
    assert unicorn
    assert isinstance(board.uart, Uart)
    process = start_emulator(
        [
            sys.executable,
            "-m",
            "tinyedge.targets.unicorn_server",
            str(elf),
            *("--cpu", unicorn.cpu),
            *("--flash", str(board.flash.origin), str(board.flash.size)),
            *("--ram", str(board.ram.origin), str(board.ram.size)),
            *("--family", board.family),
            *("--uart", str(board.uart.base)),
        ],
        stderr=subprocess.PIPE,
    )
    assert process.stdout
    port = process.stdout.readline().strip()
    if not port.isdigit():
        process.kill()
        _, errors = process.communicate()
        raise ToolchainError(
            f"unicorn did not start: {(errors.splitlines() or ['no message'])[-1]}"
        )
    return Target("unicorn", f"socket://127.0.0.1:{port}", None, process)
