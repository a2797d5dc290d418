"""The tensors of an integer graph: quantized activations and small integer weights."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from tinyedge.errors import DataError
from tinyedge.graph.fixed_point import INT8_MAX, INT8_MIN, round_half_away

WEIGHT_RANGES = {1: (-1, 1), 2: (-1, 1), 4: (-8, 7), 8: (-128, 127)}
"""Smallest and largest weight for each number of bits: 1 bit holds -1 and +1, 2 bits ternary."""


@dataclass(frozen=True)
class Quantization:
    """An affine int8 quantization: ``real = scale * (q - zero_point)``.

    Attributes:
        scale: positive; kept at float32 precision, which is what a ``.tflite`` file holds.
        zero_point: in [-128, 127].
    """

    scale: float
    zero_point: int

    def __post_init__(self) -> None:
        object.__setattr__(self, "scale", float(np.float32(self.scale)))

    def quantize(self, x: ArrayLike) -> NDArray[np.int8]:
        """Quantizes real numbers to int8, halves away from zero, saturating."""
        scaled = round_half_away(np.asarray(x, dtype=np.float64) / self.scale) + self.zero_point
        return np.clip(scaled, INT8_MIN, INT8_MAX).astype(np.int8)

    def dequantize(self, q: ArrayLike) -> NDArray[np.float32]:
        """Gives the real numbers that int8 values stand for."""
        centred = np.asarray(q, dtype=np.float64) - self.zero_point
        return (centred * self.scale).astype(np.float32)

    @classmethod
    def from_range(cls, low: float, high: float) -> Quantization:
        """The quantization whose 256 steps span ``[low, high]`` widened to hold zero.

        Zero is exactly representable, as padding needs it. An empty range gives scale 1.
        """
        low, high = min(float(low), 0.0), max(float(high), 0.0)
        if high - low < 1e-12:
            return cls(1.0, 0)
        scale = (high - low) / 255.0
        zero_point = int(np.clip(round_half_away(INT8_MIN - low / scale), INT8_MIN, INT8_MAX))
        return cls(scale, zero_point)


@dataclass(frozen=True)
class Tensor:
    """An int8 activation of batch one.

    Attributes:
        name: unique in its graph.
        shape: without the batch: (height, width, channels) or (features,).
        quantization: of the whole tensor.
    """

    name: str
    shape: tuple[int, ...]
    quantization: Quantization

    @property
    def size(self) -> int:
        """Number of elements, which is the number of bytes."""
        return math.prod(self.shape)


@dataclass(frozen=True, eq=False)
class Weights:
    """Integer weights, one scale an output channel: ``real[c] = scales[c] * steps[c] * codes[c]``.

    A step other than one keeps the integers of a model that was quantized to 8 bits although its
    weights are fewer: -127, 0 and 127 are ternary codes with a step of 127. Bias and multiplier
    stay those of the model, and so does every bit of the result.

    Attributes:
        codes: int8; the output channel is the first axis. Conv2D (out, height, width, in),
            DepthwiseConv2D (out, height, width), FullyConnected (out, in).
        bits: 1, 2 (ternary), 4 or 8.
        scales: float32 (out,), positive.
        steps: uint8 (out,), 1 to 128, or None where all are one.
    """

    codes: NDArray[np.int8]
    bits: int
    scales: NDArray[np.float32]
    steps: NDArray[np.uint8] | None = None

    @classmethod
    def narrowest(cls, integers: NDArray[np.int8], scales: NDArray[np.float32]) -> Weights:
        """The representation of integer weights that takes the fewest bytes.

        Steps are used where they take fewer bits a weight, and where that saves more than the
        byte a channel that they take themselves.

        Args:
            integers: int8, laid out as ``codes``.
            scales: float32 (out,).
        """
        rows = integers.reshape(len(integers), -1).astype(np.int16)
        plain = cls(integers, cls.narrowest_bits(integers), scales)
        steps = np.maximum(np.gcd.reduce(rows, axis=1), 1)
        codes = (rows // steps[:, np.newaxis]).astype(np.int8).reshape(integers.shape)
        bits = cls.narrowest_bits(codes)
        if (plain.bits - bits) * codes.size <= 8 * len(codes):
            return plain
        return cls(codes, bits, scales, steps.astype(np.uint8))

    @property
    def integers(self) -> NDArray[np.int16]:
        """``steps * codes``, which fit in int8."""
        codes = self.codes.astype(np.int16)
        if self.steps is None:
            return codes
        return codes * self.steps.astype(np.int16).reshape(-1, *[1] * (codes.ndim - 1))

    @staticmethod
    def narrowest_bits(codes: NDArray[np.int8]) -> int:
        """The fewest bits that hold these codes."""
        if codes.size and np.all(np.abs(codes) == 1):
            return 1
        return next(
            bits
            for bits, (low, high) in WEIGHT_RANGES.items()
            if bits > 1 and low <= codes.min(initial=0) and codes.max(initial=0) <= high
        )


def as_batch(samples: NDArray[Any], shape: tuple[int, ...], what: str) -> NDArray[Any]:
    """Samples as (n, *shape): a single sample may lack the batch, a grey one its channel.

    Raises:
        DataError: they are of another shape; ``what`` says whose.
    """
    if samples.shape == shape or (shape[-1] == 1 and samples.shape == shape[:-1]):
        samples = samples[None]
    if shape[-1] == 1 and samples.shape[1:] == shape[:-1]:
        samples = samples[..., None]
    if samples.shape[1:] != shape:
        raise DataError(
            f"{what} of shape {samples.shape}, the model takes (n, {', '.join(map(str, shape))})",
            hint="samples are NHWC, one after the other",
        )
    return samples
