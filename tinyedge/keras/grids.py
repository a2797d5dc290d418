"""The int8 grid that a quantizer puts an activation on."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tinyedge.graph.operators import Pair
from tinyedge.graph.tensors import Quantization

Float64 = NDArray[np.float64]


@dataclass(frozen=True)
class Grid:
    """The int8 grid of an activation.

    Attributes:
        quantization: scale and zero point.
        clamp: the int8 values that the activation can take.
    """

    quantization: Quantization
    clamp: Pair = (-128, 127)

    @classmethod
    def of_steps(cls, step: float, low: int, high: int) -> Grid:
        """The multiples of a step from ``low`` to ``high``, at most 256.

        The zero point puts the largest one on 127, so that saturation is int8's own.
        """
        zero_point = 127 - high
        return cls(Quantization(step, zero_point), (zero_point + low, 127))
