"""The start of every export: a firmware's sources, and how they are compiled."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from tinyedge.boards import Board
from tinyedge.boards.families.avr import AvrBoard
from tinyedge.errors import BoardError
from tinyedge.exporters.converted import ConvertedModel
from tinyedge.firmware.project import firmware_files, firmware_id
from tinyedge.templates import render_template
from tinyedge.toolchains.compilers import Compiler, arm_gcc

LINKER_SCRIPT = "linker.ld"
_SOURCES = "src"


@dataclass(frozen=True)
class FirmwareSource:
    """A firmware that is to be exported.

    Attributes:
        model: name of the model.
        board: what it is for.
        files: all sources by name, the linker script among them.
        hash: SHA-256 of the sources, as the device tells it.
        command: the command line that asks for the export.
    """

    model: str
    board: Board
    files: dict[str, str]
    hash: str
    command: str

    @property
    def compiler(self) -> Compiler:
        """The compiler, with the flags that choose the target."""
        return arm_gcc(self.board.core)

    @property
    def flags(self) -> tuple[str, ...]:
        """Flags of every file beside these, with debug information.

        A warning of another compiler is no error.
        """
        given = {"-Werror": "", "-g0": "-g"}
        return tuple(filter(None, (given.get(flag, flag) for flag in self.compiler.c_flags)))

    @property
    def units(self) -> list[str]:
        """Paths of the C files in the project, in the order in which they are linked."""
        return [f"{_SOURCES}/{name}" for name in sorted(self.files) if name.endswith(".c")]

    def source_files(self) -> dict[str, str]:
        """C files and headers by their paths in the project, the linker script at its top."""
        placed = {f"{_SOURCES}/{name}": text for name, text in self.files.items()}
        placed[LINKER_SCRIPT] = placed.pop(f"{_SOURCES}/{LINKER_SCRIPT}")
        return placed

    def render(self, template: str, **context: Any) -> str:
        """Renders ``firmware_templates/export/<template>`` with this as ``source``."""
        return render_template(f"export/{template}", {"source": self, **context})


def firmware_source(model: ConvertedModel, board: Board, command: str) -> FirmwareSource:
    """Renders the sources of a model's firmware.

    Raises:
        BoardError: the board is none with a Cortex-M.
        DoesNotFitError, ModelError: as ``firmware_files``.
    """
    if isinstance(board, AvrBoard):
        raise BoardError(
            f"{board.name}: its firmware is built on Arduino's core",
            hint="--format arduino writes a library with the same sketch",
        )
    files = firmware_files(model, board)
    identity, firmware_hash = firmware_id(files, board)
    return FirmwareSource(model.graph.name, board, files | identity, firmware_hash, command)
