"""``tinyedge resources``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from tinyedge.cli.options import PATH, output_options
from tinyedge.cli.output import Output


@click.command("resources")
@click.argument("folder", type=PATH, metavar="DIR")
@output_options
@click.pass_obj
def command(output: Output, folder: Path) -> None:
    """Show what an hls4ml project takes on an FPGA.

    DIR is what 'tinyedge convert --to hls4ml' wrote. Multipliers, adders and bits are estimates;
    where the vendor's tools have left their report in DIR, it is shown too.
    """
    from tinyedge.commands.resources import resources

    record = resources(folder)
    vendor = record["vendor"]
    text: list[Any] = [resource_table(record["estimates"])]
    text.append(_vendor_table(vendor) if vendor else "no report of the vendor's tools in it yet")
    output.result(record, *text)


_COLUMNS = {
    "weight_bits_each": "bits a weight",
    "weights": "weights",
    "zeros": "zeros",
    "multipliers": "multipliers",
    "multipliers_8bit": "in 8 bits",
    "scale_multipliers": "for scales",
    "adders": "adders",
    "weight_bits": "weight bits",
    "weight_bits_8bit": "in 8 bits",
    "activation_bits": "activation bits",
    "line_buffer_bits": "line buffer bits",
}


def resource_table(resources: list[dict[str, Any]]) -> Any:
    """Estimates by layer, and their sums."""
    from rich.table import Table

    table = Table(title="FPGA resources, estimated: fully unrolled, a pixel at a time")
    table.title_justify = "left"
    table.add_column("layer")
    for heading in _COLUMNS.values():
        table.add_column(heading, justify="right")
    for layer in resources:
        table.add_row(layer["name"], *(f"{layer[column]:,}" for column in _COLUMNS))
    sums = {column: sum(layer[column] for layer in resources) for column in _COLUMNS}
    shown = ("" if column == "weight_bits_each" else f"{sums[column]:,}" for column in _COLUMNS)
    table.add_row("sum", *shown, style="bold")
    return table


def _vendor_table(vendor: dict[str, Any]) -> Any:
    from rich.table import Table

    table = Table(title="the vendor's report", title_justify="left")
    table.add_column("report")
    table.add_column("figure")
    table.add_column("value", justify="right")
    for report, figures in vendor.items():
        for figure, value in figures.items():
            table.add_row(report, figure, str(value))
    return table
