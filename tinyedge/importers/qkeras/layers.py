"""Keras layers, one function a kind, into float nodes."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, Literal

import numpy as np

from tinyedge.errors import ModelError
from tinyedge.graph.operators import Pair
from tinyedge.importers import nodes as n
from tinyedge.importers.plain import (
    BOUNDS,
    LOOKED_UP,
    PLAIN,
    Builder,
    activation,
    as_image,
    average,
    global_mean,
    new,
    out_size,
    pair,
    row_padding,
    ungrouped,
    window_padding,
)
from tinyedge.keras.environment import tf_keras
from tinyedge.keras.grids import Float64
from tinyedge.keras.load import ends_in_softmax, is_softmax
from tinyedge.keras.quantizers import activation_grid, quantizer_name, weight_codes

_BUILDERS: dict[str, Builder] = dict(PLAIN)


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
    needed = n.ancestors(logits)
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
    stride = pair(layer.strides) if windowed else (1, 1)
    dilation = pair(layer.dilation_rate) if windowed else (1, 1)
    padding = window_padding(layer, source.shape, size, dilation) if windowed else (0, 0, 0, 0)
    rows, columns = out_size(source.shape, size, stride, dilation, padding)
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
    if ends_in_softmax(layer):
        return built
    given = getattr(layer, "activation", None)
    return [*built, *_activation(layer, given, built[-1], f"{layer.name}/activation")]


def _activation(layer: Any, given: Any, source: n.Node, name: str) -> list[n.Node]:
    kind = given if isinstance(given, str) else getattr(given, "__name__", None)
    plain = activation(None if given is None else str(kind), source, name)
    if plain is not None:
        return plain
    if not hasattr(given, "bits"):
        raise ModelError(
            f"layer '{layer.name}': activation {kind or quantizer_name(given)}",
            hint="supported: quantized_relu and quantized_bits of 2 to 8 bits, linear, "
            f"{', '.join((*BOUNDS, *LOOKED_UP))}, and softmax at the end",
        )
    grid = activation_grid(layer.name, given)
    return [n.Activation(name=name, inputs=[source], shape=source.shape, grid=grid)]


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
    return _with_activation(layer, [ungrouped(node, inputs[0].shape[-1], layer.groups)])


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
    rows = as_image(layer, inputs[0]) if len(inputs[0].shape) > 1 else inputs[0]
    node = n.Linear(
        name=layer.name,
        inputs=[rows],
        shape=(*rows.shape[:-1], layer.units),
        kind="dense" if len(rows.shape) == 1 else "conv2d",
        codes=codes.T if len(rows.shape) == 1 else codes.T[:, np.newaxis, np.newaxis],
        scales=_per_channel(layer, "kernel", scales.T),
        bias=layer_bias(layer, layer.units),
    )
    return _with_activation(layer, [*new(rows, inputs), node])


@_builds("QActivation", "Activation")
def _activation_layer(layer: Any, inputs: list[n.Node]) -> list[n.Node]:
    given = getattr(layer, "quantizer", None) or layer.activation
    return _activation(layer, given, inputs[0], layer.name) or inputs


@_builds("QConv1D")
def _conv1d(layer: Any, inputs: list[n.Node]) -> list[n.Node]:
    """A convolution along one row; behind it values keep the row."""
    source = as_image(layer, inputs[0])
    codes, scales = weight_codes(
        layer.name, "kernel", layer.kernel_quantizer_internal, layer.kernel
    )
    codes = codes.transpose(2, 0, 1)[:, np.newaxis]
    scales = scales.transpose(2, 0, 1)[:, np.newaxis]
    window, stride = int(layer.kernel_size[0]), int(layer.strides[0])
    dilation = int(layer.dilation_rate[0])
    padding = row_padding(layer, source.shape, window, stride, dilation)
    _, columns = out_size(source.shape, (1, window), (1, stride), (1, dilation), padding)
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
    node = ungrouped(node, source.shape[-1], layer.groups)
    return _with_activation(layer, [*new(source, inputs), node])


def averaging_factor(layer: Any, area: int) -> float:
    """An average's factor, as QKeras quantizes the reciprocal of the window's area."""
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
    mean = average(layer, inputs[0])
    area = math.prod(pair(layer.pool_size))
    return _with_activation(layer, [mean, *_averaging_factor(layer, area, mean)])


@_builds("QGlobalAveragePooling2D")
def _q_global_average_pooling(layer: Any, inputs: list[n.Node]) -> list[n.Node]:
    built = global_mean(layer, inputs[0])
    area = inputs[0].shape[0] * inputs[0].shape[1]
    return _with_activation(layer, [*built, *_averaging_factor(layer, area, built[-1])])
