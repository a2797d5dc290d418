"""``tinyedge export``."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import TYPE_CHECKING

import click

from tinyedge.cli.options import EXPORT_FORMATS, PATH, board_option, output_options
from tinyedge.cli.output import Output

if TYPE_CHECKING:
    from tinyedge.firmware.export import ExportFormat


@click.command("export")
@click.argument("folder", type=PATH, metavar="DIR")
@board_option(required=True)
@click.option(
    "--format",
    "form",
    type=click.Choice(EXPORT_FORMATS),
    required=True,
    help="Which build system the project is for.",
)
@click.option("-o", "--output", "target", type=PATH, required=True, help="Folder to write.")
@output_options
@click.pass_obj
def command(
    output: Output, folder: Path, board_name: str, form: ExportFormat, target: Path
) -> None:
    """Write the firmware of a converted model as a project that needs nothing of tinyedge.

    DIR is what 'tinyedge convert' wrote.
    """
    from tinyedge.boards import load_board
    from tinyedge.exporters.converted import load_converted
    from tinyedge.firmware.export import export_firmware

    board = load_board(board_name)
    model = load_converted(folder)
    given = ["-b", board_name, "--format", form, "-o", str(target)]
    asked = shlex.join(["tinyedge", "export", str(folder), *given])
    export = export_firmware(model, board, form, target, asked)
    record = {
        "board": board.name,
        "format": form,
        "folder": str(target),
        "files": export.files,
        "hash": export.hash,
    }
    output.result(record, f"{len(export.files)} files written to {target}; its README.md says more")
