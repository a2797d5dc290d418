"""What the arguments of functions have in common."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from os import PathLike, fspath
from pathlib import Path

from tinyedge.boards import Board, load_board
from tinyedge.errors import UsageError

AnyPath = str | PathLike[str]
Paths = AnyPath | Iterable[AnyPath]
"""A path, or several."""


def one_of(name: str, value: object, allowed: Sequence[str]) -> None:
    """Raises UsageError where an argument is neither None nor one of the names allowed."""
    if value is not None and value not in allowed:
        raise UsageError(f"{name}={value!r}: one of {', '.join(allowed)}")


def above_zero(**given: float | None) -> None:
    """Raises UsageError where an argument is neither None nor a number above 0."""
    for name, value in given.items():
        if value is not None and not (isinstance(value, int | float) and value > 0):
            raise UsageError(f"{name}={value!r}: a number above 0")


def paths(given: Paths) -> tuple[Path, ...]:
    """The paths of one or several."""
    return tuple(map(Path, [given] if isinstance(given, str | PathLike) else given))


def optional_path(given: AnyPath | None) -> Path | None:
    """A path, if one is given."""
    return None if given is None else Path(given)


def board_of(board: object) -> Board:
    """A board by its name or file.

    Raises:
        UsageError: it is neither.
        BoardError: it is unknown, or its description wrong.
    """
    if not isinstance(board, str | PathLike):
        raise UsageError(f"board={board!r}: a name, or the path of a .toml file")
    return load_board(fspath(board))
