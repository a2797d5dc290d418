"""``tinyedge export``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from tinyedge.cli.options import PATH, board_option, data_option, output_options
from tinyedge.cli.output import Output
from tinyedge.names import EXPORT_FORMATS


@click.command("export")
@click.argument("folder", type=PATH, metavar="DIR")
@board_option()
@click.option(
    "--format",
    type=click.Choice(EXPORT_FORMATS),
    required=True,
    help="The build system that it is for.",
)
@click.option("-o", "--output", type=PATH, required=True, help="Folder to write.")
@click.option("--name", help="Name of an Arduino or C library. Default: the model's.")
@click.option(
    "--labels", type=PATH, help="File with the names of the classes, one a line, for 'c'."
)
@click.option(
    "--stack",
    is_flag=True,
    help="Count the stack that a C library takes, with arm-none-eabi-gcc, for its header.",
)
@data_option(
    "data",
    "Samples (.npy or .npz), of which an Arduino library's example classifies the first. Default: "
    "noise.",
)
@click.option("--zip", is_flag=True, help="Also write an Arduino library's FOLDER.zip.")
@output_options
@click.pass_obj
def command(output: Output, /, folder: Path, board_name: str | None, **options: Any) -> None:
    """Write a converted model as a library, or as a project that needs nothing of tinyedge.

    DIR is what 'tinyedge convert' wrote. 'c' is a library for programs of your own, 'arduino' one
    for sketches, both for any board; 'cmake' and 'platformio' hold the firmware of a board.
    """
    from tinyedge.commands.export import export

    record = export(folder, board=board_name, **options)
    output.result(record, "\n".join(_lines(record)))


def _lines(record: dict[str, Any]) -> list[str]:
    count, target = len(record["files"]), record["folder"]
    if record["format"] == "c":
        header = f"{record['name']}.h"
        return [f"{count} files written to {target}; its README.md and {header} say more"]
    if record["format"] != "arduino":
        return [f"{count} files written to {target}; its README.md says more"]
    lines = [f"library {record['name']}, {count} files, written to {target}"]
    return lines + ([f"and to {record['zip']}"] if record["zip"] else [])
