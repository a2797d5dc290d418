"""From the operators of a ``.tflite`` file to those of the integer graph."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import tflite
from numpy.typing import NDArray

from tinyedge.errors import ModelError
from tinyedge.graph import operators as ops
from tinyedge.graph.activations import FUSED, clamp_of
from tinyedge.graph.description import MAXIMUM_OPERATORS
from tinyedge.graph.graph import METADATA_NAME, Graph
from tinyedge.graph.pruning import CONSTANT_CHANNELS, without_constant_channels
from tinyedge.graph.simplify import simplify
from tinyedge.graph.tensors import Quantization, Tensor, Weights
from tinyedge.importers.result import ImportResult, file_hash
from tinyedge.importers.tflite.blockers import SECTION, Blockers
from tinyedge.importers.tflite.builder import Builder
from tinyedge.importers.tflite.options import options_of
from tinyedge.importers.tflite.reader import (
    TfliteModel,
    TfliteOperator,
    TfliteTensor,
    reading,
)
from tinyedge.importers.tflite.recurrent import RECURRENT_OPERATORS
from tinyedge.importers.tflite.registry import HANDLERS, Handler, handles
from tinyedge.importers.tflite.variables import VARIABLE_OPERATORS, Variables
from tinyedge.naming import clean_name

_ACTIVATIONS = {
    value: name
    for name, value in vars(tflite.ActivationFunctionType).items()
    if isinstance(value, int)
}
_INTEGER_TYPES = ("INT32", "INT64")
_SEVERAL_OUTPUTS = ("SPLIT", "SPLIT_V", "UNPACK")


def supported_operators() -> list[str]:
    """The names of all operators that can be imported."""
    return sorted((*HANDLERS, *VARIABLE_OPERATORS))


def build_graph(model: TfliteModel, path: Path, *, keep: bool = False) -> ImportResult:
    """Makes the integer graph of a file that has been read.

    Args:
        model: the file.
        path: of it.
        keep: whether channels stay that never change.

    Raises:
        ModelError: as ``import_tflite``; all that blocks the file, each kind once.
    """
    blockers = Blockers()
    if len(model.inputs) != 1:
        blockers.add(ModelError(f"{len(model.inputs)} inputs", hint="supported: one input"))
    if not 1 <= len(model.outputs) <= ops.MAXIMUM_CONCATENATED:
        told = f"supported: up to {ops.MAXIMUM_CONCATENATED}"
        blockers.add(ModelError(f"{len(model.outputs)} outputs", hint=told))
    builder = Builder()
    variables = Variables(builder, model.others)
    if model.inputs:
        with blockers.collecting():
            builder.begin(model.inputs[0])
    _go_on(builder, blockers, model.inputs[1:])
    results = {tensor.index for tensor in model.outputs}
    for operator in model.operators:
        if _only_shapes(operator, results):
            continue
        with blockers.collecting(operator):
            if operator.name in VARIABLE_OPERATORS:
                with reading(str(operator)):
                    variables.add(operator)
            else:
                _add(builder, operator, blockers)
        if operator.name != "VAR_HANDLE":
            _go_on(builder, blockers, operator.outputs)
    with blockers.collecting():
        variables.check_called()
    blockers.refuse()
    variables.finish()
    graph = simplify(builder.graph(path.stem, model.outputs, variables.result))
    if (ours := _exported(graph, model)) is not None:
        return ImportResult(ours, tuple(builder.notes))
    source = _source(model, path)
    if not keep:
        graph, removed = without_constant_channels(graph)
        source |= {CONSTANT_CHANNELS: " ".join(map(str, removed))} if any(removed) else {}
    return ImportResult(replace(graph, source=source), tuple(builder.notes))


def _go_on(builder: Builder, blockers: Blockers, tensors: Sequence[TfliteTensor]) -> None:
    """Has what reads tensors that a refused operator should have written judged all the same."""
    for tensor in tensors:
        if tensor.index not in builder.names:
            try:
                builder.names[tensor.index] = builder.tensor(tensor)
            except ModelError:
                blockers.lost.add(tensor.index)


def _only_shapes(operator: TfliteOperator, results: set[int]) -> bool:
    """Whether this computes shapes, all of which are known already, and no result of the model."""
    return bool(operator.outputs) and all(
        tensor.type in _INTEGER_TYPES and tensor.index not in results for tensor in operator.outputs
    )


def _add(builder: Builder, operator: TfliteOperator, blockers: Blockers) -> None:
    """Adds what an operator of the file becomes."""
    lost = any(tensor and tensor.index in blockers.lost for tensor in operator.inputs)
    if operator.name in ("QUANTIZE", "DEQUANTIZE") and (lost or builder.at_the_ends(operator)):
        return
    handler = HANDLERS.get(operator.name)
    if handler is None:
        raise ModelError(
            f"{operator}: this operator (version {operator.version}) is not supported",
            hint=f"supported: {', '.join(supported_operators())} ({SECTION})",
        )
    foreign = {"FLOAT32", "FLOAT16", "INT16", "UINT8"}
    if operator.name in RECURRENT_OPERATORS:
        foreign.remove("INT16")  # their states and weights, which they check themselves
    for tensor in (*operator.inputs, *operator.outputs):
        if tensor and tensor.type in foreign:
            raise ModelError(
                f"{operator}: {tensor}",
                hint="only fully int8 models can be imported: convert with full integer "
                f"quantization, int8 weights and activations ({SECTION})",
            )
    several = bool(operator.outputs) and operator.name in _SEVERAL_OUTPUTS
    if not operator.inputs or not (several or len(operator.outputs) == 1):
        raise ModelError(
            f"{operator}: {len(operator.inputs)} inputs, {len(operator.outputs)} outputs"
        )
    if not lost:
        with reading(str(operator)):
            handler(builder, operator)


def _exported(graph: Graph, model: TfliteModel) -> Graph | None:
    """The graph with the name and source of the one that it was exported from by tinyedge."""
    try:
        metadata = json.loads(model.metadata.get(METADATA_NAME, b"{}"))
        if metadata["graph_sha256"] == graph.hash:
            return replace(
                graph, name=clean_name(str(metadata["name"])), source=dict(metadata["source"])
            )
    except (ValueError, KeyError, TypeError, RecursionError):
        pass  # another producer's, or edited since
    return None


def _source(model: TfliteModel, path: Path) -> dict[str, Any]:
    """The source of a graph that another producer's file holds."""
    producer = model.description or "unknown"
    source = {"file": path.name, "sha256": file_hash(path), "producer": producer}
    if model.inputs[0].type == "UINT8":
        source["input_type"] = "uint8"  # a byte of a sample is the input itself
    return source


def _clamp(operator: TfliteOperator, options: Any, target: Quantization) -> ops.Pair:
    name = _ACTIVATIONS.get(options.FusedActivationFunction(), "unknown")
    if name != "NONE" and name not in FUSED:
        raise ModelError(
            f"{operator}: fused activation {name}", hint=f"supported: NONE, {', '.join(FUSED)}"
        )
    return clamp_of(name, target)


def _numbers(operator: TfliteOperator, position: int) -> NDArray[np.int32]:
    """A constant input of int32."""
    given = operator.inputs[position] if position < len(operator.inputs) else None
    if given is None or given.type != "INT32" or given.values is None:
        raise ModelError(f"{operator}: input {position}, {given}, has to be a constant of int32")
    return given.values


def _weights(
    operator: TfliteOperator, axis: int, order: tuple[int, ...], behind: int = 2
) -> tuple[Weights, NDArray[np.int32]]:
    """Weights with the output channel, now at ``axis``, in front, and the bias.

    Args:
        operator: input 1 is its weights.
        axis: of the output channels in the file.
        order: transposes the file's layout into the graph's; axes left out have a size of one.
        behind: which input is its bias, which may be missing.
    """
    given = operator.inputs[1] if len(operator.inputs) > 1 else None
    if given is None or given.values is None or given.type not in ("INT8", "INT4"):
        raise ModelError(f"{operator}: weights, {given}, have to be a constant of int8 or int4")
    if len(given.shape) != max(*order, axis) + 1 or not math.prod(given.shape):
        raise ModelError(f"{operator}: weights, {given}, are of the wrong shape")
    if np.any(given.zero_points):
        raise ModelError(f"{operator}: weights, {given}, have a zero point other than 0")
    left_out = set(range(len(given.shape))) - set(order)
    if any(given.shape[i] != 1 for i in left_out):
        raise ModelError(f"{operator}: weights, {given}, are of the wrong shape")
    channels = given.shape[axis]
    if given.scales.size not in (1, channels) or (given.scales.size > 1 and given.axis != axis):
        raise ModelError(
            f"{operator}: weights, {given}, have {given.scales.size} scales along axis {given.axis}"
        )
    integers = given.values.transpose(*order, *sorted(left_out)).reshape(
        [given.shape[i] for i in order]
    )
    weights = Weights.narrowest(
        np.ascontiguousarray(integers, dtype=np.int8),
        np.broadcast_to(given.scales, channels).astype(np.float32),
    )
    bias = operator.inputs[behind] if len(operator.inputs) > behind else None
    if bias is None:
        return weights, np.zeros(channels, np.int32)
    if bias.type != "INT32" or (bias.values is None and bias.constant):
        raise ModelError(f"{operator}: bias, {bias}, has to be int32")
    if bias.values is None or bias.values.size != channels:
        raise ModelError(f"{operator}: bias, {bias}, has to hold {channels} constants")
    return weights, bias.values.reshape(channels)


def _window(
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


def _convolution(
    kind: type[ops.Conv2D | ops.DepthwiseConv2D], table: str, axis: int, order: tuple[int, ...]
) -> Handler:
    """``axis`` and ``order`` as ``_weights`` takes them."""

    def handler(builder: Builder, operator: TfliteOperator) -> None:
        options = options_of(operator, table)
        source = builder.source(operator)
        weights, bias = _weights(operator, axis, order)
        if kind is ops.DepthwiseConv2D:
            multiplier = options.DepthMultiplier()
            if multiplier * source.shape[-1] != len(bias):
                raise ModelError(
                    f"{operator}: depth multiplier {multiplier} of {source.shape[-1]} channels, "
                    f"weights for {len(bias)}"
                )
        dilation = (options.DilationHFactor(), options.DilationWFactor())
        kernel = (weights.codes.shape[1], weights.codes.shape[2])
        rest = {
            "dilation": dilation,
            "clamp": _clamp(operator, options, builder.target(operator)),
            **_window(operator, options, source, kernel, dilation),
        }
        if kind is ops.Conv2D and _groups(operator, source, weights) > 1:
            _grouped_convolution(builder, operator, source, weights, bias, rest)
        else:
            builder.finish(operator, kind, source.name, weights=weights, bias=bias, **rest)

    return handler


@handles("TRANSPOSE_CONV")
def _transpose_conv(builder: Builder, operator: TfliteOperator) -> None:
    """A convolution, with the window turned around, of the input with zeros between its cells."""
    options = options_of(operator, "TransposeConvOptions")
    if options.FusedActivationFunction() != tflite.ActivationFunctionType.NONE:
        raise ModelError(f"{operator}: a fused activation, which TFLite-Micro does not heed")
    source = builder.source(operator, 2)
    weights, bias = _weights(operator, 0, (0, 1, 2, 3), 3)
    kernel = (weights.codes.shape[1], weights.codes.shape[2])
    stride = (options.StrideH(), options.StrideW())
    given = operator.outputs[0]
    if len(source.shape) != 3 or len(given.shape) != 4 or not 1 <= min(stride) <= max(stride) <= 16:
        raise ModelError(f"{operator}: stride {stride} on {source.shape}")
    same = options.Padding() == tflite.Padding.SAME
    padding: list[int] = []
    for count, wanted, size, step in zip(
        source.shape[:2], given.shape[1:3], kernel, stride, strict=True
    ):
        total = (-(-wanted // step) - 1) * step + size - wanted if same else 0
        before = max(total, 0) // 2
        padding += [size - 1 - before, wanted + before - count * step]
    if min(padding) < 0:
        raise ModelError(f"{operator}: {given} of {source.shape} with windows of {kernel}")
    builder.finish(
        operator,
        ops.Conv2D,
        _spread(builder, source, stride).name,
        weights=replace(weights, codes=np.ascontiguousarray(weights.codes[:, ::-1, ::-1])),
        bias=bias,
        stride=(1, 1),
        padding=(padding[0], padding[1], padding[2], padding[3]),
    )


def _spread(builder: Builder, source: Tensor, stride: ops.Pair) -> Tensor:
    """A tensor with zeros behind each row and column, so that they lie a stride apart."""
    height, width, channels = source.shape
    if stride[1] > 1:
        cells = builder.reshaped(source, (height * width, 1, channels))
        padding = (0, 0, 0, stride[1] - 1)
        source = builder.between(source, "spread", ops.Pad, cells.name, padding=padding)
    width *= stride[1]
    if stride[0] > 1:
        rows = builder.reshaped(source, (height, 1, width * channels))
        padding = (0, 0, 0, stride[0] - 1)
        source = builder.between(source, "spread", ops.Pad, rows.name, padding=padding)
    return builder.reshaped(source, (height * stride[0], width, channels))


def _groups(operator: TfliteOperator, source: Tensor, weights: Weights) -> int:
    """Into how many groups a convolution divides the channels."""
    channels, each = source.shape[2], int(weights.codes.shape[3])
    groups = channels // each
    if groups < 1 or channels % each or len(weights.codes) % groups:
        raise ModelError(f"{operator}: {channels} input channels, weights for {each}")
    return groups


def _grouped_convolution(
    builder: Builder,
    operator: TfliteOperator,
    source: Tensor,
    weights: Weights,
    bias: NDArray[np.int32],
    rest: dict[str, Any],
) -> None:
    """A depthwise convolution for groups of one channel, else one convolution a group."""
    groups = _groups(operator, source, weights)
    integers = weights.integers.astype(np.int8)
    if groups == source.shape[2]:
        each = replace(weights, codes=weights.codes[..., 0])
        builder.finish(operator, ops.DepthwiseConv2D, source.name, weights=each, bias=bias, **rest)
        return
    if 2 * groups > MAXIMUM_OPERATORS:
        raise ModelError(
            f"{operator}: {groups:,} groups of several channels, allowed: up to "
            f"{MAXIMUM_OPERATORS // 2:,}"
        )
    output = Tensor(source.name, (), builder.target(operator))
    names = []
    for group, own in enumerate(np.split(np.arange(len(bias)), groups)):
        part = _part(builder, source, 2, group * integers.shape[3], integers.shape[3])
        each = Weights.narrowest(np.ascontiguousarray(integers[own]), weights.scales[own])
        rest_of = {**rest, "weights": each, "bias": bias[own]}
        names.append(builder.between(output, "group", ops.Conv2D, part.name, **rest_of).name)
    names = builder.joined(output, names, 2)
    builder.finish(operator, ops.Concatenation, *names, axis=2)


def _part(builder: Builder, source: Tensor, axis: int, begin: int, size: int) -> Tensor:
    """Some elements along one axis."""
    begins, sizes, strides = _along(source, axis, begin, size)
    return builder.between(
        source, "part", ops.Slice, source.name, begin=begins, size=sizes, stride=strides
    )


def _along(source: Tensor, axis: int, begin: int, size: int) -> tuple[ops.Shape, ...]:
    """Begin, size and stride of a Slice that takes elements along one axis."""
    begins, sizes = [0] * len(source.shape), list(source.shape)
    begins[axis], sizes[axis] = begin, size
    return tuple(begins), tuple(sizes), (1,) * len(sizes)


handles("CONV_2D")(_convolution(ops.Conv2D, "Conv2DOptions", 0, (0, 1, 2, 3)))
handles("DEPTHWISE_CONV_2D")(
    _convolution(ops.DepthwiseConv2D, "DepthwiseConv2DOptions", 3, (3, 1, 2))
)


@handles("FULLY_CONNECTED")
def _fully_connected(builder: Builder, operator: TfliteOperator) -> None:
    """A matrix product; with several rows it is a convolution of one cell."""
    options = options_of(operator, "FullyConnectedOptions")
    if options.WeightsFormat() != tflite.FullyConnectedOptionsWeightsFormat.DEFAULT:
        raise ModelError(f"{operator}: shuffled weights")
    source = builder.source(operator)
    weights, bias = _weights(operator, 0, (0, 1))
    outputs, inputs = weights.codes.shape
    clamp = _clamp(operator, options, builder.target(operator))
    if source.size % inputs or operator.outputs[0].shape[-1:] != (outputs,):
        raise ModelError(
            f"{operator}: {source.size} inputs and {operator.outputs[0]}, weights for {inputs} "
            f"inputs and {outputs} outputs"
        )
    rows = source.size // inputs
    if rows == 1:
        builder.finish_reshaped(
            operator,
            (outputs,),
            ops.FullyConnected,
            source.name,
            weights=weights,
            bias=bias,
            clamp=clamp,
        )
        return
    builder.finish_reshaped(
        operator,
        (1, rows, outputs),
        ops.Conv2D,
        builder.reshaped(source, (1, rows, inputs)).name,
        weights=replace(weights, codes=weights.codes.reshape(outputs, 1, 1, inputs)),
        bias=bias,
        stride=(1, 1),
        clamp=clamp,
    )


def _elementwise(kind: type[ops.Elementwise], table: str) -> Handler:
    def handler(builder: Builder, operator: TfliteOperator) -> None:
        options = options_of(operator, table)
        operands = [builder.operand(operator, i, strip=True).name for i in range(2)]
        clamp = _clamp(operator, options, builder.target(operator))
        shape = kind(name=operator.name, inputs=(), output="").output_shape(
            [builder.tensors[name].shape for name in operands]
        )
        builder.finish_reshaped(operator, shape, kind, *operands, clamp=clamp)

    return handler


handles("ADD")(_elementwise(ops.Add, "AddOptions"))
handles("SUB")(_elementwise(ops.Sub, "SubOptions"))
handles("MUL")(_elementwise(ops.Mul, "MulOptions"))


@handles("MAXIMUM", "MINIMUM")
def _limit(builder: Builder, operator: TfliteOperator) -> None:
    """With one constant value, a clamp; the integers are compared as they are."""
    sides = [tensor for tensor in operator.inputs if tensor and tensor.index not in builder.names]
    values = np.unique(sides[0].values) if sides and sides[0].values is not None else np.empty(0)
    if len(operator.inputs) != 2 or len(sides) != 1 or values.size != 1:
        kind = ops.Maximum if operator.name == "MAXIMUM" else ops.Minimum
        operands = [builder.operand(operator, i, strip=True).name for i in range(2)]
        shape = kind(name=operator.name, inputs=(), output="").output_shape(
            [builder.tensors[name].shape for name in operands]
        )
        builder.finish_reshaped(operator, shape, kind, *operands)
        return
    if sides[0].type != "INT8":
        raise ModelError(f"{operator}: {sides[0]} has to be int8")
    position = next(i for i, tensor in enumerate(operator.inputs) if tensor is not sides[0])
    limit, (low, high) = int(values[0]), ops.FULL_RANGE
    clamp = (limit, high) if operator.name == "MAXIMUM" else (low, limit)
    _same_grid(builder, operator, position, clamp)


def _same_grid(builder: Builder, operator: TfliteOperator, position: int, clamp: ops.Pair) -> None:
    """A clamp that leaves the integers what they are."""
    source = builder.source(operator, position)
    if source.quantization != builder.target(operator):
        raise ModelError(f"{operator}: input and output have to share one quantization")
    builder.finish(operator, ops.Requantize, source.name, clamp=clamp)


def _axis(operator: TfliteOperator, axis: int, rank: int) -> int:
    """An axis of the graph, which has no batch, for one of the file, which may be negative."""
    if not -rank <= axis < rank:
        raise ModelError(f"{operator}: axis {axis} of {rank}")
    return axis % rank - 1


@handles("CONCATENATION")
def _concatenation(builder: Builder, operator: TfliteOperator) -> None:
    options = options_of(operator, "ConcatenationOptions")
    if options.FusedActivationFunction() != tflite.ActivationFunctionType.NONE:
        raise ModelError(f"{operator}: a fused activation")
    axis = _axis(operator, options.Axis(), len(operator.outputs[0].shape))
    operands = [builder.operand(operator, i, strip=False).name for i in range(len(operator.inputs))]
    builder.finish(operator, ops.Concatenation, *operands, axis=axis)


def _pool2d(kind: type[ops.Pool2D]) -> Handler:
    def handler(builder: Builder, operator: TfliteOperator) -> None:
        options = options_of(operator, "Pool2DOptions")
        source = builder.source(operator)
        kernel = (options.FilterHeight(), options.FilterWidth())
        builder.finish(
            operator,
            kind,
            source.name,
            kernel=kernel,
            clamp=_clamp(operator, options, builder.target(operator)),
            **_window(operator, options, source, kernel, (1, 1)),
        )

    return handler


handles("AVERAGE_POOL_2D")(_pool2d(ops.AveragePool2D))
handles("MAX_POOL_2D")(_pool2d(ops.MaxPool2D))


def _reduced_axes(operator: TfliteOperator, source: Tensor) -> list[int]:
    """The axes of the graph that a reduction goes over, sorted; -1 for the batch."""
    options_of(operator, "ReducerOptions")
    rank = len(source.shape) + 1
    return sorted({_axis(operator, int(axis), rank) for axis in _numbers(operator, 1).ravel()})


@handles("MEAN")
def _mean(builder: Builder, operator: TfliteOperator) -> None:
    """Over any axes but the batch; they are brought to the front where others lie before them."""
    source = builder.source(operator)
    axes = _reduced_axes(operator, source)
    if not axes or axes[0] < 0:
        raise ModelError(f"{operator}: mean over {[axis + 1 for axis in axes]} of {source.shape}")
    together = axes == list(range(axes[0], axes[-1] + 1))
    if not together or math.prod(source.shape[: axes[0]]) != 1:
        kept = [axis for axis in range(len(source.shape)) if axis not in axes]
        source = _transposed(builder, source, (*axes, *kept))
        axes = list(range(len(axes)))
    cells = math.prod(source.shape[axes[0] : axes[-1] + 1])
    channels = math.prod(source.shape[axes[-1] + 1 :])
    plain = len(source.shape) == 3 and axes == [0, 1]
    given = source if plain else builder.reshaped(source, (cells, 1, channels))
    builder.finish_reshaped(operator, (1, 1, channels), ops.Mean, given.name)


@handles("REDUCE_MAX")
def _reduce_max(builder: Builder, operator: TfliteOperator) -> None:
    """Over rows and columns, which is a pooling with the whole input as its window."""
    source = builder.source(operator)
    axes = _reduced_axes(operator, source)
    if len(source.shape) != 3 or axes != [0, 1]:
        shown = [axis + 1 for axis in axes]
        raise ModelError(f"{operator}: maximum over {shown} of {source.shape}")
    height, width, channels = source.shape
    builder.finish_reshaped(
        operator,
        (1, 1, channels),
        ops.MaxPool2D,
        source.name,
        kernel=(height, width),
        stride=(1, 1),
    )


def _transposed(builder: Builder, source: Tensor, axes: tuple[int, ...]) -> Tensor:
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


@handles("TRANSPOSE")
def _transpose(builder: Builder, operator: TfliteOperator) -> None:
    source = builder.source(operator)
    rank = len(source.shape) + 1
    order = [_axis(operator, int(axis), rank) for axis in _numbers(operator, 1).ravel()]
    if sorted(order) != list(range(-1, rank - 1)):
        raise ModelError(f"{operator}: axes {[axis + 1 for axis in order]} of {rank}")
    axes = tuple(axis for axis in order if axis >= 0)
    shape = tuple(source.shape[axis] for axis in axes)
    ordered = [axis for axis in axes if source.shape[axis] > 1]
    if ordered == sorted(ordered):
        builder.renamed(operator, source)
    elif len(axes) <= ops.Transpose.most_axes:
        builder.finish_reshaped(operator, shape, ops.Transpose, source.name, axes=axes)
    else:
        builder.renamed(operator, _transposed(builder, source, axes))


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
    if 1 in given[1:3]:
        builder.renamed(operator, source)
    else:
        whole = builder.reshaped(source, shape)
        builder.finish_reshaped(operator, given, ops.Transpose, whole.name, axes=(0, 2, 1, 3))


@handles("SLICE")
def _slice(builder: Builder, operator: TfliteOperator) -> None:
    source = builder.source(operator)
    shape = (1, *source.shape)
    begin, size = (_numbers(operator, position).ravel().tolist() for position in (1, 2))
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
    numbers = [_numbers(operator, position).ravel().tolist() for position in (1, 2, 3)]
    if len({len(each) for each in numbers}) != 1 or len(numbers[0]) > len(shape):
        raise ModelError(f"{operator}: begin, end and strides {numbers} of {shape}")
    if options.EllipsisMask() or options.NewAxisMask() or options.Offset():
        raise ModelError(f"{operator}: an ellipsis, a new axis or an offset is not supported")
    begins, sizes, strides = [0] * len(shape), list(shape), [1] * len(shape)
    shrunk: list[int] = []
    for axis, (first, last, step) in enumerate(zip(*numbers, strict=True)):
        bit = 1 << axis
        if step < 1:
            raise ModelError(f"{operator}: a stride of {step}")
        if options.ShrinkAxisMask() & bit:
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
    if size == source.shape and not any(begin):
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
        axis = _axis(operator, options.Axis(), rank)
        if options.Num() != count:
            raise ModelError(f"{operator}: {options.Num()} parts into {count} outputs")
    else:
        numbers = _numbers(operator, 0 if operator.name == "SPLIT" else 2).ravel()
        if numbers.size != 1:
            raise ModelError(f"{operator}: axes {numbers.tolist()}")
        axis = _axis(operator, int(numbers[0]), rank)
    if axis < 0:
        raise ModelError(f"{operator}: along the batch")
    whole = source.shape[axis]
    sizes = [whole // count] * count
    if operator.name == "SPLIT_V":
        sizes = _numbers(operator, 1).ravel().tolist()
        if sizes.count(-1) == 1:
            sizes[sizes.index(-1)] = whole - sum(sizes) - 1
    if len(sizes) != count or sum(sizes) != whole or min(sizes) < 1:
        raise ModelError(f"{operator}: parts of {sizes} of {source.shape} along axis {axis + 1}")
    begin = 0
    for position, size in enumerate(sizes):
        shrunk = [axis] if operator.name == "UNPACK" else []
        _take(builder, operator, source, _along(source, axis, begin, size), shrunk, position)
        begin += size


@handles("PACK")
def _pack(builder: Builder, operator: TfliteOperator) -> None:
    """Tensors behind each other along a new axis."""
    given = operator.outputs[0]
    options = options_of(operator, "PackOptions")
    axis = _axis(operator, options.Axis(), len(given.shape))
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
    times = _numbers(operator, 1).ravel().tolist()
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
    amounts = _numbers(operator, 1)
    if amounts.shape != (len(source.shape) + 1, 2) or np.any(amounts[0]) or amounts.shape[0] > 4:
        raise ModelError(f"{operator}: paddings {amounts.tolist()}")
    value: int | None = None
    if len(operator.inputs) > 2:
        given = operator.inputs[2]
        if given is None or given.type != "INT8" or given.values is None or given.values.size != 1:
            raise ModelError(f"{operator}: the value, {given}, has to be one constant of int8")
        value = int(given.values.ravel()[0])
        value = None if value == source.quantization.zero_point else value
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


@handles("QUANTIZE")
def _quantize(builder: Builder, operator: TfliteOperator) -> None:
    builder.finish(operator, ops.Requantize, builder.source(operator).name)


@handles("RELU")
def _relu(builder: Builder, operator: TfliteOperator) -> None:
    source = builder.source(operator)
    if source.quantization == builder.target(operator):
        _same_grid(builder, operator, 0, clamp_of("RELU", source.quantization))
    else:
        builder.finish(operator, ops.Relu, source.name)


@handles("RELU6")
def _relu6(builder: Builder, operator: TfliteOperator) -> None:
    source = builder.source(operator)
    if source.quantization == builder.target(operator):
        _same_grid(builder, operator, 0, clamp_of("RELU6", source.quantization))
    else:
        builder.notes.append(
            f"{operator}: input and output differ in scale, which TFLite-Micro's RELU6 does not "
            "heed; the result is TFLite-Micro's, and not TensorFlow Lite's"
        )
        builder.finish(operator, ops.Relu6, source.name)


@handles("LEAKY_RELU")
def _leaky_relu(builder: Builder, operator: TfliteOperator) -> None:
    alpha = float(options_of(operator, "LeakyReluOptions").Alpha())
    builder.finish(operator, ops.LeakyRelu, builder.source(operator).name, alpha=alpha)


@handles("HARD_SWISH")
def _hard_swish(builder: Builder, operator: TfliteOperator) -> None:
    builder.finish(operator, ops.HardSwish, builder.source(operator).name)


@handles("PRELU")
def _prelu(builder: Builder, operator: TfliteOperator) -> None:
    source, slope = builder.source(operator), builder.operand(operator, 1, strip=True)
    builder.finish(operator, ops.Prelu, source.name, slope.name)


def _resize(kind: type[ops.Resize], table: str) -> Handler:
    def handler(builder: Builder, operator: TfliteOperator) -> None:
        options = options_of(operator, table)
        size = _numbers(operator, 1).ravel().tolist()
        if len(size) != 2:
            raise ModelError(f"{operator}: a size of {size}")
        builder.finish(
            operator,
            kind,
            builder.source(operator).name,
            size=(size[0], size[1]),
            align_corners=bool(options.AlignCorners()),
            half_pixel=bool(options.HalfPixelCenters()),
        )

    return handler


handles("RESIZE_NEAREST_NEIGHBOR")(_resize(ops.ResizeNearest, "ResizeNearestNeighborOptions"))
handles("RESIZE_BILINEAR")(_resize(ops.ResizeBilinear, "ResizeBilinearOptions"))


@handles("LOGISTIC")
def _logistic(builder: Builder, operator: TfliteOperator) -> None:
    builder.finish(operator, ops.Logistic, builder.source(operator).name)


@handles("TANH")
def _tanh(builder: Builder, operator: TfliteOperator) -> None:
    builder.finish(operator, ops.Tanh, builder.source(operator).name)


@handles("SOFTMAX")
def _softmax(builder: Builder, operator: TfliteOperator) -> None:
    beta = float(options_of(operator, "SoftmaxOptions").Beta())
    builder.finish(operator, ops.Softmax, builder.source(operator).name, beta=beta)


@handles("LOG_SOFTMAX")
def _log_softmax(builder: Builder, operator: TfliteOperator) -> None:
    builder.finish(operator, ops.LogSoftmax, builder.source(operator).name)
