"""Keras layers, one function a kind, into float nodes."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, Literal

import numpy as np

from tinyedge.errors import ModelError
from tinyedge.graph.operators import Padding, Pair, same_padding
from tinyedge.importers import nodes as n
from tinyedge.keras.grids import Float64
from tinyedge.keras.load import ends_in_softmax, is_softmax
from tinyedge.keras.quantizers import activation_grid, quantizer_name, weight_codes

Builder = Callable[[Any, list[n.Node]], list[n.Node]]
"""From a layer and its inputs to nodes in order, the last of which is the layer's value."""

_BUILDERS: dict[str, Builder] = {}


def _builds(*kinds: str) -> Callable[[Builder], Builder]:
    def register(builder: Builder) -> Builder:
        _BUILDERS.update(dict.fromkeys(kinds, builder))
        return builder

    return register


def supported_layers() -> list[str]:
    """The names of all layers that can be imported."""
    return sorted(_BUILDERS)


def trace(model: Any) -> list[n.Node]:
    """Turns a Keras model into nodes in execution order; the last one is the logits.

    Raises:
        ModelError: a layer, an activation or a quantizer is not supported; it is named.
    """
    values: dict[int, n.Node] = {}
    result: list[n.Node] = []
    used: dict[str, int] = {}
    output = model.outputs[0]
    for call in layer_calls(model):
        layer = call.layer
        inputs = [values[id(tensor)] for tensor in call.keras_inputs]
        built = _build(layer, inputs, call, output)
        count = used[layer.name] = used.get(layer.name, 0) + 1
        suffix = f"/call{count}" if count > 1 else ""
        for node in built:
            if node not in inputs:
                part = node.name + suffix
                node.value_of = part if node.name != layer.name else f"{part}/inner"
                if node is built[-1]:
                    node.value_of = layer.name + suffix
                node.name = part
                node.layers = (node.value_of,)
                result.append(node)
        values[id(call.outputs)] = built[-1]
    logits = values[id(output)]
    needed = _ancestors(logits)
    ordered = [node for node in result if id(node) in needed and node is not logits]
    return [*ordered, logits]


def layer_calls(model: Any) -> list[Any]:
    """The calls of a model's layers (Keras' nodes) in execution order."""
    by_depth = model._nodes_by_depth  # noqa: SLF001 - Keras has no public way to its calls
    return [call for depth in sorted(by_depth, reverse=True) for call in by_depth[depth]]


def _ancestors(node: n.Node) -> set[int]:
    found: set[int] = set()
    pending = [node]
    while pending:
        current = pending.pop()
        if id(current) not in found:
            found.add(id(current))
            pending += current.inputs
    return found


def _build(layer: Any, inputs: list[n.Node], call: Any, output: Any) -> list[n.Node]:
    kind = type(layer).__name__
    final = call.outputs is output
    if is_softmax(layer) or ends_in_softmax(layer):
        if not final:
            raise ModelError(
                f"layer '{layer.name}': softmax or sigmoid before the end of the model",
                hint="a softmax, or the sigmoid of one output, is supported as the last layer only",
            )
        if is_softmax(layer):
            return [inputs[0]]
    if f"Q{kind}" in _BUILDERS and kind not in _BUILDERS:
        raise ModelError(
            f"layer '{layer.name}': {kind} has float weights",
            hint=f"use Q{kind} and train with it; or make int8 of the model as it is: tinyedge "
            "quantize MODEL --calibration FILE -o DIR",
        )
    if kind not in _BUILDERS:
        raise ModelError(
            f"layer '{layer.name}': unsupported layer {kind}",
            hint=f"supported: {', '.join(supported_layers())}",
        )
    if getattr(layer, "data_format", "channels_last") != "channels_last":
        raise ModelError(f"layer '{layer.name}': channels come first", hint="use channels_last")
    if kind == "InputLayer":
        return [n.Input(name=layer.name, inputs=[], shape=tuple(call.outputs.shape[1:]))]
    return _BUILDERS[kind](layer, inputs)


def _pair(value: Any) -> Pair:
    height, width = (value, value) if isinstance(value, int) else value
    return int(height), int(width)


def _padding(layer: Any, shape: tuple[int, ...], kernel: Pair, dilation: Pair) -> Padding:
    if layer.padding == "same":
        return same_padding((shape[0], shape[1]), kernel, _pair(layer.strides), dilation)
    return (0, 0, 0, 0)


def _out_size(
    shape: tuple[int, ...], kernel: Pair, stride: Pair, dilation: Pair, pad: Padding
) -> Pair:
    sizes = [
        (shape[axis] + pad[2 * axis] + pad[2 * axis + 1] - (kernel[axis] - 1) * dilation[axis] - 1)
        // stride[axis]
        + 1
        for axis in (0, 1)
    ]
    return sizes[0], sizes[1]


def layer_bias(layer: Any, channels: int) -> Float64:
    """The quantized bias of a layer (channels,), zeros where it has none."""
    if not layer.use_bias:
        return np.zeros(channels)
    bias = layer.bias
    if layer.bias_quantizer is not None:
        bias = layer.bias_quantizer_internal(bias)
    return np.asarray(bias, dtype=np.float64)


def _per_channel(layer: Any, role: str, scales: Float64) -> Float64:
    """One scale an output channel, from scales (channels, ...)."""
    flat = scales.reshape(len(scales), -1)
    if np.any(flat != flat[:, :1]):
        raise ModelError(f"layer '{layer.name}': its {role} has several scales in one channel")
    return np.array(flat[:, 0], dtype=np.float64)


def _linear(
    layer: Any,
    source: n.Node,
    kind: Literal["conv2d", "depthwise"],
    role: str,
    quantizer: Any,
    kernel: Any,
    *,
    name: str,
    bias: Float64 | None = None,
    windowed: bool = True,
) -> n.Linear:
    """A convolution; ``windowed`` is false for the pointwise half of a separable one."""
    codes, scales = weight_codes(layer.name, role, quantizer, kernel)
    if kind == "conv2d":
        codes, scales = codes.transpose(3, 0, 1, 2), scales.transpose(3, 0, 1, 2)
        size: Pair = (codes.shape[1], codes.shape[2])
    else:  # (height, width, in, multiplier) to (in * multiplier, height, width)
        height, width, channels, multiplier = codes.shape
        size = (height, width)
        codes = codes.transpose(2, 3, 0, 1).reshape(channels * multiplier, height, width)
        scales = scales.transpose(2, 3, 0, 1).reshape(channels * multiplier, height, width)
    stride = _pair(layer.strides) if windowed else (1, 1)
    dilation = _pair(layer.dilation_rate) if windowed else (1, 1)
    padding = _padding(layer, source.shape, size, dilation) if windowed else (0, 0, 0, 0)
    rows, columns = _out_size(source.shape, size, stride, dilation, padding)
    return n.Linear(
        name=name,
        inputs=[source],
        shape=(rows, columns, len(codes)),
        kind=kind,
        codes=codes,
        scales=_per_channel(layer, role, scales),
        bias=np.zeros(len(codes)) if bias is None else bias,
        stride=stride,
        dilation=dilation,
        padding=padding,
    )


def _with_activation(layer: Any, built: list[n.Node]) -> list[n.Node]:
    """Appends the layer's own activation, if it has one."""
    activation = getattr(layer, "activation", None)
    if ends_in_softmax(layer):
        return built
    return [*built, *_activation(layer, activation, built[-1], f"{layer.name}/activation")]


def _activation(layer: Any, activation: Any, source: n.Node, name: str) -> list[n.Node]:
    kind = activation if isinstance(activation, str) else getattr(activation, "__name__", None)
    if activation is None or kind == "linear":
        return []
    if kind == "relu":
        return [n.Activation(name=name, inputs=[source], shape=source.shape, bounds=(0.0, np.inf))]
    if not hasattr(activation, "bits"):
        raise ModelError(
            f"layer '{layer.name}': activation {kind or quantizer_name(activation)}",
            hint="supported: quantized_relu and quantized_bits of 2 to 8 bits, relu, linear, and "
            "softmax at the end",
        )
    grid = activation_grid(layer.name, activation)
    return [n.Activation(name=name, inputs=[source], shape=source.shape, grid=grid)]


@_builds("InputLayer")
def _input(layer: Any, inputs: list[n.Node]) -> list[n.Node]:
    raise AssertionError("handled by _build, which knows the shape")


@_builds("QConv2D")
def _conv2d(layer: Any, inputs: list[n.Node]) -> list[n.Node]:
    if layer.groups != 1:
        raise ModelError(f"layer '{layer.name}': QConv2D with {layer.groups} groups")
    bias = layer_bias(layer, layer.filters)
    quantizer = layer.kernel_quantizer_internal
    node = _linear(
        layer, inputs[0], "conv2d", "kernel", quantizer, layer.kernel, name=layer.name, bias=bias
    )
    return _with_activation(layer, [node])


@_builds("QDepthwiseConv2D")
def _depthwise(layer: Any, inputs: list[n.Node]) -> list[n.Node]:
    channels = inputs[0].shape[2] * layer.depth_multiplier
    node = _linear(
        layer,
        inputs[0],
        "depthwise",
        "depthwise kernel",
        layer.depthwise_quantizer_internal,
        layer.depthwise_kernel,
        name=layer.name,
        bias=layer_bias(layer, channels),
    )
    return _with_activation(layer, [node])


@_builds("QSeparableConv2D")
def _separable(layer: Any, inputs: list[n.Node]) -> list[n.Node]:
    depthwise = _linear(
        layer,
        inputs[0],
        "depthwise",
        "depthwise kernel",
        layer.depthwise_quantizer_internal,
        layer.depthwise_kernel,
        name=f"{layer.name}/depthwise",
    )
    pointwise = _linear(
        layer,
        depthwise,
        "conv2d",
        "pointwise kernel",
        layer.pointwise_quantizer_internal,
        layer.pointwise_kernel,
        name=f"{layer.name}/pointwise",
        bias=layer_bias(layer, layer.filters),
        windowed=False,
    )
    return _with_activation(layer, [depthwise, pointwise])


@_builds("QDense")
def _dense(layer: Any, inputs: list[n.Node]) -> list[n.Node]:
    if len(inputs[0].shape) != 1:
        raise ModelError(
            f"layer '{layer.name}': QDense on a value of shape {inputs[0].shape}",
            hint="put a Flatten before it",
        )
    codes, scales = weight_codes(
        layer.name, "kernel", layer.kernel_quantizer_internal, layer.kernel
    )
    node = n.Linear(
        name=layer.name,
        inputs=inputs,
        shape=(layer.units,),
        kind="dense",
        codes=codes.T,
        scales=_per_channel(layer, "kernel", scales.T),
        bias=layer_bias(layer, layer.units),
    )
    return _with_activation(layer, [node])


@_builds("QActivation", "Activation")
def _activation_layer(layer: Any, inputs: list[n.Node]) -> list[n.Node]:
    activation = getattr(layer, "quantizer", None) or layer.activation
    return _activation(layer, activation, inputs[0], layer.name) or inputs


@_builds("ReLU")
def _relu(layer: Any, inputs: list[n.Node]) -> list[n.Node]:
    if layer.negative_slope or layer.threshold:
        raise ModelError(f"layer '{layer.name}': ReLU with a negative slope or a threshold")
    upper = np.inf if layer.max_value is None else float(layer.max_value)
    return [
        n.Activation(name=layer.name, inputs=inputs, shape=inputs[0].shape, bounds=(0.0, upper))
    ]


def normalization(layer: Any) -> tuple[Float64, Float64]:
    """Scale and offset, each (channels,), of batch normalization with its moving statistics."""
    mean, variance = (
        np.asarray(value, np.float64) for value in (layer.moving_mean, layer.moving_variance)
    )
    gamma = np.asarray(layer.gamma, np.float64) if layer.scale else np.ones_like(mean)
    beta = np.asarray(layer.beta, np.float64) if layer.center else np.zeros_like(mean)
    scale = gamma / np.sqrt(variance + layer.epsilon)
    return scale, beta - mean * scale


@_builds("BatchNormalization")
def _batch_normalization(layer: Any, inputs: list[n.Node]) -> list[n.Node]:
    axis = layer.axis if isinstance(layer.axis, int) else next(iter(layer.axis))
    if axis not in (-1, len(inputs[0].shape)):
        raise ModelError(f"layer '{layer.name}': BatchNormalization over axis {layer.axis}")
    scale, offset = normalization(layer)
    mean, variance = (
        np.asarray(value, np.float64) for value in (layer.moving_mean, layer.moving_variance)
    )
    return [
        n.Affine(
            name=layer.name,
            inputs=inputs,
            shape=inputs[0].shape,
            scale=scale,
            offset=offset,
            spread=(scale * mean + offset, np.abs(scale) * np.sqrt(variance)),
        )
    ]


@_builds("Rescaling")
def _rescaling(layer: Any, inputs: list[n.Node]) -> list[n.Node]:
    channels = inputs[0].shape[-1]
    return [
        n.Affine(
            name=layer.name,
            inputs=inputs,
            shape=inputs[0].shape,
            scale=np.broadcast_to(np.asarray(layer.scale, np.float64), channels),
            offset=np.broadcast_to(np.asarray(layer.offset, np.float64), channels),
        )
    ]


@_builds("Add")
def _add(layer: Any, inputs: list[n.Node]) -> list[n.Node]:
    if any(node.shape != inputs[0].shape for node in inputs):
        raise ModelError(f"layer '{layer.name}': Add of different shapes")
    total, built = inputs[0], []
    for index, node in enumerate(inputs[1:]):
        last = index == len(inputs) - 2
        name = layer.name if last else f"{layer.name}/partial{index + 1}"
        total = n.Add(name=name, inputs=[total, node], shape=node.shape)
        built.append(total)
    return list(built)


def _average(layer: Any, source: n.Node) -> n.Pool | n.Mean:
    """An average over windows; over one that takes in the whole value it is a mean.

    A mean has a grid of its own, where a pool keeps its input's steps.
    """
    pool = _pool(layer, source, "average")
    height, width, channels = source.shape
    top, _, left, _ = pool.padding
    whole = pool.kernel[0] - top >= height and pool.kernel[1] - left >= width
    if pool.shape[:2] != (1, 1) or not whole:
        return pool
    return n.Mean(name=layer.name, inputs=[source], shape=(1, 1, channels))


def _pool(layer: Any, source: n.Node, kind: Literal["max", "average"]) -> n.Pool:
    kernel, stride = _pair(layer.pool_size), _pair(layer.strides)
    padding = _padding(layer, source.shape, kernel, (1, 1))
    rows, columns = _out_size(source.shape, kernel, stride, (1, 1), padding)
    return n.Pool(
        name=layer.name,
        inputs=[source],
        shape=(rows, columns, source.shape[2]),
        kind=kind,
        kernel=kernel,
        stride=stride,
        padding=padding,
    )


@_builds("MaxPooling2D")
def _max_pooling(layer: Any, inputs: list[n.Node]) -> list[n.Node]:
    return [_pool(layer, inputs[0], "max")]


@_builds("AveragePooling2D")
def _average_pooling(layer: Any, inputs: list[n.Node]) -> list[n.Node]:
    return [_average(layer, inputs[0])]


def averaging_factor(layer: Any, area: int) -> float:
    """What QKeras' quantized reciprocal of the window's area makes of an average."""
    if layer.average_quantizer is None:
        return 1.0
    return float(np.squeeze(np.asarray(layer.average_quantizer_internal(1.0 / area)))) * area


def _averaging_factor(layer: Any, area: int, source: n.Node) -> list[n.Node]:
    if layer.average_quantizer is None:
        return []
    channels = source.shape[-1]
    return [
        n.Affine(
            name=f"{layer.name}/factor",
            inputs=[source],
            shape=source.shape,
            scale=np.full(channels, averaging_factor(layer, area)),
            offset=np.zeros(channels),
        )
    ]


@_builds("QAveragePooling2D")
def _q_average_pooling(layer: Any, inputs: list[n.Node]) -> list[n.Node]:
    average = _average(layer, inputs[0])
    area = math.prod(_pair(layer.pool_size))
    return _with_activation(layer, [average, *_averaging_factor(layer, area, average)])


def _without_space(layer: Any, node: n.Node) -> list[n.Node]:
    """Drops the rows and columns of a global pooling, unless the layer keeps them."""
    if layer.keepdims:
        return []
    return [n.Reshape(name=f"{layer.name}/flat", inputs=[node], shape=(node.shape[-1],))]


def _global_mean(layer: Any, source: n.Node) -> list[n.Node]:
    mean = n.Mean(name=layer.name, inputs=[source], shape=(1, 1, source.shape[2]))
    return [mean, *_without_space(layer, mean)]


@_builds("GlobalAveragePooling2D")
def _global_average_pooling(layer: Any, inputs: list[n.Node]) -> list[n.Node]:
    return _global_mean(layer, inputs[0])


@_builds("QGlobalAveragePooling2D")
def _q_global_average_pooling(layer: Any, inputs: list[n.Node]) -> list[n.Node]:
    built = _global_mean(layer, inputs[0])
    area = inputs[0].shape[0] * inputs[0].shape[1]
    return _with_activation(layer, [*built, *_averaging_factor(layer, area, built[-1])])


@_builds("GlobalMaxPooling2D")
def _global_max_pooling(layer: Any, inputs: list[n.Node]) -> list[n.Node]:
    height, width, channels = inputs[0].shape
    pool = n.Pool(
        name=layer.name,
        inputs=inputs,
        shape=(1, 1, channels),
        kind="max",
        kernel=(height, width),
        stride=(1, 1),
    )
    return [pool, *_without_space(layer, pool)]


@_builds("ZeroPadding2D")
def _zero_padding(layer: Any, inputs: list[n.Node]) -> list[n.Node]:
    (top, bottom), (left, right) = layer.padding
    height, width, channels = inputs[0].shape
    return [
        n.Pad(
            name=layer.name,
            inputs=inputs,
            shape=(height + top + bottom, width + left + right, channels),
            padding=(top, bottom, left, right),
        )
    ]


@_builds("Flatten", "Reshape")
def _reshape(layer: Any, inputs: list[n.Node]) -> list[n.Node]:
    shape = tuple(layer.compute_output_shape((1, *inputs[0].shape)))[1:]
    return [n.Reshape(name=layer.name, inputs=inputs, shape=tuple(int(size) for size in shape))]


@_builds(
    "Dropout", "SpatialDropout2D", "GaussianNoise", "GaussianDropout", "ActivityRegularization"
)
def _training_only(layer: Any, inputs: list[n.Node]) -> list[n.Node]:
    return inputs
