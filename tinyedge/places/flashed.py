"""Boards that hold a firmware: asked first, and written only where they hold another."""

from __future__ import annotations

from tinyedge.errors import LinkError
from tinyedge.firmware.project import Firmware
from tinyedge.link.client import Client
from tinyedge.targets import flashing
from tinyedge.targets.labgrid import Place


def held_firmware(port: str, baud: int) -> str | None:
    """The hash of the firmware that answers at a port; None where no firmware of tinyedge does.

    Raises:
        DeviceError: the port does not open.
    """
    with Client(port, baud) as client:
        try:
            return client.hello().firmware_hash
        except LinkError:
            return None


def flash_unless_held(
    firmware: Firmware,
    port: str,
    baud: int | None = None,
    probe: str | None = None,
    place: Place | None = None,
) -> bool:
    """Writes a firmware to a board, unless it answers with the same one.

    Args:
        firmware: that was built.
        port: of the board.
        baud: bits per second; the board's by default.
        probe: serial number of the debug probe or drive, of several.
        place: of labgrid's that the board is in, whose drivers write it and reset it afterwards.

    Returns:
        Whether it was written.

    Raises:
        BoardError, DeviceError, ToolchainError, UsageError: it cannot be written, see
            ``flashing.plan`` and ``Place.write``.
    """
    board = firmware.board
    if held_firmware(port, baud or board.uart.baud) == firmware.hash:
        return False
    if place:
        place.write(firmware.image)
        place.reset()
        return True
    by_port = port if flashing.takes_port(board) else None
    flashing.flash(flashing.plan(board, firmware.image, None, by_port, probe))
    return True
