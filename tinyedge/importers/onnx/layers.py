"""ONNX's operators on what is computed: layers, activations, and what moves their values."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from tinyedge.errors import ModelError
from tinyedge.graph import operators as ops
from tinyedge.importers import nodes as n
from tinyedge.importers.onnx.folding import moved, shape_of
from tinyedge.importers.onnx.reader import OnnxNode
from tinyedge.importers.onnx.tracing import (
    LARGEST_CONSTANT,
    Array,
    Flow,
    Places,
    Quantized,
    Tracer,
    Value,
    checks,
    grid_of,
    handles,
    known_grid,
)
from tinyedge.keras.grids import Float64, Grid

QUANTIZE = (
    "tinyedge quantize MODEL --calibration FILE -o DIR makes int8 of floats; or train it with "
    "Brevitas and export QONNX"
)
"""The way out for a model of floats."""


# Values that move.


@handles("Transpose", "Reshape", "Flatten", "Squeeze", "Unsqueeze")
def _moved(tracer: Tracer, each: OnnxNode) -> Value:
    flow = tracer.optional(each, 0)
    if not isinstance(flow, Flow):
        raise ModelError(f"{each}: its shape has to be constant")
    places = moved(tracer, each, flow.places)
    if places.ndim == 0:
        raise ModelError(f"{each}: nothing but the batch is left")
    return Flow(flow.node, places, flow.moved)


@handles("Identity", "Dropout", "Cast")
def _same(tracer: Tracer, each: OnnxNode) -> Value:
    flow = tracer.optional(each, 0)
    if not isinstance(flow, Flow):
        raise ModelError(f"{each}: input 0 has to be computed from the model's input")
    if each.kind == "Cast":
        return cast(tracer, each, flow)
    return flow


def cast(tracer: Tracer, each: OnnxNode, flow: Flow) -> Flow:
    """Between floats, or bytes of the input as the numbers that they are."""
    to = each.attributes.get("to")
    if to not in (1, 10, 11):
        raise ModelError(f"{each}: to type {to}; allowed: floats")
    if flow.integer:
        if not isinstance(flow.node, n.Input) or flow.node.grid:
            raise ModelError(f"{each}: of integers that are not the model's input")
        tracer.give_grid(each, 1.0, 0.0)
    return Flow(flow.node, flow.places)


@handles("Shape")
def _shape(tracer: Tracer, each: OnnxNode) -> Value:
    flow = tracer.optional(each, 0)
    if not isinstance(flow, Flow):
        raise ModelError(f"{each}: {len(each.inputs)} inputs, allowed: one")
    return shape_of(each, flow.shape)


# Layers with weights.


def weights_of(each: OnnxNode, value: Value | None) -> Quantized:
    """Weights that are integers with scales; raises ModelError where they are floats."""
    if isinstance(value, Flow) or value is None:
        raise ModelError(f"{each}: its weights have to be constant")
    if not isinstance(value, Quantized):
        raise ModelError(f"{each}: its weights are not quantized", QUANTIZE)
    if value.codes.size and (value.codes.min() < -128 or value.codes.max() > 127):
        raise ModelError(f"{each}: its weights are not of 8 bits or fewer")
    return value


@checks("Conv", "Gemm", "MatMul")
def _check_weights(tracer: Tracer, each: OnnxNode) -> None:
    weights_of(each, tracer.optional(each, 1))


def channel_scales(each: OnnxNode, weights: Quantized, axis: int) -> Float64:
    """One scale for each output channel, which lie along an axis; raises ModelError for others."""
    codes = weights.codes
    scales = np.moveaxis(np.broadcast_to(weights.scales, codes.shape), axis, 0)
    rows = scales.reshape(codes.shape[axis], -1)
    if rows.shape[1] == 0 or np.any(rows != rows[:, :1]):
        raise ModelError(f"{each}: the scales of its weights do not belong to output channels")
    if not np.all(np.isfinite(rows) & (rows != 0)):
        raise ModelError(f"{each}: the scales of its weights are not finite, or zero")
    return rows[:, 0].copy()


def bias_of(tracer: Tracer, each: OnnxNode, position: int, flow: Flow, scales: Float64) -> Float64:
    """A bias as real numbers, (out,); one of integers stays what it is.

    The file's scale is the product of input's and weights' scale, rounded to float32.
    """
    value = tracer.optional(each, position)
    if value is None:
        return np.zeros(len(scales))
    given = grid_of(flow)
    if isinstance(value, Quantized) and given and value.codes.size == len(scales):
        unit = given.scale * scales.astype(np.float32).astype(np.float64)
        told = np.broadcast_to(value.scales, value.codes.shape).ravel()
        if np.allclose(told, unit, rtol=1e-5, atol=0.0):
            return np.asarray(value.codes.ravel() * unit)
    bias = tracer.constant(each, position).astype(np.float64)
    if bias.size not in (1, len(scales)) or not np.all(np.isfinite(bias)):
        raise ModelError(f"{each}: a bias of shape {bias.shape} for {len(scales)} channels")
    return np.broadcast_to(bias.ravel(), len(scales)).copy()


def pair(each: OnnxNode, name: str, axes: int, default: int = 1) -> ops.Pair:
    """Two numbers of an attribute; along one axis the first is for the height that is added."""
    given = each.attributes.get(name) or [default] * axes
    if len(given) != axes:
        raise ModelError(f"{each}: {name} {given} for {axes} axes")
    first, second = [default, *given] if axes == 1 else given
    return int(first), int(second)


def padding_of(
    each: OnnxNode,
    size: ops.Pair,
    kernel: ops.Pair,
    stride: ops.Pair,
    dilation: ops.Pair,
    axes: int,
) -> ops.Padding:
    """Rows and columns that are added."""
    auto = each.attributes.get("auto_pad", "NOTSET")
    if auto == "SAME_UPPER":
        return ops.same_padding(size, kernel, stride, dilation)
    if auto == "SAME_LOWER":
        top, bottom, left, right = ops.same_padding(size, kernel, stride, dilation)
        return bottom, top, right, left
    if auto == "VALID":
        return 0, 0, 0, 0
    pads = each.attributes.get("pads") or [0] * 2 * axes
    if len(pads) != 2 * axes or min(pads) < 0:
        raise ModelError(f"{each}: pads {pads} for {axes} axes")
    if axes == 1:
        return 0, 0, int(pads[0]), int(pads[1])
    return int(pads[0]), int(pads[2]), int(pads[1]), int(pads[3])


@handles("Conv")
def _conv(tracer: Tracer, each: OnnxNode) -> Value:
    flow = tracer.flow_of(each)
    weights = weights_of(each, tracer.optional(each, 1))
    scales = channel_scales(each, weights, 0)
    bias, weights = bias_of(tracer, each, 2, flow, scales), _with_unit(tracer, each, weights)
    return convolution(tracer, each, flow, weights, bias)


def _with_unit(tracer: Tracer, each: OnnxNode, weights: Quantized) -> Quantized:
    """Weights whose sums may have a finer unit, where the bias is no integer of that unit."""
    real = isinstance(tracer.optional(each, 2), np.ndarray)
    return Quantized(weights.codes, weights.scales, weights.finer or real)


def slid(
    each: OnnxNode, image: n.Node, window: ops.Pair, stride: ops.Pair, padding: ops.Padding
) -> tuple[int, int, int]:
    """The shape behind a window that slides over an image, with the image's channels."""
    height, width, channels = image.shape
    rows, columns = height + sum(padding[:2]), width + sum(padding[2:])
    largest = max(*window, *stride, *padding)
    if largest > ops.MAXIMUM_WINDOW or rows * columns * channels > LARGEST_CONSTANT:
        raise ModelError(f"{each}: a window {window}, strides {stride}, pads {padding}")
    if window[0] > rows or window[1] > columns:
        raise ModelError(f"{each}: a window of {window} does not fit an input of {image.shape}")
    return (rows - window[0]) // stride[0] + 1, (columns - window[1]) // stride[1] + 1, channels


def convolution(
    tracer: Tracer, each: OnnxNode, flow: Flow, weights: Quantized, bias: Float64
) -> Flow:
    """A convolution over one or two axes, depthwise and grouped ones too."""
    scales = channel_scales(each, weights, 0)
    axes = weights.codes.ndim - 2
    if axes not in (1, 2) or len(flow.shape) != axes + 2 or not weights.codes.size:
        raise ModelError(f"{each}: weights {weights.codes.shape}, input {flow.shape}")
    image = tracer.image(each, flow)
    outputs, inputs, *window = weights.codes.shape
    height, width = [1, *window] if axes == 1 else window
    group, channels = int(each.attributes.get("group", 1)), image.shape[2]
    if group < 1 or inputs * group != channels or outputs % group:
        raise ModelError(
            f"{each}: {channels} channels in {group} groups, weights {weights.codes.shape}"
        )
    codes = weights.codes.reshape(outputs, inputs, height, width)
    stride, dilation = pair(each, "strides", axes), pair(each, "dilations", axes)
    if min(*stride, *dilation) < 1:
        raise ModelError(f"{each}: strides {stride}, dilations {dilation}")
    size = (image.shape[0], image.shape[1])
    padding = padding_of(each, size, (height, width), stride, dilation, axes)
    spanned = ((height - 1) * dilation[0] + 1, (width - 1) * dilation[1] + 1)
    shape = (*slid(each, image, spanned, stride, padding)[:2], outputs)
    depthwise = group == channels and group > 1
    if group > 1 and not depthwise:
        tracer.notes.append(f"{each}: {group} groups become one, with weights of zero between them")
        codes = _ungrouped(each, codes, group)
    laid = codes[:, 0] if depthwise else codes.transpose(0, 2, 3, 1)
    tracer.count_products(each, math.prod(shape), laid[0].size)
    node = tracer.add(
        each,
        n.Linear,
        [image],
        kind="depthwise" if depthwise else "conv2d",
        codes=np.ascontiguousarray(laid.astype(np.int16)),
        scales=scales,
        bias=bias,
        shape=shape,
        stride=stride,
        dilation=dilation,
        padding=padding,
        finer=weights.finer,
    )
    return tracer.flow(node, tracer.channels_first(shape, len(flow.shape)))


def _ungrouped(each: OnnxNode, codes: Array, group: int) -> Array:
    """Weights (out, in / groups, height, width) for all channels."""
    outputs, inputs, height, width = codes.shape
    if codes.size * group > LARGEST_CONSTANT:
        raise ModelError(f"{each}: {group} groups of {inputs} channels")
    whole = np.zeros((outputs, group, inputs, height, width), codes.dtype)
    of_group = np.arange(outputs) // (outputs // group)
    whole[np.arange(outputs), of_group] = codes
    return whole.reshape(outputs, group * inputs, height, width)


@handles("Gemm")
def _gemm(tracer: Tracer, each: OnnxNode) -> Value:
    flow = tracer.flow_of(each)
    if each.attributes.get("transA", 0) or len(flow.shape) != 2:
        raise ModelError(f"{each}: an input of shape {flow.shape}, transposed or not a row")
    weights = weights_of(each, tracer.optional(each, 1))
    if weights.codes.ndim != 2:
        raise ModelError(f"{each}: weights of shape {weights.codes.shape}")
    if not each.attributes.get("transB", 0):
        weights = transposed(each, weights)
    alpha, beta = each.attributes.get("alpha", 1.0), each.attributes.get("beta", 1.0)
    weights = Quantized(weights.codes, weights.scales * alpha, weights.finer)
    scales = channel_scales(each, weights, 0)
    bias = beta * bias_of(tracer, each, 2, flow, scales)
    weights = _with_unit(tracer, each, weights)
    return product(tracer, each, flow, weights, bias)


def transposed(each: OnnxNode, weights: Quantized) -> Quantized:
    """Weights (in, out) as (out, in)."""
    if weights.codes.ndim != 2:
        raise ModelError(f"{each}: weights of shape {weights.codes.shape}")
    scales = np.broadcast_to(weights.scales, weights.codes.shape)
    return Quantized(weights.codes.T, scales.T, weights.finer)


@handles("MatMul")
def _matmul(tracer: Tracer, each: OnnxNode) -> Value:
    flow = tracer.flow_of(each)
    weights = weights_of(each, tracer.optional(each, 1))
    weights = transposed(each, weights)
    return product(tracer, each, flow, weights, np.zeros(len(weights.codes)))


def product(tracer: Tracer, each: OnnxNode, flow: Flow, weights: Quantized, bias: Float64) -> Flow:
    """A matrix product; with several rows it is a convolution of one cell.

    Args:
        tracer: follows the file.
        each: the file's node.
        flow: (1, in) or (1, ..., in).
        weights: (out, in).
        bias: (out,).
    """
    scales = channel_scales(each, weights, 0)
    outputs, inputs = weights.codes.shape
    if flow.shape[-1] != inputs or len(flow.shape) < 2:
        raise ModelError(f"{each}: weights for {inputs} inputs, input {flow.shape}")
    codes = weights.codes.astype(np.int16)
    rows = math.prod(flow.shape[1:-1])
    tracer.count_products(each, rows * outputs, inputs)
    common: dict[str, Any] = {"scales": scales, "bias": bias, "finer": weights.finer}
    if rows == 1:
        # Columns in the order that the input lies in.
        laid = np.empty_like(codes)
        laid[:, flow.places.ravel()] = codes
        source = tracer.reshaped(each, flow.node, (inputs,))
        node = tracer.add(
            each, n.Linear, [source], kind="dense", codes=laid, shape=(outputs,), **common
        )
        shape = (*flow.shape[1:-1], outputs)
        return tracer.flow(node, tracer.in_order((outputs,)).reshape(1, *shape))
    source = tracer.ordered(each, flow, (1, rows, inputs))
    cells = codes.reshape(outputs, 1, 1, inputs)
    node = tracer.add(
        each, n.Linear, [source], kind="conv2d", codes=cells, shape=(1, rows, outputs), **common
    )
    places = tracer.in_order((1, rows, outputs)).reshape(*flow.shape[:-1], outputs)
    return tracer.flow(node, places)


# Arithmetic.


@handles("BatchNormalization")
def _batch_normalization(tracer: Tracer, each: OnnxNode) -> Value:
    flow = tracer.flow_of(each)
    gamma, beta, mean, variance = (
        tracer.constant(each, i).astype(np.float64).ravel() for i in range(1, 5)
    )
    if each.attributes.get("training_mode", 0):
        raise ModelError(f"{each}: in training mode")
    scale = gamma / np.sqrt(variance + each.attributes.get("epsilon", 1e-5))
    offset = beta - mean * scale
    column = (1, -1, *[1] * (len(flow.shape) - 2))
    spread = [_by_channel(each, flow, x.reshape(column)) for x in (beta, np.abs(gamma))]
    return affine(
        tracer,
        each,
        flow,
        scale.reshape(column),
        offset.reshape(column),
        spread=(spread[0], spread[1]),
    )


def _by_channel(each: OnnxNode, flow: Flow, values: Array) -> Float64:
    """A constant, broadcast to the flow's shape, as one value for each channel as they lie."""
    try:
        whole = np.broadcast_to(values.astype(np.float64), flow.shape)
    except ValueError:
        raise ModelError(f"{each}: a constant {values.shape} with {flow.shape}") from None
    laid = np.empty(flow.places.size)
    laid[flow.places.ravel()] = whole.ravel()
    rows = laid.reshape(-1, flow.node.shape[-1])
    if np.any(rows != rows[:1]):
        raise ModelError(f"{each}: a constant that differs within a channel")
    if not np.all(np.isfinite(rows)):
        raise ModelError(f"{each}: a constant that is not finite")
    found: Float64 = rows[0].copy()
    return found


def affine(
    tracer: Tracer,
    each: OnnxNode,
    flow: Flow,
    scale: Array,
    offset: Array,
    spread: tuple[Float64, Float64] | None = None,
    part: str = "",
) -> Flow:
    """``scale * x + offset``, constants that differ between channels at most."""
    node = tracer.add(
        each,
        n.Affine,
        [flow.node],
        scale=_by_channel(each, flow, scale),
        offset=_by_channel(each, flow, offset),
        shape=flow.node.shape,
        spread=spread,
        part=part,
    )
    return tracer.flow(node, flow.places)


_KINDS: dict[str, type[n.Elementwise]] = {"Add": n.Add, "Sum": n.Add, "Sub": n.Sub, "Mul": n.Mul}


@handles("Add", "Sub", "Mul", "Div", "Sum")
def _arithmetic(tracer: Tracer, each: OnnxNode) -> Value:
    if len(each.inputs) != 2:
        raise ModelError(f"{each}: {len(each.inputs)} inputs, allowed: two")
    first, second = tracer.optional(each, 0), tracer.optional(each, 1)
    if isinstance(first, Flow) and isinstance(second, Flow):
        flows = [tracer.flow_of(each, position) for position in (0, 1)]
        if each.kind == "Div":
            raise ModelError(f"{each}: by a value that is computed")
        return elementwise(tracer, each, _KINDS[each.kind], flows)
    position = 0 if isinstance(first, Flow) else 1
    flow = tracer.flow_of(each, position)
    constant = tracer.constant(each, 1 - position).astype(np.float64)
    one, zero = np.ones(1), np.zeros(1)
    match each.kind:
        case "Add" | "Sum":
            return affine(tracer, each, flow, one, constant)
        case "Sub" if position == 0:
            return affine(tracer, each, flow, one, -constant)
        case "Sub":
            return affine(tracer, each, flow, -one, constant)
        case "Mul":
            return affine(tracer, each, flow, constant, zero)
        case _ if position == 0:
            return affine(tracer, each, flow, 1.0 / constant, zero)
        case _:
            raise ModelError(f"{each}: by a value that is computed")


def elementwise(
    tracer: Tracer, each: OnnxNode, kind: type[n.Elementwise], flows: list[Flow]
) -> Flow:
    """An operator on two values, whose elements have to lie in one order."""
    first, second = flows
    if np.array_equal(first.places, second.places):
        places, shape = first.places, first.node.shape
        sources = [first.node, tracer.reshaped(each, second.node, shape)]
    elif first.shape != second.shape and not _images_of_one_rank(first, second):
        raise ModelError(
            f"{each}: of values of shapes {first.shape} and {second.shape}, allowed: one shape, or "
            "images of as many axes, each as long as the other's or 1"
        )
    elif len(first.shape) >= 3:
        sources = [tracer.image(each, flow) for flow in flows]
        shape = tuple(int(size) for size in np.broadcast_shapes(*(x.shape for x in sources)))
        places = tracer.channels_first(shape, len(first.shape))
    else:
        raise tracer.misplacement(each)
    node = tracer.add(each, kind, sources, shape=shape)
    return tracer.flow(node, places)


def _images_of_one_rank(first: Flow, second: Flow) -> bool:
    """Whether two values are images that an operator may take together."""
    pairs = zip(first.shape, second.shape, strict=False)
    return len(first.shape) == len(second.shape) in (3, 4) and all(
        a == b or 1 in (a, b) for a, b in pairs
    )


@handles("Concat")
def _concat(tracer: Tracer, each: OnnxNode) -> Value:
    first = tracer.optional(each, 0)
    integer = isinstance(first, Flow) and first.integer
    flows = [tracer.flow_of(each, i, integer=integer) for i in range(len(each.inputs))]
    if integer and len({(grid_of(flow), flow.moved) for flow in flows}) != 1:
        raise ModelError(f"{each}: of integers with several scales or types")
    return concatenated(tracer, each, flows)


def concatenated(tracer: Tracer, each: OnnxNode, flows: list[Flow]) -> Flow:
    """Values behind each other; images along any axis, rows along their only one."""
    ranks = {len(flow.shape) for flow in flows}
    rank = ranks.pop()
    axis = each.attributes["axis"]
    axis = axis + rank if axis < 0 else axis
    if ranks or not 1 <= axis < rank:
        raise ModelError(f"{each}: axis {axis} of inputs of {sorted(ranks | {rank})} axes")
    if rank == 2:
        sources = [tracer.reshaped(each, flow.node, (flow.places.size,)) for flow in flows]
        offsets = np.cumsum([0, *(flow.places.size for flow in flows)])
        places: Places = np.concatenate(
            [flow.places + offset for flow, offset in zip(flows, offsets, strict=False)], axis=1
        ).astype(np.int32)
        along = 0
        shape: tuple[int, ...] = (int(offsets[-1]),)
    else:
        sources = [tracer.image(each, flow) for flow in flows]
        along = 2 if axis == 1 else axis - rank + 2
        sizes = [source.shape for source in sources]
        rest = {(*size[:along], *size[along + 1 :]) for size in sizes}
        if len(rest) != 1:
            raise ModelError(f"{each}: inputs {', '.join(str(flow.shape) for flow in flows)}")
        total = sum(size[along] for size in sizes)
        shape = (*sizes[0][:along], total, *sizes[0][along + 1 :])
        places = tracer.channels_first(shape, rank)
    node = tracer.add(each, n.Concatenation, sources, shape=shape, axis=along)
    if flows[0].integer:
        common = grid_of(flows[0])
        if common is None:
            raise ModelError(f"{each}: integers of no known scale")
        node.grid = Grid(common)
    return tracer.flow(node, places, moved=flows[0].moved)


# Activations.


@handles("Relu", "Clip")
def _clip(tracer: Tracer, each: OnnxNode) -> Value:
    given = tracer.optional(each, 0)
    if isinstance(given, Flow) and given.integer and each.kind == "Clip":
        return _clipped_integers(tracer, each, given)
    flow = tracer.flow_of(each)
    low, high = 0.0, math.inf
    if each.kind == "Clip":
        attributes = each.attributes
        low = tracer.scalar(each, 1, attributes.get("min", -math.inf))
        high = tracer.scalar(each, 2, attributes.get("max", math.inf))
    if not low <= 0.0 <= high:
        raise ModelError(f"{each}: from {low} to {high}, which leaves zero out")
    node = tracer.add(each, n.Activation, [flow.node], shape=flow.node.shape, bounds=(low, high))
    return tracer.flow(node, flow.places)


def _clipped_integers(tracer: Tracer, each: OnnxNode, flow: Flow) -> Flow:
    """Fewer bits in a byte, as Brevitas writes them."""
    quantization = grid_of(flow)
    limits = [tracer.constant(each, position) for position in (1, 2)]
    if quantization is None or any(limit.size != 1 for limit in limits):
        raise ModelError(f"{each}: integers of no known scale, or several limits")
    moved = flow.moved or 0
    low, high = (int(limit.astype(np.int64).ravel()[0]) + moved for limit in limits)
    if not -128 <= low <= quantization.zero_point <= high <= 127:
        raise ModelError(f"{each}: from {low - moved} to {high - moved}, which leaves zero out")
    return tracer.quantized(each, flow, Grid(quantization, (low, high)), moved=moved)


@handles("Sigmoid", "Tanh", "LeakyRelu", "Softmax")
def _function(tracer: Tracer, each: OnnxNode) -> Value:
    return function(tracer, each, tracer.flow_of(each), each.kind)


def function(tracer: Tracer, each: OnnxNode, flow: Flow, kind: str) -> Flow:
    """A function that is looked up, or softmax over the last axis."""
    name = {"Sigmoid": "logistic", "Tanh": "tanh", "LeakyRelu": "leaky_relu"}.get(kind, "softmax")
    source = flow.node
    if name == "softmax":
        axis = each.attributes.get("axis", -1 if tracer.model.opset >= 13 else 1)
        sizes = flow.shape[axis:] if tracer.model.opset < 13 else (flow.shape[axis],)
        last = flow.shape[-1]
        if math.prod(sizes) != last or axis not in (-1, len(flow.shape) - 1):
            raise ModelError(f"{each}: over axis {axis} of {flow.shape}, allowed: the last")
        source = tracer.ordered(each, flow, flow.shape[1:])
    node = tracer.add(
        each,
        n.Function,
        [source],
        kind=name,
        shape=source.shape,
        alpha=float(each.attributes.get("alpha", 0.01)),
    )
    return tracer.flow(node, flow.places)


# Pools and padding.


@handles("MaxPool", "AveragePool")
def _pool(tracer: Tracer, each: OnnxNode) -> Value:
    flow = tracer.optional(each, 0)
    integer = isinstance(flow, Flow) and flow.integer and each.kind == "MaxPool"
    return pool(tracer, each, tracer.flow_of(each, integer=integer), each.kind)


def pool(tracer: Tracer, each: OnnxNode, flow: Flow, kind: str) -> Flow:
    """A pool whose padding is as TensorFlow has it; else the padding is an operator before it."""
    image, axes = tracer.image(each, flow), len(flow.shape) - 2
    if any(size != 1 for size in each.attributes.get("dilations") or []):
        raise ModelError(f"{each}: dilations")
    if len(each.outputs) > 1 and each.outputs[1]:
        raise ModelError(f"{each}: the indices of its maxima")
    if not each.attributes.get("kernel_shape"):
        raise ModelError(f"{each}: no kernel_shape")
    kernel, stride = pair(each, "kernel_shape", axes), pair(each, "strides", axes)
    if min(*kernel, *stride) < 1:
        raise ModelError(f"{each}: a window {kernel}, strides {stride}")
    size = (image.shape[0], image.shape[1])
    padding = padding_of(each, size, kernel, stride, (1, 1), axes)
    whole = kind == "AveragePool" and kernel == size and not any(padding)
    if whole:
        return _averaged(tracer, each, image, flow.shape[:2] + (1,) * axes)
    rows, columns, _ = slid(each, image, kernel, stride, padding)
    ceil = bool(each.attributes.get("ceil_mode", 0))
    needed: list[int] = []
    for i, out in enumerate((rows, columns)):
        before, behind = padding[2 * i : 2 * i + 2]
        rest = (size[i] + before + behind - kernel[i]) % stride[i]
        if ceil and rest and out * stride[i] < size[i] + before:
            out += 1  # noqa: PLW2901 - a window that begins inside
        # What no window reaches needs no padding; what is left over is cropped.
        needed += [before, max((out - 1) * stride[i] + kernel[i] - size[i] - before, 0), out]
    exact = (needed[0], needed[1], needed[3], needed[4])
    shape = (needed[2], needed[5], image.shape[2])
    tracer.count_products(each, math.prod(shape), math.prod(kernel))
    same = exact == ops.same_padding(size, kernel, stride)
    counted = kind == "AveragePool" and bool(each.attributes.get("count_include_pad", 0))
    if counted and ceil and exact != padding:
        raise ModelError(f"{each}: count_include_pad with ceil_mode")
    if any(exact) and (counted or not same):
        if kind == "AveragePool" and not counted:
            raise ModelError(f"{each}: pads {exact}; allowed: none, SAME, or count_include_pad")
        padded = (size[0] + sum(exact[:2]), size[1] + sum(exact[2:]), image.shape[2])
        image = tracer.add(
            each,
            n.Pad,
            [image],
            shape=padded,
            padding=exact,
            lowest=kind == "MaxPool",
            part="/padded",
        )
        tracer.flow(image, tracer.channels_first(padded))
        exact = (0, 0, 0, 0)
    node = tracer.add(
        each,
        n.Pool,
        [image],
        kind="max" if kind == "MaxPool" else "average",
        kernel=kernel,
        stride=stride,
        padding=exact,
        shape=shape,
    )
    return tracer.flow(node, tracer.channels_first(shape, len(flow.shape)), moved=flow.moved)


@handles("GlobalAveragePool")
def _global_average(tracer: Tracer, each: OnnxNode) -> Value:
    return global_average(tracer, each, tracer.flow_of(each))


def global_average(tracer: Tracer, each: OnnxNode, flow: Flow) -> Flow:
    """The mean of every channel."""
    shape = flow.shape[:2] + (1,) * (len(flow.shape) - 2)
    return _averaged(tracer, each, tracer.image(each, flow), shape)


@handles("GlobalMaxPool")
def _global_maximum(tracer: Tracer, each: OnnxNode) -> Value:
    flow = tracer.flow_of(each)
    image = tracer.image(each, flow)
    size = (image.shape[0], image.shape[1])
    shape = (1, 1, image.shape[2])
    node = tracer.add(each, n.Pool, [image], kind="max", kernel=size, stride=size, shape=shape)
    return tracer.flow(node, tracer.channels_first(shape, len(flow.shape)))


@handles("ReduceMean")
def _reduce_mean(tracer: Tracer, each: OnnxNode) -> Value:
    flow = tracer.flow_of(each)
    rank = len(flow.shape)
    axes = sorted(axis % rank for axis in tracer.integers(each, "axes", 1) or range(rank))
    if rank not in (3, 4) or axes != list(range(2, rank)):
        raise ModelError(f"{each}: over axes {axes} of {rank}, allowed: all but batch and channels")
    kept = bool(each.attributes.get("keepdims", 1))
    shape = flow.shape[:2] + (1,) * (rank - 2) * kept
    return _averaged(tracer, each, tracer.image(each, flow), shape)


def _averaged(tracer: Tracer, each: OnnxNode, image: n.Node, shape: tuple[int, ...]) -> Flow:
    """A mean over rows and columns, whose value has ONNX's shape."""
    cells = (1, 1, image.shape[2])
    node = tracer.add(each, n.Mean, [image], shape=cells)
    return tracer.flow(node, tracer.in_order(cells).reshape(shape))


@handles("Pad")
def _pad(tracer: Tracer, each: OnnxNode) -> Value:
    first = tracer.optional(each, 0)
    integer = isinstance(first, Flow) and first.integer
    flow = tracer.flow_of(each, integer=integer)
    pads = tracer.integers(each, "pads", 1) or []
    rank = len(flow.shape)
    axes = tracer.integers(each, "axes", 3) or list(range(rank))
    if each.attributes.get("mode", "constant") != "constant" or len(pads) != 2 * len(axes):
        raise ModelError(f"{each}: mode {each.attributes.get('mode')}, pads {pads}")
    value = tracer.scalar(each, 2, float(each.attributes.get("value", 0.0)))
    filler = _filler(each, flow, value)
    amounts = dict.fromkeys(range(rank), (0, 0))
    for i, axis in enumerate(axes):
        amounts[axis % rank] = (pads[i], pads[i + len(axes)])
    image = tracer.image(each, flow)
    if any(amounts[0] + amounts[1]) or min(pads) < 0:
        raise ModelError(f"{each}: pads {pads}, allowed: rows and columns")
    rows = amounts[2] if rank == 4 else (0, 0)
    padding = (*rows, *amounts[rank - 1])
    height, width, channels = slid(each, image, (1, 1), (1, 1), padding)
    shape = (height, width, channels)
    node = tracer.add(each, n.Pad, [image], padding=padding, shape=shape, value=filler)
    return tracer.flow(node, tracer.channels_first(shape, rank), moved=flow.moved)


def _filler(each: OnnxNode, flow: Flow, value: float) -> int | None:
    """The int8 that stands for what a Pad adds; None for zero."""
    if flow.moved is None:
        if value:
            raise ModelError(f"{each}: pads with {value}, allowed: zero")
        return None
    filler, known = value + flow.moved, known_grid(flow)
    low, high = known.clamp if known else (-128, 127)
    if not low <= filler <= high:
        raise ModelError(
            f"{each}: pads with {value:g}, allowed: its input's {low - flow.moved} to "
            f"{high - flow.moved}"
        )
    return None if known and filler == known.quantization.zero_point else int(filler)
