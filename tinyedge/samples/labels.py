"""Labels that fit their samples and the model's classes, and targets that fit its outputs."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tinyedge.errors import DataError
from tinyedge.naming import check_name

Float32 = NDArray[np.float32]

_LARGEST = 2**31 - 1
"""Label that is taken where the classes are not known."""
_LARGEST_NAMES = 1 << 20
"""Bytes of a file of names."""
_TARGETS = "targets of a regression are taken by 'tinyedge run' alone, as floats (n, outputs)"


def checked_labels(
    where: Path | str, y: NDArray[Any], samples: int, classes: int | None = None
) -> NDArray[np.int64]:
    """Labels as int64 (n,), after all that can be wrong with them was looked for.

    Args:
        where: file and key, for messages.
        y: integers (n,), or (n, 1).
        samples: how many there are to be labelled.
        classes: of the model; None where they are not known.

    Raises:
        DataError: the labels are one-hot or of another shape, no integers, more or fewer than the
            samples, negative, or no class of the model; names what was found and what is allowed.
    """
    if y.ndim == 2 and y.shape[1] == 1:
        y = y[:, 0]
    if y.ndim == 2 and y.size and _one_hot(y):
        raise DataError(
            f"{where}: labels are one-hot, of shape {y.shape}; one integer a sample is taken",
            hint="give y.argmax(axis=1)",
        )
    if y.ndim != 1:
        values = np.issubdtype(y.dtype, np.floating)
        raise DataError(
            f"{where}: labels of shape {y.shape}; one integer a sample is taken",
            hint=_TARGETS if values else "",
        )
    if np.issubdtype(y.dtype, np.floating) and not np.isfinite(y).all():
        at = int(np.flatnonzero(~np.isfinite(y))[0])
        raise DataError(f"{where}: the label of sample {at} is {y[at]}; integers are taken")
    if not np.issubdtype(y.dtype, np.integer):
        raise DataError(
            f"{where}: labels are {y.dtype}; one integer a sample is taken",
            hint=_TARGETS if _fractions(y) else f"give y.astype(numpy.int64); {_TARGETS}",
        )
    if len(y) != samples:
        raise DataError(f"{where}: {samples} samples, but {len(y)} labels")
    largest = _LARGEST if classes is None else classes - 1
    if len(y) and not 0 <= int(y.min()) <= int(y.max()) <= largest:
        low, high = int(y.min()), int(y.max())
        allowed = "at least 0" if classes is None and low < 0 else f"0 to {largest}"
        of = f", of the model's {classes} classes" if classes is not None else ""
        raise DataError(
            f"{where}: labels are {low} to {high}, allowed are {allowed}{of}",
            hint="classes are counted from 0: give y - 1" if low == 1 and high == classes else "",
        )
    return y.astype(np.int64)


def are_targets(y: NDArray[Any]) -> bool:
    """Whether values are real numbers that outputs are to meet, and no labels.

    These are floats (n, ...) that are neither one-hot nor all 0 or 1; floats (n,) may be labels of
    the wrong type, and are targets only where one has a fraction.
    """
    if not np.issubdtype(y.dtype, np.floating) or not y.ndim:
        return False
    if y.ndim == 1:
        return _fractions(y)
    of_each = _of_each(y)
    truths = of_each.shape[1] == 1 and ((of_each == 0) | (of_each == 1)).all()
    return bool(of_each.size) and not truths and not _one_hot(of_each)


def checked_targets(where: Path | str, y: NDArray[Any], samples: int, outputs: int) -> Float32:
    """Targets as float32 (n, outputs).

    Args:
        where: file and key, for messages.
        y: floats, (n,) or (n, ...).
        samples: how many there are.
        outputs: values that the model gives for each.

    Raises:
        DataError: they are not finite, or more or fewer than samples and outputs.
    """
    if len(y) != samples:
        raise DataError(f"{where}: {samples} samples, but targets of {len(y)}")
    of_each = _of_each(y)
    if of_each.shape[1] != outputs:
        raise DataError(
            f"{where}: {of_each.shape[1]} targets a sample, but the model gives {outputs} values"
        )
    with np.errstate(over="ignore"):
        targets = of_each.astype(np.float32)
    if not np.isfinite(targets).all():
        sample, value = np.argwhere(~np.isfinite(targets))[0]
        raise DataError(
            f"{where}: a target of sample {sample} is {of_each[sample, value]}; finite floats are "
            "taken"
        )
    return targets


def _of_each(y: NDArray[Any]) -> NDArray[Any]:
    """The values of each sample in a row, also where there is no sample."""
    return y.reshape(len(y), math.prod(y.shape[1:]))


def _fractions(y: NDArray[Any]) -> bool:
    if not np.issubdtype(y.dtype, np.floating):
        return False
    finite = y[np.isfinite(y)]
    return bool((finite != np.rint(finite)).any())


def _one_hot(y: NDArray[Any]) -> bool:
    return bool(np.issubdtype(y.dtype, np.number) or y.dtype == np.bool_) and bool(
        ((y == 0) | (y == 1)).all() and ((y == 1).sum(axis=1) == 1).all()
    )


def read_class_names(path: Path) -> tuple[str, ...]:
    """Names of classes from a text file, one a line, in the order of the model's outputs.

    Raises:
        DataError: it cannot be read, is no UTF-8 text, or a name holds what is not seen.
    """
    try:
        if path.stat().st_size > _LARGEST_NAMES:
            raise ValueError(f"more than {_LARGEST_NAMES:,} bytes")
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, ValueError) as error:
        raise DataError(
            f"{path}: names of classes cannot be read: {error}",
            hint="give a text file with one name a line",
        ) from error
    return tuple(
        check_name(line.strip(), f"{path}: line {number}", DataError)
        for number, line in enumerate(lines, 1)
    )
