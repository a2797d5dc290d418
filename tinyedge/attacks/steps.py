"""The grid of a converted model's input, on which white-box attacks move by whole int8 steps."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tinyedge.errors import UsageError
from tinyedge.graph.fixed_point import round_half_away
from tinyedge.graph.tensors import Quantization

Float32 = NDArray[np.float32]
Int8 = NDArray[np.int8]

_TOLERANCE = 1e-4
"""Tolerance, in steps: 8/255 are eight steps of a scale that is 1/255 in float32, no less."""
_INSIDE = 0.499
"""Steps from the middle of a cell, up to which a float32 is sure to round to that middle."""


@dataclass(frozen=True)
class StepGrid:
    """An int8 input, and the range that samples stay in.

    Attributes:
        quantization: of the input.
        clip: lowest and highest real value.
    """

    quantization: Quantization
    clip: tuple[float, float]

    @property
    def bounds(self) -> tuple[int, int]:
        """The lowest and the highest int8 value of a sample."""
        low, high = (int(value) for value in self.quantization.quantize(self.clip))
        return low, high

    def steps(self, epsilon: float) -> int:
        """How many whole steps an epsilon allows: rounded down.

        Raises:
            UsageError: it allows none.
        """
        exact = epsilon / self.quantization.scale
        steps = math.floor(exact + _TOLERANCE)
        if steps < 1:
            step = self.quantization.scale
            raise UsageError(
                f"epsilon {epsilon:.3g} is {exact:.2g} of an int8 step of the input: allowed are "
                f"whole steps of {step:.4g}, from 1 on",
                hint=f"--epsilon {math.ceil(step * 1e5) / 1e5:g} is one step",
            )
        return min(steps, 255)

    def limits(self, origin: Float32, steps: int) -> tuple[Float32, Float32]:
        """The lowest and the highest int8 values that so many steps lead to, float32 (n, *shape).

        A value that int8 saturates has to come back by what lies beyond first.
        """
        exact = self._unsaturated(origin)
        low, high = self.bounds
        return (
            np.clip(exact - steps, low, high).astype(np.float32),
            np.clip(exact + steps, low, high).astype(np.float32),
        )

    def _unsaturated(self, real: Float32) -> NDArray[np.float64]:
        """Whole steps, also beyond int8."""
        rounded = round_half_away(real / self.quantization.scale)
        found: NDArray[np.float64] = rounded.astype(np.float64) + self.quantization.zero_point
        return found

    def inputs(self, origin: Float32, moved: Int8) -> Float32:
        """Float samples that the host quantizes to given int8 ones.

        Each value lies as many whole steps from its origin as the int8 values lie apart, steps
        beyond int8 among them; one that would then round elsewhere, as the origin lay on the border
        of two steps, is brought in.

        Args:
            origin: float32 (n, *shape), that ``moved`` was found from.
            moved: int8 (n, *shape).

        Returns:
            float32 (n, *shape).
        """
        scale, zero_point = self.quantization.scale, self.quantization.zero_point
        same = moved == self.quantization.quantize(origin)
        change = np.where(same, 0, moved - self._unsaturated(origin)) * scale
        wanted = np.clip(origin + change, *self.clip)
        middle = moved.astype(np.float64) - zero_point
        astray = round_half_away(wanted.astype(np.float32) / scale) != middle
        inside = np.clip(wanted, (middle - _INSIDE) * scale, (middle + _INSIDE) * scale)
        # Values that int8 saturates keep what they are where nothing has changed.
        return np.where(astray & (change != 0), inside, wanted).astype(np.float32)
