"""Small quantized ONNX models with random weights, written node by node."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

Array = NDArray[Any]
OPSET = 21
QONNX = "qonnx.custom_op.general"
STEPS = {"relu": (4.0, 0.0), "plain": (4.0, -4.0), "unit": (1.0, 0.0), "sign": (1.0, -1.0)}
"""Largest and smallest value of a grid."""


@dataclass
class Grid:
    """Scale and zero point of an activation, as names of constants."""

    scale: str
    zero_point: str
    real_scale: float


@dataclass
class Writer:
    """Writes a model.

    Attributes:
        kind: of activations, int8 or uint8.
        per_channel: whether weights have a scale for each output channel.
    """

    kind: str = "uint8"
    per_channel: bool = True
    nodes: list[Any] = field(default_factory=list)
    constants: list[Any] = field(default_factory=list)
    rng: np.random.Generator = field(default_factory=lambda: np.random.default_rng(1))
    grids: dict[str, Grid] = field(default_factory=dict)
    _count: int = 0

    def name(self, stem: str) -> str:
        self._count += 1
        return f"{stem}_{self._count}"

    def constant(self, value: Any, stem: str = "constant") -> str:
        name = self.name(stem)
        self.constants.append(numpy_helper.from_array(np.asarray(value), name))
        return name

    def node(self, kind: str, *inputs: str, domain: str = "", stem: str = "", **rest: Any) -> str:
        output = self.name(stem or kind.lower())
        made = helper.make_node(kind, list(inputs), [output], f"{output}/node", domain=domain)
        made.attribute.extend(helper.make_attribute(key, value) for key, value in rest.items())
        self.nodes.append(made)
        if kind in ("Flatten", "Pad", "Reshape", "Transpose") and inputs[0] in self.grids:
            self.grids[output] = self.grids[inputs[0]]
        return output

    def grid(self, kind: str) -> Grid:
        high, low = STEPS[kind]
        scale = np.float32((high - low) / 255)
        zero = round(-low / float(scale)) - (128 if self.kind == "int8" else 0)
        return Grid(
            self.constant(scale, "scale"),
            self.constant(np.array(zero, self.kind), "zero"),
            float(scale),
        )

    def quantized(self, x: str, kind: str = "relu") -> str:
        """QuantizeLinear and DequantizeLinear."""
        grid = self.grid(kind)
        integers = self.node("QuantizeLinear", x, grid.scale, grid.zero_point)
        real = self.node("DequantizeLinear", integers, grid.scale, grid.zero_point)
        self.grids[real] = grid
        return real

    def weights(self, shape: Sequence[int], axis: int = 0) -> tuple[str, Array]:
        """DequantizeLinear of random int8 weights, and their scales."""
        codes = self.rng.integers(-127, 128, shape).astype(np.int8)
        fan_in = math.prod(shape) // shape[axis]
        scales = np.full(shape[axis], 1.6 / 73 / np.sqrt(fan_in), np.float32)
        if self.per_channel:
            scales *= self.rng.uniform(0.5, 1.5, shape[axis]).astype(np.float32)
        given = scales if self.per_channel else scales[0]
        zero = np.zeros(given.shape, np.int8)
        name = self.node(
            "DequantizeLinear",
            self.constant(codes, "weights"),
            self.constant(given, "scales"),
            self.constant(zero, "zeros"),
            axis=axis,
        )
        return name, scales

    def bias(self, x: str, scales: Array) -> str:
        """DequantizeLinear of a bias of int32."""
        unit = (self.grids[x].real_scale * scales).astype(np.float32)
        values = np.rint(self.rng.normal(0, 0.2, len(scales)) / unit).astype(np.int32)
        given = unit if self.per_channel else unit[0]
        return self.node(
            "DequantizeLinear",
            self.constant(values, "bias"),
            self.constant(given, "bias_scales"),
            axis=0,
        )

    def conv(self, x: str, outputs: int, inputs: int, size: int, **rest: Any) -> str:
        """A convolution of what is quantized; its result is not yet."""
        weights, scales = self.weights((outputs, inputs, size, size))
        return self.node(
            "Conv",
            x,
            weights,
            self.bias(x, scales),
            kernel_shape=[size, size],
            **{"pads": [size // 2] * 4, **rest},
        )

    def relu_conv(self, x: str, outputs: int, inputs: int, size: int, **rest: Any) -> str:
        return self.quantized(self.node("Relu", self.conv(x, outputs, inputs, size, **rest)))

    def gemm(self, x: str, outputs: int, inputs: int) -> str:
        weights, scales = self.weights((outputs, inputs))
        return self.node("Gemm", x, weights, self.bias(x, scales), transB=1)

    def model(self, output: str, shape: Sequence[Any], kind: int = TensorProto.FLOAT) -> bytes:
        """The file; the input is called ``x``."""
        graph = helper.make_graph(
            self.nodes,
            "network",
            [helper.make_tensor_value_info("x", kind, shape)],
            [onnx.ValueInfoProto(name=output)],
            self.constants,
        )
        opsets = [helper.make_opsetid("", OPSET), helper.make_opsetid("com.microsoft", 1)]
        opsets.append(helper.make_opsetid(QONNX, 1))
        made = helper.make_model(graph, opset_imports=opsets, ir_version=10, producer_name="tests")
        return bytes(made.SerializeToString())


def residual(w: Writer) -> bytes:
    """A residual block with a depthwise convolution, PyTorch's pool and a mean."""
    x = w.relu_conv(w.quantized("x", "unit"), 8, 3, 3)
    y = w.relu_conv(x, 8, 1, 3, group=8)
    y = w.quantized(w.conv(y, 8, 8, 1), "plain")
    x = w.quantized(w.node("Relu", w.node("Add", x, y)))
    pool: dict[str, Any] = {"kernel_shape": [3, 3], "strides": [2, 2], "pads": [1, 1, 1, 1]}
    x = w.quantized(w.node("MaxPool", x, **pool))
    x = w.relu_conv(x, 12, 8, 3, strides=[2, 2])
    x = w.quantized(w.node("GlobalAveragePool", x))
    x = w.node("Flatten", x)
    return w.model(w.quantized(w.gemm(x, 10, 12), "plain"), ["batch", 3, 14, 14])


def mobile(w: Writer) -> bytes:
    """Clips, an average pool, a shape that is computed, and a quantized softmax."""
    x = w.conv(w.quantized("x", "sign"), 8, 3, 3, strides=[2, 2])
    six = w.constant(np.float32(3.0))
    x = w.quantized(w.node("Clip", x, w.constant(np.float32(0.0)), six))
    x = w.quantized(w.node("Clip", w.conv(x, 8, 1, 3, group=8), "", six), "plain")
    x = w.quantized(w.node("AveragePool", x, kernel_shape=[2, 2], strides=[2, 2]), "plain")
    batch = w.node("Gather", w.node("Shape", x), w.constant(np.int64(0)), axis=0)
    rest = w.constant(np.array([-1], np.int64))
    shape = w.node("Concat", w.node("Unsqueeze", batch, w.constant([0])), rest, axis=0)
    x = w.node("Reshape", x, shape)
    weights, scales = w.weights((8 * 4 * 4, 5), axis=1)
    x = w.node("Add", w.node("MatMul", x, weights), w.bias(x, scales))
    return w.model(w.quantized(w.node("Softmax", w.quantized(x, "plain")), "unit"), [1, 3, 16, 16])


def branches(w: Writer) -> bytes:
    """Gates, concatenations, groups, dilation and what keeps channels first before a Gemm."""
    x = w.quantized("x", "unit")
    a = w.relu_conv(x, 6, 3, 3, dilations=[2, 2], pads=[2, 2, 2, 2])
    b = w.quantized(w.node("Sigmoid", w.quantized(w.conv(x, 6, 3, 1), "plain")), "unit")
    x = w.quantized(w.node("Mul", a, b))
    c = w.quantized(w.node("LeakyRelu", w.quantized(w.conv(a, 4, 3, 3, group=2), "plain")), "plain")
    x = w.quantized(w.node("Concat", x, c, axis=1), "plain")
    pads = w.constant(np.array([0, 0, 1, 0, 0, 0, 0, 2], np.int64))
    x = w.node("Pad", x, pads)
    x = w.quantized(w.node("Tanh", w.quantized(w.conv(x, 5, 10, 3, pads=[0] * 4), "plain")), "sign")
    x = w.node("Flatten", x)
    size = 5 * 9 * 10
    return w.model(w.quantized(w.gemm(x, 7, size), "plain"), ["n", 3, 10, 10])


def keyword(w: Writer) -> bytes:
    """One-dimensional convolutions with normalization that is not folded."""
    x = w.quantized("x", "sign")
    weights, scales = w.weights((12, 10, 5))
    x = w.node("Conv", x, weights, w.bias(x, scales), pads=[2, 2], strides=[2])
    normal = [w.rng.uniform(0.5, 1.5, 12), *w.rng.normal(0, 0.2, (2, 12)), np.ones(12)]
    x = w.node("BatchNormalization", x, *(w.constant(v.astype(np.float32)) for v in normal))
    x = w.quantized(w.node("Relu", x))
    x = w.node("MaxPool", x, kernel_shape=[2], strides=[2])
    x = w.quantized(x)
    x = w.node("ReduceMean", x, w.constant([2]), keepdims=0)
    x = w.quantized(x)
    return w.model(w.quantized(w.gemm(x, 4, 12), "plain"), ["n", 10, 40])


def channels_last(w: Writer) -> bytes:
    """As exporters from TensorFlow write it: images NHWC, a transpose before the convolution."""
    x = w.node("Transpose", w.quantized("x", "unit"), perm=[0, 3, 1, 2])
    x = w.relu_conv(x, 6, 3, 3)
    y = w.node("Transpose", x, perm=[0, 2, 3, 1])
    y = w.node("Reshape", y, w.constant([1, -1]))
    return w.model(w.quantized(w.gemm(y, 5, 6 * 8 * 7), "plain"), [1, 8, 7, 3])


BUILDERS: dict[str, Callable[[Writer], bytes]] = {
    builder.__name__: builder for builder in (residual, mobile, branches, keyword, channels_last)
}


def qdq(name: str, kind: str = "uint8", *, per_channel: bool = True) -> bytes:
    """One of ``BUILDERS``."""
    return BUILDERS[name](Writer(kind, per_channel))


def qoperators(kind: str = "uint8", *, per_channel: bool = True) -> bytes:
    """A network of operators on integers, whose input is integers too."""
    w = Writer(kind, per_channel)
    grids = {name: w.grid(name) for name in STEPS}

    def of(name: str) -> tuple[str, str]:
        return grids[name].scale, grids[name].zero_point

    def weights(source: str, shape: Sequence[int], axis: int) -> tuple[str, str, str, str]:
        """Names of integers, scales, zero points and bias."""
        dequantized, scales = w.weights(shape, axis)
        given = list(w.nodes.pop().input)
        assert dequantized
        unit = grids[source].real_scale * scales
        bias = np.rint(w.rng.normal(0, 0.2, shape[axis]) / unit).astype(np.int32)
        return given[0], given[1], given[2], w.constant(bias)

    microsoft = {"domain": "com.microsoft"}
    *first, bias = weights("unit", (8, 3, 3, 3), 0)
    x = w.node("QLinearConv", "x", *of("unit"), *first, *of("relu"), bias, pads=[1] * 4)
    *second, bias = weights("relu", (8, 1, 3, 3), 0)
    y = w.node("QLinearConv", x, *of("relu"), *second, *of("plain"), bias, pads=[1] * 4, group=8)
    x = w.node("QLinearAdd", x, *of("relu"), y, *of("plain"), *of("relu"), **microsoft)
    x = w.node("MaxPool", x, kernel_shape=[2, 2], strides=[2, 2])
    z = w.node("QLinearSigmoid", x, *of("relu"), *of("unit"), **microsoft)
    x = w.node("QLinearMul", x, *of("relu"), z, *of("unit"), *of("relu"), **microsoft)
    x = w.node("QLinearConcat", *of("relu"), x, *of("relu"), z, *of("unit"), axis=1, **microsoft)
    pool: dict[str, Any] = {"kernel_shape": [2, 2], "strides": [2, 2]}
    x = w.node("QLinearAveragePool", x, *of("relu"), *of("relu"), **pool, **microsoft)
    x = w.node("QLinearGlobalAveragePool", x, *of("relu"), *of("relu"), **microsoft)
    x = w.node("Flatten", x)
    *third, bias = weights("relu", (16, 12), 1)
    x = w.node("QGemm", x, *of("relu"), *third, bias, *of("plain"), **microsoft)
    w.per_channel = False  # ONNX Runtime's matrix product wants zero points of its own otherwise
    *fourth, _ = weights("plain", (12, 6), 1)
    x = w.node("QLinearMatMul", x, *of("plain"), *fourth, *of("plain"))
    types = {"int8": TensorProto.INT8, "uint8": TensorProto.UINT8}
    return w.model(x, [1, 3, 12, 12], types[kind])


def quant(w: Writer, x: str, bits: int, scale: Any, *, signed: int, narrow: int = 0) -> str:
    """QONNX's Quant."""
    numbers = [w.constant(np.asarray(value, np.float32)) for value in (scale, 0.0, bits)]
    attributes: dict[str, Any] = {"signed": signed, "narrow": narrow, "rounding_mode": "ROUND"}
    return w.node("Quant", x, *numbers, domain=QONNX, **attributes)


def qonnx_weights(w: Writer, shape: Sequence[int], bits: int) -> str:
    """Random floats, and the quantizer that makes integers of them."""
    scales = w.rng.uniform(0.5, 1.5, (shape[0], *[1] * (len(shape) - 1)))
    scales *= 1.6 / np.sqrt(math.prod(shape[1:])) / (2 ** (bits - 1) - 0.5)
    codes = w.rng.integers(-(2 ** (bits - 1)), 2 ** (bits - 1), shape)
    if bits == 2:
        codes = np.clip(codes, -1, 1)
    values = w.constant(((codes + w.rng.uniform(-0.3, 0.3, shape)) * scales).astype(np.float32))
    if bits == 1:
        scale = w.constant(scales.astype(np.float32))
        return w.node("BipolarQuant", values, scale, domain=QONNX)
    return quant(w, values, bits, scales, signed=1, narrow=int(bits == 2))


def qonnx(bits: int, activation_bits: int = 4) -> bytes:
    """As Brevitas exports: weights of few bits, batch normalization, no quantizer at the end."""
    w = Writer()

    def layer(x: str, shape: Sequence[int], **rest: Any) -> str:
        y = w.node("Conv", x, qonnx_weights(w, shape, bits), **rest)
        channels = shape[0]
        normal = [w.rng.uniform(0.5, 1.5, channels), *w.rng.normal(0, 0.2, (2, channels))]
        normal.append(np.ones(channels))
        y = w.node("BatchNormalization", y, *(w.constant(v.astype(np.float32)) for v in normal))
        step = 2.0 ** (2 - activation_bits)
        return quant(w, w.node("Relu", y), activation_bits, step, signed=0)

    x = quant(w, "x", 8, 2.0**-8, signed=0)
    x = layer(x, (8, 3, 3, 3), pads=[1] * 4)
    y = layer(x, (8, 1, 3, 3), pads=[1] * 4, group=8)
    y = layer(y, (8, 8, 1, 1))
    x = quant(w, w.node("Add", x, y), activation_bits, 2.0 ** (2 - activation_bits), signed=0)
    x = w.node("GlobalAveragePool", x)
    x = quant(w, w.node("Flatten", x), 8, 2.0**-6, signed=0)
    weights = w.node("Transpose", qonnx_weights(w, (5, 8), bits), perm=[1, 0])
    x = w.node("Add", w.node("MatMul", x, weights), w.constant(np.linspace(-1, 1, 5, dtype="f")))
    return w.model(x, ["n", 3, 12, 12])


def resnet8() -> bytes:
    """MLPerf Tiny's ResNet8: 12.5 million products."""
    w = Writer("int8")
    x = w.relu_conv(w.quantized("x", "unit"), 16, 3, 3)
    inputs = 16
    for outputs, stride in ((16, 1), (32, 2), (64, 2)):
        strides = {"strides": [stride, stride]}
        y = w.relu_conv(x, outputs, inputs, 3, **strides)
        y = w.quantized(w.conv(y, outputs, outputs, 3), "plain")
        if stride > 1:
            x = w.quantized(w.conv(x, outputs, inputs, 1, **strides), "plain")
        x = w.quantized(w.node("Relu", w.node("Add", x, y)))
        inputs = outputs
    x = w.quantized(w.node("AveragePool", x, kernel_shape=[8, 8]))
    x = w.quantized(w.gemm(w.node("Flatten", x), 10, 64), "plain")
    return w.model(w.quantized(w.node("Softmax", x), "unit"), ["batch", 3, 32, 32])


def truncated(newer: int, mode: str) -> bytes:
    """A mean whose lower bits are cut off, as Brevitas' TruncAvgPool2d does, in two versions."""
    w = Writer()
    x = quant(w, "x", 8, 2.0**-8, signed=0)
    x = quant(w, w.node("Conv", x, qonnx_weights(w, (6, 3, 3, 3), 4)), 8, 2.0**-5, signed=1)
    x = w.node("AveragePool", w.node("Relu", x), kernel_shape=[2, 2], strides=[2, 2])
    four = w.node("Mul", x, w.constant(np.float32(4.0)))
    given = [2.0**-5, 0.0, 10.0, *([2.0**-2] if newer else []), 7.0]
    numbers = [w.constant(np.asarray(value, np.float32)) for value in given]
    x = w.node("Trunc", four, *numbers, domain=QONNX, rounding_mode=mode, signed=0)
    weights = w.node("Transpose", qonnx_weights(w, (5, 6 * 25), 4), perm=[1, 0])
    x = w.node("MatMul", w.node("Flatten", x), weights)
    return w.model(quant(w, x, 8, 2.0**-3, signed=1), [1, 3, 12, 12])


def pixels() -> bytes:
    """Bytes that the file itself makes floats of; a sigmoid of one output at the end."""
    w = Writer("int8")
    x = w.node("Cast", "x", to=TensorProto.FLOAT)
    x = w.node("Div", x, w.constant(np.float32(255)))
    mean = w.constant(np.array([0.4, 0.5, 0.6], np.float32).reshape(1, 3, 1, 1))
    x = w.quantized(w.node("Sub", x, mean), "sign")
    x = w.relu_conv(x, 4, 3, 3)
    x = w.node("Sigmoid", w.gemm(w.node("Flatten", x), 1, 4 * 8 * 8))
    return w.model(x, [1, 3, 8, 8], TensorProto.UINT8)


def four_bits() -> bytes:
    """Weights and activations of ONNX's own types of 4 bits."""
    w = Writer("int8")
    scale, zero = w.constant(np.float32(0.25)), w.name("zero")
    w.constants.append(helper.make_tensor(zero, TensorProto.UINT4, [], [3]))
    codes = w.rng.integers(-8, 8, (6, 3, 3, 3))
    w.constants.append(
        helper.make_tensor("codes", TensorProto.INT4, codes.shape, codes.ravel().tolist())
    )
    scales = w.constant(np.linspace(0.01, 0.02, 6, dtype="f"))
    x = w.quantized("x", "sign")
    x = w.node("Conv", x, w.node("DequantizeLinear", "codes", scales, axis=0))
    x = w.node("QuantizeLinear", w.node("Relu", x), scale, zero)
    x = w.node("DequantizeLinear", x, scale, zero)
    w.grids[x] = Grid(scale, zero, 0.25)
    x = w.quantized(w.gemm(w.node("Flatten", x), 4, 6 * 36), "plain")
    return w.model(x, [1, 3, 8, 8])
