"""``tinyedge export``."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from tinyedge.cli.options import PATH, board_option, data_option, output_options
from tinyedge.cli.output import Output
from tinyedge.names import EXPORT_FORMATS

if TYPE_CHECKING:
    from tinyedge.exporters.converted import ConvertedModel
    from tinyedge.names import ExportFormat, ProjectFormat


@click.command("export")
@click.argument("folder", type=PATH, metavar="DIR")
@board_option()
@click.option(
    "--format",
    "form",
    type=click.Choice(EXPORT_FORMATS),
    required=True,
    help="The build system that it is for.",
)
@click.option("-o", "--output", "target", type=PATH, required=True, help="Folder to write.")
@click.option("--name", help="Of an Arduino library. Default: the model's.")
@data_option(
    "data",
    "Samples (.npy or .npz), of which an Arduino library's example classifies the first. Default: "
    "noise.",
)
@click.option("--zip", "archive", is_flag=True, help="Also write an Arduino library's FOLDER.zip.")
@output_options
@click.pass_obj
def command(
    output: Output,
    folder: Path,
    board_name: str | None,
    form: ExportFormat,
    target: Path,
    name: str | None,
    data: Path | None,
    *,
    archive: bool,
) -> None:
    """Write a converted model as a project that needs nothing of tinyedge.

    DIR is what 'tinyedge convert' wrote. 'cmake' and 'platformio' hold the firmware of a board,
    'arduino' is a library for sketches on any board.
    """
    from tinyedge.errors import UsageError
    from tinyedge.exporters.converted import load_converted

    if form == "arduino":
        if board_name:
            raise UsageError("an Arduino library is for any board", hint="leave --board out")
        model = load_converted(folder)
        record, text = _library(model, target, name, data, archive=archive)
    else:
        if name or data or archive:
            raise UsageError(f"--name, --data and --zip do not go with --format {form}")
        if not board_name:
            raise UsageError(f"--format {form} is for one board", hint="-b BOARD names it")
        model = load_converted(folder)
        record, text = _project(model, board_name, form, target)
    output.result({"format": form, "folder": str(target), **record}, text)


def _library(
    model: ConvertedModel,
    target: Path,
    name: str | None,
    data: Path | None,
    *,
    archive: bool,
) -> tuple[dict[str, Any], str]:
    """Writes an Arduino library; gives its record and what is said of it."""
    from tinyedge.errors import DataError
    from tinyedge.firmware.export.arduino import export_arduino
    from tinyedge.samples.reading import input_samples
    from tinyedge.samples.scaling import ModelInput

    sample = None
    if data:
        samples, _ = input_samples(data, ModelInput.of(model.graph))
        if not len(samples):
            raise DataError(f"{data}: holds no sample", hint="one is enough")
        sample = samples[0]
    library = export_arduino(model, target, name, sample, archive=archive)
    record = {
        "name": library.name,
        "files": list(library.files),
        "zip": str(library.archive) if library.archive else None,
    }
    lines = [f"library {library.name}, {len(library.files)} files, written to {target}"]
    lines += [f"and to {library.archive}"] if library.archive else []
    return record, "\n".join(lines)


def _project(
    model: ConvertedModel, board_name: str, form: ProjectFormat, target: Path
) -> tuple[dict[str, Any], str]:
    """Writes a board's firmware as a project; gives its record and what is said of it."""
    from tinyedge.boards import load_board
    from tinyedge.firmware.export import export_firmware

    board = load_board(board_name)
    given = ["-b", board_name, "--format", form, "-o", str(target)]
    asked = shlex.join(["tinyedge", "export", str(model.folder), *given])
    export = export_firmware(model, board, form, target, asked)
    record = {"board": board.name, "files": export.files, "hash": export.hash}
    return record, f"{len(export.files)} files written to {target}; its README.md says more"
