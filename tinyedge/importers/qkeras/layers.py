"""Keras layers, one function a kind, into float nodes."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, Literal

import numpy as np

from tinyedge.errors import ModelError
from tinyedge.graph.operators import Padding, Pair, same_padding
from tinyedge.importers import nodes as n
from tinyedge.keras.environment import tf_keras
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
    result: list[n.Node] = []
    logits = _follow(model, None, "", result, {})
    needed = _ancestors(logits)
    ordered = [node for node in result if id(node) in needed and node is not logits]
    return [*ordered, logits]


def _follow(
    model: Any, given: n.Node | None, within: str, result: list[n.Node], used: dict[str, int]
) -> n.Node:
    """Adds the nodes of a model to ``result``; gives that of its value.

    Args:
        model: with one input and one output.
        given: what a model inside a model takes; None for the whole one.
        within: the names of the models that it is in, each with a slash behind it.
        result: the nodes so far.
        used: how often each name was called.
    """
    values: dict[int, n.Node] = {}
    output = model.outputs[0]
    for call in layer_calls(model):
        layer = call.layer
        inputs = [values[id(tensor)] for tensor in call.keras_inputs]
        name = within + layer.name
        if isinstance(layer, tf_keras.Model):
            if len(inputs) != 1 or len(layer.outputs) != 1:
                raise ModelError(f"layer '{name}': a model with several inputs or outputs")
            values[id(call.outputs)] = _follow(layer, inputs[0], f"{name}/", result, used)
            continue
        if given is not None and type(layer).__name__ == "InputLayer":
            values[id(call.outputs)] = given
            continue
        built = _build(layer, inputs, call, output if given is None else None)
        count = used[name] = used.get(name, 0) + 1
        suffix = f"/call{count}" if count > 1 else ""
        for node in built:
            if node not in inputs:
                part = within + node.name + suffix
                node.value_of = part if node.name != layer.name else f"{part}/inner"
                if node is built[-1]:
                    node.value_of = name + suffix
                node.name = part
                node.layers = (node.value_of,)
                result.append(node)
        values[id(call.outputs)] = built[-1]
    return values[id(output)]


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
    if kind in _BOUNDS:
        return [n.Activation(name=name, inputs=[source], shape=source.shape, bounds=_BOUNDS[kind])]
    if kind in _LOOKED_UP:
        function, alpha = _LOOKED_UP[kind]
        return [_function(name, source, function, alpha)]
    if not hasattr(activation, "bits"):
        raise ModelError(
            f"layer '{layer.name}': activation {kind or quantizer_name(activation)}",
            hint="supported: quantized_relu and quantized_bits of 2 to 8 bits, linear, "
            f"{', '.join((*_BOUNDS, *_LOOKED_UP))}, and softmax at the end",
        )
    grid = activation_grid(layer.name, activation)
    return [n.Activation(name=name, inputs=[source], shape=source.shape, grid=grid)]


_BOUNDS = {"relu": (0.0, np.inf), "relu6": (0.0, 6.0)}
"""Activations that only limit a value."""
_LOOKED_UP: dict[str, tuple[Literal["leaky_relu", "logistic", "tanh"], float]] = {
    "leaky_relu": ("leaky_relu", 0.2),
    "sigmoid": ("logistic", 0.0),
    "tanh": ("tanh", 0.0),
}
"""Activations that become a table of 256 results, with their slope below zero."""


def _function(
    name: str, source: n.Node, kind: Literal["leaky_relu", "logistic", "tanh"], alpha: float
) -> n.Function:
    return n.Function(name=name, inputs=[source], shape=source.shape, kind=kind, alpha=alpha)


@_builds("InputLayer")
def _input(layer: Any, inputs: list[n.Node]) -> list[n.Node]:
    raise AssertionError("handled by _build, which knows the shape")


@_builds("QConv2D")
def _conv2d(layer: Any, inputs: list[n.Node]) -> list[n.Node]:
    bias = layer_bias(layer, layer.filters)
    quantizer = layer.kernel_quantizer_internal
    node = _linear(
        layer, inputs[0], "conv2d", "kernel", quantizer, layer.kernel, name=layer.name, bias=bias
    )
    return _with_activation(layer, [_ungrouped(node, inputs[0].shape[-1], layer.groups)])


def _ungrouped(node: n.Linear, channels: int, groups: int) -> n.Linear:
    """A convolution of groups as one over all channels, with weights of zero between them.

    Of one channel a group it is a depthwise one.
    """
    if groups == 1:
        return node
    outputs, height, width, inputs = node.codes.shape
    if inputs == 1:
        node.kind, node.codes = "depthwise", node.codes[..., 0]
        return node
    whole = np.zeros((outputs, height, width, groups, inputs), node.codes.dtype)
    of_group = np.arange(outputs) // (outputs // groups)
    whole[np.arange(outputs), :, :, of_group] = node.codes
    node.codes = whole.reshape(outputs, height, width, channels)
    return node


@_builds("QConv2DBatchnorm", "QDepthwiseConv2DBatchnorm")
def _with_normalization(layer: Any, inputs: list[n.Node]) -> list[n.Node]:
    """A convolution whose kernel is quantized once the normalization is folded into it."""
    depthwise = type(layer).__name__ == "QDepthwiseConv2DBatchnorm"
    kernel, bias = layer.get_folded_weights()
    role = "depthwise_quantizer" if depthwise else "kernel_quantizer"
    if layer.bias_quantizer_internal is not None:
        bias = layer.bias_quantizer_internal(bias)
    node = _linear(
        layer,
        inputs[0],
        "depthwise" if depthwise else "conv2d",
        "folded kernel",
        getattr(layer, f"{role}_internal"),
        kernel,
        name=layer.name,
        bias=np.asarray(bias, np.float64),
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
    codes, scales = weight_codes(
        layer.name, "kernel", layer.kernel_quantizer_internal, layer.kernel
    )
    rows = _as_image(layer, inputs[0]) if len(inputs[0].shape) > 1 else inputs[0]
    node = n.Linear(
        name=layer.name,
        inputs=[rows],
        shape=(*rows.shape[:-1], layer.units),
        kind="dense" if len(rows.shape) == 1 else "conv2d",
        codes=codes.T if len(rows.shape) == 1 else codes.T[:, np.newaxis, np.newaxis],
        scales=_per_channel(layer, "kernel", scales.T),
        bias=layer_bias(layer, layer.units),
    )
    return _with_activation(layer, [*_new(rows, inputs), node])


@_builds("QActivation", "Activation")
def _activation_layer(layer: Any, inputs: list[n.Node]) -> list[n.Node]:
    activation = getattr(layer, "quantizer", None) or layer.activation
    return _activation(layer, activation, inputs[0], layer.name) or inputs


@_builds("ReLU")
def _relu(layer: Any, inputs: list[n.Node]) -> list[n.Node]:
    if layer.threshold or (layer.negative_slope and layer.max_value is not None):
        raise ModelError(
            f"layer '{layer.name}': ReLU with a threshold, or with a slope and a maximum"
        )
    if layer.negative_slope:
        return [_function(layer.name, inputs[0], "leaky_relu", float(layer.negative_slope))]
    upper = np.inf if layer.max_value is None else float(layer.max_value)
    return [
        n.Activation(name=layer.name, inputs=inputs, shape=inputs[0].shape, bounds=(0.0, upper))
    ]


@_builds("LeakyReLU")
def _leaky_relu(layer: Any, inputs: list[n.Node]) -> list[n.Node]:
    return [_function(layer.name, inputs[0], "leaky_relu", float(layer.alpha))]


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
    if axis not in (-1, len(layer.input_shape) - 1):
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


_ELEMENTWISE: dict[str, type[n.Elementwise]] = {
    "Add": n.Add,
    "Multiply": n.Mul,
    "Subtract": n.Sub,
}


@_builds(*_ELEMENTWISE)
def _elementwise(layer: Any, inputs: list[n.Node]) -> list[n.Node]:
    kind = type(layer).__name__
    total, built = inputs[0], []
    for index, node in enumerate(inputs[1:]):
        last = index == len(inputs) - 2
        name = layer.name if last else f"{layer.name}/partial{index + 1}"
        if len(total.shape) != len(node.shape):
            raise ModelError(f"layer '{layer.name}': {kind} of {total.shape} and {node.shape}")
        shape = tuple(int(size) for size in np.broadcast_shapes(total.shape, node.shape))
        total = _ELEMENTWISE[kind](name=name, inputs=[total, node], shape=shape)
        built.append(total)
    return list(built)


@_builds("Concatenate")
def _concatenate(layer: Any, inputs: list[n.Node]) -> list[n.Node]:
    behind = len(layer.output_shape) - (layer.axis % len(layer.output_shape))  # from the last axis
    axis = len(inputs[0].shape) - behind
    if axis < 0 or behind == len(layer.output_shape):
        raise ModelError(f"layer '{layer.name}': Concatenate over the batch")
    shape = list(inputs[0].shape)
    for node in inputs[1:]:
        others = [list(each.shape[:axis] + each.shape[axis + 1 :]) for each in (inputs[0], node)]
        if len(node.shape) != len(shape) or others[0] != others[1]:
            raise ModelError(
                f"layer '{layer.name}': Concatenate of {inputs[0].shape} and {node.shape}",
                hint="behind a QConv1D values have one row more, and need others of its kind",
            )
    shape[axis] = sum(node.shape[axis] for node in inputs)
    return [n.Concatenation(name=layer.name, inputs=inputs, shape=tuple(shape), axis=axis)]


def _as_image(layer: Any, source: n.Node) -> n.Node:
    """A value with one row more where it has none."""
    if len(source.shape) != 2:
        return source
    shape = (1, *source.shape)
    return n.Reshape(name=f"{layer.name}/row", inputs=[source], shape=shape)


def _new(node: n.Node, inputs: list[n.Node]) -> list[n.Node]:
    return [] if node in inputs else [node]


@_builds("QConv1D")
def _conv1d(layer: Any, inputs: list[n.Node]) -> list[n.Node]:
    """A convolution along one row; behind it values keep the row."""
    source = _as_image(layer, inputs[0])
    codes, scales = weight_codes(
        layer.name, "kernel", layer.kernel_quantizer_internal, layer.kernel
    )
    codes = codes.transpose(2, 0, 1)[:, np.newaxis]
    scales = scales.transpose(2, 0, 1)[:, np.newaxis]
    window, stride = int(layer.kernel_size[0]), int(layer.strides[0])
    dilation = int(layer.dilation_rate[0])
    padding = _padding_1d(layer, source.shape, window, stride, dilation)
    _, columns = _out_size(source.shape, (1, window), (1, stride), (1, dilation), padding)
    node = n.Linear(
        name=layer.name,
        inputs=[source],
        shape=(1, columns, layer.filters),
        kind="conv2d",
        codes=codes,
        scales=_per_channel(layer, "kernel", scales),
        bias=layer_bias(layer, layer.filters),
        stride=(1, stride),
        dilation=(1, dilation),
        padding=padding,
    )
    node = _ungrouped(node, source.shape[-1], layer.groups)
    return _with_activation(layer, [*_new(source, inputs), node])


def _padding_1d(
    layer: Any, shape: tuple[int, ...], window: int, stride: int, dilation: int = 1
) -> Padding:
    if layer.padding == "causal":
        return 0, 0, (window - 1) * dilation, 0
    if layer.padding == "same":
        return same_padding((1, shape[1]), (1, window), (1, stride), (1, dilation))
    return 0, 0, 0, 0


@_builds("MaxPooling1D", "AveragePooling1D")
def _pooling_1d(layer: Any, inputs: list[n.Node]) -> list[n.Node]:
    source = _as_image(layer, inputs[0])
    (window,), (stride,) = np.ravel(layer.pool_size), np.ravel(layer.strides)
    padding = _padding_1d(layer, source.shape, int(window), int(stride))
    kernel, strides = (1, int(window)), (1, int(stride))
    _, columns = _out_size(source.shape, kernel, strides, (1, 1), padding)
    kind: Literal["max", "average"] = "max" if "Max" in type(layer).__name__ else "average"
    node = n.Pool(
        name=layer.name,
        inputs=[source],
        shape=(1, columns, source.shape[2]),
        kind=kind,
        kernel=kernel,
        stride=strides,
        padding=padding,
    )
    return [*_new(source, inputs), node]


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


@_builds("GlobalAveragePooling1D", "GlobalAveragePooling2D")
def _global_average_pooling(layer: Any, inputs: list[n.Node]) -> list[n.Node]:
    source = _as_image(layer, inputs[0])
    return [*_new(source, inputs), *_global_mean(layer, source)]


@_builds("QGlobalAveragePooling2D")
def _q_global_average_pooling(layer: Any, inputs: list[n.Node]) -> list[n.Node]:
    built = _global_mean(layer, inputs[0])
    area = inputs[0].shape[0] * inputs[0].shape[1]
    return _with_activation(layer, [*built, *_averaging_factor(layer, area, built[-1])])


@_builds("GlobalMaxPooling1D", "GlobalMaxPooling2D")
def _global_max_pooling(layer: Any, inputs: list[n.Node]) -> list[n.Node]:
    source = _as_image(layer, inputs[0])
    height, width, channels = source.shape
    pool = n.Pool(
        name=layer.name,
        inputs=[source],
        shape=(1, 1, channels),
        kind="max",
        kernel=(height, width),
        stride=(1, 1),
    )
    return [*_new(source, inputs), pool, *_without_space(layer, pool)]


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
