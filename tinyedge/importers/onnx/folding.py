"""Operators on constants: shape arithmetic, and weights on their way to a layer."""

from __future__ import annotations

import functools
import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tinyedge.errors import ModelError
from tinyedge.importers.onnx.reader import OnnxNode
from tinyedge.importers.onnx.tracing import (
    LARGEST_CONSTANT,
    Array,
    Quantized,
    Tracer,
    Value,
    folds,
)

_ELEMENTWISE = {
    "Add": np.add,
    "Sub": np.subtract,
    "Mul": np.multiply,
    "Pow": np.power,
    "Max": np.maximum,
    "Min": np.minimum,
    "Equal": np.equal,
}
_VARIADIC = ("Max", "Min")
_CASTS = {
    1: np.float32,
    2: np.uint8,
    3: np.int8,
    6: np.int32,
    7: np.int64,
    9: np.bool_,
    10: np.float16,
    11: np.float64,
}
"""ONNX's numbers of the types that constants are cast to."""


@folds("Constant")
def _constant(tracer: Tracer, each: OnnxNode) -> Value:
    for name in ("value", "value_float", "value_int", "value_floats", "value_ints"):
        if (value := each.attributes.get(name)) is not None:
            kind = np.float32 if "float" in name else np.int64
            return value if isinstance(value, np.ndarray) else np.asarray(value, kind)
    raise ModelError(f"{each}: a value that is not dense numbers")


@folds("ConstantOfShape")
def _constant_of_shape(tracer: Tracer, each: OnnxNode) -> Value:
    shape = [int(size) for size in tracer.constant(each, 0).ravel()]
    value = each.attributes.get("value")
    filler = np.zeros(1, np.float32) if value is None else value
    _check_size(each, shape)
    return np.full(shape, filler.ravel()[0], filler.dtype)


@folds(*_ELEMENTWISE)
def _elementwise(tracer: Tracer, each: OnnxNode) -> Value:
    first, second = tracer.optional(each, 0), tracer.optional(each, 1)
    if each.kind == "Mul":
        for one, other in ((first, second), (second, first)):
            if isinstance(one, Quantized) and isinstance(other, np.ndarray):
                return _scaled(each, one, other.astype(np.float64))
    given = [tracer.constant(each, position) for position in range(len(each.inputs))]
    if len(given) != 2 and each.kind not in _VARIADIC:
        raise ModelError(f"{each}: {len(given)} inputs, allowed: two")
    _check_size(each, np.broadcast_shapes(*(value.shape for value in given)))
    return np.asarray(functools.reduce(_ELEMENTWISE[each.kind], given))


@folds("Div")
def _divide(tracer: Tracer, each: OnnxNode) -> Value:
    first, b = tracer.optional(each, 0), tracer.constant(each, 1)
    if isinstance(first, Quantized):
        return _scaled(each, first, 1.0 / b.astype(np.float64))
    a = tracer.constant(each, 0)
    _check_size(each, np.broadcast_shapes(a.shape, b.shape))
    if np.issubdtype(a.dtype, np.integer):
        return np.asarray(np.trunc(a / b)).astype(a.dtype)
    return np.asarray(a / b)


def _scaled(each: OnnxNode, value: Quantized, factor: NDArray[np.float64]) -> Quantized:
    if np.broadcast_shapes(value.codes.shape, factor.shape) != value.codes.shape:
        raise ModelError(f"{each}: weights of shape {value.codes.shape} times {factor.shape}")
    return Quantized(value.codes, value.scales * factor, value.finer)


@folds("Sqrt", "Neg", "Reciprocal", "Abs", "Exp", "Log", "Floor", "Ceil")
def _function(tracer: Tracer, each: OnnxNode) -> Value:
    x = tracer.constant(each, 0)
    functions: dict[str, Any] = {
        "Sqrt": np.sqrt,
        "Neg": np.negative,
        "Reciprocal": np.reciprocal,
        "Abs": np.abs,
        "Exp": np.exp,
        "Log": np.log,
        "Floor": np.floor,
        "Ceil": np.ceil,
    }
    return np.asarray(functions[each.kind](x))


@folds("Identity", "Dropout")
def _same(tracer: Tracer, each: OnnxNode) -> Value:
    value = tracer.optional(each, 0)
    if value is None:
        raise ModelError(f"{each}: no input")
    return value


@folds("Clip")
def _clip(tracer: Tracer, each: OnnxNode) -> Value:
    x = tracer.constant(each, 0)
    limits: dict[str, Any] = {"min": np.maximum, "max": np.minimum}
    for position, (name, limit) in enumerate(limits.items(), 1):
        if tracer.optional(each, position) is not None:
            x = np.asarray(limit(x, tracer.constant(each, position)))
        elif name in each.attributes:  # up to opset 10
            x = np.asarray(limit(x, x.dtype.type(each.attributes[name])))
    return x


@folds("Cast")
def _cast(tracer: Tracer, each: OnnxNode) -> Value:
    kind = _CASTS.get(each.attributes.get("to", 0))
    if kind is None:
        raise ModelError(f"{each}: to type {each.attributes.get('to')}")
    return tracer.constant(each, 0).astype(kind)


@folds("Shape")
def _shape(tracer: Tracer, each: OnnxNode) -> Value:
    return shape_of(each, tracer.constant(each, 0).shape)


def shape_of(each: OnnxNode, shape: tuple[int, ...]) -> Array:
    """The value of a Shape node."""
    start, end = each.attributes.get("start", 0), each.attributes.get("end")
    return np.asarray(shape[start:end], np.int64)


@folds("Gather")
def _gather(tracer: Tracer, each: OnnxNode) -> Value:
    x, indices = tracer.constant(each, 0), tracer.constant(each, 1)
    axis = each.attributes.get("axis", 0)
    _check_size(each, (*x.shape[:axis], *indices.shape, *x.shape[axis + 1 :]))
    return np.take(x, indices, axis=axis)


@folds("Slice")
def _slice(tracer: Tracer, each: OnnxNode) -> Value:
    x = tracer.constant(each, 0)
    starts = tracer.integers(each, "starts", 1) or []
    ends = tracer.integers(each, "ends", 2) or []
    axes = tracer.integers(each, "axes", 3) or list(range(len(starts)))
    steps = tracer.integers(each, "steps", 4) or [1] * len(starts)
    where = [slice(None)] * x.ndim
    for axis, start, end, step in zip(axes, starts, ends, steps, strict=True):
        stop = None if step < 0 and end < -x.shape[axis] else end
        where[axis] = slice(start, stop, step)
    return x[tuple(where)]


@folds("Concat")
def _concat(tracer: Tracer, each: OnnxNode) -> Value:
    parts = [tracer.constant(each, i) for i in range(len(each.inputs))]
    return np.concatenate(parts, axis=each.attributes["axis"])


@folds("Transpose", "Reshape", "Flatten", "Squeeze", "Unsqueeze")
def _moved(tracer: Tracer, each: OnnxNode) -> Value:
    value = tracer.optional(each, 0)
    if not isinstance(value, Quantized):
        return moved(tracer, each, tracer.constant(each, 0))
    scales = np.broadcast_to(value.scales, value.codes.shape)
    return Quantized(moved(tracer, each, value.codes), moved(tracer, each, scales), value.finer)


def moved(tracer: Tracer, each: OnnxNode, x: Array) -> Array:
    """An array after an operator that changes its shape or order only."""
    match each.kind:
        case "Transpose":
            order = each.attributes.get("perm")
            return x.transpose(order)
        case "Reshape":
            return _reshaped(tracer, each, x)
        case "Flatten":
            axis = each.attributes.get("axis", 1)
            return x.reshape(math.prod(x.shape[:axis]), -1)
        case "Squeeze":
            axes = tracer.integers(each, "axes", 1)
            return x.squeeze(None if axes is None else tuple(axes))
        case _:
            axes = tracer.integers(each, "axes", 1)
            return np.expand_dims(x, tuple(axes or ()))


def _reshaped(tracer: Tracer, each: OnnxNode, x: Array) -> Array:
    wanted = tracer.integers(each, "shape", 1) or []
    if not each.attributes.get("allowzero", 0):
        wanted = [x.shape[i] if size == 0 else size for i, size in enumerate(wanted)]
    return x.reshape(wanted)


@folds("DequantizeLinear")
def _dequantize(tracer: Tracer, each: OnnxNode) -> Value:
    return dequantized_constant(tracer, each, 0, each.attributes.get("axis", 1))


def dequantized_constant(tracer: Tracer, each: OnnxNode, position: int, axis: int) -> Quantized:
    """Integers with the file's scales: weights, or a bias of int32.

    Args:
        tracer: follows the file.
        each: the file's node.
        position: of the integers among its inputs; scales and zero points follow.
        axis: that several scales belong to.
    """
    values = tracer.constant(each, position)
    _check_size(each, values.shape)
    codes = values.astype(np.int64)
    if tracer.optional(each, position + 2) is not None:
        zero_points = tracer.constant(each, position + 2).astype(np.int64)
        codes = codes - _along(each, zero_points, codes.ndim, axis)
    given = tracer.constant(each, position + 1).astype(np.float64)
    scales = _along(each, given, codes.ndim, axis)
    if np.broadcast_shapes(codes.shape, scales.shape) != codes.shape:
        raise ModelError(f"{each}: scales {scales.shape} for integers {codes.shape}")
    if values.dtype == np.int32:
        return Quantized(codes, scales)
    if codes.size and (codes.min() < -128 or codes.max() > 127):
        raise ModelError(
            f"{each}: weights from {codes.min()} to {codes.max()} around their zero point",
            "weights have to fit in 8 bits with a sign: quantize them symmetrically",
        )
    return Quantized(codes, scales)


def _along(each: OnnxNode, values: Array, axes: int, axis: int) -> Array:
    """Scales or zero points along an axis, for integers of so many axes."""
    if each.attributes.get("block_size", 0):
        raise ModelError(f"{each}: scales in blocks")
    if values.size == 1:
        return values.reshape([1] * axes)
    if values.ndim != 1 or not -axes <= axis < axes:
        raise ModelError(f"{each}: scales of shape {values.shape} along axis {axis}")
    shape = [1] * axes
    shape[axis] = -1
    return values.reshape(shape)


def _check_size(each: OnnxNode, shape: Any) -> None:
    if math.prod(shape) > LARGEST_CONSTANT or min(shape, default=0) < 0:
        raise ModelError(f"{each}: a constant of shape {tuple(shape)}")
