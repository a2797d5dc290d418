"""Operators that move elements: joining, cutting, padding, other orders and shapes."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import tflite

from tinyedge.errors import ModelError
from tinyedge.graph import operators as ops
from tinyedge.graph.description import MAXIMUM_OPERATORS
from tinyedge.graph.tensors import Tensor
from tinyedge.importers.tflite.builder import Builder
from tinyedge.importers.tflite.common import (
    along,
    axis_of,
    constant_numbers,
    transposed,
)
from tinyedge.importers.tflite.options import options_of
from tinyedge.importers.tflite.reader import TfliteOperator
from tinyedge.importers.tflite.registry import handles


@handles("CONCATENATION")
def _concatenation(builder: Builder, operator: TfliteOperator) -> None:
    options = options_of(operator, "ConcatenationOptions")
    if options.FusedActivationFunction() != tflite.ActivationFunctionType.NONE:
        raise ModelError(f"{operator}: a fused activation")
    axis = axis_of(operator, options.Axis(), len(operator.outputs[0].shape))
    operands = [builder.operand(operator, i, strip=False).name for i in range(len(operator.inputs))]
    builder.finish(operator, ops.Concatenation, *operands, axis=axis)


@handles("TRANSPOSE")
def _transpose(builder: Builder, operator: TfliteOperator) -> None:
    source = builder.source(operator)
    rank = len(source.shape) + 1
    order = [axis_of(operator, int(axis), rank) for axis in constant_numbers(operator, 1).ravel()]
    if sorted(order) != list(range(-1, rank - 1)):
        raise ModelError(f"{operator}: axes {[axis + 1 for axis in order]} of {rank}")
    builder.expect(operator, [(1, *source.shape)[axis + 1] for axis in order])
    axes = tuple(axis for axis in order if axis >= 0)
    shape = tuple(source.shape[axis] for axis in axes)
    ordered = [axis for axis in axes if source.shape[axis] > 1]
    if ordered == sorted(ordered):
        builder.renamed(operator, source)
    elif len(axes) <= ops.Transpose.most_axes:
        builder.finish_reshaped(operator, shape, ops.Transpose, source.name, axes=axes)
    else:
        builder.renamed(operator, transposed(builder, source, axes))


@handles("SPACE_TO_DEPTH", "DEPTH_TO_SPACE")
def _blocks(builder: Builder, operator: TfliteOperator) -> None:
    """Rows of cells of a block, of which the middle two axes change places."""
    source = builder.source(operator)
    there = operator.name == "DEPTH_TO_SPACE"
    options = options_of(operator, "DepthToSpaceOptions" if there else "SpaceToDepthOptions")
    block = int(options.BlockSize())
    if len(source.shape) != 3 or block < 1:
        raise ModelError(f"{operator}: blocks of {block} of {source.shape}")
    height, width, channels = source.shape
    if there:
        shape = (height, width, block, channels // block)
    else:
        shape = (height // block, block, width // block, block * channels)
    if math.prod(shape) != source.size:
        raise ModelError(f"{operator}: blocks of {block} of {source.shape}")
    given = (shape[0], shape[2], shape[1], shape[3])
    cells = (height * block, width * block) if there else (shape[0], shape[2])
    builder.expect(operator, (1, *cells, source.size // math.prod(cells)))
    if 1 in given[1:3]:
        builder.renamed(operator, source)
    else:
        whole = builder.reshaped(source, shape)
        builder.finish_reshaped(operator, given, ops.Transpose, whole.name, axes=(0, 2, 1, 3))


@handles("SLICE")
def _slice(builder: Builder, operator: TfliteOperator) -> None:
    source = builder.source(operator)
    shape = (1, *source.shape)
    begin, size = (constant_numbers(operator, position).ravel().tolist() for position in (1, 2))
    if not len(begin) == len(size) == len(shape) or begin[0] != 0 or size[0] not in {1, -1}:
        raise ModelError(f"{operator}: {size} elements from {begin} on, of {shape}")
    sizes = [
        whole - first if count == -1 else count
        for whole, first, count in zip(shape, begin, size, strict=True)
    ]
    fields = (tuple(begin[1:]), tuple(sizes[1:]), (1,) * len(source.shape))
    _take(builder, operator, source, fields)


@handles("STRIDED_SLICE")
def _strided_slice(builder: Builder, operator: TfliteOperator) -> None:
    options = options_of(operator, "StridedSliceOptions")
    source = builder.source(operator)
    shape = (1, *source.shape)
    numbers = [constant_numbers(operator, position).ravel().tolist() for position in (1, 2, 3)]
    if len({len(each) for each in numbers}) != 1 or len(numbers[0]) > len(shape):
        raise ModelError(f"{operator}: begin, end and strides {numbers} of {shape}")
    if options.EllipsisMask() or options.NewAxisMask() or options.Offset():
        raise ModelError(f"{operator}: an ellipsis, a new axis or an offset is not supported")
    begins, sizes, strides = [0] * len(shape), list(shape), [1] * len(shape)
    shrunk: list[int] = []
    for axis, (first, last, step) in enumerate(zip(*numbers, strict=True)):
        bit = 1 << axis
        if not step:
            raise ModelError(f"{operator}: a stride of 0")
        if options.ShrinkAxisMask() & bit:
            if step < 0:
                raise ModelError(f"{operator}: a stride of {step} along an axis that it takes out")
            start = 0 if options.BeginMask() & bit else first
            begins[axis] = start + shape[axis] if start < 0 else start
            sizes[axis] = 1
            shrunk.append(axis - 1)
            continue
        taken = slice(
            None if options.BeginMask() & bit else first,
            None if options.EndMask() & bit else last,
            step,
        )
        found = range(*taken.indices(shape[axis]))
        begins[axis], sizes[axis], strides[axis] = found.start, len(found), step
    if (begins[0], sizes[0]) != (0, 1) or -1 in shrunk:
        raise ModelError(f"{operator}: {sizes} elements from {begins} on, of {shape}")
    fields = (tuple(begins[1:]), tuple(sizes[1:]), tuple(strides[1:]))
    _take(builder, operator, source, fields, shrunk)


def _take(
    builder: Builder,
    operator: TfliteOperator,
    source: Tensor,
    fields: tuple[ops.Shape, ...],
    shrunk: Sequence[int] = (),
    position: int = 0,
) -> None:
    """Has an output of the file's be a part of a tensor.

    Args:
        builder: of the graph.
        operator: of the file.
        source: the tensor.
        fields: begin, size and stride of a Slice.
        shrunk: axes of one element that the output has not.
        position: of the output.
    """
    begin, size, stride = fields
    given = operator.outputs[position]
    if given.shape != (1, *(n for axis, n in enumerate(size) if axis not in shrunk)):
        raise ModelError(f"{operator}: {size} elements from {begin} on cannot become {given}")
    if size == source.shape and not any(begin):  # then no stride is below 0, but along one element
        builder.renamed(operator, source, position)
        return
    builder.finish_reshaped(
        operator,
        size,
        ops.Slice,
        source.name,
        position=position,
        begin=begin,
        size=size,
        stride=stride,
    )


@handles("SPLIT", "SPLIT_V", "UNPACK")
def _split(builder: Builder, operator: TfliteOperator) -> None:
    """Parts of a tensor, one behind the other along an axis."""
    count = len(operator.outputs)
    source = builder.source(operator, int(operator.name == "SPLIT"))
    rank = len(source.shape) + 1
    if operator.name == "UNPACK":
        options = options_of(operator, "UnpackOptions")
        axis = axis_of(operator, options.Axis(), rank)
        if options.Num() != count:
            raise ModelError(f"{operator}: {options.Num()} parts into {count} outputs")
    else:
        numbers = constant_numbers(operator, 0 if operator.name == "SPLIT" else 2).ravel()
        if numbers.size != 1:
            raise ModelError(f"{operator}: axes {numbers.tolist()}")
        axis = axis_of(operator, int(numbers[0]), rank)
    if axis < 0 and operator.name == "UNPACK" and count == 1:  # a batch of one goes
        builder.expect(operator, source.shape)
        builder.renamed(operator, source)
        return
    if axis < 0:
        raise ModelError(f"{operator}: along the batch")
    whole = source.shape[axis]
    sizes = [whole // count] * count
    if operator.name == "SPLIT_V":
        sizes = constant_numbers(operator, 1).ravel().tolist()
        if sizes.count(-1) == 1:
            sizes[sizes.index(-1)] = whole - sum(sizes) - 1
    if len(sizes) != count or sum(sizes) != whole or min(sizes) < 1:
        raise ModelError(f"{operator}: parts of {sizes} of {source.shape} along axis {axis + 1}")
    begin = 0
    for position, size in enumerate(sizes):
        shrunk = [axis] if operator.name == "UNPACK" else []
        _take(builder, operator, source, along(source, axis, begin, size), shrunk, position)
        begin += size


@handles("PACK")
def _pack(builder: Builder, operator: TfliteOperator) -> None:
    """Tensors behind each other along a new axis."""
    given = operator.outputs[0]
    options = options_of(operator, "PackOptions")
    axis = axis_of(operator, options.Axis(), len(given.shape))
    if axis < 0 and len(operator.inputs) == options.ValuesCount() == 1:  # another batch of one
        source = builder.source(operator)
        builder.expect(operator, (1, 1, *source.shape))
        builder.renamed(operator, source)
        return
    if axis < 0:
        raise ModelError(f"{operator}: along the batch")
    if options.ValuesCount() != len(operator.inputs):
        raise ModelError(f"{operator}: {options.ValuesCount()} of {len(operator.inputs)} inputs")
    shape = tuple(1 if at == axis else size for at, size in enumerate(given.shape[1:]))
    names = [
        builder.operand(operator, position, strip=False, shape=shape).name
        for position in range(len(operator.inputs))
    ]
    names = builder.joined(builder.tensors[names[0]], names, axis)
    builder.finish(operator, ops.Concatenation, *names, axis=axis)


@handles("TILE")
def _tile(builder: Builder, operator: TfliteOperator) -> None:
    """A tensor behind itself, along one axis after the other."""
    source = builder.source(operator)
    times = constant_numbers(operator, 1).ravel().tolist()
    if len(times) != len(source.shape) + 1 or times[0] != 1 or min(times) < 1:
        raise ModelError(f"{operator}: {times} times {source.shape}")
    if math.prod(times) > MAXIMUM_OPERATORS:
        raise ModelError(f"{operator}: {times} times {source.shape}")
    for axis, count in enumerate(times[1:]):
        if count > 1:
            names = builder.joined(source, [source.name] * count, axis)
            source = builder.between(source, "tiled", ops.Concatenation, *names, axis=axis)
    builder.renamed(operator, source)


@handles("PAD", "PADV2")
def _pad(builder: Builder, operator: TfliteOperator) -> None:
    source = builder.source(operator)
    amounts = constant_numbers(operator, 1)
    if amounts.shape != (len(source.shape) + 1, 2) or np.any(amounts[0]) or amounts.shape[0] > 4:
        raise ModelError(f"{operator}: paddings {amounts.tolist()}")
    value: int | None = None
    if len(operator.inputs) > 2:
        given = operator.inputs[2]
        if given is None or given.type != "INT8" or given.values is None or given.values.size != 1:
            raise ModelError(f"{operator}: the value, {given}, has to be one constant of int8")
        value = int(given.values.ravel()[0])
        value = None if value == source.quantization.zero_point else value
    whole_shape = (1, *source.shape)
    added = amounts.sum(axis=1, dtype=np.int64).tolist()
    builder.expect(operator, [size + more for size, more in zip(whole_shape, added, strict=True)])
    missing = 4 - len(amounts)
    rows, columns, channels = [(0, 0)] * missing + [
        (int(before), int(behind)) for before, behind in amounts[1:]
    ]
    whole = builder.reshaped(source, (*[1] * missing, *source.shape))
    padding = (*rows, *columns)
    fields: dict[str, Any] = {"padding": padding, "channels": channels, "value": value}
    pad = ops.Pad(name="", inputs=(), output="", **fields)
    builder.finish_reshaped(
        operator, pad.output_shape([whole.shape]), ops.Pad, whole.name, **fields
    )


@handles("RESHAPE", "SQUEEZE", "EXPAND_DIMS")
def _reshape(builder: Builder, operator: TfliteOperator) -> None:
    """The output's shape is known, wherever it was computed from."""
    source, given = builder.source(operator), operator.outputs[0]
    if math.prod(given.shape) != source.size:
        raise ModelError(
            f"{operator}: {source.shape} cannot become {given}",
            hint="a shape that is known at run time only: build the Keras model with batch_size=1",
        )
    builder.renamed(operator, source)
