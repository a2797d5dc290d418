"""The common parts of operators of several families."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import tflite
from numpy.typing import NDArray

from tinyedge.errors import ModelError
from tinyedge.graph import operators as ops
from tinyedge.graph.activations import FUSED, clamp_of
from tinyedge.graph.tensors import Quantization, Tensor
from tinyedge.importers.tflite.builder import Builder
from tinyedge.importers.tflite.reader import TfliteOperator

_ACTIVATIONS = {
    value: name
    for name, value in vars(tflite.ActivationFunctionType).items()
    if isinstance(value, int)
}


def fused_clamp(operator: TfliteOperator, options: Any, target: Quantization) -> ops.Pair:
    """The int8 range of the fused activation; raises ModelError for one that is not supported."""
    name = _ACTIVATIONS.get(options.FusedActivationFunction(), "unknown")
    if name != "NONE" and name not in FUSED:
        raise ModelError(
            f"{operator}: fused activation {name}", hint=f"supported: NONE, {', '.join(FUSED)}"
        )
    return clamp_of(name, target)


def constant_numbers(operator: TfliteOperator, position: int) -> NDArray[np.int32]:
    """A constant input of int32."""
    given = operator.inputs[position] if position < len(operator.inputs) else None
    if given is None or given.type != "INT32" or given.values is None:
        raise ModelError(f"{operator}: input {position}, {given}, has to be a constant of int32")
    return given.values


def window_of(
    operator: TfliteOperator, options: Any, source: Tensor, kernel: ops.Pair, dilation: ops.Pair
) -> dict[str, Any]:
    """Stride and padding."""
    stride = (options.StrideH(), options.StrideW())
    if len(source.shape) != 3 or min(*stride, *kernel, *dilation) < 1:
        raise ModelError(
            f"{operator}: stride {stride}, window {kernel}, dilation {dilation} on {source.shape}"
        )
    same = options.Padding() == tflite.Padding.SAME
    size = (source.shape[0], source.shape[1])
    padding = ops.same_padding(size, kernel, stride, dilation) if same else (0, 0, 0, 0)
    return {"stride": stride, "padding": padding}


def part_of(builder: Builder, source: Tensor, axis: int, begin: int, size: int) -> Tensor:
    """Some elements along one axis."""
    begins, sizes, strides = along(source, axis, begin, size)
    return builder.between(
        source, "part", ops.Slice, source.name, begin=begins, size=sizes, stride=strides
    )


def along(source: Tensor, axis: int, begin: int, size: int) -> tuple[ops.Shape, ...]:
    """Begin, size and stride of a Slice that takes elements along one axis."""
    begins, sizes = [0] * len(source.shape), list(source.shape)
    begins[axis], sizes[axis] = begin, size
    return tuple(begins), tuple(sizes), (1,) * len(sizes)


def same_grid(builder: Builder, operator: TfliteOperator, position: int, clamp: ops.Pair) -> None:
    """A clamp that leaves the integers what they are."""
    source = builder.source(operator, position)
    if source.quantization != builder.target(operator):
        raise ModelError(f"{operator}: input and output have to share one quantization")
    builder.finish(operator, ops.Requantize, source.name, clamp=clamp)


def axis_of(operator: TfliteOperator, axis: int, rank: int) -> int:
    """An axis of the graph, which has no batch, for one of the file, which may be negative."""
    if not -rank <= axis < rank:
        raise ModelError(f"{operator}: axis {axis} of {rank}")
    return axis % rank - 1


def transposed(builder: Builder, source: Tensor, axes: tuple[int, ...]) -> Tensor:
    """A tensor with its axes in another order.

    Axes of one are left out, and what stays together counts as one axis: where all does, nothing
    is moved.
    """
    shape = tuple(source.shape[axis] for axis in axes)
    groups: list[list[int]] = []
    for axis in axes:
        if source.shape[axis] == 1:
            continue
        if (
            groups
            and math.prod(source.shape[groups[-1][-1] + 1 : axis]) == 1
            and (groups[-1][-1] < axis)
        ):
            groups[-1].append(axis)
        else:
            groups.append([axis])
    if len(groups) > 1:
        order = sorted(range(len(groups)), key=lambda which: groups[which][0])
        sizes = [math.prod(source.shape[axis] for axis in groups[which]) for which in order]
        merged = builder.reshaped(source, tuple(sizes))
        moved = tuple(order.index(which) for which in range(len(groups)))
        source = builder.between(source, "moved", ops.Transpose, merged.name, axes=moved)
    return builder.reshaped(source, shape)
