"""The numpy reference gives the bytes of the TFLite-Micro interpreter, operator by operator."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import flatbuffers
import numpy as np
import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st
from numpy.typing import NDArray
from tflite_micro.python.tflite_micro import runtime
from tflite_micro.tensorflow.lite.micro.python import schema_py_generated as schema

from tests.draws import examples
from tinyedge.exporters.tflite import export_tflite
from tinyedge.graph import operators as ops
from tinyedge.graph import reference
from tinyedge.graph.graph import Graph
from tinyedge.graph.tensors import WEIGHT_RANGES, Quantization, Tensor, Weights

Int8 = NDArray[np.int8]

ARENA_BYTES = 2**20
EXTREMES = (-128, 127)
INT8_VALUES = np.arange(-128, 128, dtype=np.int8)

each_padding = pytest.mark.parametrize("padding", ["SAME", "VALID"])
each_width = pytest.mark.parametrize("bits", WEIGHT_RANGES)
each_granularity = pytest.mark.parametrize("per_tensor", [False, True])

seeds = st.integers(0, 2**32 - 1)
# Scales that are powers of two make exact halves of many results.
scales = (st.floats(-4.0, 4.0) | st.integers(-4, 4)).map(np.exp2)
zero_points = st.integers(*EXTREMES) | st.sampled_from(EXTREMES)
quantizations = st.builds(Quantization, scales, zero_points)


@dataclass(frozen=True)
class Sliding:
    """How a window slides over an input of at least this size."""

    least_size: ops.Pair
    kernel: ops.Pair
    stride: ops.Pair
    dilation: ops.Pair = (1, 1)

    def size(self, padding: str) -> ops.Pair:
        """Rows and columns of the input; VALID padding needs as many as the window spans."""
        if padding == "SAME":
            return self.least_size
        (rows, columns), (height, width) = self.least_size, self.kernel
        return (
            max(rows, (height - 1) * self.dilation[0] + 1),
            max(columns, (width - 1) * self.dilation[1] + 1),
        )

    def attributes(self, padding: str) -> dict[str, Any]:
        """The attributes that every windowed operator shares."""
        same = ops.same_padding(self.least_size, self.kernel, self.stride, self.dilation)
        return {"stride": self.stride, "padding": same if padding == "SAME" else (0, 0, 0, 0)}


def pairs(largest: int) -> st.SearchStrategy[ops.Pair]:
    """One number for the rows and one for the columns, each from 1 on."""
    return st.tuples(st.integers(1, largest), st.integers(1, largest))


convolutions = st.builds(Sliding, pairs(8), pairs(4), pairs(3), pairs(3))
poolings = st.builds(Sliding, pairs(9), pairs(5), pairs(3))


@dataclass(frozen=True)
class Arithmetic:
    """The numbers of an operator with weights.

    Attributes:
        source: quantization of the input.
        target: quantization of the output.
        exponents: range of the binary logarithms of the multipliers.
        relu: whether a RELU is fused.
        seed: of weights, bias and samples.
    """

    source: Quantization
    target: Quantization
    exponents: tuple[float, float]
    relu: bool
    seed: int

    def attributes(self, shape: tuple[int, ...], bits: int) -> dict[str, Any]:
        """Random weights of this shape, a bias that spreads the outputs, and the clamp."""
        rng = np.random.default_rng(self.seed)
        low, high = WEIGHT_RANGES[bits]
        extremes = rng.choice([low, high], shape)
        inner = extremes if bits == 1 else rng.integers(low, high, shape, endpoint=True)
        codes = np.where(rng.random(shape) < 0.25, extremes, inner).astype(np.int8)
        multipliers = np.exp2(rng.uniform(*self.exponents, shape[0]))
        return {
            "weights": Weights(codes, bits, weight_scales(multipliers, self.source, self.target)),
            "bias": np.rint(rng.uniform(*EXTREMES, shape[0]) / multipliers).astype(np.int32),
            "clamp": clamp_of(self.target, relu=self.relu),
        }


arithmetics = st.builds(
    Arithmetic,
    source=quantizations,
    target=quantizations,
    exponents=st.sampled_from([(-12.0, 0.0), (0.0, 3.0)]),
    relu=st.booleans(),
    seed=seeds,
)


def weight_scales(
    multipliers: NDArray[np.float64], source: Quantization, target: Quantization
) -> NDArray[np.float32]:
    """The scales of weights that give these multipliers."""
    return (multipliers * target.scale / source.scale).astype(np.float32)


def clamp_of(target: Quantization, *, relu: bool) -> ops.Pair:
    """The clamp of a fused RELU, or of no activation."""
    return (target.zero_point, 127) if relu else ops.FULL_RANGE


def samples_of(tensor: Tensor, seed: int) -> Int8:
    """Noise, both extremes mixed and alone, and values around the zero point."""
    rng = np.random.default_rng(seed)
    near_zero = tensor.quantization.zero_point + rng.integers(-3, 4, tensor.shape)
    samples = [
        rng.integers(*EXTREMES, tensor.shape, endpoint=True),
        rng.choice(EXTREMES, tensor.shape),
        *(np.full(tensor.shape, extreme) for extreme in EXTREMES),
        np.clip(near_zero, *EXTREMES),
    ]
    return np.stack(samples).astype(np.int8)


def chain(source: Tensor, *layers: tuple[ops.Operator, Quantization]) -> Graph:
    """A graph of operators, each with its output's quantization; shapes follow from the input's."""
    tensors = {source.name: source}
    for operator, quantization in layers:
        shape = operator.output_shape([tensors[name].shape for name in operator.inputs])
        tensors[operator.output] = Tensor(operator.output, shape, quantization)
    operators = tuple(operator for operator, _ in layers)
    return Graph("test", tensors, operators, source.name, operators[-1].output)


def single(
    kind: type[ops.Operator], source: Tensor, target: Quantization, **attributes: Any
) -> Graph:
    """A graph of one operator."""
    operator = kind(name="operator", inputs=(source.name,), output="output", **attributes)
    return chain(source, (operator, target))


def with_one_scale(model: bytes) -> bytes:
    """The same file with one scale a tensor instead of one a channel, all of which are equal."""
    tree = schema.ModelT.InitFromPackedBuf(model, 0)
    for tensor in tree.subgraphs[0].tensors:
        if tensor.quantization is not None:
            tensor.quantization.scale = tensor.quantization.scale[:1]
            tensor.quantization.zeroPoint = tensor.quantization.zeroPoint[:1]
    builder = flatbuffers.Builder()
    builder.Finish(tree.Pack(builder), b"TFL3")
    return bytes(builder.Output())


def run_tflite_micro(graph: Graph, samples: Int8, *, per_tensor: bool) -> Int8:
    """Runs samples, int8 (n, *input shape), one by one through TFLite-Micro's interpreter."""
    model = export_tflite(graph)
    if per_tensor:
        model = with_one_scale(model)
    interpreter = runtime.Interpreter.from_bytes(model, arena_size=ARENA_BYTES)
    outputs = []
    for sample in samples:
        interpreter.set_input(sample[np.newaxis], 0)
        interpreter.invoke()
        outputs.append(interpreter.get_output(0))
    return np.concatenate(outputs)


def assert_same_bytes(graph: Graph, samples: Int8, *, per_tensor: bool = False) -> None:
    """Fails unless the reference and TFLite-Micro agree on every byte."""
    expected = run_tflite_micro(graph, samples, per_tensor=per_tensor)
    np.testing.assert_array_equal(reference.run(graph, samples), expected, strict=True)


@each_padding
@each_width
@examples(150)
@given(sliding=convolutions, arithmetic=arithmetics, channels=pairs(6))
def test_conv2d(
    sliding: Sliding, arithmetic: Arithmetic, channels: tuple[int, int], bits: int, padding: str
) -> None:
    """Any window, stride, dilation and multipliers; input and output channels."""
    source = Tensor("input", (*sliding.size(padding), channels[0]), arithmetic.source)
    graph = single(
        ops.Conv2D,
        source,
        arithmetic.target,
        dilation=sliding.dilation,
        **sliding.attributes(padding),
        **arithmetic.attributes((channels[1], *sliding.kernel, channels[0]), bits),
    )
    assert_same_bytes(graph, samples_of(source, arithmetic.seed))


@each_padding
@each_width
@examples(150)
@given(sliding=convolutions, arithmetic=arithmetics, channels=pairs(4))
def test_depthwise_conv2d(
    sliding: Sliding, arithmetic: Arithmetic, channels: tuple[int, int], bits: int, padding: str
) -> None:
    """As Conv2D; input channels and depth multiplier."""
    source = Tensor("input", (*sliding.size(padding), channels[0]), arithmetic.source)
    graph = single(
        ops.DepthwiseConv2D,
        source,
        arithmetic.target,
        dilation=sliding.dilation,
        **sliding.attributes(padding),
        **arithmetic.attributes((channels[0] * channels[1], *sliding.kernel), bits),
    )
    assert_same_bytes(graph, samples_of(source, arithmetic.seed))


@each_granularity
@each_width
@examples(150)
@given(
    shape=st.lists(st.integers(1, 6), min_size=1, max_size=3).map(tuple),
    arithmetic=arithmetics,
    outputs=st.integers(1, 12),
)
def test_fully_connected(
    shape: tuple[int, ...], arithmetic: Arithmetic, outputs: int, bits: int, *, per_tensor: bool
) -> None:
    """Inputs of one to three axes, one weight scale a channel or a tensor."""
    source = Tensor("input", shape, arithmetic.source)
    attributes = arithmetic.attributes((outputs, source.size), bits)
    if per_tensor:
        weights: Weights = attributes["weights"]
        attributes["weights"] = replace(weights, scales=np.repeat(weights.scales[:1], outputs))
    graph = single(ops.FullyConnected, source, arithmetic.target, **attributes)
    assert_same_bytes(graph, samples_of(source, arithmetic.seed), per_tensor=per_tensor)


@each_granularity
@pytest.mark.parametrize("kind", [ops.Conv2D, ops.DepthwiseConv2D, ops.FullyConnected])
@examples(150)
@given(source=quantizations, target=quantizations, seed=seeds)
def test_requantization_next_to_halves(
    kind: type[ops.Weighted],
    source: Quantization,
    target: Quantization,
    seed: int,
    *,
    per_tensor: bool,
) -> None:
    """Accumulators whose results lie on and next to halves, for multipliers of all magnitudes.

    With weights of zero the bias is the accumulator. The smaller the multiplier, the closer to a
    half an accumulator gets and the more bits of the multiplier's mantissa decide the rounding.
    """
    rng = np.random.default_rng(seed)
    channels = 256
    exponents = rng.uniform(-23.0, 3.0, 1 if per_tensor else channels)
    exponents = np.where(rng.random(exponents.shape) < 0.25, np.rint(exponents), exponents)
    scales = weight_scales(np.exp2(np.resize(exponents, channels)), source, target)
    halves = rng.integers(*EXTREMES, channels) + 0.5 - target.zero_point
    nearest = np.rint(halves * target.scale / (source.scale * scales.astype(np.float64)))
    codes = np.zeros((channels, *(1,) * (kind.code_rank - 1)), dtype=np.int8)
    graph = single(
        kind,
        Tensor("input", (1, 1, 1), source),
        target,
        weights=Weights(codes, 2, scales),
        bias=(nearest + rng.integers(-1, 2, channels)).astype(np.int32),
        **({"stride": (1, 1)} if issubclass(kind, ops.Windowed) else {}),
    )
    assert_same_bytes(graph, np.zeros((1, 1, 1, 1), dtype=np.int8), per_tensor=per_tensor)


def selection(channel: int, source: Quantization, target: Quantization) -> ops.Conv2D:
    """Copies one of two channels, value for value, to a tensor of another quantization."""
    codes = np.zeros((1, 1, 1, 2), dtype=np.int8)
    codes[..., channel] = 1
    return ops.Conv2D(
        name=f"selection of {channel}",
        inputs=("input",),
        output=f"channel {channel}",
        stride=(1, 1),
        weights=Weights(codes, 2, weight_scales(np.ones(1), source, target)),
        bias=np.array([source.zero_point - target.zero_point], dtype=np.int32),
    )


def multiplier_fits(terms: tuple[Quantization, Quantization], target: Quantization) -> bool:
    """Whether products stay inside 32 bits when they are scaled."""
    return terms[0].scale * terms[1].scale / target.scale < 2**14


@pytest.mark.parametrize("kind", [ops.Add, ops.Sub, ops.Mul])
@examples(150)
@given(terms=st.tuples(quantizations, quantizations), target=quantizations, relu=st.booleans())
def test_elementwise(
    kind: type[ops.Elementwise],
    terms: tuple[Quantization, Quantization],
    target: Quantization,
    *,
    relu: bool,
) -> None:
    """All 65536 pairs of values; a graph has one input, so the terms are its two channels."""
    assume(multiplier_fits(terms, target))
    source = Tensor("input", (256, 256, 2), Quantization(1.0, 0))
    selections = [selection(i, source.quantization, terms[i]) for i in range(2)]
    combined = kind(
        name="combined",
        inputs=(selections[0].output, selections[1].output),
        output="result",
        clamp=clamp_of(target, relu=relu),
    )
    graph = chain(source, *zip(selections, terms, strict=True), (combined, target))
    every_pair = np.stack(np.meshgrid(INT8_VALUES, INT8_VALUES), axis=-1)
    assert_same_bytes(graph, every_pair[np.newaxis])


shapes_to_repeat = st.sampled_from([(1,), (5,), (3, 1), (4, 1, 1), (4, 3, 5), (1, 3, 5), (3, 5)])


@pytest.mark.parametrize("kind", [ops.Add, ops.Sub, ops.Mul])
@examples(150)
@given(
    shape=shapes_to_repeat,
    terms=st.tuples(quantizations, quantizations),
    target=quantizations,
    clamp=st.tuples(st.integers(-128, 0), st.integers(0, 127)),
    swapped=st.booleans(),
    seed=seeds,
)
def test_elementwise_with_a_constant(
    kind: type[ops.Elementwise],
    shape: tuple[int, ...],
    terms: tuple[Quantization, Quantization],
    target: Quantization,
    clamp: ops.Pair,
    seed: int,
    *,
    swapped: bool,
) -> None:
    """A constant of any shape that repeats, on either side, and any clamp."""
    assume(multiplier_fits(terms, target))
    rng = np.random.default_rng(seed)
    source, constant = Tensor("input", (4, 3, 5), terms[0]), Tensor("constant", shape, terms[1])
    names = ("constant", "input") if swapped else ("input", "constant")
    graph = Graph(
        "test",
        {"input": source, "constant": constant, "output": Tensor("output", (4, 3, 5), target)},
        (kind(name="operator", inputs=names, output="output", clamp=clamp),),
        "input",
        "output",
        constants={"constant": rng.integers(-128, 128, shape).astype(np.int8)},
    )
    assert_same_bytes(graph, samples_of(source, seed))


@examples(150)
@given(term=quantizations, target=quantizations, relu=st.booleans())
def test_add_to_itself(term: Quantization, target: Quantization, *, relu: bool) -> None:
    """Both inputs are one tensor."""
    add = ops.Add(
        name="add", inputs=("input", "input"), output="sum", clamp=clamp_of(target, relu=relu)
    )
    graph = chain(Tensor("input", (256,), term), (add, target))
    assert_same_bytes(graph, INT8_VALUES[np.newaxis])


@each_padding
@pytest.mark.parametrize("kind", [ops.AveragePool2D, ops.MaxPool2D])
@examples(150)
@given(sliding=poolings, quantization=quantizations, relu=st.booleans())
def test_pool2d(
    kind: type[ops.Pool2D],
    sliding: Sliding,
    quantization: Quantization,
    padding: str,
    *,
    relu: bool,
) -> None:
    """Windows inside the input and cut by its border."""
    source = Tensor("input", (*sliding.size(padding), 8), quantization)
    graph = single(
        kind,
        source,
        quantization,
        kernel=sliding.kernel,
        clamp=clamp_of(quantization, relu=relu),
        **sliding.attributes(padding),
    )
    assert_same_bytes(graph, samples_of(source, seed=0))


@examples(150)
@given(size=pairs(20), source=quantizations, target=quantizations, seed=seeds)
def test_mean(size: ops.Pair, source: Quantization, target: Quantization, seed: int) -> None:
    """Another scale for the output."""
    tensor = Tensor("input", (*size, 16), source)
    assert_same_bytes(single(ops.Mean, tensor, target), samples_of(tensor, seed))


@examples(150)
@given(
    size=pairs(4),
    quantization=quantizations,
    padding=st.tuples(*[st.integers(0, 3)] * 4),
    channels=st.tuples(*[st.integers(0, 2)] * 2),
    value=st.none() | st.integers(*EXTREMES),
    seed=seeds,
)
def test_pad(
    size: ops.Pair,
    quantization: Quantization,
    padding: ops.Padding,
    channels: ops.Pair,
    value: int | None,
    seed: int,
) -> None:
    """Another padding on each side."""
    source = Tensor("input", (*size, 3), quantization)
    attributes: dict[str, Any] = {"padding": padding, "channels": channels, "value": value}
    assert_same_bytes(single(ops.Pad, source, quantization, **attributes), samples_of(source, seed))


@pytest.mark.parametrize("shape", [(24,), (4, 6), (4, 3, 2)])
def test_reshape(shape: tuple[int, ...]) -> None:
    """Fewer axes, and other sizes of as many."""
    source = Tensor("input", (2, 3, 4), Quantization(0.5, -3))
    graph = single(ops.Reshape, source, source.quantization, shape=shape)
    assert_same_bytes(graph, samples_of(source, seed=0))


@pytest.mark.parametrize("kind", [ops.Relu, ops.Relu6, ops.Requantize])
@examples(150)
@given(source=quantizations, target=quantizations)
def test_relu(kind: type[ops.Operator], source: Quantization, target: Quantization) -> None:
    """All 256 values."""
    assert_same_bytes(single(kind, Tensor("input", (256,), source), target), INT8_VALUES[None])


@examples(150)
@given(source=quantizations, target=quantizations, alpha=st.floats(0.0, 2.0))
@example(source=Quantization(2**0.75, 0), target=Quantization(2**0.75, 0), alpha=0.35)
def test_leaky_relu(source: Quantization, target: Quantization, alpha: float) -> None:
    """All 256 values."""
    graph = single(ops.LeakyRelu, Tensor("input", (256,), source), target, alpha=alpha)
    assert_same_bytes(graph, INT8_VALUES[np.newaxis])


small_scales = st.floats(-20.0, 3.0).map(np.exp2)


@pytest.mark.parametrize("kind", [ops.Logistic, ops.Tanh])
@examples(500)
@given(scale=small_scales | scales, zero_point=zero_points)
def test_sigmoidal(kind: type[ops.Sigmoidal], scale: float, zero_point: int) -> None:
    """All 256 values."""
    source = Tensor("input", (256,), Quantization(scale, zero_point))
    assert_same_bytes(single(kind, source, kind.output_quantization), INT8_VALUES[np.newaxis])


@examples(500)
@given(
    scale=small_scales | scales,
    shape=st.lists(st.integers(1, 12), min_size=1, max_size=3).map(tuple),
    beta=st.sampled_from([1.0, 0.02, 3.7]),
    seed=seeds,
)
def test_softmax(scale: float, shape: tuple[int, ...], beta: float, seed: int) -> None:
    """Over the last axis, close together and far apart."""
    source = Tensor("input", shape, Quantization(scale, 3))
    graph = single(ops.Softmax, source, ops.Softmax.output_quantization, beta=beta)
    assert_same_bytes(graph, samples_of(source, seed))


@examples(500)
@given(
    scale=small_scales | scales,
    shape=st.lists(st.integers(1, 40), min_size=1, max_size=2).map(tuple),
    seed=seeds,
)
def test_log_softmax(scale: float, shape: tuple[int, ...], seed: int) -> None:
    """Over the last axis, close together and far apart."""
    source = Tensor("input", shape, Quantization(scale, 3))
    graph = single(ops.LogSoftmax, source, ops.LogSoftmax.output_quantization)
    assert_same_bytes(graph, samples_of(source, seed))


def test_softmax_over_many_elements() -> None:
    """Over 511 almost equal elements; with 512, TFLite-Micro's own check of the sum aborts."""
    source = Tensor("input", (511,), Quantization(2**-20, 0))
    graph = single(ops.Softmax, source, ops.Softmax.output_quantization)
    assert_same_bytes(graph, samples_of(source, seed=0))


@pytest.mark.parametrize("kind", [ops.Maximum, ops.Minimum])
@examples(150)
@given(shape=shapes_to_repeat, quantization=quantizations, seed=seeds, swapped=st.booleans())
def test_extreme(
    kind: type[ops.Extreme],
    shape: tuple[int, ...],
    quantization: Quantization,
    seed: int,
    *,
    swapped: bool,
) -> None:
    """A constant of any shape that repeats, on either side."""
    rng = np.random.default_rng(seed)
    source = Tensor("input", (4, 3, 5), quantization)
    names = ("constant", "input") if swapped else ("input", "constant")
    graph = Graph(
        "test",
        {
            "input": source,
            "constant": Tensor("constant", shape, quantization),
            "output": Tensor("output", (4, 3, 5), quantization),
        },
        (kind(name="operator", inputs=names, output="output", clamp=(-90, 100)),),
        "input",
        "output",
        constants={"constant": rng.integers(-128, 128, shape).astype(np.int8)},
    )
    assert_same_bytes(graph, samples_of(source, seed))


@pytest.mark.parametrize("corners", [(False, False), (True, False), (False, True)])
@pytest.mark.parametrize("kind", [ops.ResizeNearest, ops.ResizeBilinear])
@examples(150)
@given(size=pairs(9), wanted=pairs(20), seed=seeds)
def test_resize(
    kind: type[ops.Resize], corners: tuple[bool, bool], size: ops.Pair, wanted: ops.Pair, seed: int
) -> None:
    """Larger and smaller, up to one cell."""
    source = Tensor("input", (*size, 2), Quantization(0.5, -3))
    attributes = {"size": wanted, "align_corners": corners[0], "half_pixel": corners[1]}
    graph = single(kind, source, source.quantization, **attributes)
    assert_same_bytes(graph, samples_of(source, seed))


@examples(150)
@given(
    shape=shapes_to_repeat,
    terms=st.tuples(quantizations, quantizations),
    target=quantizations,
    seed=seeds,
)
def test_prelu(
    shape: tuple[int, ...],
    terms: tuple[Quantization, Quantization],
    target: Quantization,
    seed: int,
) -> None:
    """Slopes of any shape that repeats."""
    assume(multiplier_fits(terms, target))
    source = Tensor("input", (4, 3, 5), terms[0])
    rng = np.random.default_rng(seed)
    graph = Graph(
        "test",
        {
            "input": source,
            "slope": Tensor("slope", shape, terms[1]),
            "output": Tensor("output", (4, 3, 5), target),
        },
        (ops.Prelu(name="operator", inputs=("input", "slope"), output="output"),),
        "input",
        "output",
        constants={"slope": rng.integers(-128, 128, shape).astype(np.int8)},
    )
    assert_same_bytes(graph, samples_of(source, seed))


@examples(400)
@given(
    scale=st.floats(-12.0, 3.0).map(np.exp2),
    zero_point=zero_points,
    ratio=st.floats(-4.0, 4.0).map(np.exp2),
    target=zero_points,
)
def test_hard_swish(scale: float, zero_point: int, ratio: float, target: int) -> None:
    """All 256 values."""
    source = Tensor("input", (256,), Quantization(scale, zero_point))
    graph = single(ops.HardSwish, source, Quantization(scale * ratio, target))
    assert_same_bytes(graph, INT8_VALUES[np.newaxis])


sizes = st.lists(st.integers(1, 5), min_size=1, max_size=4).map(tuple)


@examples(150)
@given(shape=sizes, seed=seeds)
def test_transpose(shape: tuple[int, ...], seed: int) -> None:
    """Any order of up to four axes."""
    source = Tensor("input", shape, Quantization(0.5, -3))
    axes = tuple(np.random.default_rng(seed).permutation(len(shape)).tolist())
    graph = single(ops.Transpose, source, source.quantization, axes=axes)
    assert_same_bytes(graph, samples_of(source, seed))


@examples(150)
@given(shape=sizes, data=st.data())
def test_slice(shape: tuple[int, ...], data: st.DataObject) -> None:
    """Any part of up to three axes."""
    shape = shape[:3]
    source = Tensor("input", shape, Quantization(0.5, -3))
    begin = tuple(data.draw(st.integers(0, n - 1)) for n in shape)
    stride = tuple(data.draw(st.integers(1, 3)) for _ in shape)
    size = tuple(
        data.draw(st.integers(1, (n - first - 1) // step + 1))
        for n, first, step in zip(shape, begin, stride, strict=True)
    )
    attributes: dict[str, Any] = {"begin": begin, "size": size, "stride": stride}
    graph = single(ops.Slice, source, source.quantization, **attributes)
    assert_same_bytes(graph, samples_of(source, seed=0))


@pytest.mark.parametrize("axis", [0, 1, 2])
@pytest.mark.parametrize("count", [2, 10])
def test_concatenation(axis: int, count: int) -> None:
    """The input, a constant, and the input again."""
    quantization = Quantization(0.5, -3)
    source, constant = (
        Tensor("input", (4, 3, 5), quantization),
        Tensor("c", (4, 3, 5), quantization),
    )
    names = ("input", *["c", "input"] * count)[:count]
    joined = ops.Concatenation(name="joined", inputs=names, output="joined", axis=axis)
    shape = joined.output_shape([(4, 3, 5)] * count)
    values = np.random.default_rng(0).integers(-128, 128, (4, 3, 5)).astype(np.int8)
    tensors = {"input": source, "c": constant, "joined": Tensor("joined", shape, quantization)}
    graph = Graph("test", tensors, (joined,), "input", "joined", constants={"c": values})
    assert_same_bytes(graph, samples_of(source, seed=0))


@pytest.mark.parametrize("kind", [ops.Conv2D, ops.DepthwiseConv2D, ops.FullyConnected])
@examples(150)
@given(arithmetic=arithmetics)
def test_weights_with_steps(kind: type[ops.Weighted], arithmetic: Arithmetic) -> None:
    """Fewer bits than the file's eight, and the same accumulators."""
    shape = {4: (6, 2, 2, 3), 3: (3, 2, 2), 2: (6, 27)}[kind.code_rank]
    attributes = arithmetic.attributes(shape, 2)
    steps = np.random.default_rng(arithmetic.seed).integers(1, 128, shape[0]).astype(np.uint8)
    attributes["weights"] = replace(attributes["weights"], steps=steps)
    source = Tensor("input", (3, 3, 3), arithmetic.source)
    window = {"stride": (1, 1)} if issubclass(kind, ops.Windowed) else {}
    graph = single(kind, source, arithmetic.target, **window, **attributes)
    assert_same_bytes(graph, samples_of(source, arithmetic.seed))


@examples(150)
@given(arithmetic=arithmetics)
def test_residual_network(arithmetic: Arithmetic) -> None:
    """Every operator in one graph, where each reads what others wrote."""
    source, target = arithmetic.source, arithmetic.target
    first = replace(arithmetic, exponents=(-8.0, -4.0))
    second = replace(first, source=target, target=source)
    last = replace(first, source=target)
    around = {"stride": (1, 1), "padding": ops.same_padding((9, 9), (3, 3), (1, 1))}
    apart = {"stride": (2, 2), "kernel": (2, 2)}

    def to(name: str, kind: type[ops.Operator], *inputs: str, **attributes: Any) -> ops.Operator:
        return kind(name=name, inputs=inputs, output=name, **attributes)

    graph = chain(
        Tensor("input", (9, 9, 3), source),
        (to("a", ops.Conv2D, "input", **around, **first.attributes((6, 3, 3, 3), 4)), target),
        (to("b", ops.DepthwiseConv2D, "a", **around, **second.attributes((6, 3, 3), 8)), source),
        (to("c", ops.Add, "a", "b", clamp=clamp_of(target, relu=arithmetic.relu)), target),
        (to("d", ops.Pad, "c", padding=(0, 1, 2, 1)), target),
        (to("e", ops.MaxPool2D, "d", **apart), target),
        (to("f", ops.AveragePool2D, "e", **apart), target),
        (to("g", ops.Mean, "f"), source),
        (to("h", ops.Requantize, "g"), target),
        (to("i", ops.Reshape, "h", shape=(6,)), target),
        (to("j", ops.FullyConnected, "i", **last.attributes((10, 6), 2)), target),
    )
    assert_same_bytes(graph, samples_of(graph.input_tensor, arithmetic.seed))
