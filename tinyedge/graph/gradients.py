"""Gradients of the integer graph: a vector-Jacobian product for every operator.

The forward pass is the reference, bit for bit, and keeps every int8 tensor. The backward pass is in
real units: integer weights times their scales, float32. Rounding has no derivative; it is passed
straight through, and so are other grids and other shapes. Where a result was clamped, by a fused
activation or by the range of int8, nothing passes. Functions that are looked up have the derivative
of the real function at the number that their input stands for.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tinyedge.graph import operators as ops
from tinyedge.graph import recurrent, reference
from tinyedge.graph.fixed_point import INT8_MAX, INT8_MIN
from tinyedge.graph.graph import Graph
from tinyedge.graph.tensors import Quantization, Tensor

Float32 = NDArray[np.float32]
Int8 = NDArray[np.int8]


@dataclass(frozen=True)
class Step:
    """One operator of a forward pass.

    Attributes:
        arrays: int8 inputs, (n, *shape); of constants n is 1.
        inputs: their tensors.
        output: the tensor that was written.
    """

    arrays: list[Int8]
    inputs: list[Tensor]
    output: Tensor

    def real(self, index: int) -> Float32:
        """The numbers that an input stands for, float32 (n, *shape)."""
        return self.inputs[index].quantization.dequantize(self.arrays[index])


Product = Callable[[Any, Step, Float32], list[Float32]]
"""From an operator, its step, and the gradient by its real output (n, *shape), to the gradients by
its real inputs, (n, *shape) each."""

_PRODUCTS: dict[type[ops.Operator], Product | str] = {}
"""By exact class, as a subclass computes something else: a product, or why there is none."""


def product_of(*kinds: type[ops.Operator]) -> Callable[[Product], Product]:
    """Registers the product of operators."""

    def register(product: Product) -> Product:
        _PRODUCTS.update(dict.fromkeys(kinds, product))
        return product

    return register


def no_product(kind: type[ops.Operator], reason: str) -> None:
    """Says that an operator has no product: attacks by gradients refuse its graphs.

    Args:
        kind: of the operator.
        reason: completes "has no gradient: …".
    """
    _PRODUCTS[kind] = reason


def registered(kind: type[ops.Operator]) -> bool:
    """Whether an operator has a product, or says that it has none."""
    return kind in _PRODUCTS


no_product(recurrent.Lstm, "its states are 16 bits in pairs of bytes")
no_product(recurrent.Svdf, "its memory is 16 bits in pairs of bytes")
no_product(recurrent.SvdfNarrow, "its memory goes on from one frame to the next")


def check_differentiable(graph: Graph) -> None:
    """Raises ModelError, naming the operator, where one has no product."""
    for operator in graph.operators:
        product = _PRODUCTS.get(type(operator), "nobody has written it yet")
        if isinstance(product, str):
            error = operator.fail(f"has no gradient: {product}")
            error.hint = "name attacks that need answers only, such as square"
            raise error


class Pass:
    """A forward pass of a batch, which gradients are computed of.

    Args:
        graph: of operators that all have a product, see ``check_differentiable``.
        samples: int8 (n, *input shape).
        saturating: name of a tensor whose clamp passes gradients all the same.

    Attributes:
        values: every tensor, int8 (n, *shape); of constants, and of states, which have their
            initial value, n is 1.
    """

    def __init__(self, graph: Graph, samples: Int8, saturating: str | None = None) -> None:
        self._graph = graph
        self._inside: dict[str, NDArray[np.bool_]] = {}
        self.values: dict[str, Int8] = {graph.input: samples}
        self._fixed = dict(graph.constants)
        self._fixed |= {name: state.initial for name, state in graph.states.items()}
        self.values |= {name: values[np.newaxis] for name, values in self._fixed.items()}
        for operator in graph.operators:
            step = self._step(operator)
            raw = reference.unclamped(operator, step.arrays, step.inputs, step.output)
            value = reference.clamped(operator, raw)
            if raw.dtype != np.int8 and operator.output != saturating:
                self._inside[operator.output] = raw == value
            self.values[operator.output] = value

    def _step(self, operator: ops.Operator) -> Step:
        arrays = [self.values[name] for name in operator.inputs]
        return Step(arrays, self._graph.inputs_of(operator), self._graph.tensors[operator.output])

    def gradient(self, cotangent: Float32, of: str | None = None) -> Float32:
        """The vector-Jacobian product of the whole graph.

        Args:
            cotangent: gradient by the real values of a tensor, float32 (n, *shape).
            of: name of the tensor; the graph's output by default.

        Returns:
            The gradient by the real input, float32 (n, *input shape).
        """
        found: dict[str, Float32] = {of or self._graph.output: cotangent.astype(np.float32)}
        for operator in reversed(self._graph.operators):
            if operator.output not in found:
                continue
            arriving = found.pop(operator.output)
            if operator.output in self._inside:
                arriving = arriving * self._inside[operator.output]
            product = _PRODUCTS[type(operator)]
            assert not isinstance(product, str)
            parts = product(operator, self._step(operator), arriving)
            for name, part in zip(operator.inputs, parts, strict=True):
                if name not in self._fixed:
                    found[name] = found[name] + part if name in found else part
        missing = np.zeros((len(cotangent), *self._graph.input_tensor.shape), np.float32)
        return found.get(self._graph.input, missing)


def passes(
    graph: Graph, samples: Int8, saturating: str | None = None
) -> Iterator[tuple[slice, Pass]]:
    """Forward passes of as many samples at a time as memory takes, and which ones they are of.

    Args:
        graph: the graph.
        samples: int8 (n, *input shape).
        saturating: see ``Pass``.

    Raises:
        DataError: the samples are not int8 or not of the input's shape.
        ModelError: an operator has no product.
    """
    reference.check_samples(graph, samples)
    check_differentiable(graph)
    at_once = reference.samples_at_once(graph)
    for start in range(0, len(samples), at_once):
        part = slice(start, start + at_once)
        yield part, Pass(graph, samples[part], saturating)


def gradient(graph: Graph, samples: Int8, cotangent: Float32) -> Float32:
    """The gradient by the real input of ``(cotangent * real output).sum()``.

    Args:
        graph: the graph.
        samples: int8 (n, *input shape).
        cotangent: float32 (n, *output shape).

    Returns:
        float32 (n, *input shape), in units of one over the real input.

    Raises:
        DataError: the samples are not int8 or not of the input's shape.
        ModelError: an operator has no product.
    """
    result = np.empty(samples.shape, np.float32)
    for part, computed in passes(graph, samples):
        result[part] = computed.gradient(cotangent[part])
    return result


Loss = Callable[[Float32, slice], Float32]
"""From real logits (n, classes), and which samples they are of, to the gradient by them."""


def logits_tensor(graph: Graph) -> str:
    """The tensor that holds the logits: the output, or what a last Softmax or Logistic takes.

    Behind those two a verdict that is certain has next to no gradient.
    """
    name = graph.output
    for operator in reversed(graph.operators):
        if operator.output != name:
            continue
        if not isinstance(operator, ops.Softmax | ops.Logistic | ops.Reshape):
            break
        name = operator.inputs[0]
    return name if name in {operator.output for operator in graph.operators} else graph.output


def outputs_and_gradient(graph: Graph, samples: Int8, loss: Loss) -> tuple[Int8, Float32]:
    """The output of samples, and the gradient of a loss by their real values.

    The logits are those of ``logits_tensor``. Their own limits pass gradients: otherwise a sample
    whose logit is as high as int8 can be would have none.

    Args:
        graph: the graph.
        samples: int8 (n, *input shape).
        loss: gives its gradient by the logits.

    Returns:
        The output, int8 (n, *output shape); the gradient, float32 (n, *input shape).

    Raises:
        DataError: the samples are not int8 or not of the input's shape.
        ModelError: an operator has no product.
    """
    name = logits_tensor(graph)
    tensor = graph.tensors[name]
    outputs = np.empty((len(samples), *graph.output_tensor.shape), np.int8)
    result = np.empty(samples.shape, np.float32)
    for part, computed in passes(graph, samples, saturating=name):
        outputs[part] = computed.values[graph.output]
        real = tensor.quantization.dequantize(computed.values[name])
        by_logits = loss(real.reshape(len(real), -1), part)
        result[part] = computed.gradient(by_logits.reshape(real.shape), name)
    return outputs, result


def _weights(operator: ops.Weighted) -> Float32:
    """The real weights, float32, laid out as the integers."""
    integers = operator.weights.integers.astype(np.float32)
    return integers * operator.weights.scales.reshape(-1, *[1] * (integers.ndim - 1))


def _padded(step: Step, operator: ops.Windowed) -> tuple[Float32, tuple[slice, ...]]:
    """Zeros of the padded input's shape, and where the input lies in them."""
    height, width, channels = step.inputs[0].shape
    top, bottom, left, right = operator.padding
    size = (len(step.arrays[0]), height + top + bottom, width + left + right, channels)
    inner = (slice(None), slice(top, top + height), slice(left, left + width))
    return np.zeros(size, np.float32), inner


def _reached(
    operator: ops.Windowed, dilation: ops.Pair, cell: ops.Pair, output: Tensor
) -> tuple[slice, slice, slice]:
    """The cells of the padded input that one cell of the window comes to lie on."""
    spans = [
        slice(at * spread, at * spread + (count - 1) * stride + 1, stride)
        for at, spread, stride, count in zip(
            cell, dilation, operator.stride, output.shape[:2], strict=True
        )
    ]
    return slice(None), spans[0], spans[1]


@product_of(ops.Conv2D)
def _conv2d(operator: ops.Conv2D, step: Step, cotangent: Float32) -> list[Float32]:
    weights = _weights(operator)
    _, height, width, channels = weights.shape
    found, inner = _padded(step, operator)
    for row in range(height):
        parts = cotangent @ weights[:, row].reshape(len(weights), -1)
        parts = parts.reshape(*cotangent.shape[:3], width, channels)
        for column in range(width):
            at = _reached(operator, operator.dilation, (row, column), step.output)
            found[at] += parts[..., column, :]
    return [found[inner]]


@product_of(ops.DepthwiseConv2D)
def _depthwise_conv2d(
    operator: ops.DepthwiseConv2D, step: Step, cotangent: Float32
) -> list[Float32]:
    weights = _weights(operator)
    found, inner = _padded(step, operator)
    channels = found.shape[3]
    repeats = len(weights) // channels
    for cell in np.ndindex(*weights.shape[1:]):
        part = cotangent * weights[:, cell[0], cell[1]]
        if repeats > 1:
            part = part.reshape(*part.shape[:3], channels, repeats).sum(axis=4)
        found[_reached(operator, operator.dilation, (cell[0], cell[1]), step.output)] += part
    return [found[inner]]


@product_of(ops.FullyConnected)
def _fully_connected(operator: ops.FullyConnected, step: Step, cotangent: Float32) -> list[Float32]:
    return [(cotangent @ _weights(operator)).reshape(len(cotangent), *step.inputs[0].shape)]


def _summed(cotangent: Float32, tensor: Tensor) -> Float32:
    """The gradient by an operand that was repeated along some axes: the sum along them."""
    missing = cotangent.ndim - 1 - len(tensor.shape)
    shape = (1,) * missing + tensor.shape
    axes = tuple(
        axis
        for axis, (size, whole) in enumerate(zip(shape, cotangent.shape[1:], strict=True), start=1)
        if size != whole
    )
    total: Float32 = cotangent.sum(axis=axes, keepdims=True)
    return total.reshape(len(cotangent), *tensor.shape)


@product_of(ops.Add)
def _add(operator: ops.Add, step: Step, cotangent: Float32) -> list[Float32]:  # noqa: ARG001
    return [_summed(cotangent, tensor) for tensor in step.inputs]


@product_of(ops.Sub)
def _sub(operator: ops.Sub, step: Step, cotangent: Float32) -> list[Float32]:  # noqa: ARG001
    return [_summed(cotangent, step.inputs[0]), _summed(-cotangent, step.inputs[1])]


@product_of(ops.Mul)
def _mul(operator: ops.Mul, step: Step, cotangent: Float32) -> list[Float32]:  # noqa: ARG001
    axes = len(step.output.shape)
    first, second = (
        values.reshape(len(values), *[1] * (axes + 1 - values.ndim), *values.shape[1:])
        for values in (step.real(0), step.real(1))
    )
    return [
        _summed(cotangent * second, step.inputs[0]),
        _summed(cotangent * first, step.inputs[1]),
    ]


@product_of(ops.Maximum, ops.Minimum)
def _extreme(operator: ops.Extreme, step: Step, cotangent: Float32) -> list[Float32]:
    """To the element that is chosen; of equal ones to the first."""
    axes = len(step.output.shape)
    first, second = (
        values.reshape(len(values), *[1] * (axes + 1 - values.ndim), *values.shape[1:])
        for values in step.arrays
    )
    chosen = first >= second if isinstance(operator, ops.Maximum) else first <= second
    return [
        _summed(cotangent * chosen, step.inputs[0]),
        _summed(cotangent * ~chosen, step.inputs[1]),
    ]


@product_of(ops.Prelu)
def _prelu(operator: ops.Prelu, step: Step, cotangent: Float32) -> list[Float32]:  # noqa: ARG001
    axes = len(step.output.shape)
    x, slope = (
        values.reshape(len(values), *[1] * (axes + 1 - values.ndim), *values.shape[1:])
        for values in (step.real(0), step.real(1))
    )
    return [
        _summed(cotangent * np.where(x >= 0, np.float32(1), slope), step.inputs[0]),
        _summed(cotangent * np.where(x >= 0, np.float32(0), x), step.inputs[1]),
    ]


@product_of(ops.Concatenation)
def _concatenation(operator: ops.Concatenation, step: Step, cotangent: Float32) -> list[Float32]:
    ends = np.cumsum([tensor.shape[operator.axis] for tensor in step.inputs])[:-1]
    return np.split(cotangent, ends, axis=1 + operator.axis)


@product_of(ops.Join)
def _join(_: ops.Join, step: Step, cotangent: Float32) -> list[Float32]:
    """Bytes are passed on; what they stand for is another number for each tensor."""
    ends = np.cumsum([tensor.size for tensor in step.inputs])[:-1]
    parts = np.split(cotangent, ends, axis=1)
    return [
        (part * (step.output.quantization.scale / tensor.quantization.scale))
        .reshape(len(part), *tensor.shape)
        .astype(np.float32)
        for part, tensor in zip(parts, step.inputs, strict=True)
    ]


@product_of(ops.Part)
def _part(operator: ops.Part, step: Step, cotangent: Float32) -> list[Float32]:
    """As of a Join: bytes are passed on."""
    whole, scale = step.inputs[0], step.output.quantization.scale
    found = np.zeros((len(cotangent), *whole.shape), np.float32)
    part = cotangent.reshape(len(cotangent), -1) * np.float32(scale / whole.quantization.scale)
    found[:, operator.begin : operator.begin + step.output.size] = part
    return [found]


@product_of(ops.MatMul)
def _mat_mul(operator: ops.MatMul, step: Step, cotangent: Float32) -> list[Float32]:
    turned = operator.transposed
    first, second = (
        step.real(side).swapaxes(-1, -2) if turned[side] else step.real(side) for side in (0, 1)
    )
    products = [cotangent @ second.swapaxes(-1, -2), first.swapaxes(-1, -2) @ cotangent]
    found = []
    for product, tensor, swapped in zip(products, step.inputs, turned, strict=True):
        whole = product.swapaxes(-1, -2) if swapped else product
        found.append(_summed(whole, tensor))
    return found


no_product(ops.ArgMax, "it gives a place, not a value")


@product_of(ops.AveragePool2D)
def _average_pool2d(operator: ops.AveragePool2D, step: Step, cotangent: Float32) -> list[Float32]:
    found, inner = _padded(step, operator)
    ones = np.ones((1, *step.inputs[0].shape), np.float32)
    counts = reference.sliding_windows(ones, operator, (1, 1), 0).sum(axis=(4, 5))
    shares = cotangent / counts
    for cell in np.ndindex(*operator.kernel):
        found[_reached(operator, (1, 1), (cell[0], cell[1]), step.output)] += shares
    return [found[inner]]


@product_of(ops.MaxPool2D)
def _max_pool2d(operator: ops.MaxPool2D, step: Step, cotangent: Float32) -> list[Float32]:
    """To the first of equal cells; padding, which never competes, lies below all int8 values."""
    found, inner = _padded(step, operator)
    values = step.arrays[0].astype(np.int16)
    windows = reference.sliding_windows(values, operator, (1, 1), INT8_MIN - 1)
    first = windows.reshape(*windows.shape[:4], -1).argmax(axis=4)
    for index, cell in enumerate(np.ndindex(*operator.kernel)):
        at = _reached(operator, (1, 1), (cell[0], cell[1]), step.output)
        found[at] += cotangent * (first == index)
    return [found[inner]]


@product_of(ops.Mean)
def _mean(operator: ops.Mean, step: Step, cotangent: Float32) -> list[Float32]:  # noqa: ARG001
    shape = step.inputs[0].shape
    share = cotangent / np.float32(shape[0] * shape[1])
    return [np.broadcast_to(share, (len(cotangent), *shape))]


@product_of(ops.Pad)
def _pad(operator: ops.Pad, step: Step, cotangent: Float32) -> list[Float32]:
    height, width, channels = step.inputs[0].shape
    top, _, left, _ = operator.padding
    first = operator.channels[0]
    return [cotangent[:, top : top + height, left : left + width, first : first + channels]]


@product_of(ops.Reshape)
def _reshape(operator: ops.Reshape, step: Step, cotangent: Float32) -> list[Float32]:  # noqa: ARG001
    return [cotangent.reshape(len(cotangent), *step.inputs[0].shape)]


@product_of(ops.Transpose)
def _transpose(operator: ops.Transpose, step: Step, cotangent: Float32) -> list[Float32]:  # noqa: ARG001
    back = np.argsort(operator.axes)
    return [cotangent.transpose(0, *(1 + axis for axis in back))]


@product_of(ops.Slice)
def _slice(operator: ops.Slice, step: Step, cotangent: Float32) -> list[Float32]:
    found = np.zeros((len(cotangent), *step.inputs[0].shape), np.float32)
    found[reference.slices(operator)] = cotangent
    return [found]


@product_of(ops.ResizeNearest, ops.ResizeBilinear)
def _resize(operator: ops.Resize, step: Step, cotangent: Float32) -> list[Float32]:
    height, width, _ = step.inputs[0].shape
    rows = operator.weights(height, step.output.shape[0]).astype(np.float32) / 1024
    columns = operator.weights(width, step.output.shape[1]).astype(np.float32) / 1024
    found: Float32 = np.einsum("yh,nyxc,xw->nhwc", rows, cotangent, columns, optimize=True)
    return [found]


@product_of(ops.Requantize)
def _requantize(
    operator: ops.Requantize,  # noqa: ARG001
    step: Step,  # noqa: ARG001
    cotangent: Float32,
) -> list[Float32]:
    return [cotangent]


def _looked_up(step: Step, cotangent: Float32, derivative: NDArray[np.float64]) -> list[Float32]:
    """Takes the derivative at each element out of a table for -128 to 127."""
    table = derivative.astype(np.float32)
    return [cotangent * table[step.arrays[0].astype(np.int16) - INT8_MIN]]


def _table_inputs(source: Quantization) -> NDArray[np.float64]:
    """The real numbers that -128 to 127 stand for."""
    return source.dequantize(ops.INT8_VALUES).astype(np.float64)


def _representable(real: NDArray[np.float64], target: Quantization) -> NDArray[np.bool_]:
    """Whether real results round to int8 without being clamped."""
    q = real / target.scale + target.zero_point
    found: NDArray[np.bool_] = (q >= INT8_MIN - 0.5) & (q <= INT8_MAX + 0.5)
    return found


@product_of(ops.Relu)
def _relu(operator: ops.Relu, step: Step, cotangent: Float32) -> list[Float32]:  # noqa: ARG001
    x = _table_inputs(step.inputs[0].quantization)
    passing = (x > 0) & _representable(x, step.output.quantization)
    return _looked_up(step, cotangent, passing.astype(np.float64))


@product_of(ops.Relu6)
def _relu6(operator: ops.Relu6, step: Step, cotangent: Float32) -> list[Float32]:  # noqa: ARG001
    """Its integers stay what they are, so that their real meaning changes with the grid."""
    x = _table_inputs(step.inputs[0].quantization)
    slope = step.output.quantization.scale / step.inputs[0].quantization.scale
    return _looked_up(step, cotangent, np.where((x > 0) & (x < 6), slope, 0.0))


@product_of(ops.LeakyRelu)
def _leaky_relu(operator: ops.LeakyRelu, step: Step, cotangent: Float32) -> list[Float32]:
    x = _table_inputs(step.inputs[0].quantization)
    slope = np.where(x >= 0, 1.0, operator.alpha)
    return _looked_up(step, cotangent, slope * _representable(slope * x, step.output.quantization))


@product_of(ops.HardSwish)
def _hard_swish(operator: ops.HardSwish, step: Step, cotangent: Float32) -> list[Float32]:  # noqa: ARG001
    x = _table_inputs(step.inputs[0].quantization)
    slope = np.where(x < -3, 0.0, np.where(x > 3, 1.0, (2 * x + 3) / 6))
    value = x * np.clip(x + 3, 0, 6) / 6
    return _looked_up(step, cotangent, slope * _representable(value, step.output.quantization))


def _slope_of_tanh(x: NDArray[np.float64]) -> NDArray[np.float64]:
    """``1 / cosh(x)**2``; ``1 - tanh(x)**2`` cancels where the curve is flat."""
    slope: NDArray[np.float64] = np.cosh(np.clip(x, -300, 300)) ** -2.0
    return slope


@product_of(ops.Logistic)
def _logistic(operator: ops.Logistic, step: Step, cotangent: Float32) -> list[Float32]:  # noqa: ARG001
    halves = _table_inputs(step.inputs[0].quantization) / 2
    return _looked_up(step, cotangent, 0.25 * _slope_of_tanh(halves))


@product_of(ops.Tanh)
def _tanh(operator: ops.Tanh, step: Step, cotangent: Float32) -> list[Float32]:  # noqa: ARG001
    return _looked_up(step, cotangent, _slope_of_tanh(_table_inputs(step.inputs[0].quantization)))


@product_of(ops.LogSoftmax)
def _log_softmax(operator: ops.LogSoftmax, step: Step, cotangent: Float32) -> list[Float32]:  # noqa: ARG001
    x = step.real(0)
    powers = np.exp(x - x.max(axis=-1, keepdims=True))
    shares = powers / powers.sum(axis=-1, keepdims=True)
    return [cotangent - shares * cotangent.sum(axis=-1, keepdims=True)]


@product_of(ops.Softmax)
def _softmax(operator: ops.Softmax, step: Step, cotangent: Float32) -> list[Float32]:
    beta = np.float32(operator.beta)
    x = beta * step.real(0)
    powers = np.exp(x - x.max(axis=-1, keepdims=True))
    shares = powers / powers.sum(axis=-1, keepdims=True)
    mean = (cotangent * shares).sum(axis=-1, keepdims=True)
    return [beta * shares * (cotangent - mean)]
