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

    from tinyedge.commands.devices import devices

    record = devices()
    table = Table()
    for heading in ("", "where", "USB", "serial number", "what", "may be"):
        table.add_column(heading)
    for port in record["serial_ports"]:
        may_be = ", ".join(port["boards"]) or "unknown"
        table.add_row(
            "port", port["device"], port["usb"], port["serial"], port["description"], may_be
        )
    for probe in record["probes"]:
        may_be = ", ".join(probe["boards"]) or "any board"
        table.add_row("probe", "", probe["usb"], probe["serial"], probe["name"], may_be)
    for drive in record["drives"]:
        where = drive["mount_point"] or f"{drive['device']} (not mounted)"
        may_be = ", ".join(drive["boards"]) or "unknown"
        table.add_row("drive", where, "", drive["serial"], drive["label"], may_be)
    nothing = "no serial port, debug probe or firmware drive is attached"
    output.result(record, table if table.row_count else nothing)
