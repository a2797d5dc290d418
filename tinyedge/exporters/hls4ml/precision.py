"""Fixed-point types of hls4ml's layers, so that they compute what the integer graph computes.

A value that the integer graph has in int8 takes just that grid, an accumulator all bits that its
weights can fill, anything between two grids ``GUARD_BITS`` more fraction bits than the next grid.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tinyedge.graph.tensors import Quantization

Float64 = NDArray[np.float64]

ROUND = "RND_INF,SAT"
"""As the integer graph rounds to a grid: halves away from zero, and saturates."""
GUARD_BITS = 12
"""Bits below a step of the next int8 grid: an error of at most 1/4096 of a step a rounding."""
INPUT_GUARD_BITS = 16
"""The same for inputs, whose errors add up in the first layer."""


@dataclass(frozen=True, eq=False)
class FixedRange:
    """The values that a tensor takes, channel by channel.

    Attributes:
        low, high: (channels,) or (1,); real. A type for them holds zero too.
        fraction: bits behind the binary point; negative where even steps of one are too fine.
    """

    low: Float64
    high: Float64
    fraction: int

    @classmethod
    def of_grid(
        cls,
        quantization: Quantization,
        clamp: tuple[int, int] = (-128, 127),
        guard_bits: int = 0,
    ) -> FixedRange:
        """The range of an int8 grid: exact for a power of two, else with guard bits."""
        low, high = ((value - quantization.zero_point) * quantization.scale for value in clamp)
        fraction = math.ceil(-math.log2(quantization.scale))
        if not is_power_of_two(quantization.scale):
            fraction += guard_bits
        return cls(np.array([low]), np.array([high]), fraction)

    def through(self, codes: NDArray[np.int16]) -> FixedRange:
        """After a product with integer weights, laid out as ``graph.tensors.Weights.codes``."""
        rows = codes.reshape(len(codes), -1).astype(np.float64)
        positive, negative = np.maximum(rows, 0).sum(axis=1), np.minimum(rows, 0).sum(axis=1)
        low, high = min(self.low.min(), 0.0), max(self.high.max(), 0.0)
        return FixedRange(
            positive * low + negative * high, positive * high + negative * low, self.fraction
        )

    def affine(self, scale: Float64, offset: Float64, fraction: int) -> FixedRange:
        """After ``scale * x + offset``, kept with so many fraction bits."""
        ends = np.stack([self.low * scale + offset, self.high * scale + offset])
        return FixedRange(ends.min(axis=0), ends.max(axis=0), fraction)

    def plus(self, other: FixedRange) -> FixedRange:
        """The sum with another."""
        return FixedRange(
            self.low + other.low, self.high + other.high, max(self.fraction, other.fraction)
        )

    def with_fraction(self, fraction: int) -> FixedRange:
        """The same range in other steps."""
        return FixedRange(self.low, self.high, fraction)

    def of_all_channels(self) -> FixedRange:
        """The range of any channel's values."""
        low, high = np.array([self.low.min()]), np.array([self.high.max()])
        return FixedRange(low, high, self.fraction)

    def times(self, factor: float) -> FixedRange:
        """A multiple, in the same steps."""
        return FixedRange(self.low * factor, self.high * factor, self.fraction)

    @property
    def magnitude(self) -> float:
        """The largest absolute value."""
        return float(max(np.abs(self.low).max(), np.abs(self.high).max()))

    @property
    def signed(self) -> bool:
        """Whether a value may be negative."""
        return bool(self.low.min() < 0)

    def type(self, modes: str = "") -> str:
        """The narrowest hls4ml type, ``fixed<width, integer bits>`` or ``ufixed<...>``.

        Args:
            modes: rounding and saturation, such as ``RND_CONV,SAT``; truncation otherwise.
        """
        step = 2.0**-self.fraction
        low = math.floor(min(self.low.min(), 0.0) / step)
        high = math.ceil(max(self.high.max(), 0.0) / step)
        bits = max(high.bit_length(), (-low - 1).bit_length() if low < 0 else 0, 1)
        width = bits + self.signed
        kind = "fixed" if self.signed else "ufixed"
        return f"{kind}<{width},{width - self.fraction}{',' if modes else ''}{modes}>"


def is_power_of_two(scale: float) -> bool:
    """Whether fixed point can hold a scale exactly."""
    return math.frexp(scale)[0] == 0.5


def constant_type(values: Float64, fraction: int) -> str:
    """The narrowest type that holds constants with so many fraction bits."""
    return FixedRange(np.minimum(values, 0.0), np.maximum(values, 0.0), fraction).type()


def exact_fraction(values: Float64) -> int:
    """Fraction bits that hold constants exactly."""
    fraction = 0
    while not np.array_equal(np.rint(values * 2.0**fraction), values * 2.0**fraction):
        fraction += 1
    return fraction


def scale_fraction(scale: Float64, source: FixedRange, step: float) -> int:
    """Fraction bits of the scales of an affine layer.

    So many that rounding a scale moves no result by more than a guard bit, and all of them where
    every scale is a multiple of a not much smaller power of two, which makes the product exact.

    Args:
        scale: (channels,).
        source: the values that it multiplies.
        step: of the int8 grid that the result is rounded to at last.
    """
    needed = math.ceil(math.log2(max(source.magnitude, 2.0**-64) / step)) + GUARD_BITS
    exact = exact_fraction(scale)
    return exact if exact < needed + GUARD_BITS else needed


def result_fraction(step: float) -> int:
    """Fraction bits of a value that a grid of this step rounds at last."""
    return GUARD_BITS - math.floor(math.log2(step))
