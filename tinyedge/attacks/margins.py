"""By how much a sample is classified right."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Float32 = NDArray[np.float32]


def margins(logits: Float32, labels: NDArray[np.int64]) -> Float32:
    """By how much the true class's logit exceeds the largest other one, float32 (n,).

    It is positive exactly where the verdict is right: of equal logits the first wins, on the device
    as in numpy.
    """
    at = np.arange(len(labels))
    own = logits[at, labels]
    others = logits.copy()
    others[at, labels] = -np.inf
    found: Float32 = own - others.max(axis=1)
    wins = logits.argmax(axis=1) == labels
    return np.where(wins, np.maximum(found, np.float32(1e-9)), np.minimum(found, 0))
