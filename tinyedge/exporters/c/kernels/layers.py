"""Struct members and constants that several kernels share."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from tinyedge.errors import ModelError
from tinyedge.exporters.c.kernels.kernel import Array, Fields
from tinyedge.graph import operators as ops
from tinyedge.graph.fixed_point import INT8_MAX, INT8_MIN, INT32_MAX
from tinyedge.graph.ranges import Range, weighted_range
from tinyedge.graph.tensors import Tensor

INT16_MAX = 2**15 - 1

LARGEST_RIGHT_SHIFT = 22
"""With which the output's zero point, shifted to the left, leaves room in 32 bits."""

_ROUNDING = 2
"""The column of ``te_scale`` that holds what is added before the shift."""


def shape(tensor: Tensor) -> Fields:
    """``te_shape``."""
    height, width, channels = tensor.shape
    return {"height": height, "width": width, "channels": channels}


def clamp_range(clamp: ops.Pair) -> Fields:
    """The two members that hold a fused activation."""
    return {"clamp_min": clamp[0], "clamp_max": clamp[1]}


def activation(source: Tensor, output: Tensor, clamp: ops.Pair) -> Fields:
    """``te_activation``."""
    return {
        "input_offset": -source.quantization.zero_point,
        "output_offset": output.quantization.zero_point,
        **clamp_range(clamp),
    }


def window(operator: ops.Windowed, kernel: ops.Pair, dilation: ops.Pair) -> Fields:
    """``te_window``."""
    return {
        "height": kernel[0],
        "width": kernel[1],
        "stride_height": operator.stride[0],
        "stride_width": operator.stride[1],
        "dilation_height": dilation[0],
        "dilation_width": dilation[1],
        "padding_top": operator.padding[0],
        "padding_left": operator.padding[2],
    }


def weights(operator: ops.Weighted, identifier: str, unpack: str = "0") -> Fields:
    """``te_weights``, whose arrays ``packed_array`` and ``channel_arrays`` give."""
    return {
        "packed": f"{identifier}_weights",
        "unpack": unpack,
        "step": "0" if operator.weights.steps is None else f"{identifier}_step",
        "bias": f"{identifier}_bias",
        "mantissa": f"{identifier}_mantissa",
        "shift": f"{identifier}_shift",
    }


def packed_array(operator: ops.Weighted, packed: NDArray[np.uint8], description: str) -> Array:
    """Packed weights; ``description`` says their order and packing."""
    sizes = "x".join(map(str, operator.weights.codes.shape))
    comment = f"{operator.name}: weights {sizes}, {description}"
    return Array("weights", "uint8_t", packed, comment, weights=True)


def channel_arrays(operator: ops.Weighted, source: Tensor, output: Tensor) -> tuple[Array, ...]:
    """What ``te_weights`` holds of every output channel."""
    mantissas, shifts = operator.multipliers(source.quantization, output.quantization)
    steps = operator.weights.steps
    return (
        *(() if steps is None else (Array("step", "uint8_t", steps),)),
        Array("bias", "int32_t", operator.bias),
        Array("mantissa", "int32_t", mantissas),
        Array("shift", "int8_t", shifts),
    )


def scale_array(
    operator: ops.Weighted, source: Tensor, output: Tensor, bias: NDArray[np.integer] | None = None
) -> Array | None:
    """``te_scale`` of every output channel, or None where a number of it does not fit.

    Where they do not fit, but the channel has one value for any input, only that value stays.

    Args:
        operator: the layer.
        source: its input.
        output: its output.
        bias: where it is not the operator's.
    """
    mantissas, shifts = operator.multipliers(source.quantization, output.quantization)
    left = np.maximum(shifts.astype(np.int64), 0) + 1
    right = np.maximum(-shifts.astype(np.int64), 0)
    steps = operator.weights.steps
    step = (np.ones_like(left) if steps is None else steps.astype(np.int64)) << left
    bound = operator.accumulator_bound(source.quantization) << left
    wide = (bound > INT32_MAX) | (step > INT16_MAX) | (right > LARGEST_RIGHT_SHIFT)
    value = np.zeros_like(left)
    if wide.any():
        any_input = Range.whole(source.shape[-1])
        try:
            found = weighted_range(operator, any_input, source.quantization, output.quantization)
        except ModelError:  # what the input can be in this graph keeps 32 bits from overflowing
            return None
        if not found.constant[wide].all():
            return None
        value = found.low
    shifted = (operator.bias if bias is None else bias).astype(np.int64) << left
    rounding = ((1 << right) >> 1) + (np.int64(output.quantization.zero_point) << right)
    columns = (wrapped(shifted), mantissas, rounding, step, right, -(right > 0).astype(np.int64))
    values = np.stack([c.astype(np.int64) for c in columns], axis=1)
    values[wide] = 0
    values[wide, _ROUNDING] = value[wide]  # which is added behind the multiplication by zero
    return Array("scale", "te_scale", values)


def repeat_last(array: Array) -> Array:
    """An array with its last element there once more."""
    return replace(array, values=np.concatenate([array.values, array.values[-1:]]))


def wrapped(values: NDArray[np.int64]) -> NDArray[np.int64]:
    """Modulo 2**32, signed: a bias may overflow where the sum that goes with it undoes that."""
    return (values + 2**31) % 2**32 - 2**31


def folded_scale(operator: ops.Weighted, source: Tensor, output: Tensor) -> Array | None:
    """``te_scale`` for sums over raw inputs: the bias holds ``-zero point * sum of weights``.

    None where a number of it does not fit.
    """
    integers = operator.weights.integers.astype(np.int64).reshape(len(operator.bias), -1)
    bias = operator.bias - source.quantization.zero_point * integers.sum(axis=1)
    return scale_array(operator, source, output, bias)


def row_lead(
    operator: ops.Windowed, height: int, source: tuple[int, ...], output: tuple[int, ...]
) -> int:
    """How far an output row may lie beyond the input rows that it is written over.

    Row y is written after the input row ``y * stride + height - 1 - padding`` was read, and nothing
    up to that one is read again.

    Args:
        operator: with its stride and padding.
        height: of the window.
        source: shape of the input.
        output: shape of the output.
    """
    source_row, output_row = source[1] * source[2], output[1] * output[2]
    read = [y * operator.stride[0] + height - operator.padding[0] for y in range(output[0])]
    return min(
        (
            max(rows, 0) * source_row - (y + 1) * output_row
            for y, rows in enumerate(read)
            if rows < source[0]
        ),
        default=math.prod(source),
    )


def block_lead(
    operator: ops.Conv2D, source: Tensor, output: Tensor, block: int, *, copied: bool = True
) -> int:
    """How far beyond the input's address the output may start, where it overwrites the input.

    The outputs of ``block`` cells are written after their windows were copied, or while they are
    read; no window that is needed then may hold what they overwrite.
    """
    _, width, channels = source.shape
    rows = np.arange(output.shape[0]) * operator.stride[0] - operator.padding[0]
    columns = np.arange(output.shape[1]) * operator.stride[1] - operator.padding[2]
    cells = np.maximum(rows, 0)[:, np.newaxis] * width + np.maximum(columns, 0)
    needed = np.minimum.accumulate(cells.ravel()[::-1])[::-1] * channels
    ends = np.minimum(np.arange(block, needed.size + block, block), needed.size)
    if copied:
        slack = needed[ends[:-1]] - ends[:-1] * output.shape[2]
    else:
        slack = needed[::block] - ends * output.shape[2]
    return int(slack.min(initial=math.prod(source.shape)))


def lane_bound(codes: NDArray[np.signedinteger], zero_point: int = 0) -> int:
    """The largest magnitude of ``sum(codes * (x - zero_point))`` for any int8 x, in the worst row.

    Args:
        codes: (rows, ...).
        zero_point: of x. A positive code takes the largest x upwards and the smallest downwards, a
            negative one the reverse; padding adds zero, which lies between.
    """
    rows = codes.reshape(len(codes), -1).astype(np.int64)
    positive = np.where(rows > 0, rows, 0).sum(axis=1)
    negative = np.where(rows < 0, -rows, 0).sum(axis=1)
    largest, smallest = INT8_MAX - zero_point, INT8_MIN - zero_point
    highest = largest * positive - smallest * negative
    lowest = largest * negative - smallest * positive
    return int(np.maximum(highest, lowest).max(initial=0))
