"""Arguments of functions: names, numbers, paths, arrays, checked as a terminal checks options."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from os import PathLike, fspath
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tinyedge.boards import Board, load_board
from tinyedge.errors import UsageError
from tinyedge.samples.reading import array_samples, input_samples
from tinyedge.samples.scaling import ModelInput

AnyPath = str | PathLike[str]
Paths = AnyPath | Iterable[AnyPath]
"""A path, or several."""
Samples = AnyPath | NDArray[Any]
"""A file of samples, or the samples."""


def samples_to_run(data: Samples, takes: ModelInput) -> tuple[NDArray[np.int8], list[str]]:
    """Samples as the model takes them, int8 (n, *input shape), and how they were read.

    Raises:
        DataError: the file or the array is not as it has to be.
    """
    if isinstance(data, np.ndarray):
        return array_samples(data, takes)
    return input_samples(Path(data), takes)


def one_of(name: str, value: object, allowed: Sequence[str]) -> None:
    """Refuses an argument that is neither None nor one of the names allowed.

    Raises:
        UsageError: names those that are.
    """
    if value is not None and value not in allowed:
        raise UsageError(f"{name}={value!r}: one of {', '.join(allowed)}")


def whole(name: str, value: object, low: int, high: int | None = None) -> None:
    """Refuses an argument that is neither None nor a whole number of a range.

    Args:
        name: of the argument.
        value: that was given.
        low: the smallest that is allowed.
        high: the largest; none by default.

    Raises:
        UsageError: says what is allowed.
    """
    if value is None:
        return
    if type(value) is not int or value < low or (high is not None and value > high):
        span = f"from {low} on" if high is None else f"from {low} to {high}"
        raise UsageError(f"{name}={value!r}: a whole number {span}")


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
