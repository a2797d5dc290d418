"""Operators that quantize: ONNX's own, and QONNX's, which Brevitas exports."""

from __future__ import annotations

import math

import numpy as np

from tinyedge.errors import ModelError
from tinyedge.graph.tensors import Quantization
from tinyedge.importers import nodes as n
from tinyedge.importers.onnx.layers import affine
from tinyedge.importers.onnx.reader import OnnxNode
from tinyedge.importers.onnx.tracing import (
    Array,
    Flow,
    Quantized,
    Tracer,
    Value,
    checks,
    folds,
    grid_of,
    handles,
)
from tinyedge.keras.grids import Grid

_INTEGERS = {
    "int8": (-128, 127),
    "uint8": (0, 255),
    "int4": (-8, 7),
    "uint4": (0, 15),
    "int2": (-2, 1),
    "uint2": (0, 3),
}
_OUTPUT_TYPES = {2: "uint8", 3: "int8", 21: "uint4", 22: "int4", 25: "uint2", 26: "int2"}
_MOST_BITS = 8


def grid_for(each: OnnxNode, scale: float, zero_point: int, low: int, high: int) -> Grid:
    """The int8 grid of integers from ``low`` to ``high``; the largest of few is 127.

    A byte without a sign is 128 more than the int8 that stands for it.

    Raises:
        ModelError: the scale is not positive, or the zero point not among the integers.
    """
    if not (math.isfinite(scale) and scale > 0 and np.float32(scale) > 0):
        raise ModelError(f"{each}: a scale of {scale}")
    if not low <= zero_point <= high:
        raise ModelError(f"{each}: a zero point of {zero_point}, allowed: {low} to {high}")
    moved = 127 - high
    return Grid(Quantization(scale, zero_point + moved), (low + moved, 127))


def _type_of(tracer: Tracer, each: OnnxNode, zero_point: int) -> str:
    """The type of a node's integers: its zero point's, else its attribute's, else uint8."""
    number = each.attributes.get("output_dtype", 0)
    told = _OUTPUT_TYPES.get(number) if number else None
    if number and told is None:
        allowed = ", ".join(f"{key} ({name})" for key, name in _OUTPUT_TYPES.items())
        raise ModelError(f"{each}: output_dtype {number}, allowed: {allowed}")
    if tracer.optional(each, zero_point) is None:
        return told or "uint8"
    kind = tracer.constant(each, zero_point).dtype.name
    if told not in (None, kind):
        raise ModelError(f"{each}: output_dtype {told}, but a zero point of {kind}")
    return kind


def quantized_as(tracer: Tracer, each: OnnxNode, flow: Flow, scale: int, zero_point: int) -> Flow:
    """A flow as the integers that a scale and a zero point among the inputs of a node tell."""
    grid, moved = _grid_of_inputs(tracer, each, scale, zero_point)
    return tracer.quantized(each, flow, grid, moved=moved)


def _grid_of_inputs(
    tracer: Tracer, each: OnnxNode, scale: int, zero_point: int
) -> tuple[Grid, int]:
    """The grid, and what its int8 is more than the file's integer."""
    kind, offset = _type_of(tracer, each, zero_point), 0
    if tracer.optional(each, zero_point) is not None:
        value = tracer.constant(each, zero_point)
        if value.size != 1:
            raise ModelError(f"{each}: {value.size} zero points for an activation, allowed: one")
        offset = int(value.astype(np.int64).ravel()[0])
    if kind not in _INTEGERS:
        raise ModelError(f"{each}: activations of {kind}, allowed: {', '.join(_INTEGERS)}")
    low, high = _INTEGERS[kind]
    return grid_for(each, tracer.scalar(each, scale), offset, low, high), 127 - high


@handles("QuantizeLinear")
def _quantize(tracer: Tracer, each: OnnxNode) -> Value:
    return quantized_as(tracer, each, tracer.flow_of(each), 1, 2)


@checks("QuantizeLinear")
def _check_grid(tracer: Tracer, each: OnnxNode) -> None:
    _grid_of_inputs(tracer, each, 1, 2)


@handles("DequantizeLinear")
def _dequantize(tracer: Tracer, each: OnnxNode) -> Value:
    return dequantized(tracer, each, 0)


def dequantized(tracer: Tracer, each: OnnxNode, position: int) -> Flow:
    """Integers, whose scale and zero point follow them among the inputs, as real numbers."""
    flow = tracer.flow_of(each, position, integer=True)
    given = tracer.constant(each, position + 1)
    if given.size != 1:
        raise ModelError(f"{each}: {given.size} scales for an activation, allowed: one")
    known = grid_of(flow)
    if known is None:
        if not isinstance(flow.node, n.Input):
            raise ModelError(f"{each}: integers of no known scale")
        zero = tracer.scalar(each, position + 2, 0.0)
        tracer.give_grid(each, tracer.scalar(each, position + 1), zero)
        return Flow(flow.node, flow.places)
    scale = float(np.float32(given.astype(np.float64).ravel()[0]))
    if scale != known.scale:
        raise ModelError(f"{each}: a scale of {scale}, its input has {known.scale}")
    moved = flow.moved or 0
    zero_point = tracer.scalar(each, position + 2, 0.0)  # none is the zero of the type
    if zero_point + moved != known.zero_point:
        raise ModelError(
            f"{each}: a zero point of {zero_point:g}, its input has {known.zero_point - moved}"
        )
    return Flow(flow.node, flow.places)


@folds("QuantizeLinear")
def _quantize_constant(tracer: Tracer, each: OnnxNode) -> Value:
    """Weights that are kept as floats and quantized in the file."""
    x, scale = tracer.constant(each, 0), tracer.constant(each, 1)
    zero_point = tracer.constant(each, 2) if tracer.optional(each, 2) is not None else None
    kind = _type_of(tracer, each, 2)
    if kind not in (*_INTEGERS, "int32"):
        raise ModelError(f"{each}: to {kind}")
    axis = [1] * x.ndim
    if scale.size > 1:
        axis[each.attributes.get("axis", 1)] = -1
    scaled = np.rint(x.astype(np.float64) / scale.astype(np.float64).reshape(axis))
    if zero_point is not None:
        scaled = scaled + zero_point.astype(np.float64).reshape(axis)
    low, high = _INTEGERS.get(kind, (-(2**31), 2**31 - 1))
    types = {"int32": np.int32, "uint8": np.uint8}
    return np.clip(scaled, low, high).astype(types.get(kind, np.int8))


# QONNX


def _bits_of(tracer: Tracer, each: OnnxNode, position: int = 3) -> int:
    bits = tracer.scalar(each, position)
    if bits != int(bits) or not 1 <= bits <= _MOST_BITS:
        raise ModelError(f"{each}: {bits:g} bits, allowed: 1 to {_MOST_BITS}")
    return int(bits)


def _limits(each: OnnxNode, bits: int) -> tuple[int, int]:
    """Smallest and largest integer of a Quant node."""
    signed, narrow = bool(each.attributes.get("signed", 1)), bool(each.attributes.get("narrow", 0))
    if signed:
        return -(2 ** (bits - 1)) + narrow, 2 ** (bits - 1) - 1
    return 0, 2**bits - 1 - narrow


def _rounded(each: OnnxNode, x: Array) -> Array:
    """As the node rounds constants."""
    match str(each.attributes.get("rounding_mode", "ROUND")).upper():
        case "ROUND" | "HALF_EVEN":
            return np.rint(x)
        case "CEIL" | "CEILING":
            return np.ceil(x)
        case "FLOOR":
            return np.floor(x)
        case "ROUND_TO_ZERO" | "DOWN":
            return np.trunc(x)
        case "HALF_UP":
            return np.floor(np.abs(x) + 0.5) * np.sign(x)
        case other:
            raise ModelError(f"{each}: rounding_mode {other}")


@folds("qonnx.Quant", "qonnx.IntQuant")
def _quant_constant(tracer: Tracer, each: OnnxNode) -> Value:
    x, scale = (tracer.constant(each, i).astype(np.float64) for i in (0, 1))
    zero_point = tracer.constant(each, 2).astype(np.float64)
    bits = tracer.scalar(each, 3)
    if bits > _MOST_BITS:
        # A bias of many bits: an accumulator's grid decides, and it is finer.
        return np.asarray((_rounded(each, x / scale + zero_point) - zero_point) * scale)
    low, high = _limits(each, _bits_of(tracer, each))
    if np.broadcast_shapes(x.shape, scale.shape, zero_point.shape) != x.shape:
        raise ModelError(f"{each}: a scale {scale.shape} for {x.shape}")
    integers = _rounded(each, x / scale + zero_point) - zero_point
    codes = np.clip(integers, low - zero_point, high - zero_point)
    if not np.all(np.isfinite(codes)) or np.any(codes != np.rint(codes)):
        raise ModelError(f"{each}: weights that are no integers times a scale")
    axes = [1] * (x.ndim - scale.ndim) + list(scale.shape)
    return Quantized(codes.astype(np.int64), scale.reshape(axes), finer=True)


@folds("qonnx.BipolarQuant")
def _bipolar_constant(tracer: Tracer, each: OnnxNode) -> Value:
    x, scale = (tracer.constant(each, i).astype(np.float64) for i in (0, 1))
    if np.broadcast_shapes(x.shape, scale.shape) != x.shape:
        raise ModelError(f"{each}: a scale {scale.shape} for {x.shape}")
    axes = [1] * (x.ndim - scale.ndim) + list(scale.shape)
    return Quantized(np.where(x >= 0, 1, -1).astype(np.int64), scale.reshape(axes), finer=True)


@handles("qonnx.BipolarQuant")
def _bipolar(tracer: Tracer, each: OnnxNode) -> Value:
    raise ModelError(
        f"{each}: an activation of one bit", hint="activations of 2 to 8 bits can be imported"
    )


@handles("qonnx.Quant", "qonnx.IntQuant")
def _quant(tracer: Tracer, each: OnnxNode) -> Value:
    flow = tracer.flow_of(each)
    return tracer.quantized(each, flow, _quant_grid(tracer, each))


@checks("qonnx.Quant", "qonnx.IntQuant")
def _quant_grid(tracer: Tracer, each: OnnxNode) -> Grid:
    """The grid of an activation."""
    bits = _bits_of(tracer, each)
    mode = str(each.attributes.get("rounding_mode", "ROUND")).upper()
    if mode not in ("ROUND", "HALF_EVEN"):
        raise ModelError(f"{each}: an activation with rounding_mode {mode}, allowed: ROUND")
    zero_point = tracer.scalar(each, 2)
    if zero_point != int(zero_point):
        raise ModelError(f"{each}: a zero point of {zero_point}")
    return grid_for(each, tracer.scalar(each, 1), int(zero_point), *_limits(each, bits))


@handles("qonnx.Trunc")
def _trunc(tracer: Tracer, each: OnnxNode) -> Value:
    """Lower bits are cut off: a grid of larger steps, and what is less by nearly half of one."""
    flow = tracer.flow_of(each)
    given = [tracer.scalar(each, position) for position in range(1, len(each.inputs))]
    if len(given) not in (4, 5) or given[1]:
        raise ModelError(f"{each}: inputs {given}; allowed: 4 or 5, and a zero point of 0")
    scale, bits = given[0], _bits_of(tracer, each, len(each.inputs) - 1)
    signed = _may_be_negative(flow.node)
    low, high = (-(2 ** (bits - 1)), 2 ** (bits - 1) - 1) if signed else (0, 2**bits - 1)
    shift, step = given[2] - bits, scale
    if len(given) == 5:
        step = given[3]
        shift = round(math.log2(step / scale))
        low, high = _limits(each, bits)
    if shift != int(shift) or not 0 <= shift <= 24:
        raise ModelError(f"{each}: {given[2]:g} bits become {bits}")
    mode = str(each.attributes.get("rounding_mode", "FLOOR")).upper()
    if mode not in _CUT:
        raise ModelError(f"{each}: rounding_mode {mode}, allowed: {', '.join(_CUT)}")
    grid = grid_for(each, step, 0, low, high)
    less = _CUT[mode] * (0.5 - 2.0 ** -(shift + 1)) * step
    factor = np.asarray(step / (scale * 2.0**shift))
    flow = _summed(tracer, each, flow)
    cut = affine(tracer, each, flow, factor, np.asarray(-less), part="/cut")
    return tracer.quantized(each, cut, grid)


def _summed(tracer: Tracer, each: OnnxNode, flow: Flow) -> Flow:
    """An average as the sum that it is made from, which a convolution keeps exact until it is cut.

    An average by itself is rounded to int8 before.
    """
    scaled = flow.node
    source = scaled.inputs[0] if isinstance(scaled, n.Affine) else scaled
    factor = scaled.scale if isinstance(scaled, n.Affine) else np.ones(scaled.shape[-1])
    if isinstance(scaled, n.Affine) and np.any(scaled.offset):
        return flow
    if isinstance(source, n.Mean):
        kernel = (source.inputs[0].shape[0], source.inputs[0].shape[1])
        stride = (1, 1)
    elif isinstance(source, n.Pool) and source.kind == "average" and not any(source.padding):
        kernel, stride = source.kernel, source.stride
    else:
        return flow
    node = tracer.add(
        each,
        n.Linear,
        source.inputs,
        kind="depthwise",
        codes=np.ones((source.shape[-1], *kernel), np.int16),
        scales=factor / math.prod(kernel),
        bias=np.zeros(source.shape[-1]),
        shape=source.shape,
        stride=stride,
        part="/sum",
    )
    return tracer.flow(node, flow.places)


_CUT = {"FLOOR": 1.0, "ROUND": 0.0, "HALF_EVEN": 0.0, "CEIL": -1.0}
"""In halves of a step, what rounding takes off before it rounds to the nearest."""


def _may_be_negative(node: n.Node) -> bool:
    """Whether a value can lie below zero, as far as its grid and what led to it tell."""
    while not node.grid and node.bounds[0] < 0 and node.inputs:
        if isinstance(node, n.Affine) and (np.any(node.scale < 0) or np.any(node.offset < 0)):
            return True
        if not isinstance(node, n.Affine | n.Mean | n.Pool | n.Pad | n.Reshape | n.Activation):
            return True
        node = node.inputs[0]
    if not node.grid:
        return node.bounds[0] < 0
    return node.grid.clamp[0] < node.grid.quantization.zero_point
