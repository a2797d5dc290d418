"""``tinyedge doctor``."""

from __future__ import annotations

import click

from tinyedge.cli.options import output_options
from tinyedge.cli.output import Output


@click.command("doctor")
@click.option(
    "--udev-rules",
    is_flag=True,
    help="Print rules that let users open the boards, as a file for /etc/udev/rules.d.",
)
@output_options
@click.pass_obj
def command(output: Output, *, udev_rules: bool) -> None:
    """Say what is installed, what is missing, and how to get it."""
    from rich.table import Table
    from rich.text import Text

    from tinyedge.commands.doctor import doctor

    record = doctor(udev_rules=udev_rules)
    if udev_rules:
        output.result(record, Text(record["rules"].rstrip()))
        return
    table = Table()
    for heading in ("", "what", "for", "how to get it"):
        table.add_column(heading, overflow="fold")
    for check in record["checks"]:
        state = "ok" if check["found"] else "missing"
        remedy = "" if check["found"] else check["remedy"]
        table.add_row(state, check["name"], check["for"], remedy)
    lines = [f"{'can' if able else 'can NOT'} {what}" for what, able in record["can"].items()]
    lines.append("serial ports: " + (", ".join(record["serial_ports"]) or "none"))
    lines += [f"{port} may be: {', '.join(names)}" for port, names in record["boards"].items()]
    output.result(record, table, Text("\n".join([*lines, *record["notes"]])))
