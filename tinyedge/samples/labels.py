"""Labels that fit their samples and the model's classes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tinyedge.errors import DataError

_LARGEST = 2**31 - 1
"""Label that is taken where the classes are not known."""
_TARGETS = (
    "targets of a regression are no labels: run x alone (--data and --logits; in Python an "
    "array x), and compare what the model gives"
)


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
            hint=_TARGETS if _fractions(y) else "give y.astype(numpy.int64)",
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


def _fractions(y: NDArray[Any]) -> bool:
    return bool(np.issubdtype(y.dtype, np.floating) and (y != np.rint(y)).any())


def _one_hot(y: NDArray[Any]) -> bool:
    return bool(np.issubdtype(y.dtype, np.number) or y.dtype == np.bool_) and bool(
        ((y == 0) | (y == 1)).all() and ((y == 1).sum(axis=1) == 1).all()
    )
