"""Struct members and constants that several kernels share."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from tinyedge.exporters.c.kernels.kernel import Array, Fields
from tinyedge.graph import operators as ops
from tinyedge.graph.fixed_point import INT8_MAX, INT8_MIN, INT32_MAX
from tinyedge.graph.tensors import Tensor

_LARGEST_RIGHT_SHIFT = 22
"""With which the output's zero point, shifted to the left, leaves room in 32 bits."""


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
    """``te_weights``, whose arrays ``weight_arrays`` gives."""
    return {
        "packed": f"{identifier}_weights",
        "unpack": unpack,
        "step": "0" if operator.weights.steps is None else f"{identifier}_step",
        "bias": f"{identifier}_bias",
        "mantissa": f"{identifier}_mantissa",
        "shift": f"{identifier}_shift",
    }


def weight_arrays(
    operator: ops.Weighted,
    source: Tensor,
    output: Tensor,
    packed: NDArray[np.uint8],
    description: str,
    bias: NDArray[np.int32] | None = None,
) -> tuple[Array, ...]:
    """Packed weights and the constants of every output channel.

    Args:
        operator: the layer.
        source: its input.
        output: its output.
        packed: its weights.
        description: of their order and packing.
        bias: where it is not the operator's.
    """
    mantissas, shifts = operator.multipliers(source.quantization, output.quantization)
    sizes = "x".join(map(str, operator.weights.codes.shape))
    comment = f"{operator.name}: weights {sizes}, {description}"
    arrays = [Array("weights", "uint8_t", packed, comment, weights=True)]
    if operator.weights.steps is not None:
        arrays.append(Array("step", "uint8_t", operator.weights.steps))
    return (
        *arrays,
        Array("bias", "int32_t", operator.bias if bias is None else bias),
        Array("mantissa", "int32_t", mantissas),
        Array("shift", "int8_t", shifts),
    )


def scales_fast(operator: ops.Weighted, source: Tensor, output: Tensor) -> bool:
    """Whether ``te_scale.h`` can scale the accumulators: its numbers have to fit in 32 bits."""
    _, shifts = operator.multipliers(source.quantization, output.quantization)
    left = np.maximum(shifts.astype(np.int64), 0) + 1
    bound = operator.accumulator_bound(source.quantization) << left
    return bool(np.all(bound <= INT32_MAX) and np.all(shifts >= -_LARGEST_RIGHT_SHIFT))


def folded_bias(operator: ops.Weighted, source: Tensor) -> NDArray[np.int32] | None:
    """The bias with the input's offset in it: ``bias - zero point * sum of weights``.

    None where that, or the sum over raw inputs that goes with it, does not fit in 32 bits.
    """
    integers = operator.weights.integers.astype(np.int64).reshape(len(operator.bias), -1)
    bias = operator.bias - source.quantization.zero_point * integers.sum(axis=1)
    largest = np.abs(bias) + np.abs(integers).sum(axis=1) * -INT8_MIN
    return bias.astype(np.int32) if np.all(largest <= INT32_MAX) else None


def lane_bound(codes: NDArray[np.int8]) -> int:
    """The largest magnitude of ``sum(codes * x)`` for any int8 x; codes (out, ...), the worst row.

    A positive code takes x = 127 upwards and -128 downwards, a negative one the reverse.
    """
    rows = codes.reshape(len(codes), -1).astype(np.int64)
    positive = np.where(rows > 0, rows, 0).sum(axis=1)
    negative = np.where(rows < 0, -rows, 0).sum(axis=1)
    highest = INT8_MAX * positive - INT8_MIN * negative
    lowest = -INT8_MIN * positive + INT8_MAX * negative
    return int(np.maximum(highest, lowest).max(initial=0))
