"""Arguments of functions: files or arrays, and checks that the command line makes of options."""

from __future__ import annotations

from collections.abc import Sequence
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tinyedge.errors import UsageError
from tinyedge.samples.reading import array_samples, input_samples
from tinyedge.samples.scaling import ModelInput

AnyPath = str | PathLike[str]
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
