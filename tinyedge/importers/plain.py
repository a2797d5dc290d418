"""Keras layers without a quantizer, from their settings, as float nodes.

A layer here is anything that has the settings of the Keras layer as attributes: the layer itself,
or what a file says of it. TensorFlow is not needed.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial
from typing import Any, Literal

import numpy as np

from tinyedge.errors import ModelError
from tinyedge.graph.operators import Padding, Pair, same_padding
from tinyedge.importers import nodes as n
from tinyedge.keras.grids import Float64

Builder = Callable[[Any, list[n.Node]], list[n.Node]]
"""From a layer and its inputs to nodes in order, the last of which is the layer's value."""

PLAIN: dict[str, Builder] = {}
"""The layers, by the names that Keras 2 and 3 give them."""

_MOST_UNGROUPED = 2**26
"""Most weights of a convolution of groups, with the zeros between them."""

BOUNDS = {"relu": (0.0, np.inf), "relu6": (0.0, 6.0)}
"""Activations that only limit a value."""
LOOKED_UP: dict[str, tuple[Literal["leaky_relu", "logistic", "tanh"], float]] = {
    "leaky_relu": ("leaky_relu", 0.2),
    "sigmoid": ("logistic", 0.0),
    "tanh": ("tanh", 0.0),
}
"""Activations that become a table of 256 results, with their slope below zero."""


def _builds(*kinds: str) -> Callable[[Builder], Builder]:
    def register(builder: Builder) -> Builder:
        PLAIN.update(dict.fromkeys(kinds, builder))
        return builder

    return register


def activation(kind: str | None, source: n.Node, name: str) -> list[n.Node] | None:
    """An activation by its name, as no node or one; None where it is not known."""
    if kind in (None, "linear"):
        return []
    if kind in BOUNDS:
        return [n.Activation(name=name, inputs=[source], shape=source.shape, bounds=BOUNDS[kind])]
    if kind in LOOKED_UP:
        function, alpha = LOOKED_UP[kind]
        return [_function(name, source, function, alpha)]
    return None


def pair(value: Any) -> Pair:
    """Rows and columns, from one number for both or from two."""
    height, width = (value, value) if isinstance(value, int) else value
    return int(height), int(width)


def window_padding(layer: Any, shape: tuple[int, ...], kernel: Pair, dilation: Pair) -> Padding:
    """Rows and columns around a layer's input that its windows take in."""
    if layer.padding == "same":
        return same_padding((shape[0], shape[1]), kernel, pair(layer.strides), dilation)
    return (0, 0, 0, 0)


def row_padding(
    layer: Any, shape: tuple[int, ...], window: int, stride: int, dilation: int = 1
) -> Padding:
    """The same of windows along one row."""
    if layer.padding == "causal":
        return 0, 0, (window - 1) * dilation, 0
    if layer.padding == "same":
        return same_padding((1, shape[1]), (1, window), (1, stride), (1, dilation))
    return 0, 0, 0, 0


def out_size(
    shape: tuple[int, ...], kernel: Pair, stride: Pair, dilation: Pair, pad: Padding
) -> Pair:
    """Rows and columns of the values that windows give.

    Raises:
        ValueError: a window, stride or dilation is smaller than one.
    """
    if min(*kernel, *stride, *dilation) < 1:
        raise ValueError(f"a window of {kernel} with strides {stride} and dilations {dilation}")
    sizes = [
        (shape[axis] + pad[2 * axis] + pad[2 * axis + 1] - (kernel[axis] - 1) * dilation[axis] - 1)
        // stride[axis]
        + 1
        for axis in (0, 1)
    ]
    return sizes[0], sizes[1]


def ungrouped(node: n.Linear, channels: int, groups: int) -> n.Linear:
    """A convolution of groups as one over all channels, with weights of zero between them.

    Of one channel a group it is a depthwise one.

    Raises:
        ModelError: the weights become more than any microcontroller holds.
    """
    if groups == 1:
        return node
    outputs, height, width, inputs = node.codes.shape
    if inputs == 1:
        node.kind, node.codes = "depthwise", node.codes[..., 0]
        return node
    if (size := outputs * height * width * channels) > _MOST_UNGROUPED:
        raise ModelError(
            f"layer '{node.name}': {size:,} weights as a convolution over all channels",
            hint=f"up to {_MOST_UNGROUPED:,} can be read, and a microcontroller holds far fewer",
        )
    whole = np.zeros((outputs, height, width, groups, inputs), node.codes.dtype)
    of_group = np.arange(outputs) // (outputs // groups)
    whole[np.arange(outputs), :, :, of_group] = node.codes
    node.codes = whole.reshape(outputs, height, width, channels)
    return node


def as_image(layer: Any, source: n.Node) -> n.Node:
    """A value with one row more where it has none."""
    if len(source.shape) != 2:
        return source
    shape = (1, *source.shape)
    return n.Reshape(name=f"{layer.name}/row", inputs=[source], shape=shape)


def new(node: n.Node, inputs: list[n.Node]) -> list[n.Node]:
    """The node, unless it is one of the inputs."""
    return [] if node in inputs else [node]


@_builds("ReLU")
def _relu(layer: Any, inputs: list[n.Node]) -> list[n.Node]:
    if layer.threshold or (layer.negative_slope and layer.max_value is not None):
        raise ModelError(
            f"layer '{layer.name}': ReLU with a threshold, or with a slope and a maximum"
        )
    limit = 0.0 if layer.max_value is None else float(layer.max_value)
    if not limit >= 0 or not np.isfinite(layer.negative_slope or 0.0):
        raise ModelError(
            f"layer '{layer.name}': ReLU with max_value {layer.max_value}, negative_slope "
            f"{layer.negative_slope}",
            hint="a maximum of zero or more, and a finite slope",
        )
    if layer.negative_slope:
        return [_function(layer.name, inputs[0], "leaky_relu", float(layer.negative_slope))]
    upper = np.inf if layer.max_value is None else limit
    return [
        n.Activation(name=layer.name, inputs=inputs, shape=inputs[0].shape, bounds=(0.0, upper))
    ]


@_builds("LeakyReLU")
def _leaky_relu(layer: Any, inputs: list[n.Node]) -> list[n.Node]:
    return [_function(layer.name, inputs[0], "leaky_relu", float(layer.alpha))]


def _function(
    name: str, source: n.Node, kind: Literal["leaky_relu", "logistic", "tanh"], alpha: float
) -> n.Function:
    return n.Function(name=name, inputs=[source], shape=source.shape, kind=kind, alpha=alpha)


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


def _elementwise(kind: type[n.Elementwise], layer: Any, inputs: list[n.Node]) -> list[n.Node]:
    total, built = inputs[0], []
    for index, node in enumerate(inputs[1:]):
        last = index == len(inputs) - 2
        name = layer.name if last else f"{layer.name}/partial{index + 1}"
        if len(total.shape) != len(node.shape):
            raise ModelError(
                f"layer '{layer.name}': {kind.__name__} of {total.shape} and {node.shape}"
            )
        shape = tuple(int(size) for size in np.broadcast_shapes(total.shape, node.shape))
        total = kind(name=name, inputs=[total, node], shape=shape)
        built.append(total)
    return list(built)


PLAIN["Add"] = partial(_elementwise, n.Add)
PLAIN["Multiply"] = partial(_elementwise, n.Mul)
PLAIN["Subtract"] = partial(_elementwise, n.Sub)


def _pooling_1d(kind: Literal["max", "average"], layer: Any, inputs: list[n.Node]) -> list[n.Node]:
    source = as_image(layer, inputs[0])
    (window,), (stride,) = np.ravel(layer.pool_size), np.ravel(layer.strides)
    padding = row_padding(layer, source.shape, int(window), int(stride))
    kernel, strides = (1, int(window)), (1, int(stride))
    _, columns = out_size(source.shape, kernel, strides, (1, 1), padding)
    node = n.Pool(
        name=layer.name,
        inputs=[source],
        shape=(1, columns, source.shape[2]),
        kind=kind,
        kernel=kernel,
        stride=strides,
        padding=padding,
    )
    return [*new(source, inputs), node]


PLAIN["MaxPooling1D"] = partial(_pooling_1d, "max")
PLAIN["AveragePooling1D"] = partial(_pooling_1d, "average")


def average(layer: Any, source: n.Node) -> n.Pool | n.Mean:
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
    kernel, stride = pair(layer.pool_size), pair(layer.strides)
    padding = window_padding(layer, source.shape, kernel, (1, 1))
    rows, columns = out_size(source.shape, kernel, stride, (1, 1), padding)
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
    return [average(layer, inputs[0])]


def _without_space(layer: Any, node: n.Node) -> list[n.Node]:
    """Drops the rows and columns of a global pooling, unless the layer keeps them."""
    if layer.keepdims:
        return []
    return [n.Reshape(name=f"{layer.name}/flat", inputs=[node], shape=(node.shape[-1],))]


def global_mean(layer: Any, source: n.Node) -> list[n.Node]:
    """The average over rows and columns, which it drops unless the layer keeps them."""
    mean = n.Mean(name=layer.name, inputs=[source], shape=(1, 1, source.shape[2]))
    return [mean, *_without_space(layer, mean)]


@_builds("GlobalAveragePooling1D", "GlobalAveragePooling2D")
def _global_average_pooling(layer: Any, inputs: list[n.Node]) -> list[n.Node]:
    source = as_image(layer, inputs[0])
    return [*new(source, inputs), *global_mean(layer, source)]


@_builds("GlobalMaxPooling1D", "GlobalMaxPooling2D")
def _global_max_pooling(layer: Any, inputs: list[n.Node]) -> list[n.Node]:
    source = as_image(layer, inputs[0])
    height, width, channels = source.shape
    pool = n.Pool(
        name=layer.name,
        inputs=[source],
        shape=(1, 1, channels),
        kind="max",
        kernel=(height, width),
        stride=(1, 1),
    )
    return [*new(source, inputs), pool, *_without_space(layer, pool)]


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
    size = math.prod(inputs[0].shape)
    shape = [int(each) for each in getattr(layer, "target_shape", (-1,))]
    known = math.prod(each for each in shape if each != -1)
    if shape.count(-1) == 1 and known > 0:
        shape[shape.index(-1)] = size // known
    if math.prod(shape) != size or min(shape, default=1) < 1:
        raise ModelError(f"layer '{layer.name}': a reshape of {inputs[0].shape} to {tuple(shape)}")
    return [n.Reshape(name=layer.name, inputs=inputs, shape=tuple(shape))]


@_builds(
    "Dropout", "SpatialDropout2D", "GaussianNoise", "GaussianDropout", "ActivityRegularization"
)
def _training_only(layer: Any, inputs: list[n.Node]) -> list[n.Node]:
    return inputs


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
