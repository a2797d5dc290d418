"""From the operators of a ``.tflite`` file to those of the integer graph."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import tflite
from numpy.typing import NDArray

from tinyedge.errors import ModelError
from tinyedge.graph import operators as ops
from tinyedge.graph.activations import FUSED, clamp_of
from tinyedge.graph.graph import METADATA_NAME, Graph
from tinyedge.graph.pruning import CONSTANT_CHANNELS, without_constant_channels
from tinyedge.graph.simplify import simplify
from tinyedge.graph.tensors import Quantization, Tensor, Weights
from tinyedge.importers.result import ImportResult, file_hash
from tinyedge.importers.tflite.blockers import SECTION, Blockers
from tinyedge.importers.tflite.builder import Builder
from tinyedge.importers.tflite.reader import (
    TfliteModel,
    TfliteOperator,
    TfliteTensor,
    reading,
)
from tinyedge.naming import clean_name

_ACTIVATIONS = {
    value: name
    for name, value in vars(tflite.ActivationFunctionType).items()
    if isinstance(value, int)
}
_INTEGER_TYPES = ("INT32", "INT64")

Handler = Callable[[Builder, TfliteOperator], None]
_HANDLERS: dict[str, Handler] = {}


def _handles(*names: str) -> Callable[[Handler], Handler]:
    def register(handler: Handler) -> Handler:
        _HANDLERS.update(dict.fromkeys(names, handler))
        return handler

    return register


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
    if model.subgraphs != 1:
        blockers.add(
            ModelError(f"{model.subgraphs} subgraphs", "supported: one, without control flow")
        )
    for kind, tensors in (("inputs", model.inputs), ("outputs", model.outputs)):
        if len(tensors) != 1:
            blockers.add(
                ModelError(f"{len(tensors)} {kind}", hint="supported: one input, one output")
            )
    builder = Builder()
    if model.inputs:
        with blockers.collecting():
            builder.begin(model.inputs[0])
    _go_on(builder, blockers, model.inputs[1:])
    results = {tensor.index for tensor in model.outputs}
    for operator in model.operators:
        if _only_shapes(operator, results):
            continue
        with blockers.collecting(operator):
            _add(builder, operator, blockers)
        _go_on(builder, blockers, operator.outputs)
    blockers.refuse()
    graph = simplify(builder.graph(path.stem, model.outputs[0]))
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
    handler = _HANDLERS.get(operator.name)
    if handler is None:
        raise ModelError(
            f"{operator}: this operator (version {operator.version}) is not supported",
            hint=f"supported: {', '.join(sorted(_HANDLERS))} ({SECTION})",
        )
    for tensor in (*operator.inputs, *operator.outputs):
        if tensor and tensor.type in ("FLOAT32", "FLOAT16", "INT16", "UINT8"):
            raise ModelError(
                f"{operator}: {tensor}",
                hint="only fully int8 models can be imported: convert with full integer "
                f"quantization, int8 weights and activations ({SECTION})",
            )
    if len(operator.outputs) != 1 or not operator.inputs:
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


def _options(operator: TfliteOperator, kind: str) -> Any:
    """The options of an operator, of the table that the schema calls so."""
    if operator.options_type != getattr(tflite.BuiltinOptions, kind) or not operator.options_table:
        raise ModelError(f"{operator}: its options are not {kind}")
    options = getattr(tflite, kind)()
    options.Init(operator.options_table.Bytes, operator.options_table.Pos)
    return options


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
    operator: TfliteOperator, axis: int, order: tuple[int, ...]
) -> tuple[Weights, NDArray[np.int32]]:
    """Weights with the output channel, now at ``axis``, in front, and the bias.

    Args:
        operator: input 1 is its weights, input 2 its bias, which may be missing.
        axis: of the output channels in the file.
        order: transposes the file's layout into the graph's; axes left out have a size of one.
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
    bias = operator.inputs[2] if len(operator.inputs) > 2 else None
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
        options = _options(operator, table)
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
        builder.finish(
            operator,
            kind,
            source.name,
            weights=weights,
            bias=bias,
            dilation=dilation,
            clamp=_clamp(operator, options, builder.target(operator)),
            **_window(operator, options, source, kernel, dilation),
        )

    return handler


_handles("CONV_2D")(_convolution(ops.Conv2D, "Conv2DOptions", 0, (0, 1, 2, 3)))
_handles("DEPTHWISE_CONV_2D")(
    _convolution(ops.DepthwiseConv2D, "DepthwiseConv2DOptions", 3, (3, 1, 2))
)


@_handles("FULLY_CONNECTED")
def _fully_connected(builder: Builder, operator: TfliteOperator) -> None:
    """A matrix product; with several rows it is a convolution of one cell."""
    options = _options(operator, "FullyConnectedOptions")
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
        options = _options(operator, table)
        operands = [builder.operand(operator, i, strip=True).name for i in range(2)]
        clamp = _clamp(operator, options, builder.target(operator))
        shape = kind(name=operator.name, inputs=(), output="").output_shape(
            [builder.tensors[name].shape for name in operands]
        )
        builder.finish_reshaped(operator, shape, kind, *operands, clamp=clamp)

    return handler


_handles("ADD")(_elementwise(ops.Add, "AddOptions"))
_handles("SUB")(_elementwise(ops.Sub, "SubOptions"))
_handles("MUL")(_elementwise(ops.Mul, "MulOptions"))


@_handles("MAXIMUM", "MINIMUM")
def _limit(builder: Builder, operator: TfliteOperator) -> None:
    """With one constant value, a clamp; the integers are compared as they are."""
    sides = [tensor for tensor in operator.inputs if tensor and tensor.index not in builder.names]
    if len(operator.inputs) != 2 or len(sides) != 1 or sides[0].values is None:
        raise ModelError(f"{operator}: one of its inputs has to be constant")
    values = np.unique(sides[0].values)
    if sides[0].type != "INT8" or values.size != 1:
        raise ModelError(f"{operator}: {sides[0]} has to hold one int8 value")
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


@_handles("CONCATENATION")
def _concatenation(builder: Builder, operator: TfliteOperator) -> None:
    options = _options(operator, "ConcatenationOptions")
    if options.FusedActivationFunction() != tflite.ActivationFunctionType.NONE:
        raise ModelError(f"{operator}: a fused activation")
    axis = _axis(operator, options.Axis(), len(operator.outputs[0].shape))
    operands = [builder.operand(operator, i, strip=False).name for i in range(len(operator.inputs))]
    builder.finish(operator, ops.Concatenation, *operands, axis=axis)


def _pool2d(kind: type[ops.Pool2D]) -> Handler:
    def handler(builder: Builder, operator: TfliteOperator) -> None:
        options = _options(operator, "Pool2DOptions")
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


_handles("AVERAGE_POOL_2D")(_pool2d(ops.AveragePool2D))
_handles("MAX_POOL_2D")(_pool2d(ops.MaxPool2D))


def _reduced_axes(operator: TfliteOperator, source: Tensor) -> list[int]:
    """The axes of the graph that a reduction goes over, sorted; -1 for the batch."""
    _options(operator, "ReducerOptions")
    rank = len(source.shape) + 1
    return sorted({_axis(operator, int(axis), rank) for axis in _numbers(operator, 1).ravel()})


@_handles("MEAN")
def _mean(builder: Builder, operator: TfliteOperator) -> None:
    """Over axes that lie together, with nothing but axes of one before them."""
    source = builder.source(operator)
    axes = _reduced_axes(operator, source)
    together = bool(axes) and axes[0] >= 0 and axes == list(range(axes[0], axes[-1] + 1))
    if not together or math.prod(source.shape[: axes[0]]) != 1:
        raise ModelError(f"{operator}: mean over {[axis + 1 for axis in axes]} of {source.shape}")
    cells = math.prod(source.shape[axes[0] : axes[-1] + 1])
    channels = math.prod(source.shape[axes[-1] + 1 :])
    plain = len(source.shape) == 3 and axes == [0, 1]
    given = source if plain else builder.reshaped(source, (cells, 1, channels))
    builder.finish_reshaped(operator, (1, 1, channels), ops.Mean, given.name)


@_handles("REDUCE_MAX")
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


@_handles("PAD", "PADV2")
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


@_handles("RESHAPE", "SQUEEZE", "EXPAND_DIMS")
def _reshape(builder: Builder, operator: TfliteOperator) -> None:
    """The output's shape is known, wherever it was computed from."""
    source, given = builder.source(operator), operator.outputs[0]
    if math.prod(given.shape) != source.size:
        raise ModelError(
            f"{operator}: {source.shape} cannot become {given}",
            hint="a shape that is known at run time only: build the Keras model with batch_size=1",
        )
    if given.shape[1:] == source.shape and source.quantization == builder.target(operator):
        builder.names[given.index] = source.name
    else:
        builder.finish(operator, ops.Reshape, source.name, shape=given.shape[1:] or (1,))


@_handles("QUANTIZE")
def _quantize(builder: Builder, operator: TfliteOperator) -> None:
    builder.finish(operator, ops.Requantize, builder.source(operator).name)


@_handles("RELU")
def _relu(builder: Builder, operator: TfliteOperator) -> None:
    source = builder.source(operator)
    if source.quantization == builder.target(operator):
        _same_grid(builder, operator, 0, clamp_of("RELU", source.quantization))
    else:
        builder.finish(operator, ops.Relu, source.name)


@_handles("RELU6")
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


@_handles("LEAKY_RELU")
def _leaky_relu(builder: Builder, operator: TfliteOperator) -> None:
    alpha = float(_options(operator, "LeakyReluOptions").Alpha())
    builder.finish(operator, ops.LeakyRelu, builder.source(operator).name, alpha=alpha)


@_handles("LOGISTIC")
def _logistic(builder: Builder, operator: TfliteOperator) -> None:
    builder.finish(operator, ops.Logistic, builder.source(operator).name)


@_handles("TANH")
def _tanh(builder: Builder, operator: TfliteOperator) -> None:
    builder.finish(operator, ops.Tanh, builder.source(operator).name)


@_handles("SOFTMAX")
def _softmax(builder: Builder, operator: TfliteOperator) -> None:
    beta = float(_options(operator, "SoftmaxOptions").Beta())
    builder.finish(operator, ops.Softmax, builder.source(operator).name, beta=beta)
