"""Writing a converted model as a project that needs nothing of tinyedge."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Any

from tinyedge.boards import load_board
from tinyedge.commands.arguments import AnyPath, Samples, one_of, samples_to_run
from tinyedge.commands.notes import noted
from tinyedge.errors import UsageError
from tinyedge.exporters.converted import ConvertedModel, load_converted
from tinyedge.firmware.export import export_firmware
from tinyedge.firmware.export.arduino import export_arduino
from tinyedge.firmware.export.library import export_c_library
from tinyedge.names import EXPORT_FORMATS, ExportFormat, ProjectFormat
from tinyedge.samples.labels import read_class_names
from tinyedge.samples.scaling import ModelInput

_OPTIONS = {"arduino": ("--name", "--data", "--zip"), "c": ("--name", "--labels", "--stack")}
"""Options of libraries, which are for any board."""


@noted()
def export(
    folder: AnyPath,
    *,
    board: str | None = None,
    format: ExportFormat,  # noqa: A002 - the option's name
    output: AnyPath,
    name: str | None = None,
    labels: AnyPath | None = None,
    data: Samples | None = None,
    zip: bool = False,  # noqa: A002 - the option's name
    stack: bool = False,
) -> dict[str, Any]:
    """Writes a converted model as a library, or as a project of another build system.

    Args:
        folder: what ``tinyedge convert`` wrote.
        board: name or ``.toml`` file; of ``cmake`` and ``platformio``.
        format: the build system that it is for.
        output: the folder to write.
        name: of an Arduino or C library; the model's by default.
        labels: file with the names of the classes, one a line, for a C library.
        data: samples (n, *input shape), or a file of such, of which an Arduino library's example
            classifies the first; noise by default.
        zip: whether an Arduino library is also written as ``FOLDER.zip``.
        stack: whether a C library's header tells the stack that it takes, in bytes, counted by
            ``arm-none-eabi-gcc``.

    Returns:
        ``format``, ``folder`` and ``files``; of ``c`` ``name``, of ``arduino`` it and ``zip``,
        else ``board`` and ``hash``.

    Raises:
        UsageError: arguments do not go together, or ``output`` holds other files.
        ModelError, BoardError, DataError: model, board, samples or labels cannot be read.
        ToolchainError: the stack cannot be counted.
    """
    one_of("format", format, EXPORT_FORMATS)
    target = Path(output)
    options = {"--name": name, "--labels": labels, "--data": data, "--zip": zip or None}
    options["--stack"] = stack or None
    _check_options(format, board, {key for key, value in options.items() if value is not None})
    model = load_converted(Path(folder))
    if format == "arduino":
        record = _library(model, target, name, data, archive=zip)
    elif format == "c":
        record = _c_library(model, target, name, Path(labels) if labels else None, stack=stack)
    else:
        assert board
        record = _project(model, board, format, target)
    return {"format": format, "folder": str(target), **record}


def _check_options(form: ExportFormat, board: str | None, given: set[str]) -> None:
    """Refuses options that do not go with a format."""
    if other := sorted(given - set(_OPTIONS.get(form, ()))):
        raise UsageError(f"{other[0]} does not go with --format {form}")
    if form in _OPTIONS and board:
        raise UsageError(f"--format {form} is for any board", hint="leave --board out")
    if form not in _OPTIONS and not board:
        raise UsageError(f"--format {form} is for one board", hint="-b BOARD names it")


def _library(
    model: ConvertedModel,
    target: Path,
    name: str | None,
    data: Samples | None,
    *,
    archive: bool,
) -> dict[str, Any]:
    """Writes an Arduino library; gives its record."""
    sample = None
    if data is not None:
        samples, _ = samples_to_run(data, ModelInput.of(model.graph, sequences=False))
        sample = samples[0]
    library = export_arduino(model, target, name, sample, archive=archive)
    return {
        "name": library.name,
        "files": list(library.files),
        "zip": str(library.archive) if library.archive else None,
    }


def _c_library(
    model: ConvertedModel,
    target: Path,
    name: str | None,
    labels: Path | None,
    *,
    stack: bool,
) -> dict[str, Any]:
    """Writes a C library; gives its record."""
    given = ["--format", "c", *(["--name", name] if name else []), "-o", str(target)]
    given += ["--stack"] if stack else []
    asked = shlex.join(["tinyedge", "export", str(model.folder), *given])
    names = read_class_names(labels) if labels else ()
    library = export_c_library(model, target, name, asked, names, stack=stack)
    return {"name": library.name, "files": list(library.files)}


def _project(
    model: ConvertedModel, board: str, form: ProjectFormat, target: Path
) -> dict[str, Any]:
    """Writes a board's firmware as a project; gives its record."""
    loaded = load_board(board)
    given = ["-b", board, "--format", form, "-o", str(target)]
    asked = shlex.join(["tinyedge", "export", str(model.folder), *given])
    written = export_firmware(model, loaded, form, target, asked)
    return {"board": loaded.name, "files": written.files, "hash": written.hash}
