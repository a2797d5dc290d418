"""A model's firmware as a project for other build systems: one file a format."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from tinyedge.boards import Board
from tinyedge.errors import FileError
from tinyedge.exporters.converted import ConvertedModel
from tinyedge.files import folder_aside
from tinyedge.firmware.export.cmake import cmake_project
from tinyedge.firmware.export.platformio import platformio_project
from tinyedge.firmware.export.source import FirmwareSource, firmware_source
from tinyedge.names import ProjectFormat

FORMATS: dict[ProjectFormat, Callable[[FirmwareSource], dict[str, str]]] = {
    "cmake": cmake_project,
    "platformio": platformio_project,
}
"""What makes the files of a project, by their paths in its folder."""

MANIFEST = "tinyedge.json"
_VERSION = 1


@dataclass(frozen=True)
class Export:
    """A project that was written.

    Attributes:
        folder: where it lies.
        files: paths of its files in it.
        hash: SHA-256 of the firmware's sources, as the device tells it.
    """

    folder: Path
    files: list[str]
    hash: str


def export_firmware(
    model: ConvertedModel, board: Board, form: ProjectFormat, folder: Path, command: str
) -> Export:
    """Writes a model's firmware for a board as a project that needs nothing of tinyedge.

    All of its files are written, or none.

    Args:
        model: what ``convert`` wrote.
        board: the board.
        form: which build system it is for.
        folder: made if needed. Of an earlier export the files are replaced, and the folders in
            which they lie; what else is there stays.
        command: the command line that asks for it.

    Raises:
        BoardError: the format does not know the board.
        DoesNotFitError, ModelError: see ``firmware_files``.
        FileError: the folder holds something else.
    """
    if folder.is_dir() and any(folder.iterdir()) and not (folder / MANIFEST).is_file():
        raise FileError(
            f"{folder}: holds something else than an export", hint="name a folder that is empty"
        )
    source = firmware_source(model, board, command)
    files = FORMATS[form](source)
    manifest = {
        "version": _VERSION,
        "format": form,
        "board": board.name,
        "model": source.model,
        "hash": source.hash,
        "command": command,
        "files": sorted(files),
    }
    files[MANIFEST] = json.dumps(manifest, indent=2) + "\n"
    with folder_aside(folder) as aside:
        for name, text in files.items():
            path = aside / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
    return Export(folder, sorted(files), source.hash)
