"""Arguments of functions: names, numbers, paths, arrays, checked as a terminal checks options."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from numbers import Real
from os import PathLike, fspath
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from tinyedge.errors import UsageError
from tinyedge.exporters.converted import CONVERTED_FILES
from tinyedge.files import check_writable
from tinyedge.samples.reading import array_samples, input_samples
from tinyedge.samples.scaling import ModelInput

if TYPE_CHECKING:
    from tinyedge.boards import Board

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
    """Raises UsageError where an argument is neither None nor a finite number above 0."""
    for name, value in given.items():
        number = isinstance(value, int | float) and not isinstance(value, bool)
        if value is not None and not (number and 0 < value < math.inf):
            raise UsageError(f"{name}={value!r}: a number above 0")


def check_lab(
    on: str | None, port: str | Sequence[str] | None, labgrid: str | None, *, flash: bool
) -> None:
    """Refuses what does not go with flashing a board, or with one that is in a lab.

    Args:
        on: where samples run.
        port: serial port or ports that were named.
        labgrid: place of labgrid's.
        flash: whether boards are to be flashed.

    Raises:
        UsageError: says what excludes what.
    """
    if (flash or labgrid is not None) and on != "board":
        raise UsageError("--flash and --labgrid go with --on board")
    if labgrid is not None and port:
        raise UsageError("--labgrid and --port exclude each other: the place has a port")


def check_outputs(
    outputs: Mapping[str, Path | None], inputs: Iterable[tuple[str, Path | None]] = ()
) -> None:
    """Refuses files to write that cannot be written, or would replace what was named beside them.

    Args:
        outputs: by the option that names them.
        inputs: files that are read, or a converted folder, each behind what it is called.

    Raises:
        UsageError: two options name the same file, or one names a file of the converted folder.
        OSError: a file cannot be written.
    """
    named: dict[Path, str] = {}
    for option, path in inputs:
        if path and path.is_dir():
            named |= {(path / name).resolve(): f"{option}'s {name}" for name in CONVERTED_FILES}
        elif path:
            named[path.resolve()] = option
    for option, path in outputs.items():
        if not path:
            continue
        check_writable(path)
        if other := named.get(path.resolve()):
            raise UsageError(f"{path}: {option} would replace {other}", hint="name another file")
        if path.resolve().exists() and not path.resolve().is_file():
            continue  # a pipe or a device takes several
        named[path.resolve()] = option


def folder_outputs(folder: Path, names: Iterable[str]) -> dict[str, Path]:
    """Files that a command writes into the folder of ``--output``, for ``check_outputs``."""
    return {f"--output's {name}": folder / name for name in names}


def _is_path(value: object) -> bool:
    return isinstance(value, str | PathLike) and bool(fspath(value)) and "\0" not in str(value)


def _are_paths(value: object) -> bool:
    return _is_path(value) or (
        isinstance(value, Iterable)
        and not isinstance(value, str | PathLike | Iterator)  # which could be read but once
        and all(map(_is_path, value))
    )


def _is_number(value: object) -> bool:
    return isinstance(value, Real) and not isinstance(value, bool)


def _are_two_numbers(value: object) -> bool:
    return (
        isinstance(value, tuple | list | np.ndarray)
        and len(value) == 2
        and all(map(_is_number, value))
    )


_PATHS = (_are_paths, "a path, or several")
_TEXTS = (
    lambda value: isinstance(value, Iterable) and all(isinstance(each, str) for each in value),
    "a text, or several",
)
KINDS: dict[str, tuple[Callable[[Any], bool], str]] = {
    "AnyPath": (_is_path, "a path"),
    "AnyPath | Sequence[AnyPath]": _PATHS,
    "Paths": _PATHS,
    "bool": (lambda value: isinstance(value, bool), "True or False"),
    "float": (_is_number, "a number"),
    "int": (lambda value: type(value) is int, "a whole number, an int"),
    "Mapping[str, float]": (lambda value: isinstance(value, Mapping), "numbers by name"),
    "Range": (_are_two_numbers, "two numbers"),
    "str": (lambda value: isinstance(value, str), "a text"),
    "str | Sequence[str]": _TEXTS,
}
"""By what a parameter is annotated with: whether a value fits, and what is allowed."""


def paths(given: Paths) -> tuple[Path, ...]:
    """The paths of one or several."""
    return tuple(map(Path, [given] if isinstance(given, str | PathLike) else given))


def optional_path(given: AnyPath | None) -> Path | None:
    """A path, if one is given."""
    return None if given is None else Path(given)


def path_of(samples: Samples | None) -> Path | None:
    """The file that samples are given as; None where they are at hand."""
    return Path(samples) if isinstance(samples, str | PathLike) else None


def board_of(board: object) -> Board:
    """A board by its name or file.

    Raises:
        UsageError: it is neither.
        BoardError: it is unknown, or its description wrong.
    """
    from tinyedge.boards import load_board

    if not isinstance(board, str | PathLike):
        raise UsageError(f"board={board!r}: a name, or the path of a .toml file")
    return load_board(fspath(board))
