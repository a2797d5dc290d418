"""``bench.toml``: the boards of a lab, attached or emulated."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from pydantic import Field, model_validator

from tinyedge.boards.board import Board
from tinyedge.boards.loading import load_board
from tinyedge.errors import BoardError, UsageError
from tinyedge.names import CompilerName, DevicePlace, EmulatorName, FlashToolName
from tinyedge.schema import Fault, Section, read_toml, refuse


class BenchBoard(Section):
    """A board of the lab.

    Attributes:
        board: its name, or the path of a ``.toml`` file, relative to the bench's.
        on: ``board``, which is attached, or ``emulator``.
        port: serial port of an attached board.
        tool: that flashes it; the first that is installed by default.
        probe: serial number of its debug probe or drive, of several.
        emulator: the first that is installed and has the board by default.
        compiler: ``gcc`` where installed by default, else ``zig``.
    """

    board: Annotated[str, Field(min_length=1)]
    on: DevicePlace = "board"
    port: Annotated[str, Field(min_length=1)] | None = None
    tool: FlashToolName | None = None
    probe: str | None = None
    emulator: EmulatorName | None = None
    compiler: CompilerName | None = None

    @model_validator(mode="after")
    def _goes_together(self) -> BenchBoard:
        faults = []
        if self.on == "board":
            if self.port is None:
                faults.append(Fault("port", None, "the serial port of the board"))
            if self.emulator:
                faults.append(Fault("emulator", self.emulator, "nothing with on = 'board'"))
        else:
            faults += [
                Fault(key, value, "nothing with on = 'emulator'")
                for key in ("port", "tool", "probe")
                if (value := getattr(self, key)) is not None
            ]
        refuse(faults)
        return self


class _Bench(Section):
    """The file."""

    board: Annotated[list[BenchBoard], Field(min_length=1)]

    @model_validator(mode="after")
    def _ports_differ(self) -> _Bench:
        ports: dict[str, int] = {}
        faults = []
        for at, each in enumerate(self.board):
            if each.port is None:
                continue
            if each.port in ports:
                told = f"another port than board.{ports[each.port]}'s"
                faults.append(Fault(f"board.{at}.port", each.port, told))
            ports.setdefault(each.port, at)
        refuse(faults)
        return self


def read_bench(path: Path) -> list[tuple[BenchBoard, Board]]:
    """Reads the file: its boards in their order, each with its description.

    Raises:
        UsageError: the file is missing or wrong, or a board is unknown; the message names file,
            key, value and what is allowed.
    """
    boards = []
    for at, each in enumerate(read_toml(path, _Bench, UsageError).board):
        # A path is one of the file's folder; an absolute one stays what it is.
        name = str(path.parent / each.board) if each.board.endswith(".toml") else each.board
        try:
            boards.append((each, load_board(name)))
        except BoardError as error:
            raise UsageError(f"{path}: board.{at}.board: {error}", error.hint) from error
    return boards
