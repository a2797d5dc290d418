"""The interface of everything that can run a model; ``places`` opens it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Int8 = NDArray[np.int8]
Progress = Callable[[int], None]


@dataclass(frozen=True)
class Run:
    """The outcome of running samples.

    Attributes:
        logits: int8 (n, *output shape); of sequences (n, frames, *output shape).
        instructions: (n,) of each inference, of a sequence's on average, where the target counts
            them.
        seconds: (n,) of each inference by the device's counter, where it counts time.
    """

    logits: Int8
    instructions: NDArray[np.int64] | None = None
    seconds: NDArray[np.float64] | None = None
