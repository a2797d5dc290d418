"""``tinyedge monitor``."""

from __future__ import annotations

import sys
from typing import Any

import click

from tinyedge.cli.options import board_option, labgrid_option, output_options
from tinyedge.cli.output import Output
from tinyedge.cli.project_file import ProjectOption


@click.command("monitor")
@click.option(
    "-p",
    "--port",
    cls=ProjectOption,
    metavar="PORT",
    help="Serial port, rfc2217://HOST:PORT or socket://HOST:PORT.",
)
@labgrid_option
@board_option()
@click.option(
    "--baud", type=click.IntRange(1), help="Bits per second. Default: the board's, else 115200."
)
@click.option("--hex", is_flag=True, help="Show bytes.")
@click.option("--frames", is_flag=True, help="Show the frames of tinyedge's link.")
@click.option(
    "--seconds",
    type=click.FloatRange(0, min_open=True),
    help="End by itself after so long. Default: at Ctrl-C.",
)
@output_options
@click.pass_obj
def command(output: Output, /, board_name: str | None, **others: Any) -> None:
    """Show what a serial port sends, as text unless asked otherwise. Ends with Ctrl-C."""
    from tinyedge.commands.monitor import monitor

    def show(text: str) -> None:
        sys.stdout.write(text)
        sys.stdout.flush()

    record = monitor(
        board=board_name, show=None if output.json else show, listener=output, **others
    )
    if output.json:
        output.result(record)
