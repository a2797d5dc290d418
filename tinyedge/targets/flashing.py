"""Writing a firmware to an attached board."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

from tinyedge.boards import Board
from tinyedge.errors import BoardError, DeviceError, ToolchainError

_TIMEOUT_S = 300


def flash_command(board: Board, image: Path) -> list[str]:
    """The command that writes an image to a board's flash and starts it.

    Raises:
        BoardError: the description of the board names no way to flash it.
    """
    dfu = board.flash_tool.dfu
    if dfu is None:
        raise BoardError(f"board '{board.name}' has no flash_tool", hint="docs/boards.md")
    address = f"0x{board.flash.origin:08x}:leave"
    return ["dfu-util", "-d", dfu.id, "-a", "0", "-s", address, "-D", str(image)]


def flash(board: Board, image: Path) -> None:
    """Writes an image to the attached board.

    Raises:
        BoardError: see ``flash_command``.
        ToolchainError: the tool is not installed, or fails.
        DeviceError: no board, or more than one, is attached and in its boot loader.
    """
    command = flash_command(board, image)
    if not shutil.which(command[0]):
        raise ToolchainError(
            f"{command[0]} is not installed", hint=f"on Debian: apt-get install {command[0]}"
        )
    try:
        result = subprocess.run(
            command, capture_output=True, text=True, timeout=_TIMEOUT_S, check=False
        )
    except subprocess.TimeoutExpired as error:
        raise DeviceError(f"{command[0]} did not end within {_TIMEOUT_S} s") from error
    if result.returncode == 0:
        return
    output = (result.stdout + result.stderr).strip()
    last = (output.splitlines() or ["no message"])[-1]
    if "No DFU capable" in output or "More than one DFU" in output or "Cannot open" in output:
        raise DeviceError(
            f"{command[0]}: {last}",
            hint="hold the board's button while plugging it in, so that its boot ROM answers",
        )
    raise ToolchainError(f"{command[0]} failed: {last}")
