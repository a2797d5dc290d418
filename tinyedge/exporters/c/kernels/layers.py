"""Struct members and constants that several kernels share."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

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

SCALE_STEP = 2
"""``TE_SCALE_STEP``: of channels without a step or a shift to the left."""

_HALF = 2**30
"""A mantissa by which a bias of ``4 * c`` becomes c."""


@dataclass(frozen=True, eq=False)
class Scale:
    """The numbers of ``te_scales`` of every output channel, int64 (out,) each.

    Attributes:
        bias: that is added to sums.
        mantissa: of the multiplier.
        right: its shift to the right.
        step: that sums are multiplied by.

    Of a channel that has one value for any input the step or the mantissa is zero.
    """

    bias: NDArray[np.int64]
    mantissa: NDArray[np.int64]
    right: NDArray[np.int64]
    step: NDArray[np.int64]

    @property
    def dead(self) -> NDArray[np.bool_]:
        """Channels that have one value for any input, (out,)."""
        dead: NDArray[np.bool_] = (self.step == 0) | (self.mantissa == 0)
        return dead

    @property
    def arrays(self) -> tuple[Array, ...]:
        """The stored arrays: a multiplier of all channels once, a step where one differs."""
        mantissa, right = self.mantissa, self.right
        if not self.apart:
            mantissa, right = mantissa[:1], right[:1]
        stepped = (Array("step", "int16_t", self.step),) if self._stepped else ()
        return (
            Array("bias", "int32_t", wrapped(self.bias)),
            Array("mantissa", "int32_t", mantissa),
            Array("shift", "uint8_t", right),
            *stepped,
        )

    def fields(self, identifier: str) -> Fields:
        """``te_scales``, whose arrays ``arrays`` gives."""
        return {
            "bias": f"{identifier}_bias",
            "mantissa": f"{identifier}_mantissa",
            "right": f"{identifier}_shift",
            "step": f"{identifier}_step" if self._stepped else "0",
            "apart": -int(self.apart),
        }

    def saturates(self, clamp: ops.Pair, output: Tensor) -> bool:
        """Whether outputs take the whole int8 range, by one formula: a shift, then saturation.

        That rounds negative halves wrongly where a shift is by none, which only shows above -128.
        """
        relu = output.quantization.zero_point == INT8_MIN
        whole = clamp == (INT8_MIN, INT8_MAX)
        return whole and not self._stepped and (relu or bool(np.all(self.right > 0)))

    def less(self, start: NDArray[np.int64] | int) -> Scale:
        """With what sums start from taken off the bias."""
        return replace(self, bias=self.bias - start)

    def in_order(self, order: NDArray[np.uint16]) -> Scale:
        """With the channels in another order."""
        columns = (self.bias, self.mantissa, self.right, self.step)
        return Scale(*(column[order] for column in columns))

    @property
    def apart(self) -> bool:
        """Whether the channels have multipliers of their own."""
        return bool(
            np.any(self.mantissa != self.mantissa[0]) or np.any(self.right != self.right[0])
        )

    @property
    def _stepped(self) -> bool:
        return bool(np.any(self.step != SCALE_STEP))


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
    """The arrays of ``te_weights``, with every output channel."""
    mantissas, shifts = operator.multipliers(source.quantization, output.quantization)
    steps = operator.weights.steps
    return (
        *(() if steps is None else (Array("step", "uint8_t", steps),)),
        Array("bias", "int32_t", operator.bias),
        Array("mantissa", "int32_t", mantissas),
        Array("shift", "int8_t", shifts),
    )


def scale_of(
    operator: ops.Weighted, source: Tensor, output: Tensor, bias: NDArray[np.integer] | None = None
) -> Scale | None:
    """The scaling of every output channel, or None where a number of it does not fit.

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
    # A mantissa of zero gives the zero point; for another value, sums are multiplied by zero.
    constant = value - output.quantization.zero_point
    return Scale(
        np.where(wide, 4 * constant, shifted),
        np.where(wide, np.where(constant == 0, 0, _HALF), mantissas.astype(np.int64)),
        np.where(wide, 0, right),
        np.where(wide, np.where(constant == 0, SCALE_STEP, 0), step),
    )


def wrapped(values: NDArray[np.int64]) -> NDArray[np.int64]:
    """Modulo 2**32, signed: a bias may overflow where the sum that goes with it undoes that."""
    return (values + 2**31) % 2**32 - 2**31


def folded_scale(operator: ops.Weighted, source: Tensor, output: Tensor) -> Scale | None:
    """The scaling of sums over raw inputs: the bias holds ``-zero point * sum of weights``.

    None where a number of it does not fit.
    """
    integers = operator.weights.integers.astype(np.int64).reshape(len(operator.bias), -1)
    bias = operator.bias - source.quantization.zero_point * integers.sum(axis=1)
    return scale_of(operator, source, output, bias)


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
