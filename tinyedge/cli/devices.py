"""``tinyedge devices``."""

from __future__ import annotations

import click

from tinyedge.cli.options import output_options
from tinyedge.cli.output import Output


@click.command("devices")
@output_options
@click.pass_obj
def command(output: Output) -> None:
    """List what is attached: serial ports, debug probes, drives that take firmware.

    Beside each stand the boards that it may be.
    """
    from rich.table import Table

    from tinyedge.boards import board_names, load_board
    from tinyedge.targets.attached import drives, probes, serial_ports

    boards = [load_board(name) for name in board_names()]
    ports = serial_ports()
    found = [
        (probe, [board.name for board in boards if board.usb == probe.usb]) for probe in probes()
    ]
    labels = {
        board.name: board.flash_tool.drive.label for board in boards if board.flash_tool.drive
    }
    storage = [
        (drive, [name for name, label in labels.items() if label == drive.label])
        for drive in drives()
        if drive.takes_firmware or drive.label in labels.values()
    ]
    record = {
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
    table = Table()
    for heading in ("", "where", "USB", "serial number", "what", "may be"):
        table.add_column(heading, overflow="fold")
    for port in ports:
        may_be = ", ".join(port.boards) or "unknown"
        table.add_row("port", port.device, port.usb, port.serial, port.description, may_be)
    for probe, names in found:
        may_be = ", ".join(names) or "any board"
        table.add_row("probe", "", probe.usb, probe.serial, probe.name, may_be)
    for drive, names in storage:
        where = str(drive.mount_point or f"{drive.device} (not mounted)")
        may_be = ", ".join(names) or "unknown"
        table.add_row("drive", where, "", drive.serial, drive.label, may_be)
    nothing = "no serial port, debug probe or firmware drive is attached"
    output.result(record, table if table.row_count else nothing)
