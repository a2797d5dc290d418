"""An int8 grid for every value that no quantizer of the model puts on one."""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tinyedge.errors import DataError
from tinyedge.graph.tensors import Quantization, as_batch
from tinyedge.importers import nodes as n
from tinyedge.importers.fusion import clamp_of
from tinyedge.importers.lowering import FIXED_GRID
from tinyedge.keras.environment import tensorflow as tf
from tinyedge.keras.grids import Grid
from tinyedge.samples.scaling import CLIPPED, pixel_range, scaled_pixels

Range = tuple[float, float]
Float32 = NDArray[np.float32]

DEFAULT_INPUT_RANGE: Range = (0.0, 1.0)

_SYNTHETIC_SAMPLES = 96
_SYNTHETIC_MARGIN = 1.5
"""Synthetic inputs are not real ones: their ranges are widened by this factor."""
_SPREAD = 6.0
"""Standard deviations of a normalized channel that its range takes in."""
_BATCH = 32
_SCALED_PIXELS = 16.0
"""Below this width, a first layer that scales 0 to 255 to it was made for such pixels: Rescaling by
1/255 gives 1, by 1/127.5 gives 2. A batch normalization's scale is learnt, and tells nothing."""


def assign_grids(
    nodes: list[n.Node],
    calibration: NDArray[Any] | None,
    input_range: Range | None,
    pixels: Range = DEFAULT_INPUT_RANGE,
) -> list[str]:
    """Sets ``grid`` on every node.

    With calibration data a range is what that data shows. Without it, a normalized value (batch
    normalization without a quantizer) takes the mean and ``_SPREAD`` deviations of each channel, as
    in data-free quantization (Nagel et al. 2019, arXiv 1906.04721), any other value what synthetic
    inputs show, widened.

    Args:
        nodes: of the model, the input first.
        calibration: real inputs (n, *input shape), floats or uint8 pixels.
        input_range: smallest and largest input value, where the user says so.
        pixels: what 0 and 255 of a pixel stand for, unless ``input_range`` or a quantizer of the
            input says so.

    Returns:
        Notes for the user.

    Raises:
        DataError: the calibration data do not fit the input, or leave an activation at zero.
    """
    notes = []
    source = nodes[0]
    assert isinstance(source, n.Input)
    if calibration is not None:
        if calibration.dtype == np.uint8:
            input_range = input_range or _pixels(source, pixels)
        calibration, said = _calibration(nodes, source, calibration, input_range or pixels)
        notes += said
    if source.grid is None:
        if input_range is None:
            input_range = pixels
            if calibration is None:
                low, high = pixels
                notes.append(
                    f"inputs are taken to lie in [{low:g}, {high:g}]; --input-range or "
                    "--calibration change that"
                )
            else:
                input_range = (float(calibration.min()), float(calibration.max()))
        source.grid = Grid(Quantization.from_range(*input_range))

    _fix(nodes)
    unknown = [
        node
        for node in nodes
        if node.grid is None and not isinstance(node, (*n.KEEPS_GRID, n.Activation))
    ]
    if unknown:
        real = calibration is not None
        samples = calibration if calibration is not None else _synthetic(source)
        ranges = _observe(nodes, samples)
        for node in unknown:
            seen = ranges[id(node)]
            node.grid = _grid(node, seen if real else _estimate(node, seen))
        if not real:
            names = ", ".join(node.name for node in unknown)
            notes.append(
                f"int8 ranges estimated without data: {names}; "
                "--calibration with real inputs makes them tighter"
            )
    for node in nodes:
        if node.grid is None:  # no finer than its input, whose steps it keeps
            inherited = node.inputs[0].grid
            assert inherited
            clamp = clamp_of(inherited.quantization, node.bounds)
            node.grid = Grid(inherited.quantization, clamp)
    return notes


def _fix(nodes: list[n.Node]) -> None:
    """Gives functions whose results lie on one grid that grid."""
    for node in nodes:
        if isinstance(node, n.Function) and node.kind in FIXED_GRID and not node.grid:
            node.grid = Grid(FIXED_GRID[node.kind].output_quantization)


def expected_pixels(nodes: list[n.Node]) -> Range:
    """The values of the pixels 0 and 255, by the first layer that rescales them.

    Args:
        nodes: as they were traced, before they are fused.
    """
    first = next((node for node in nodes[1:] if not isinstance(node, n.KEEPS_GRID)), None)
    if not isinstance(first, n.Affine) or first.spread:
        return DEFAULT_INPUT_RANGE
    if 255 * float(np.abs(first.scale).max()) < _SCALED_PIXELS:
        return 0.0, 255.0
    return DEFAULT_INPUT_RANGE


def _pixels(source: n.Input, pixels: Range) -> Range:
    return pixel_range(source.grid.quantization) if source.grid else pixels


def _calibration(
    nodes: list[n.Node], source: n.Input, given: NDArray[Any], pixels: Range
) -> tuple[Float32, list[str]]:
    """Calibration data as the model takes them, and notes for the user."""
    samples, notes = as_batch(given, source.shape, "calibration data"), []
    if samples.dtype == np.uint8:
        samples = scaled_pixels(samples, *pixels)
        notes.append("calibration pixels 0 to 255 stand for {:g} to {:g}".format(*pixels))
    elif pixels == DEFAULT_INPUT_RANGE and (warning := _clipping(nodes, samples)):
        notes.append(warning)
    if not (len(samples) and np.isfinite(samples).all()):
        raise DataError(
            "calibration data are empty or hold values that are not finite",
            hint="--calibration takes some tens of real inputs",
        )
    return samples, notes


def _clipping(nodes: list[n.Node], calibration: Float32) -> str:
    """A warning where the values look like raw pixels, and the model's own quantizers clip them."""
    if not 2.0 < float(calibration.max(initial=0.0)) <= 255.5 or calibration.min() < 0.0:
        return ""
    for node, value in evaluate(nodes, calibration[:_BATCH]):
        if not node.grid:
            continue
        quantization, clamp = node.grid.quantization, node.grid.clamp
        largest = float(quantization.dequantize(clamp[1])) + quantization.scale / 2
        share = float(np.mean(np.asarray(value) > largest))
        if share < CLIPPED:
            return ""
        return (
            f"calibration data reach {calibration.max():g}, and '{node.name}' clips "
            f"{100 * share:.0f} % of what they lead to; a model that was trained on 0 to 1 takes "
            "pixels divided by 255"
        )
    return ""


def _grid(node: n.Node, seen: Range) -> Grid:
    low, high = (float(np.clip(value, *node.bounds)) for value in seen)
    if min(low, 0.0) == max(high, 0.0):
        raise DataError(
            f"layer '{node.name}' gives zero for all of the data its range is taken from",
            hint="--calibration takes some tens of real inputs, scaled as in training",
        )
    quantization = Quantization.from_range(low, high)
    return Grid(quantization, clamp_of(quantization, node.bounds))


def _estimate(node: n.Node, seen: Range) -> Range:
    """A range without data, from the statistics of batch normalization where there are any."""
    if isinstance(node, n.Linear | n.Affine) and node.spread:
        mean, deviation = node.spread
        return float((mean - _SPREAD * deviation).min()), float((mean + _SPREAD * deviation).max())
    return seen[0] * _SYNTHETIC_MARGIN, seen[1] * _SYNTHETIC_MARGIN


def _synthetic(source: n.Input) -> Float32:
    """Inputs that span the input's range: noise, smooth fields and constants."""
    assert source.grid
    low, high = source.grid.quantization.dequantize([-128, 127])
    random = np.random.default_rng(0)
    noise = random.random((_SYNTHETIC_SAMPLES // 3, *source.shape))
    if len(source.shape) < 3:
        flat = random.normal(0.5, 0.35, (2 * _SYNTHETIC_SAMPLES // 3, *source.shape))
        unit = np.concatenate([noise, np.clip(flat, 0, 1)])
    else:
        coarse = random.random((2 * _SYNTHETIC_SAMPLES // 3, 4, 4, source.shape[2]))
        smooth = np.asarray(tf.image.resize(coarse, source.shape[:2], method="bicubic"))
        floor = smooth.min(axis=(1, 2), keepdims=True)
        ceiling = smooth.max(axis=(1, 2), keepdims=True)
        smooth = (smooth - floor) / np.maximum(ceiling - floor, 1e-6)
        steps = np.round(smooth[::2])  # hard edges
        unit = np.concatenate([noise, smooth, steps])
    ends = np.stack([np.zeros(source.shape), np.ones(source.shape)])
    scaled: Float32 = (low + np.concatenate([unit, ends]) * (high - low)).astype(np.float32)
    return scaled


def _observe(nodes: list[n.Node], samples: Float32) -> dict[int, Range]:
    """Smallest and largest value of every node, before its own quantization."""
    ranges: dict[int, Range] = {}
    for start in range(0, len(samples), _BATCH):
        for node, value in evaluate(nodes, samples[start : start + _BATCH]):
            low, high = float(tf.reduce_min(value)), float(tf.reduce_max(value))
            seen = ranges.get(id(node), (low, high))
            ranges[id(node)] = (min(seen[0], low), max(seen[1], high))
    return ranges


def evaluate(nodes: list[n.Node], samples: Float32) -> Iterator[tuple[n.Node, tf.Tensor]]:
    """Computes the nodes in floating point, quantizing only where the model does.

    Yields:
        Each node and its value (n, *shape), before its own grid or bounds are applied.
    """
    values: dict[int, tf.Tensor] = {}
    for node in nodes:
        inputs = [values[id(source)] for source in node.inputs]
        value = tf.constant(samples) if isinstance(node, n.Input) else _compute(node, inputs)
        yield node, value
        values[id(node)] = _on_grid(node, value)


def _on_grid(node: n.Node, value: tf.Tensor) -> tf.Tensor:
    if isinstance(node, n.Input):
        return value
    if not node.grid:
        return tf.clip_by_value(value, *node.bounds)
    scale, zero_point = node.grid.quantization.scale, node.grid.quantization.zero_point
    low, high = node.grid.clamp
    return (tf.clip_by_value(tf.round(value / scale) + zero_point, low, high) - zero_point) * scale


def _compute(node: n.Node, inputs: list[tf.Tensor]) -> tf.Tensor:
    match node:
        case n.Linear():
            return _linear(node, inputs[0])
        case n.Affine():
            return inputs[0] * _float(node.scale) + _float(node.offset)
        case n.Activation():
            return inputs[0]
        case n.Elementwise():
            return _ELEMENTWISE[type(node)](inputs[0], inputs[1])
        case n.Concatenation():
            return tf.concat(inputs, 1 + node.axis)
        case n.Function():
            return _FUNCTIONS[node.kind](inputs[0], node.alpha)
        case n.Mean():
            return tf.reduce_mean(inputs[0], axis=(1, 2), keepdims=True)
        case n.Pad():
            return _padded(inputs[0], node.padding)
        case n.Pool():
            return _pooled(node, inputs[0])
        case n.Reshape():
            return tf.reshape(inputs[0], (-1, *node.shape))
        case _:
            raise NotImplementedError(type(node).__name__)


_ELEMENTWISE: dict[type[n.Node], Callable[[tf.Tensor, tf.Tensor], tf.Tensor]] = {
    n.Add: operator.add,
    n.Mul: operator.mul,
    n.Sub: operator.sub,
}
_FUNCTIONS: dict[str, Callable[[tf.Tensor, float], tf.Tensor]] = {
    "leaky_relu": tf.nn.leaky_relu,
    "logistic": lambda x, _: tf.sigmoid(x),
    "softmax": lambda x, _: tf.nn.softmax(x),
    "tanh": lambda x, _: tf.tanh(x),
}


def _float(array: NDArray[np.float64]) -> tf.Tensor:
    return tf.constant(array, tf.float32)


def _padded(value: tf.Tensor, padding: tuple[int, int, int, int], fill: float = 0.0) -> tf.Tensor:
    top, bottom, left, right = padding
    return tf.pad(value, [(0, 0), (top, bottom), (left, right), (0, 0)], constant_values=fill)


def _linear(node: n.Linear, value: tf.Tensor) -> tf.Tensor:
    scales = node.scales.reshape(-1, *[1] * (node.codes.ndim - 1))
    kernel = node.codes * scales
    if node.kind == "dense":
        return value @ _float(kernel.T) + _float(node.bias)
    value = _padded(value, node.padding)
    if node.kind == "depthwise":
        # The strides of TensorFlow's depthwise convolution have to be equal; slicing has no such
        # limit, and this runs on few samples.
        channels = value.shape[-1]
        kernel = kernel.reshape(channels, -1, *kernel.shape[1:]).transpose(2, 3, 0, 1)
        dense = tf.nn.depthwise_conv2d(
            value, _float(kernel), (1, 1, 1, 1), "VALID", dilations=node.dilation
        )
        return dense[:, :: node.stride[0], :: node.stride[1]] + _float(node.bias)
    return tf.nn.conv2d(
        value, _float(kernel.transpose(1, 2, 3, 0)), node.stride, "VALID", dilations=node.dilation
    ) + _float(node.bias)


def _pooled(node: n.Pool, value: tf.Tensor) -> tf.Tensor:
    if node.kind == "max":
        padded = _padded(value, node.padding, value.dtype.min)
        return tf.nn.max_pool2d(padded, node.kernel, node.stride, "VALID")
    totals, counts = (
        tf.nn.avg_pool2d(_padded(x, node.padding), node.kernel, node.stride, "VALID")
        for x in (value, tf.ones_like(value))
    )
    return totals / counts
