"""A model's firmware as a project for other build systems: one file a format."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from tinyedge.boards import Board
from tinyedge.exporters.converted import ConvertedModel
from tinyedge.firmware.export.cmake import cmake_project
from tinyedge.firmware.export.folder import with_manifest, write_folder
from tinyedge.firmware.export.platformio import platformio_project
from tinyedge.firmware.export.source import FirmwareSource, firmware_source
from tinyedge.names import ProjectFormat

FORMATS: dict[ProjectFormat, Callable[[FirmwareSource], dict[str, str]]] = {
    "cmake": cmake_project,
    "platformio": platformio_project,
}
"""A function that makes the files of a project, by their paths in its folder."""


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
        folder: see ``write_folder``.
        command: the command line that asks for it.

    Raises:
        BoardError: the format does not know the board.
        DoesNotFitError, ModelError: see ``firmware_files``.
        FileError: the folder holds something of the user's; see ``write_folder``.
    """
    source = firmware_source(model, board, command)
    facts = {
        "format": form,
        "board": board.name,
        "model": source.model,
        "hash": source.hash,
        "command": command,
    }
    files = with_manifest(FORMATS[form](source), facts)
    write_folder(folder, files)
    return Export(folder, sorted(files), source.hash)
