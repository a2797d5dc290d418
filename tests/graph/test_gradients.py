from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from tests.draws import examples
from tests.graph.random_graphs import RandomGraph
from tinyedge.errors import DataError, ModelError
from tinyedge.graph import gradients, reference
from tinyedge.graph import operators as ops
from tinyedge.graph.gradients import gradient, outputs_and_gradient, passes
from tinyedge.graph.graph import Graph
from tinyedge.graph.tensors import Quantization, Tensor, Weights

Float64 = NDArray[np.float64]


def max_pool(op: Any, x: list[Any], inputs: list[Tensor]) -> Any:
    """The first of equal cells wins: each is lower than those before it, by next to nothing."""
    views = windows(x[0], op, (1, 1), -1e6)
    views = views.reshape(*views.shape[:4], -1)
    step = 1e-3 * inputs[0].quantization.scale
    return (views - step * np.arange(views.shape[4])).max(axis=4)


def average_pool(op: Any, x: list[Any]) -> Any:
    counts = windows(np.ones_like(x[0]), op, (1, 1)).sum(axis=(4, 5))
    return windows(x[0], op, (1, 1)).sum(axis=(4, 5)) / counts


def depthwise(op: Any, x: list[Any]) -> Any:
    weights = real_weights(op)
    repeated = np.repeat(x[0], len(weights) // x[0].shape[3], axis=3)
    return np.einsum("nrcikl,ikl->nrci", windows(repeated, op, op.dilation), weights)


def softmax(x: Any) -> Any:
    powers = np.exp(x - x.max(axis=-1, keepdims=True))
    return powers / powers.sum(axis=-1, keepdims=True)


def leaky(x: Any, alpha: float, output: Tensor) -> Any:
    target = output.quantization
    low, high = (target.scale * (q - target.zero_point) for q in (-128.5, 127.5))
    return np.clip(np.where(x >= 0, x, alpha * x), low, high)


def concatenated(op: Any, x: list[Any]) -> Any:
    batch = max(map(len, x))
    whole = [np.broadcast_to(part, (batch, *part.shape[1:])) for part in x]
    return np.concatenate(whole, axis=1 + op.axis)


def aligned(x: list[Any], output: Tensor) -> list[Any]:
    axes = 1 + len(output.shape)
    return [v.reshape(len(v), *[1] * (axes - v.ndim), *v.shape[1:]) for v in x]


def prelu(x: Any, slope: Any) -> Any:
    return np.where(x >= 0, x, x * slope)


def resize(op: Any, x: Any, output: Tensor) -> Any:
    """Along one axis after the other: two cells, and the second one's share."""
    for axis in (1, 2):
        first, second, share = op.cells(x.shape[axis], output.shape[axis - 1]).T
        share = (share / 1024).reshape(-1, *[1] * (3 - axis))
        x = x.take(first, axis) * (1 - share) + x.take(second, axis) * share
    return x


def in_order(x: list[Any], inputs: list[Tensor], output: Tensor, sign: int) -> list[Any]:
    """The first of equal elements is chosen: it is ahead by next to nothing."""
    first, second = aligned(x, output)
    return [first + sign * 1e-3 * inputs[0].quantization.scale, second]


def mat_mul(op: Any, x: list[Any]) -> Any:
    first, second = (
        side.swapaxes(-1, -2) if turned else side
        for side, turned in zip(x, op.transposed, strict=True)
    )
    return first @ second


def pad(op: Any, x: Any) -> Any:
    edges = [*zip(op.padding[::2], op.padding[1::2], strict=True), op.channels]
    return np.pad(x, [(0, 0), *edges])


def ratio(inputs: list[Tensor], output: Tensor) -> float:
    return output.quantization.scale / inputs[0].quantization.scale


REAL: dict[type[ops.Operator], Callable[..., Any]] = {
    ops.FullyConnected: lambda op, x, _i, _o: x[0].reshape(len(x[0]), -1) @ real_weights(op).T,
    ops.Conv2D: lambda op, x, _i, _o: np.einsum(
        "nrcikl,okli->nrco", windows(x[0], op, op.dilation), real_weights(op)
    ),
    ops.DepthwiseConv2D: lambda op, x, _i, _o: depthwise(op, x),
    ops.MatMul: lambda op, x, _i, _o: mat_mul(op, x),
    ops.AveragePool2D: lambda op, x, _i, _o: average_pool(op, x),
    ops.MaxPool2D: lambda op, x, i, _o: max_pool(op, x, i),
    ops.Mean: lambda _op, x, _i, _o: x[0].mean(axis=(1, 2), keepdims=True),
    ops.Pad: lambda op, x, _i, _o: pad(op, x[0]),
    ops.Reshape: lambda op, x, _i, _o: x[0].reshape(len(x[0]), *op.shape),
    ops.Requantize: lambda _op, x, _i, _o: x[0],
    ops.Transpose: lambda op, x, _i, _o: x[0].transpose(0, *(1 + axis for axis in op.axes)),
    ops.Slice: lambda op, x, _i, _o: x[0][reference.slices(op)],
    ops.Prelu: lambda _op, x, _i, o: prelu(*aligned(x, o)),
    ops.HardSwish: lambda _op, x, _i, o: leaky(x[0] * np.clip(x[0] + 3, 0, 6) / 6, 1.0, o),
    ops.ResizeNearest: lambda op, x, _i, o: resize(op, x[0], o),
    ops.ResizeBilinear: lambda op, x, _i, o: resize(op, x[0], o),
    ops.Maximum: lambda _op, x, i, o: np.maximum(*in_order(x, i, o, 1)),
    ops.Minimum: lambda _op, x, i, o: np.minimum(*in_order(x, i, o, -1)),
    ops.Concatenation: lambda op, x, _i, _o: concatenated(op, x),
    ops.Relu: lambda _op, x, _i, o: np.maximum(leaky(x[0], 1.0, o), 0),
    ops.Relu6: lambda _op, x, i, o: np.clip(x[0], 0, 6) * ratio(i, o),
    ops.LeakyRelu: lambda op, x, _i, o: leaky(x[0], op.alpha, o),
    ops.Logistic: lambda _op, x, _i, _o: 1 / (1 + np.exp(-x[0])),
    ops.Tanh: lambda _op, x, _i, _o: np.tanh(x[0]),
    ops.LogSoftmax: lambda _op, x, _i, _o: np.log(softmax(x[0])),
    ops.Softmax: lambda op, x, _i, _o: softmax(op.beta * x[0]),
    ops.Add: lambda _op, x, _i, o: np.add(*aligned(x, o)),
    ops.Sub: lambda _op, x, _i, o: np.subtract(*aligned(x, o)),
    ops.Mul: lambda _op, x, _i, o: np.multiply(*aligned(x, o)),
}
"""Operators in real numbers, without any clamp; written apart from the products."""


def real_weights(operator: ops.Weighted) -> Any:
    integers = operator.weights.integers.astype(np.float64)
    return integers * operator.weights.scales.reshape(-1, *[1] * (integers.ndim - 1))


def windows(x: Any, operator: Any, dilation: ops.Pair, filler: float = 0.0) -> Any:
    top, bottom, left, right = operator.padding
    edges = ((0, 0), (top, bottom), (left, right), (0, 0))
    padded = np.pad(x, edges, constant_values=filler)
    views = np.lib.stride_tricks.sliding_window_view(padded, operator.window(), axis=(1, 2))
    (down, right_), (tall, wide) = operator.stride, dilation
    return views[:, ::down, ::right_, :, ::tall, ::wide]


def real(values: NDArray[np.int8], quantization: Quantization) -> Float64:
    return quantization.scale * (values.astype(np.float64) - quantization.zero_point)


def tangent(graph: Graph, samples: NDArray[np.int8], direction: Float64) -> Float64:
    """How the real output changes along a direction of the input: finite differences.

    Each operator is differenced where its int8 inputs are, as gradients are; what was clamped
    stays where it is.
    """
    values = {graph.input: samples} | {k: v[np.newaxis] for k, v in graph.constants.items()}
    along = {graph.input: direction} | {
        k: np.zeros((1, *v.shape)) for k, v in graph.constants.items()
    }
    for operator in graph.operators:
        inputs, output = graph.inputs_of(operator), graph.tensors[operator.output]
        arrays = [values[name] for name in operator.inputs]
        x = [real(array, tensor.quantization) for array, tensor in zip(arrays, inputs, strict=True)]
        # A kink lies exactly at a value that int8 holds: there one side is taken.
        nudge = {ops.Relu: -1e-3, ops.Relu6: -1e-3, ops.LeakyRelu: 1e-3, ops.Prelu: 1e-3}.get(
            type(operator), 0.0
        )
        scale = min(tensor.quantization.scale for tensor in inputs)
        steps = [along[name] for name in operator.inputs]
        h = 1e-4 * scale / max(1e-30, *(float(np.abs(step).max(initial=0)) for step in steps))
        moved = [
            REAL[type(operator)](
                operator,
                [at + nudge * scale + sign * h * step for at, step in zip(x, steps, strict=True)],
                inputs,
                output,
            )
            for sign in (1, -1)
        ]
        raw = reference.unclamped(operator, arrays, inputs, output)
        values[operator.output] = reference.clamped(operator, raw)
        inside = raw == values[operator.output]
        along[operator.output] = (moved[0] - moved[1]) / (2 * h) * inside
    return along[graph.output]


@given(st.integers(0, 2**32 - 1))
@examples(60)
def test_gradients_are_those_of_finite_differences(seed: int) -> None:
    built = RandomGraph(seed, all_kinds=bool(seed % 2))
    graph, random = built.graph, np.random.default_rng(seed)
    samples = built.inputs(4)
    direction = random.normal(size=samples.shape)
    cotangent = random.normal(size=(4, *graph.output_tensor.shape)).astype(np.float32)
    expected = (cotangent * tangent(graph, samples, direction)).reshape(4, -1).sum(axis=1)
    found = gradient(graph, samples, cotangent).astype(np.float64)
    assert found.shape == samples.shape
    products = (found * direction).reshape(4, -1)
    size = np.abs(products).sum(axis=1) + np.abs(expected)
    assert (np.abs(products.sum(axis=1) - expected) <= 1e-4 * size + 1e-8).all()


def concrete() -> Iterator[type[ops.Operator]]:
    """Every class that a graph can hold: those listed, and those that nobody derives from."""
    yield from ops.OPERATORS.values()
    waiting = [ops.Operator]
    while waiting:
        kind = waiting.pop()
        derived = kind.__subclasses__()
        waiting += derived
        if not derived and kind.__module__.startswith("tinyedge."):
            yield kind


@pytest.mark.parametrize("kind", sorted(set(concrete()), key=repr))
def test_every_operator_has_a_product_or_says_that_it_has_none(kind: type[ops.Operator]) -> None:
    assert gradients.registered(kind), (
        f"{kind.__name__}: write its vector-Jacobian product in tinyedge/graph/gradients.py "
        "(product_of), or say there that it has none (no_product)"
    )


class Halved(ops.Requantize):
    """An operator that came later."""


@reference.unclamped.register
def _halved(operator: Halved, arrays: Any, inputs: Any, output: Any) -> Any:
    raise NotImplementedError


def test_an_operator_without_product_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    tensors = {name: Tensor(name, (3,), Quantization(1.0, 0)) for name in "xy"}
    operator = Halved(name="half", inputs=("x",), output="y")
    graph = Graph("g", tensors, (operator,), "x", "y")
    samples = np.zeros((1, 3), np.int8)
    monkeypatch.setattr(gradients, "_PRODUCTS", dict(gradients._PRODUCTS))
    for reason in ("nobody has written it", "its result is drawn"):
        with pytest.raises(ModelError, match=rf"'half' \(Halved\): has no gradient: {reason}"):
            gradient(graph, samples, np.zeros((1, 3), np.float32))
        gradients.no_product(Halved, "its result is drawn")


def test_the_forward_pass_is_the_reference() -> None:
    for seed in range(30):
        built = RandomGraph(seed)
        samples = built.inputs(5)
        kept: dict[str, NDArray[np.int8]] = {}
        expected = reference.run(built.graph, samples, tap=kept.__setitem__)
        (found,) = (computed for _, computed in passes(built.graph, samples))
        assert found.values.keys() == kept.keys()
        for name, values in kept.items():
            assert np.array_equal(found.values[name], values)
        outputs, _ = outputs_and_gradient(built.graph, samples, lambda logits, _: logits)
        assert np.array_equal(outputs, expected)


def dense(clamp: ops.Pair, *, softmax: bool = False) -> Graph:
    """y = 4 x, on a grid of ones."""
    tensors = {name: Tensor(name, (1,), Quantization(1.0, 0)) for name in "xy"}
    weights = Weights(np.array([[4]], np.int8), 4, np.ones(1, np.float32))
    operators: list[ops.Operator] = [
        ops.FullyConnected(
            name="dense",
            inputs=("x",),
            output="y",
            weights=weights,
            bias=np.zeros(1, np.int32),
            clamp=clamp,
        )
    ]
    if softmax:
        tensors["p"] = Tensor("p", (1,), ops.Logistic.output_quantization)
        operators.append(ops.Logistic(name="p", inputs=("y",), output="p"))
    return Graph("dense", tensors, tuple(operators), "x", operators[-1].output)


def test_what_is_clamped_passes_nothing_and_what_is_at_the_limit_does() -> None:
    samples = np.array([[-32], [-33], [0], [1], [25], [26], [31], [32]], np.int8)
    ones = np.ones((8, 1), np.float32)
    whole = [4, 0, 4, 4, 4, 4, 4, 0]
    assert gradient(dense((-128, 127)), samples, ones).ravel().tolist() == whole
    relu = [0, 0, 4, 4, 4, 0, 0, 0]
    assert gradient(dense((0, 100)), samples, ones).ravel().tolist() == relu


def test_losses_are_of_logits_whose_own_limits_pass() -> None:
    samples = np.array([[-40], [0], [40]], np.int8)
    seen: list[Any] = []

    def loss(logits: NDArray[np.float32], part: slice) -> NDArray[np.float32]:
        seen.append((logits.ravel().tolist(), part))
        return np.ones_like(logits)

    for graph in (dense((-128, 127)), dense((-128, 127), softmax=True)):
        outputs, found = outputs_and_gradient(graph, samples, loss)
        assert found.ravel().tolist() == [4, 4, 4]
        assert np.array_equal(outputs, reference.run(graph, samples))
    assert seen == [([-128.0, 0.0, 127.0], slice(0, 256))] * 2


def test_of_equal_cells_the_first_of_a_window_takes_the_gradient() -> None:
    tensors = {
        "x": Tensor("x", (2, 2, 1), Quantization(1.0, 0)),
        "y": Tensor("y", (1, 1, 1), Quantization(1.0, 0)),
    }
    pool = ops.MaxPool2D(name="pool", inputs=("x",), output="y", kernel=(2, 2), stride=(2, 2))
    graph = Graph("pool", tensors, (pool,), "x", "y")
    samples = np.array([[[[1], [5]], [[5], [2]]], [[[-128], [-128]]] * 2], np.int8)
    found = gradient(graph, samples, np.full((2, 1, 1, 1), 3, np.float32))
    assert found.reshape(2, 4).tolist() == [[0, 3, 0, 0], [3, 0, 0, 0]]


def test_samples_are_checked_and_may_be_none_at_all() -> None:
    graph = dense((-128, 127))
    with pytest.raises(DataError, match="int8"):
        gradient(graph, np.zeros((1, 2), np.int8), np.zeros((1, 1), np.float32))
    empty = gradient(graph, np.zeros((0, 1), np.int8), np.zeros((0, 1), np.float32))
    assert empty.shape == (0, 1)
