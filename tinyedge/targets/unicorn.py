"""Unicorn as a board: a process of its own (``unicorn_server``) that offers a TCP socket."""

from __future__ import annotations

import sys
from pathlib import Path

from tinyedge.boards import Board
from tinyedge.boards.board import Uart
from tinyedge.targets.target import Target, start_server


def open_unicorn(board: Board, elf: Path) -> Target:
    """Starts a firmware in Unicorn, which waits for the serial port to be opened.

    Raises:
        ToolchainError: the process does not start.
    """
    unicorn = board.emulator.unicorn
    assert unicorn
    assert isinstance(board.uart, Uart)
    return start_server(
        "unicorn",
        [
            sys.executable,
            "-m",
            "tinyedge.targets.unicorn_server",
            str(elf),
            *("--cpu", unicorn.cpu),
            *("--flash", str(board.flash.origin), str(board.flash.size)),
            *("--ram", str(board.ram.origin), str(board.ram.size)),
            *(
                argument
                for region in board.memory.regions.values()
                for argument in ("--region", str(region.origin), str(region.size))
            ),
            *("--family", board.family),
            *("--uart", str(board.uart.base)),
        ],
    )
