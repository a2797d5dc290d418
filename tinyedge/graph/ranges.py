"""Intervals that the values of a graph lie in, whatever its input: a pair of bounds a channel.

Requantization, clamps and tables are followed exactly, as every step of them only rises with the
accumulator. A channel whose bounds are equal has one value; it never changes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import singledispatch
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from tinyedge.graph import operators as ops
from tinyedge.graph.fixed_point import (
    INT8_MIN,
    INT32_MAX,
    Int64,
    multiply_by_quantized_multiplier,
)
from tinyedge.graph.tensors import Quantization, Tensor

if TYPE_CHECKING:
    from tinyedge.graph.graph import Graph


_FOLLOWED = 2**20
"""Elements of a tensor, up to which each is followed to the channel that it comes to lie in."""


@dataclass(frozen=True, eq=False)
class Range:
    """Bounds of int8 values, both included.

    Attributes:
        low: int64 (channels,), of the last axis.
        high: likewise.
    """

    low: Int64
    high: Int64

    @classmethod
    def whole(cls, channels: int, limits: ops.Pair = ops.FULL_RANGE) -> Range:
        """Any value between two limits, in every channel."""
        return cls(*(np.full(channels, limit, dtype=np.int64) for limit in limits))

    @property
    def constant(self) -> NDArray[np.bool_]:
        """Which channels never change."""
        found: NDArray[np.bool_] = self.low == self.high
        return found

    def holding(self, value: int) -> Range:
        """Widened to hold a value too, in every channel."""
        return Range(np.minimum(self.low, value), np.maximum(self.high, value))

    def clipped(self, limits: ops.Pair) -> Range:
        """Gives the range that a clamp leaves."""
        return Range(np.clip(self.low, *limits), np.clip(self.high, *limits))


def ranges_of(graph: Graph) -> dict[str, Range]:
    """The bounds of every tensor, by name.

    Raises:
        ModelError: accumulators of an operator, which it names, can overflow 32 bits.
    """
    found = {graph.input: Range.whole(graph.input_tensor.shape[-1])}
    for name, values in graph.constants.items():
        rows = values.reshape(-1, values.shape[-1]).astype(np.int64)
        found[name] = Range(rows.min(axis=0), rows.max(axis=0))
    for name in graph.states:
        found[name] = Range.whole(graph.tensors[name].shape[-1])
    for operator in graph.operators:
        sources = [found[name] for name in operator.inputs]
        found[operator.output] = output_range(
            operator, sources, graph.inputs_of(operator), graph.tensors[operator.output]
        )
    return found


@singledispatch
def output_range(
    operator: ops.Operator, sources: Sequence[Range], inputs: Sequence[Tensor], output: Tensor
) -> Range:
    """The bounds of what an operator gives, from those of its inputs; any int8 by default."""
    limits = operator.clamp if isinstance(operator, ops.Clamped) else ops.FULL_RANGE
    return Range.whole(output.shape[-1], limits)


def _taps(operator: ops.Weighted, channels: int) -> Int64:
    """The integers of weights, (out, taps, input channels); of a depthwise one (out, taps)."""
    integers = operator.weights.integers.astype(np.int64)
    if isinstance(operator, ops.DepthwiseConv2D):
        return integers.reshape(len(integers), -1)
    return integers.reshape(len(integers), -1, channels)


def weighted_range(
    operator: ops.Weighted, source: Range, grid: Quantization, target: Quantization
) -> Range:
    """The bounds of the output's channels.

    Args:
        operator: with weights.
        source: bounds of the input's channels.
        grid: quantization of the input.
        target: quantization of the output.

    Raises:
        ModelError: accumulators can overflow 32 bits: the sum, the sum with the bias, that shifted
            to the left by the multiplier, or the output before it is clamped.
    """
    if isinstance(operator, ops.Windowed) and any(operator.padding):
        source = source.holding(grid.zero_point)
    low, high = source.low - grid.zero_point, source.high - grid.zero_point
    largest = np.maximum(np.abs(low), np.abs(high))
    taps = _taps(operator, len(low))
    positive, negative = np.maximum(taps, 0).sum(axis=1), np.maximum(-taps, 0).sum(axis=1)
    if isinstance(operator, ops.DepthwiseConv2D):
        each = np.arange(len(taps)) // (len(taps) // len(low))
        least = positive * low[each] - negative * high[each]
        most = positive * high[each] - negative * low[each]
        partial = (positive + negative) * largest[each]
    else:
        least, most = positive @ low - negative @ high, positive @ high - negative @ low
        partial = (positive + negative) @ largest
    bias = operator.bias.astype(np.int64)
    mantissas, shifts = operator.multipliers(grid, target)
    ends = np.stack([least + bias, most + bias])
    shifted = np.abs(ends).max(axis=0) << np.maximum(shifts.astype(np.int64), 0)
    bound = np.maximum(shifted, partial)
    if np.any(bound > INT32_MAX):
        raise operator.fail(f"accumulators of channel {int(bound.argmax())} can overflow 32 bits")
    scaled = multiply_by_quantized_multiplier(ends, mantissas, shifts) + target.zero_point
    if np.any(np.abs(scaled) > INT32_MAX):
        channel = int(np.abs(scaled).max(axis=0).argmax())
        raise operator.fail(f"outputs of channel {channel} can overflow 32 bits")
    low, high = np.clip(scaled, *operator.clamp)
    return Range(low, high)


@output_range.register
def _weighted(
    operator: ops.Weighted, sources: Sequence[Range], inputs: Sequence[Tensor], output: Tensor
) -> Range:
    return weighted_range(operator, sources[0], inputs[0].quantization, output.quantization)


@output_range.register
def _pool2d(
    operator: ops.Pool2D, sources: Sequence[Range], inputs: Sequence[Tensor], output: Tensor
) -> Range:
    """An average of values between two bounds lies between them, rounded or not."""
    return sources[0].clipped(operator.clamp)


@output_range.register
def _mean(
    operator: ops.Mean, sources: Sequence[Range], inputs: Sequence[Tensor], output: Tensor
) -> Range:
    cells = inputs[0].shape[0] * inputs[0].shape[1]
    multiplier = operator.multiplier(inputs[0], output)
    return _rescaled(sources[0], cells, multiplier, inputs[0].quantization, output.quantization)


@output_range.register
def _requantize(
    operator: ops.Requantize, sources: Sequence[Range], inputs: Sequence[Tensor], output: Tensor
) -> Range:
    multiplier = operator.multiplier(inputs[0], output)
    found = _rescaled(sources[0], 1, multiplier, inputs[0].quantization, output.quantization)
    return found.clipped(operator.clamp)


def _rescaled(
    source: Range, times: int, multiplier: ops.Pair, grid: Quantization, target: Quantization
) -> Range:
    """The bounds after sums of so many equal values are scaled."""
    low, high = (
        multiply_by_quantized_multiplier(times * (bound - grid.zero_point), *multiplier)
        + target.zero_point
        for bound in (source.low, source.high)
    )
    return Range(low, high).clipped(ops.FULL_RANGE)


@output_range.register
def _lookup(
    operator: ops.Lookup, sources: Sequence[Range], inputs: Sequence[Tensor], output: Tensor
) -> Range:
    table = operator.table(inputs[0].quantization, output.quantization).astype(np.int64)
    # For every pair of bounds, so that many channels cost no more than few.
    least, most = np.zeros((2, len(table), len(table)), np.int64)
    for first in range(len(table)):
        least[first, first:] = np.minimum.accumulate(table[first:])
        most[first, first:] = np.maximum.accumulate(table[first:])
    at = sources[0].low - INT8_MIN, sources[0].high - INT8_MIN
    return Range(least[at], most[at])


@output_range.register
def _pad(
    operator: ops.Pad, sources: Sequence[Range], inputs: Sequence[Tensor], output: Tensor
) -> Range:
    filler = operator.filler(inputs[0])
    source = sources[0].holding(filler) if any(operator.padding) else sources[0]
    low, high = (
        np.pad(bound, operator.channels, constant_values=filler)
        for bound in (source.low, source.high)
    )
    return Range(low, high)


@output_range.register
def _concatenation(
    operator: ops.Concatenation, sources: Sequence[Range], inputs: Sequence[Tensor], output: Tensor
) -> Range:
    lows, highs = [source.low for source in sources], [source.high for source in sources]
    if operator.axis == len(output.shape) - 1:
        return Range(np.concatenate(lows), np.concatenate(highs))
    return Range(np.minimum.reduce(lows), np.maximum.reduce(highs))


@output_range.register
def _resize(
    operator: ops.Resize, sources: Sequence[Range], inputs: Sequence[Tensor], output: Tensor
) -> Range:
    """Cells are mixed within a channel, of shares that are one in all."""
    return sources[0]


@output_range.register
def _transpose(
    operator: ops.Transpose, sources: Sequence[Range], inputs: Sequence[Tensor], output: Tensor
) -> Range:
    if operator.axes[-1] == len(operator.axes) - 1:
        return sources[0]
    return _any_of(sources[0], output)


@output_range.register
def _slice(
    operator: ops.Slice, sources: Sequence[Range], inputs: Sequence[Tensor], output: Tensor
) -> Range:
    taken = operator.begin[-1] + np.arange(operator.size[-1]) * operator.stride[-1]
    return Range(sources[0].low[taken], sources[0].high[taken])


def _any_of(source: Range, output: Tensor) -> Range:
    """Bounds of elements that may come from any channel."""
    return Range.whole(output.shape[-1], (int(source.low.min()), int(source.high.max())))


@output_range.register
def _reshape(
    operator: ops.Reshape, sources: Sequence[Range], inputs: Sequence[Tensor], output: Tensor
) -> Range:
    shape, last = inputs[0].shape, output.shape[-1]
    if shape[-1] == last:
        return sources[0]
    if inputs[0].size > _FOLLOWED:
        return _any_of(sources[0], output)
    low, high = (
        np.broadcast_to(bound, shape).reshape(-1, last)
        for bound in (sources[0].low, sources[0].high)
    )
    return Range(low.min(axis=0), high.max(axis=0))
