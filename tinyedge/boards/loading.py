"""Finding and reading board descriptions."""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any, NoReturn

from pydantic import BeforeValidator, ConfigDict, WithJsonSchema
from pydantic_core import PydanticCustomError

from tinyedge.boards.board import Board, Clock, SerialPort
from tinyedge.boards.families import FAMILIES
from tinyedge.errors import BoardError
from tinyedge.naming import check_name
from tinyedge.schema import load_toml, validate
from tinyedge.templates import data_folder

DEFAULT_BOARD = "netduinoplus2"


def _refused(family: object) -> NoReturn:  # noqa: ARG001 - none that comes here is known
    raise PydanticCustomError("family", "unknown")


class _AnyClock(Clock):
    model_config = ConfigDict(extra="ignore")


class _AnyUart(SerialPort):
    model_config = ConfigDict(extra="ignore")


class _NoFamilyBoard(Board):
    """Refuses a family that is missing or unknown, along with the description's other faults."""

    family: Annotated[str, BeforeValidator(_refused), WithJsonSchema({"enum": list(FAMILIES)})]
    clock: _AnyClock
    uart: _AnyUart


def board_names() -> list[str]:
    """Names of all boards that tinyedge brings along."""
    return sorted(path.stem for path in data_folder("boards").glob("*.toml"))


def read_board(path: Path) -> Board:
    """Reads one board file.

    Raises:
        BoardError: the file is missing or wrong; the message lists every fault with its key.
    """
    content = load_toml(path, BoardError)
    for key, text in _texts(content):
        check_name(text, f"{path}: {key}", BoardError)
    record = FAMILIES.get(str(content.get("family")), _NoFamilyBoard)
    return validate(content, path, record, BoardError)


def _texts(value: object, key: str = "") -> Iterator[tuple[str, str]]:
    """All texts of a description, with their keys."""
    if isinstance(value, str):
        yield key, value
    elif isinstance(value, dict):
        for part, inner in value.items():
            yield from _texts(inner, f"{key}.{part}".lstrip("."))
    elif isinstance(value, list):
        for index, inner in enumerate(value):
            yield from _texts(inner, f"{key}.{index}")


def _descriptions() -> dict[str, dict[str, Any]]:
    """Reads the files of all boards, by name, unchecked."""
    return {name: load_toml(_file(name), BoardError) for name in board_names()}


def _called(board: Mapping[str, Any]) -> set[str]:
    """Gives PlatformIO's and Arduino's names of a board: ``uno``, ``arduino:avr:uno``."""
    fqbn = str(board.get("flash_tool", {}).get("arduino-cli", {}).get("fqbn", "")).split(":")[:3]
    names = {board.get("platformio", {}).get("board", ""), ":".join(fqbn), fqbn[-1]}
    return names.union(board.get("also_called", [])) - {""}


def _with_microcontroller(name: str, boards: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """Boards whose microcontroller is called like it, or begins so."""
    wanted = name.lower()
    parts = ((name, str(board.get("mcu", "")).lower()) for name, board in boards.items())
    return [name for name, part in parts if len(wanted) > 3 and part.startswith(wanted)]


def load_board(name: str) -> Board:
    """Loads a board by name, by what PlatformIO or Arduino call it, or from a ``.toml`` file.

    Raises:
        BoardError: there is no such board, or its description is wrong.
    """
    if name.endswith(".toml"):
        return read_board(Path(name))
    if name in board_names():
        return read_board(_file(name))
    boards = _descriptions()
    called = {other: own for own, board in boards.items() for other in _called(board)}
    if name in called:
        return read_board(_file(called[name]))
    near = difflib.get_close_matches(name.lower(), [*boards, *called], n=1)
    close = [called.get(each, each) for each in near] or _with_microcontroller(name, boards)
    raise BoardError(
        f"unknown board '{name}'",
        hint=(f"did you mean {' or '.join(map(repr, close))}? " if close else "")
        + f"known: {', '.join(boards)}",
    )


def _file(name: str) -> Path:
    return data_folder("boards") / f"{name}.toml"
