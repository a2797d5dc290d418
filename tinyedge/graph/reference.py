"""The numpy reference: the meaning of every operator, bit for bit.

Matrix products run in floating point, where the checked bound on the accumulators makes every
partial sum an exact integer: float32 below 2**24, float64 below 2**53.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import singledispatch
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tinyedge.errors import DataError
from tinyedge.graph import gemmlowp, recurrent
from tinyedge.graph import operators as ops
from tinyedge.graph.fixed_point import (
    INT8_MIN,
    INT32_MIN,
    Int64,
    multiply_by_quantized_multiplier,
    rounding_divide_by_power_of_two,
    saturating_rounding_doubling_high_mul,
)
from tinyedge.graph.graph import Graph
from tinyedge.graph.tensors import Tensor

Int8 = NDArray[np.int8]

_CHUNK_BYTES = 64 * 2**20
"""Roughly how much memory one batch of patches may take."""


def run(
    graph: Graph,
    samples: Int8,
    progress: Callable[[int], None] | None = None,
    tap: Callable[[str, Int8], None] | None = None,
) -> Int8:
    """Runs samples through the graph.

    Args:
        graph: the graph.
        samples: int8 (n, *input shape); of a graph with states also sequences of frames, int8
            (n, frames, *input shape). States have their initial values before each sample.
        progress: called with the number of samples finished since the last call.
        tap: called with the name and the value (m, *shape) of every tensor of every chunk, frames
            in their order.

    Returns:
        Logits, int8 (n, *output shape), or (n, frames, *output shape).

    Raises:
        DataError: the samples are not int8 or not of the input's shape.
    """
    sequences = as_sequences(graph, samples)
    frames = sequences.shape[1]
    # Tapped values come in the order of the samples.
    chunk = 1 if tap and frames > 1 else samples_at_once(graph)
    result = np.empty((*sequences.shape[:2], *graph.output_tensor.shape), dtype=np.int8)
    for start in range(0, len(sequences), chunk):
        part = slice(start, start + chunk)
        kept = {name: state.initial[np.newaxis] for name, state in graph.states.items()}
        for frame in range(frames):
            values = computed(graph, sequences[part, frame], kept)
            if tap:
                for name, value in values.items():
                    tap(name, value)
            result[part, frame] = values[graph.output]
            kept = {name: values[state.next] for name, state in graph.states.items()}
        if progress:
            progress(len(sequences[part]))
    return result.reshape(*leading_axes(graph, samples), *graph.output_tensor.shape)


def computed(graph: Graph, samples: Int8, kept: Mapping[str, Int8]) -> dict[str, Int8]:
    """Every tensor, for one inference of a batch.

    Args:
        graph: the graph.
        samples: int8 (n, *input shape).
        kept: values of the states, (n, *shape), or (1, *shape) where they are the same for all.

    Returns:
        int8 (n, *shape) by name; of constants n is 1.
    """
    values = {graph.input: samples}
    values |= {name: constant[np.newaxis] for name, constant in graph.constants.items()}
    values |= {
        name: np.broadcast_to(value, (len(samples), *value.shape[1:]))
        for name, value in kept.items()
    }
    for operator in graph.operators:
        tensors = graph.inputs_of(operator)
        arrays = [values[tensor.name] for tensor in tensors]
        values[operator.output] = compute(operator, arrays, tensors, graph.tensors[operator.output])
    return values


def check_samples(graph: Graph, samples: Int8) -> None:
    """Raises DataError where samples are not int8 (n, *input shape)."""
    shape = graph.input_tensor.shape
    if samples.dtype != np.int8 or samples.shape[1:] != shape:
        raise DataError(f"samples have to be int8 (n, {', '.join(map(str, shape))})")


def leading_axes(graph: Graph, samples: Int8) -> tuple[int, ...]:
    """Gives the axes before the input's shape: (n,), or (n, frames)."""
    return samples.shape[: samples.ndim - len(graph.input_tensor.shape)]


def as_sequences(graph: Graph, samples: Int8) -> Int8:
    """Samples as sequences, int8 (n, frames, *input shape); one without frames is one frame.

    Raises:
        DataError: the samples are not int8 or not of the input's shape.
    """
    shape = graph.input_tensor.shape
    axes = leading_axes(graph, samples)
    fits = samples.shape[len(axes) :] == shape and len(axes) in ((1, 2) if graph.states else (1,))
    if samples.dtype != np.int8 or not fits:
        frames = " or (n, frames, …)" if graph.states else ""
        raise DataError(f"samples have to be int8 (n, {', '.join(map(str, shape))}){frames}")
    return samples if len(axes) == 2 else samples[:, np.newaxis]


def samples_at_once(graph: Graph) -> int:
    """Samples of a batch whose patches take no more than ``_CHUNK_BYTES``."""
    patch_bytes = max(
        (
            4 * graph.macs_of(operator) // max(len(operator.weights.codes), 1)
            for operator in graph.operators
            if isinstance(operator, ops.Weighted)
        ),
        default=1,
    )
    return int(np.clip(_CHUNK_BYTES // max(patch_bytes, 1), 1, 256))


def compute(
    operator: ops.Operator, arrays: list[Int8], inputs: list[Tensor], output: Tensor
) -> Int8:
    """Computes one operator on a batch: int8 arrays (n, *shape) in, one out."""
    return clamped(operator, unclamped(operator, arrays, inputs, output))


def clamped(operator: ops.Operator, values: Int64 | Int8) -> Int8:
    """Clamps the result of ``unclamped`` to the operator's fused activation and int8."""
    if values.dtype == np.int8:
        return values  # type: ignore[return-value]
    clamp = operator.clamp if isinstance(operator, ops.Clamped) else ops.FULL_RANGE
    return np.clip(values, *clamp).astype(np.int8)


@singledispatch
def unclamped(
    operator: ops.Operator, arrays: list[Int8], inputs: list[Tensor], output: Tensor
) -> Int64 | Int8:
    """The result of one operator before it is clamped: on the output's grid, zero point included.

    Operators that only move values, or look them up, give int8, of which nothing is clamped.
    """
    raise NotImplementedError(type(operator).__name__)


def _requantized(
    operator: ops.Weighted, accumulators: Int64, source: Tensor, output: Tensor
) -> Int64:
    mantissas, shifts = operator.multipliers(source.quantization, output.quantization)
    if operator.weights.steps is not None:
        accumulators = accumulators * operator.weights.steps
    scaled = multiply_by_quantized_multiplier(accumulators + operator.bias, mantissas, shifts)
    return scaled + output.quantization.zero_point


def sliding_windows(
    x: NDArray[Any], operator: ops.Windowed, dilation: ops.Pair, padding_value: int
) -> NDArray[Any]:
    """All windows of a batch: (n, rows, columns, channels, window height, window width)."""
    top, bottom, left, right = operator.padding
    x = np.pad(x, ((0, 0), (top, bottom), (left, right), (0, 0)), constant_values=padding_value)
    views = np.lib.stride_tricks.sliding_window_view(x, operator.window(), axis=(1, 2))
    return views[:, :: operator.stride[0], :: operator.stride[1], :, :: dilation[0], :: dilation[1]]


def _exact_float(operator: ops.Weighted, source: Tensor) -> type[np.float32 | np.float64]:
    bound = int(operator.accumulator_bound(source.quantization).max(initial=0))
    return np.float32 if bound < 2**24 else np.float64


def _int16(values: Int64) -> Int64:
    found: Int64 = np.clip(values, *recurrent.INT16)
    return found


def _from_bytes(values: Int8) -> Int64:
    """Cells of 16 bits, (n, cells), of pairs of bytes."""
    return np.ascontiguousarray(values).view("<i2").astype(np.int64)


def _to_bytes(cells: Int64) -> Int8:
    return cells.astype("<i2").view(np.int8)


def _sigmoid_16(x: Int64, shift: int) -> Int64:
    """The larger half of a sigmoid: with so many fraction bits between values of the table."""
    table = recurrent.sigmoid_table().astype(np.int64)
    whole = x >> shift
    at = np.minimum(whole, 254)
    between = (table[at] << shift) + (x & ((1 << shift) - 1)) * (table[at + 1] - table[at])
    return np.where(whole >= 255, (0x7FFF << 10) if shift == 9 else (0xFFFF << 8), between)


def _logistic_16(x: Int64) -> Int64:
    """TFLite's ``integer_ops/logistic.h`` for 16 bits, from 12 to 15 fraction bits."""
    x = 3 * x
    half = _sigmoid_16(np.abs(x), 9)
    return np.where(x >= 0, half + 2**9, 2**25 - half + 2**9 - 1) >> 10


def _tanh_16(x: Int64, multiplier: int, shift: int) -> Int64:
    """TFLite's ``integer_ops/tanh.h`` for 16 bits."""
    x = (x * multiplier + ((1 << shift) >> 1)) >> shift
    half = _sigmoid_16(np.abs(x), 8)
    return np.where(x >= 0, half - 2**23 + 2**7, -half + 2**23 + 2**7 - 1) >> 8


@unclamped.register
def _lstm(
    operator: recurrent.Lstm, arrays: list[Int8], inputs: list[Tensor], output: Tensor
) -> Int8:
    source, target = inputs[0].quantization, output.quantization
    sequence = arrays[0].astype(np.float64) - source.zero_point
    last, cells = arrays[1], _from_bytes(arrays[2])
    own, before = operator.multipliers(source, target)
    forget_cell, input_cell, output_tanh = operator.products(target)
    kernel, loop = (each.astype(np.float64) for each in (operator.kernel, operator.recurrent))
    outputs = []
    for step in range(sequence.shape[1]):
        centred = last.astype(np.float64) - target.zero_point
        gates = []
        for gate in range(len(kernel)):
            new = (sequence[:, step] @ kernel[gate].T).astype(np.int64) + operator.bias[gate]
            old = (centred @ loop[gate].T).astype(np.int64)
            gates.append(
                _int16(
                    _int16(multiply_by_quantized_multiplier(new, *own[gate]))
                    + _int16(multiply_by_quantized_multiplier(old, *before[gate]))
                )
            )
        entering, forget, leaving = (_logistic_16(gates[gate]) for gate in (0, 1, 3))
        cells = _int16(
            _int16(multiply_by_quantized_multiplier(forget * cells, *forget_cell))
            + _int16(
                multiply_by_quantized_multiplier(entering * _tanh_16(gates[2], 3, 0), *input_cell)
            )
        )
        if operator.cell_clip:
            cells = np.clip(cells, -operator.cell_clip, operator.cell_clip)
        product = _tanh_16(cells, *operator.tanh) * leaving
        scaled = multiply_by_quantized_multiplier(product, *output_tanh)
        last = np.clip(scaled + target.zero_point, -128, 127).astype(np.int8)
        outputs.append(last)
    return np.concatenate([*outputs, _to_bytes(cells)], axis=1)


@unclamped.register
def _svdf(
    operator: recurrent.Svdf, arrays: list[Int8], inputs: list[Tensor], output: Tensor
) -> Int8:
    source, target = inputs[0].quantization, output.quantization
    first, second = operator.multipliers(source, target)
    narrow = isinstance(operator, recurrent.SvdfNarrow)
    zero = operator.memory_zero if isinstance(operator, recurrent.SvdfNarrow) else 0
    centred = arrays[0].reshape(len(arrays[0]), -1).astype(np.float64) - source.zero_point
    cells = arrays[1].astype(np.int64) if narrow else _from_bytes(arrays[1])
    memory = cells.reshape(-1, *operator.time.shape)
    features = (centred @ operator.feature.T.astype(np.float64)).astype(np.int64)
    newest = multiply_by_quantized_multiplier(features, *first)
    if narrow:
        newest = (np.clip(newest, -128, 127) + zero).astype(np.int8).astype(np.int64)
    else:
        newest = _int16(newest)
    memory = np.concatenate([memory[..., 1:], newest[..., np.newaxis]], axis=2)
    sums = ((memory - zero) * operator.time.astype(np.int64)).sum(axis=2)
    totals = sums.reshape(len(sums), len(operator.bias), -1).sum(axis=2) + operator.bias
    scaled = multiply_by_quantized_multiplier(totals, *second) + target.zero_point
    values = np.clip(scaled, -128, 127).astype(np.int8)
    kept = memory.reshape(len(memory), -1)
    return np.concatenate([values, kept.astype(np.int8) if narrow else _to_bytes(kept)], axis=1)


@unclamped.register
def _conv2d(
    operator: ops.Conv2D, arrays: list[Int8], inputs: list[Tensor], output: Tensor
) -> Int64:
    kind = _exact_float(operator, inputs[0])
    centred = arrays[0].astype(kind) - inputs[0].quantization.zero_point
    windows = sliding_windows(centred, operator, operator.dilation, 0)
    n, rows, columns = windows.shape[:3]
    patches = windows.reshape(n * rows * columns, -1)
    codes = operator.weights.codes.transpose(0, 3, 1, 2).reshape(len(operator.bias), -1)
    accumulators = (patches @ codes.T.astype(kind)).astype(np.int64)
    accumulators = accumulators.reshape(n, rows, columns, -1)
    return _requantized(operator, accumulators, inputs[0], output)


@unclamped.register
def _depthwise_conv2d(
    operator: ops.DepthwiseConv2D, arrays: list[Int8], inputs: list[Tensor], output: Tensor
) -> Int64:
    centred = arrays[0].astype(np.int32) - inputs[0].quantization.zero_point
    repeats = len(operator.weights.codes) // centred.shape[3]
    windows = sliding_windows(np.repeat(centred, repeats, axis=3), operator, operator.dilation, 0)
    codes = operator.weights.codes.astype(np.int32)
    accumulators = np.zeros(windows.shape[:4], dtype=np.int64)
    for row, column in np.ndindex(*codes.shape[1:]):
        accumulators += windows[..., row, column] * codes[:, row, column]
    return _requantized(operator, accumulators, inputs[0], output)


@unclamped.register
def _fully_connected(
    operator: ops.FullyConnected, arrays: list[Int8], inputs: list[Tensor], output: Tensor
) -> Int64:
    kind = _exact_float(operator, inputs[0])
    flat = arrays[0].reshape(len(arrays[0]), -1).astype(kind) - inputs[0].quantization.zero_point
    accumulators = (flat @ operator.weights.codes.T.astype(kind)).astype(np.int64)
    return _requantized(operator, accumulators, inputs[0], output)


def _scaled_below_one(values: Int64, multiplier: ops.Pair) -> Int64:
    mantissa, shift = multiplier
    high = saturating_rounding_doubling_high_mul(values, mantissa)
    return rounding_divide_by_power_of_two(high, -shift)


def _aligned(array: Int8, tensor: Tensor, axes: int) -> Int64:
    """A batch with the zero point taken off and axes of one put before those of each sample."""
    missing = axes - len(tensor.shape)
    centred = array.astype(np.int64) - tensor.quantization.zero_point
    return centred.reshape(len(array), *[1] * missing, *tensor.shape)


@unclamped.register
def _add(operator: ops.Add, arrays: list[Int8], inputs: list[Tensor], output: Tensor) -> Int64:
    first, second, result = operator.multipliers(inputs, output)
    terms = [
        _scaled_below_one(
            _aligned(array, tensor, len(output.shape)) << ops.ADD_LEFT_SHIFT, multiplier
        )
        for array, tensor, multiplier in zip(arrays, inputs, (first, second), strict=True)
    ]
    total = terms[0] - terms[1] if isinstance(operator, ops.Sub) else terms[0] + terms[1]
    scaled = _scaled_below_one(total, result)
    return scaled + output.quantization.zero_point


@unclamped.register
def _mul(operator: ops.Mul, arrays: list[Int8], inputs: list[Tensor], output: Tensor) -> Int64:
    first, second = (
        _aligned(array, tensor, len(output.shape))
        for array, tensor in zip(arrays, inputs, strict=True)
    )
    scaled = multiply_by_quantized_multiplier(first * second, *operator.multiplier(inputs, output))
    return scaled + output.quantization.zero_point


@unclamped.register
def _maximum(
    operator: ops.Maximum, arrays: list[Int8], inputs: list[Tensor], output: Tensor
) -> Int64:
    return np.maximum(*_both(arrays, inputs, output))


@unclamped.register
def _minimum(
    operator: ops.Minimum, arrays: list[Int8], inputs: list[Tensor], output: Tensor
) -> Int64:
    return np.minimum(*_both(arrays, inputs, output))


def _both(arrays: list[Int8], inputs: list[Tensor], output: Tensor) -> list[Int64]:
    """Both inputs as they are, with the output's number of axes."""
    return [
        _aligned(array, tensor, len(output.shape)) + tensor.quantization.zero_point
        for array, tensor in zip(arrays, inputs, strict=True)
    ]


@unclamped.register
def _prelu(operator: ops.Prelu, arrays: list[Int8], inputs: list[Tensor], output: Tensor) -> Int64:
    x, slope = (
        _aligned(array, tensor, len(output.shape))
        for array, tensor in zip(arrays, inputs, strict=True)
    )
    positive, negative = operator.multipliers(inputs, output)
    scaled = np.where(
        x >= 0,
        multiply_by_quantized_multiplier(x, *positive),
        multiply_by_quantized_multiplier(x * slope, *negative),
    )
    return scaled + output.quantization.zero_point


@unclamped.register
def _concatenation(
    operator: ops.Concatenation, arrays: list[Int8], inputs: list[Tensor], output: Tensor
) -> Int8:
    batch = max(map(len, arrays))
    whole = [np.broadcast_to(array, (batch, *array.shape[1:])) for array in arrays]
    return np.concatenate(whole, axis=1 + operator.axis)


@unclamped.register
def _join(operator: ops.Join, arrays: list[Int8], inputs: list[Tensor], output: Tensor) -> Int8:
    batch = max(map(len, arrays))
    flat = [array.reshape(len(array), -1) for array in arrays]
    return np.concatenate([np.broadcast_to(each, (batch, each.shape[1])) for each in flat], axis=1)


@unclamped.register
def _part(operator: ops.Part, arrays: list[Int8], inputs: list[Tensor], output: Tensor) -> Int8:
    (whole,) = arrays
    part = whole[:, operator.begin : operator.begin + output.size]
    return part.reshape(len(part), *output.shape)


@unclamped.register
def _mat_mul(
    operator: ops.MatMul, arrays: list[Int8], inputs: list[Tensor], output: Tensor
) -> Int64:
    sides = []
    for array, tensor, turned in zip(arrays, inputs, operator.transposed, strict=True):
        centred = array.astype(np.float64) - tensor.quantization.zero_point
        sides.append(centred.swapaxes(-1, -2) if turned else centred)
    accumulators = (sides[0] @ sides[1]).astype(np.int64)
    scaled = multiply_by_quantized_multiplier(accumulators, *operator.multiplier(inputs, output))
    return scaled + output.quantization.zero_point


@unclamped.register
def _arg_max(
    operator: ops.ArgMax, arrays: list[Int8], inputs: list[Tensor], output: Tensor
) -> Int8:
    chosen = np.argmax if operator.largest else np.argmin
    found = chosen(arrays[0], axis=1 + operator.axis)
    return int32_bytes(found)


def int32_bytes(values: NDArray[np.integer]) -> Int8:
    """Integers as the four bytes of each, the lowest first, along one more axis."""
    words = np.asarray(values)[..., np.newaxis].astype("<i4", order="C")
    return words.view(np.int8)


def split_inputs(graph: Graph, samples: Int8) -> list[Int8]:
    """The inputs of a model, (…, *shape) of each, of samples (…, *input shape)."""
    axes = leading_axes(graph, samples)
    if len(graph.inputs) == 1:
        return [samples]
    ends = np.cumsum([tensor.size for tensor in graph.inputs])[:-1]
    return [
        part.reshape(*axes, *tensor.shape)
        for tensor, part in zip(graph.inputs, np.split(samples, ends, axis=-1), strict=True)
    ]


def split_results(graph: Graph, logits: Int8) -> list[Int8]:
    """The outputs of a model, (…, *shape) of each result, of its logits (…, *output shape).

    Those of ``int32_results`` are their bytes; see ``as_int32``.
    """
    axes = logits.shape[: logits.ndim - len(graph.output_tensor.shape)]
    flat = logits.reshape(*axes, -1)
    ends = np.cumsum([tensor.size for tensor in graph.results])[:-1]
    return [
        part.reshape(*axes, *tensor.shape)
        for tensor, part in zip(graph.results, np.split(flat, ends, axis=-1), strict=True)
    ]


def as_int32(values: Int8) -> NDArray[np.int32]:
    """Decodes the bytes of int32 results, (…, 4)."""
    words: NDArray[np.int32] = np.ascontiguousarray(values).view("<i4")[..., 0].astype(np.int32)
    return words


def _divided_half_away(total: Int64, count: Int64 | np.int64) -> Int64:
    """``round(total / count)``, halves away from zero, as C divides."""
    magnitude = (np.abs(total) + count // 2) // count
    return np.where(total > 0, magnitude, -magnitude)


@unclamped.register
def _average_pool2d(
    operator: ops.AveragePool2D, arrays: list[Int8], inputs: list[Tensor], output: Tensor
) -> Int64:
    x = arrays[0].astype(np.int64)
    total = sliding_windows(x, operator, (1, 1), 0).sum(axis=(4, 5))
    count = sliding_windows(np.ones_like(x[:1]), operator, (1, 1), 0).sum(axis=(4, 5))
    return _divided_half_away(total, count)


@unclamped.register
def _max_pool2d(
    operator: ops.MaxPool2D, arrays: list[Int8], inputs: list[Tensor], output: Tensor
) -> Int64:
    largest: Int64 = sliding_windows(arrays[0].astype(np.int64), operator, (1, 1), -128).max(
        axis=(4, 5)
    )
    return largest


@unclamped.register
def _mean(operator: ops.Mean, arrays: list[Int8], inputs: list[Tensor], output: Tensor) -> Int64:
    centred = arrays[0].astype(np.int64) - inputs[0].quantization.zero_point
    total = centred.sum(axis=(1, 2), keepdims=True)
    scaled = multiply_by_quantized_multiplier(total, *operator.multiplier(inputs[0], output))
    return scaled + output.quantization.zero_point


@unclamped.register
def _pad(operator: ops.Pad, arrays: list[Int8], inputs: list[Tensor], output: Tensor) -> Int8:
    top, bottom, left, right = operator.padding
    return np.pad(
        arrays[0],
        ((0, 0), (top, bottom), (left, right), operator.channels),
        constant_values=operator.filler(inputs[0]),
    )


@unclamped.register
def _reshape(
    operator: ops.Reshape, arrays: list[Int8], inputs: list[Tensor], output: Tensor
) -> Int8:
    return arrays[0].reshape(len(arrays[0]), *operator.shape)


@unclamped.register
def _transpose(
    operator: ops.Transpose, arrays: list[Int8], inputs: list[Tensor], output: Tensor
) -> Int8:
    return arrays[0].transpose(0, *(1 + axis for axis in operator.axes))


@unclamped.register
def _slice(operator: ops.Slice, arrays: list[Int8], inputs: list[Tensor], output: Tensor) -> Int8:
    return arrays[0][slices(operator)]


def _behind(begin: int, size: int, stride: int) -> int | None:
    """Where a slice ends; None for the beginning, which -1 does not stand for."""
    last = begin + (size - 1) * stride
    end = last + (1 if stride > 0 else -1)
    return None if end < 0 else end


def slices(operator: ops.Slice) -> tuple[slice, ...]:
    """Gives the slices that a Slice takes of a batch."""
    return (
        slice(None),
        *(
            slice(begin, _behind(begin, size, stride), stride)
            for begin, size, stride in zip(
                operator.begin, operator.size, operator.stride, strict=True
            )
        ),
    )


@unclamped.register
def _resize(operator: ops.Resize, arrays: list[Int8], inputs: list[Tensor], output: Tensor) -> Int8:
    height, width, _ = inputs[0].shape
    rows = operator.weights(height, output.shape[0])
    columns = operator.weights(width, output.shape[1])
    mixed = np.einsum("yh,nhwc,xw->nyxc", rows, arrays[0], columns, optimize=True)
    return _divided_half_away(mixed.astype(np.int64), np.int64(2**20)).astype(np.int8)


@unclamped.register
def _requantize(
    operator: ops.Requantize, arrays: list[Int8], inputs: list[Tensor], output: Tensor
) -> Int64:
    centred = arrays[0].astype(np.int64) - inputs[0].quantization.zero_point
    scaled = multiply_by_quantized_multiplier(centred, *operator.multiplier(inputs[0], output))
    return scaled + output.quantization.zero_point


@unclamped.register
def _lookup(operator: ops.Lookup, arrays: list[Int8], inputs: list[Tensor], output: Tensor) -> Int8:
    table = operator.table(inputs[0].quantization, output.quantization)
    return table[arrays[0].astype(np.int16) + 128]


@unclamped.register
def _softmax(
    operator: ops.Softmax, arrays: list[Int8], inputs: list[Tensor], output: Tensor
) -> Int64:
    raw, counts = _differences(operator, arrays[0], inputs[0])
    exponentials = np.where(counts, gemmlowp.exp_on_negative_values(raw, 5), 0)
    total = rounding_divide_by_power_of_two(exponentials, 12).sum(axis=-1, keepdims=True)
    # 1 / total: normalized to [1, 2) by its leading zeros, one of which is the sign's.
    bits = np.frexp(total.astype(np.float64))[1].astype(np.int64)
    scale = gemmlowp.one_over_one_plus((total << (32 - bits)) - 2**31)
    scaled = saturating_rounding_doubling_high_mul(exponentials, scale)
    exponent = 12 - (32 - bits) + 31 - 8
    result = rounding_divide_by_power_of_two(scaled, exponent)
    return result + output.quantization.zero_point


def _differences(operator: ops.Softmax, x: Int8, source: Tensor) -> tuple[Int64, NDArray[np.bool_]]:
    """Differences from the largest element, with 5 integer bits, and which ones count."""
    difference = x.astype(np.int64) - x.max(axis=-1, keepdims=True).astype(np.int64)
    counts = difference >= operator.smallest_difference(source.quantization)
    multiplier = operator.multiplier(source.quantization)
    return multiply_by_quantized_multiplier(np.where(counts, difference, 0), *multiplier), counts


@unclamped.register
def _log_softmax(
    operator: ops.LogSoftmax, arrays: list[Int8], inputs: list[Tensor], output: Tensor
) -> Int64:
    raw, counts = _differences(operator, arrays[0], inputs[0])
    exponentials = np.where(counts, gemmlowp.exp_on_negative_values(raw, 5), 0)
    total = rounding_divide_by_power_of_two(exponentials, 12).sum(axis=-1, keepdims=True)
    log = gemmlowp.log_of_at_least_one(total)
    source = inputs[0].quantization
    least = np.maximum(
        operator.smallest_difference(source) - 1,
        multiply_by_quantized_multiplier(log + INT32_MIN, *operator.reverse_multiplier(source)),
    )
    x = arrays[0].astype(np.int64)
    fits = x - x.max(axis=-1, keepdims=True) > least
    result = rounding_divide_by_power_of_two(raw - log, 22) + output.quantization.zero_point
    return np.where(fits, result, INT8_MIN)
