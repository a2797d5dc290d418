"""The devices that are attached to this machine."""

from __future__ import annotations

from typing import Any

from tinyedge.boards import board_names, load_board
from tinyedge.commands.notes import noted
from tinyedge.targets import attached


@noted()
def devices() -> dict[str, Any]:
    """Lists what is attached, each with the ``boards`` that it may be.

    Returns:
        ``serial_ports`` with ``device``, ``description``, ``usb`` and ``serial``; ``probes`` with
        ``name``, ``usb`` and ``serial``; ``drives`` that take firmware with ``label``, ``device``,
        ``mount_point`` (None where it is not mounted), ``serial`` and ``of``.
    """
    boards = [load_board(name) for name in board_names()]
    ports = attached.serial_ports()
    found = [
        (probe, [board.name for board in boards if board.usb == probe.usb])
        for probe in attached.probes()
    ]
    labels = {
        board.name: board.flash_tool.drive.label for board in boards if board.flash_tool.drive
    }
    storage = [
        (drive, [name for name, label in labels.items() if label == drive.label])
        for drive in attached.drives()
        if drive.takes_firmware or drive.label in labels.values()
    ]
    return {
        "serial_ports": [
            {
                "device": port.device,
                "description": port.description,
                "usb": port.usb,
                "serial": port.serial,
                "boards": list(port.boards),
            }
            for port in ports
        ],
        "probes": [
            {
                "name": probe.name,
                "usb": probe.usb,
                "serial": probe.serial,
                "boards": names,
            }
            for probe, names in found
        ],
        "drives": [
            {
                "label": drive.label,
                "device": drive.device,
                "mount_point": str(drive.mount_point) if drive.mount_point else None,
                "serial": drive.serial,
                "of": drive.takes_firmware,
                "boards": names,
            }
            for drive, names in storage
        ],
    }
