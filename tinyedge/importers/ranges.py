"""An int8 grid for every value that no quantizer of the file puts on one, without a framework."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tinyedge.errors import DataError, ModelError
from tinyedge.graph.tensors import Quantization, as_batch
from tinyedge.importers import nodes as n
from tinyedge.importers.fusion import clamp_of
from tinyedge.importers.lowering import FIXED_GRID
from tinyedge.keras.grids import Grid
from tinyedge.samples.scaling import pixel_range, scaled_pixels

Range = tuple[float, float]
Float32 = NDArray[np.float32]

_INPUT_RANGE: Range = (0.0, 1.0)
_SYNTHETIC = 12
_MARGIN = 1.5
"""Synthetic inputs are not real ones: their ranges are widened by this factor."""
_SPREAD = 6.0
"""Standard deviations of a normalized channel that its range takes in."""
_BATCH = 16
_MOST_SAMPLES = 256
_PATCHES = 2**23
"""Elements of a convolution's windows that are copied at once."""
_SYNTHETIC_ELEMENTS = 2**22
"""Elements of all synthetic inputs together."""
_LOWEST = float(np.finfo(np.float32).min)


def assign_grids(
    nodes: list[n.Node], calibration: NDArray[Any] | None, input_range: Range | None
) -> list[str]:
    """Sets ``grid`` on every node; see ``importers.qkeras.ranges``, whose rules these are.

    Args:
        nodes: of the model, the input first, fused.
        calibration: real inputs (n, *input shape), NHWC, floats or uint8 pixels.
        input_range: smallest and largest input value, where the user says so.

    Returns:
        Notes for the user.

    Raises:
        DataError: the calibration data do not fit the input, or leave an activation at zero.
        ModelError: values of the file are not finite.
    """
    source, notes = nodes[0], []
    samples = None if calibration is None else _samples(source, calibration, input_range)
    if source.grid is None:
        if input_range is None and samples is not None:
            input_range = (float(samples.min()), float(samples.max()))
        if input_range is None:
            input_range = _INPUT_RANGE
            notes.append(
                "inputs are taken to lie in [0, 1]; --input-range or --calibration change that"
            )
        source.grid = Grid(Quantization.from_range(*input_range))
    for node in nodes:
        if isinstance(node, n.Function) and node.kind in FIXED_GRID and not node.grid:
            node.grid = Grid(FIXED_GRID[node.kind].output_quantization)
    unknown = [
        node
        for node in nodes
        if node.grid is None and not isinstance(node, (*n.KEEPS_GRID, n.Activation))
    ]
    if unknown:
        seen = _observe(nodes, _synthetic(source) if samples is None else samples)
        for node in unknown:
            found = seen[id(node)] if samples is not None else _estimate(node, seen[id(node)])
            node.grid = _grid(node, found)
        if samples is None:
            names = ", ".join(node.name for node in unknown)
            notes.append(
                f"int8 ranges estimated without data: {names}; "
                "--calibration with real inputs makes them tighter"
            )
    for node in nodes:
        if node.grid is None:  # no finer than its input, whose steps it keeps
            inherited = node.inputs[0].grid
            assert inherited
            clamp = clamp_of(inherited.quantization, node.bounds, inherited.clamp)
            node.grid = Grid(inherited.quantization, clamp)
    return notes


def _samples(source: n.Node, given: NDArray[Any], input_range: Range | None) -> Float32:
    samples = as_batch(given, source.shape, "calibration data")
    if samples.dtype == np.uint8:
        own = pixel_range(source.grid.quantization) if source.grid else _INPUT_RANGE
        samples = scaled_pixels(samples, *(input_range or own))
    if not (len(samples) and np.isfinite(samples).all()):
        raise DataError(
            "calibration data are empty or hold values that are not finite",
            hint="--calibration takes some tens of real inputs",
        )
    return np.asarray(samples[:_MOST_SAMPLES], np.float32)


def _grid(node: n.Node, seen: Range) -> Grid:
    if not np.all(np.isfinite(seen)):
        raise ModelError(f"'{node.name}' gives values that are not finite")
    low, high = (float(np.clip(value, *node.bounds)) for value in seen)
    if min(low, 0.0) == max(high, 0.0):
        raise DataError(
            f"'{node.name}' gives zero for all of the data its range is taken from",
            hint="--calibration takes some tens of real inputs, scaled as in training",
        )
    quantization = Quantization.from_range(low, high)
    return Grid(quantization, clamp_of(quantization, node.bounds))


def _estimate(node: n.Node, seen: Range) -> Range:
    if isinstance(node, n.Linear | n.Affine) and node.spread:
        mean, deviation = node.spread
        return float((mean - _SPREAD * deviation).min()), float((mean + _SPREAD * deviation).max())
    return seen[0] * _MARGIN, seen[1] * _MARGIN


def _synthetic(source: n.Node) -> Float32:
    """Inputs that span the input's range: noise, blocks of one value, and constants."""
    assert source.grid
    low, high = source.grid.quantization.dequantize([-128, 127])
    random = np.random.default_rng(0)
    count = int(np.clip(_SYNTHETIC_ELEMENTS // (3 * math.prod(source.shape)), 1, _SYNTHETIC))
    unit = [random.random(source.shape) for _ in range(count)]
    if len(source.shape) == 3:
        height, width, channels = source.shape
        rows = np.arange(height) * 4 // height
        columns = np.arange(width) * 4 // width
        for _ in range(count):
            coarse = random.random((4, 4, channels))
            unit.append(coarse[rows][:, columns])
            unit.append(np.round(unit[-1]))
    unit += [np.zeros(source.shape), np.ones(source.shape)]
    scaled: Float32 = (low + np.stack(unit) * (high - low)).astype(np.float32)
    return scaled


def _observe(nodes: list[n.Node], samples: Float32) -> dict[int, Range]:
    """Smallest and largest value of every node, before its own quantization."""
    ranges: dict[int, Range] = {}
    largest = max(map(_largest, nodes))
    batch = int(np.clip(_PATCHES // (8 * largest), 1, _BATCH))
    for start in range(0, len(samples), batch):
        for node, value in evaluate(nodes, samples[start : start + batch]):
            low, high = float(value.min()), float(value.max())
            seen = ranges.get(id(node), (low, high))
            ranges[id(node)] = (min(seen[0], low), max(seen[1], high))
    return ranges


def _largest(node: n.Node) -> int:
    """Elements of the largest array that computing a node takes, for one sample."""
    size = math.prod(node.shape)
    if not isinstance(node, n.Linear | n.Pool):
        return size
    top, bottom, left, right = node.padding
    *rows, channels = node.inputs[0].shape
    if len(rows) != 2:
        return size
    return max(size, (rows[0] + top + bottom) * (rows[1] + left + right) * channels)


def evaluate(nodes: list[n.Node], samples: Float32) -> Iterator[tuple[n.Node, Float32]]:
    """Computes the nodes in floating point, quantizing only where the file does.

    Yields:
        Each node and its value (n, *shape), before its own grid or bounds are applied.
    """
    left = n.Consumers.of(nodes).counts
    values: dict[int, Float32] = {}
    for node in nodes:
        inputs = [values[id(source)] for source in node.inputs]
        with np.errstate(all="ignore"):
            value = samples if isinstance(node, n.Input) else compute(node, inputs)
            yield node, value
            values[id(node)] = _on_grid(node, value)
        for source in node.inputs:
            left[id(source)] -= 1
            if not left[id(source)]:
                values.pop(id(source), None)


def _on_grid(node: n.Node, value: Float32) -> Float32:
    if isinstance(node, n.Input):
        return value
    if not node.grid:
        return np.asarray(np.clip(value, *node.bounds), np.float32)
    scale, zero_point = node.grid.quantization.scale, node.grid.quantization.zero_point
    low, high = (end - zero_point for end in node.grid.clamp)
    return np.asarray(np.clip(np.rint(value / scale), low, high) * scale, np.float32)


def compute(node: n.Node, inputs: list[Float32]) -> Float32:
    """A node's value (n, *shape) in floating point, before its own grid or bounds are applied."""
    value = inputs[0]
    match node:
        case n.Linear():
            return _linear(node, value)
        case n.Affine():
            return (value * node.scale + node.offset).astype(np.float32)
        case n.Add():
            return value + inputs[1]
        case n.Sub():
            return value - inputs[1]
        case n.Mul():
            return value * inputs[1]
        case n.Concatenation():
            return np.concatenate(inputs, axis=1 + node.axis)
        case n.Mean():
            return np.asarray(value.mean(axis=(1, 2), keepdims=True))
        case n.Pad():
            return _padded(value, node.padding, _filler(node))
        case n.Pool():
            return _pooled(node, value)
        case n.Function():
            return _function(node, value)
        case _:  # an activation, or a reshape
            return value.reshape(-1, *node.shape)


def _filler(node: n.Pad) -> float:
    """The real number that a padding adds."""
    if node.value is None:
        return _LOWEST if node.lowest else 0.0
    source = node.inputs[0]
    while isinstance(source, n.KEEPS_GRID) and not source.grid:
        source = source.inputs[0]
    assert source.grid
    return float(source.grid.quantization.dequantize(node.value))


def _padded(value: Float32, padding: tuple[int, int, int, int], fill: float = 0.0) -> Float32:
    top, bottom, left, right = padding
    return np.pad(value, ((0, 0), (top, bottom), (left, right), (0, 0)), constant_values=fill)


def _windows(
    value: Float32, window: tuple[int, int], stride: tuple[int, int], dilation: tuple[int, int]
) -> Float32:
    """All windows: (n, rows, columns, channels, height, width)."""
    spanned = tuple((size - 1) * d + 1 for size, d in zip(window, dilation, strict=True))
    views = np.lib.stride_tricks.sliding_window_view(value, spanned, axis=(1, 2))
    return views[:, :: stride[0], :: stride[1], :, :: dilation[0], :: dilation[1]]


def _linear(node: n.Linear, value: Float32) -> Float32:
    scales = node.scales.reshape(-1, *[1] * (node.codes.ndim - 1))
    kernel = (node.codes * scales).astype(np.float32)
    bias = node.bias.astype(np.float32)
    if node.kind == "dense":
        return value.reshape(len(value), -1) @ kernel.T + bias
    value = _padded(value, node.padding)
    height, width = kernel.shape[1:3]
    if node.kind == "depthwise":
        windows = _windows(value, (height, width), node.stride, node.dilation)
        times = len(kernel) // value.shape[3]
        total = np.zeros((*windows.shape[:3], len(kernel)), np.float32)
        for row, column in np.ndindex(height, width):
            total += np.repeat(windows[..., row, column], times, axis=3) * kernel[:, row, column]
        return total + bias
    windows = _windows(value, (height, width), node.stride, node.dilation)
    flat = kernel.transpose(0, 3, 1, 2).reshape(len(kernel), -1).T
    result = np.empty((*windows.shape[:3], len(kernel)), np.float32)
    for where in _chunks(windows):
        part = windows[where]
        result[where] = part.reshape(*part.shape[:3], -1) @ flat
    return result + bias


def _chunks(windows: Float32) -> Iterator[tuple[slice, slice, slice]]:
    """Parts of all windows, along their first three axes, that are small enough to be copied."""
    left = _PATCHES // math.prod(windows.shape[3:])
    sizes = [1, 1, 1]
    for axis in (2, 1, 0):
        sizes[axis] = min(windows.shape[axis], max(left, 1))
        left //= sizes[axis]
    starts = (range(0, all_, size) for all_, size in zip(windows.shape, sizes, strict=False))
    for first in itertools.product(*starts):
        samples, rows, columns = (
            slice(at, at + size) for at, size in zip(first, sizes, strict=True)
        )
        yield samples, rows, columns


def _pooled(node: n.Pool, value: Float32) -> Float32:
    if node.kind == "max":
        return _reduced(node, np.maximum, _padded(value, node.padding, _LOWEST))
    cells = np.ones((1, *value.shape[1:3], 1), np.float32)
    totals, counts = (_reduced(node, np.add, _padded(x, node.padding)) for x in (value, cells))
    return np.asarray(totals / counts)


def _reduced(node: n.Pool, function: np.ufunc, value: Float32) -> Float32:
    """Each window as one value: over its rows first, then over its columns."""
    (height, width), (down, across) = node.kernel, node.stride
    rows = function.reduce(_windows(value, (height, 1), (down, 1), (1, 1)), axis=(4, 5))
    found = function.reduce(_windows(rows, (1, width), (1, across), (1, 1)), axis=(4, 5))
    return np.asarray(found)


def _function(node: n.Function, value: Float32) -> Float32:
    match node.kind:
        case "logistic":
            return np.asarray(1.0 / (1.0 + np.exp(-value)))
        case "tanh":
            return np.tanh(value)
        case "leaky_relu":
            return np.where(value > 0, value, np.float32(node.alpha) * value)
        case _:
            exponentials = np.exp(value - value.max(axis=-1, keepdims=True))
            return np.asarray(exponentials / exponentials.sum(axis=-1, keepdims=True))
