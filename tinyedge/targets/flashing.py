"""Writing a firmware to an attached board."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

from tinyedge.boards import Board
from tinyedge.errors import BoardError, DeviceError, ToolchainError

_TIMEOUT_S = 300
_BOOT_ROM = "hold the board's button while plugging it in, so that its boot ROM answers"
_PROBE = "is the board's debug probe plugged in, and may you open it?"
_NOT_ATTACHED = {
    "No DFU capable": _BOOT_ROM,
    "More than one DFU": _BOOT_ROM,
    "Cannot open": _BOOT_ROM,
    "open failed": _PROBE,
    "unable to open": _PROBE,
}
"""What tools say where no board answers, and what to do."""


def flash_command(board: Board, image: Path) -> list[str]:
    """The command that writes an image to a board's flash and starts it.

    Raises:
        BoardError: the description of the board names no way to flash it.
    """
    tool, address = board.flash_tool, f"0x{board.flash.origin:08x}"
    if tool.dfu:
        where = ["-s", f"{address}:leave"] if tool.dfu.dfuse else ["-R"]
        return ["dfu-util", "-d", tool.dfu.id, "-a", "0", *where, "-D", str(image)]
    if tool.openocd:
        program = f"program {{{image}}} {address} verify reset exit"
        return ["openocd", "-f", tool.openocd.config, "-c", program]
    raise BoardError(f"board '{board.name}' has no flash_tool", hint="docs/boards.md")


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
    for sign, hint in _NOT_ATTACHED.items():
        if sign in output:
            raise DeviceError(f"{command[0]}: {last}", hint=hint)
    raise ToolchainError(f"{command[0]} failed: {last}")
