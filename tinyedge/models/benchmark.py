"""Networks to measure kernels with: the shapes of known ones, random weights.

Weights are uniform over their range, so ternary ones have a third of zeros; those of 8 bits lack
-128, as TensorFlow Lite's do. Scales are such that every layer's results spread over the int8
range. The shapes of ``resnet8`` and ``ds_cnn`` are those of MLPerf Tiny; ``stq`` is the layer table
whose parameter count and sizes are those of arXiv 2503.08973.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from tinyedge.graph import operators as ops
from tinyedge.graph import reference
from tinyedge.graph.graph import Graph
from tinyedge.graph.tensors import WEIGHT_RANGES, Quantization, Tensor, Weights

Pair = tuple[int, int]

_INPUT_SCALE = 0.05
_WEIGHT_SCALE = 0.01
_SPREAD = 50.0
"""Standard deviation that results are given, in steps of the int8 output."""
_TRIALS = 3


class NetworkBuilder:
    """Adds layers one by one.

    Args:
        name: of the graph.
        shape: of the input.
        seed: of weights and biases.
    """

    def __init__(self, name: str, shape: tuple[int, ...], seed: int = 0) -> None:
        self._random = np.random.default_rng(seed)
        self._name = name
        self._tensors = {"input": Tensor("input", shape, Quantization(_INPUT_SCALE, 0))}
        self._operators: list[ops.Operator] = []
        samples = self._random.integers(-128, 128, (2, *shape)).astype(np.int8)
        self._results = {"input": samples}

    def graph(self, output: str) -> Graph:
        """The graph that ends with a tensor."""
        return Graph(self._name, self._tensors, tuple(self._operators), "input", output)

    def conv(
        self,
        source: str,
        channels: int,
        kernel: Pair,
        bits: int,
        stride: Pair = (1, 1),
        *,
        relu: bool = True,
    ) -> str:
        """A convolution with SAME padding."""
        shape = self._tensors[source].shape
        return self._weighted(
            ops.Conv2D,
            source,
            (channels, *kernel, shape[2]),
            bits,
            relu=relu,
            stride=stride,
            padding=ops.same_padding((shape[0], shape[1]), kernel, stride),
        )

    def depthwise(self, source: str, kernel: Pair, bits: int, stride: Pair = (1, 1)) -> str:
        """A depthwise convolution with SAME padding, and a ReLU."""
        shape = self._tensors[source].shape
        return self._weighted(
            ops.DepthwiseConv2D,
            source,
            (shape[2], *kernel),
            bits,
            relu=True,
            stride=stride,
            padding=ops.same_padding((shape[0], shape[1]), kernel, stride),
        )

    def fully_connected(self, source: str, outputs: int, bits: int, *, relu: bool = False) -> str:
        """A matrix product."""
        shape = (outputs, self._tensors[source].size)
        return self._weighted(ops.FullyConnected, source, shape, bits, relu=relu)

    def add(self, first: str, second: str) -> str:
        """The sum of two tensors, and a ReLU."""
        return self._append(ops.Add, (first, second), relu=True)

    def mean(self, source: str) -> str:
        """The mean over rows and columns."""
        return self._append(ops.Mean, (source,), relu=False)

    def _weighted(
        self,
        kind: type[ops.Weighted],
        source: str,
        shape: tuple[int, ...],
        bits: int,
        *,
        relu: bool,
        **rest: object,
    ) -> str:
        codes = self._codes(shape, bits)
        scales = (_WEIGHT_SCALE * self._random.uniform(0.5, 1.5, shape[0])).astype(np.float32)
        rms = float(np.sqrt((codes.astype(np.float64) ** 2).mean()))
        bias = self._random.normal(0, np.sqrt(np.prod(shape[1:])) * rms * 20, shape[0])
        weights = Weights(codes, bits, scales)
        return self._append(
            kind, (source,), relu=relu, weights=weights, bias=bias.astype(np.int32), **rest
        )

    def _append(
        self, kind: type[ops.Operator], sources: tuple[str, ...], *, relu: bool, **rest: object
    ) -> str:
        """Adds an operator, its output's scale found by trial."""
        name = f"{kind.__name__.lower()}_{len(self._operators)}"
        operator = kind(name=name, inputs=sources, output=name, **rest)
        inputs = [self._tensors[source] for source in sources]
        arrays = [self._results[source] for source in sources]
        shape = operator.output_shape([tensor.shape for tensor in inputs])
        scale = inputs[0].quantization.scale
        for _ in range(_TRIALS):
            trial = Tensor(name, shape, Quantization(scale, 0))
            spread = float(reference.compute(operator, arrays, inputs, trial).std())
            scale *= max(spread, 0.5) / _SPREAD
        self._tensors[name] = Tensor(name, shape, Quantization(scale, -128 if relu else 0))
        self._results[name] = reference.compute(operator, arrays, inputs, self._tensors[name])
        self._operators.append(operator)
        return name

    def _codes(self, shape: tuple[int, ...], bits: int) -> NDArray[np.int8]:
        low, high = (-127, 127) if bits == 8 else WEIGHT_RANGES[bits]
        if bits == 1:
            return (self._random.integers(0, 2, shape) * 2 - 1).astype(np.int8)
        return self._random.integers(low, high + 1, shape).astype(np.int8)


def resnet8(bits: int, seed: int = 0) -> Graph:
    """ResNet8 of MLPerf Tiny, 12.5 M MACs; the first and last layer have 8-bit weights."""
    build = NetworkBuilder("resnet8", (32, 32, 3), seed)
    at = build.conv("input", 16, (3, 3), 8)
    for channels, stride in ((16, 1), (32, 2), (64, 2)):
        inner = build.conv(at, channels, (3, 3), bits, (stride, stride))
        inner = build.conv(inner, channels, (3, 3), bits, relu=False)
        if stride > 1:
            at = build.conv(at, channels, (1, 1), bits, (stride, stride), relu=False)
        at = build.add(at, inner)
    return build.graph(build.fully_connected(build.mean(at), 10, 8))


def ds_cnn(bits: int, seed: int = 0) -> Graph:
    """DS-CNN of MLPerf Tiny, 2.66 M MACs; the first and last layer have 8-bit weights."""
    build = NetworkBuilder("ds_cnn", (49, 10, 1), seed)
    at = build.conv("input", 64, (10, 4), 8, (2, 2))
    for _ in range(4):
        at = build.depthwise(at, (3, 3), bits)
        at = build.conv(at, 64, (1, 1), bits)
    return build.graph(build.fully_connected(build.mean(at), 12, 8))


def stq(bits: int, seed: int = 0) -> Graph:
    """The full-width network of the STQ paper, 73.6 M MACs.

    Args:
        bits: of the layers that the paper makes ternary; the others have 8.
        seed: of weights and biases.
    """
    build = NetworkBuilder("stq", (32, 32, 1), seed)
    first = build.conv("input", 48, (3, 3), 8)
    branch = build.depthwise(build.conv(first, 96, (3, 3), 8, (2, 2)), (3, 3), 8)
    added = build.add(branch, build.conv(first, 96, (1, 1), bits, (2, 2), relu=False))
    separable = build.conv(build.depthwise(added, (3, 3), 8, (2, 2)), 320, (1, 1), bits)
    residual = build.add(separable, build.conv(separable, 320, (3, 3), bits, relu=False))
    at = build.fully_connected(build.mean(residual), 320, 8, relu=True)
    at = build.fully_connected(at, 128, bits, relu=True)
    return build.graph(build.fully_connected(at, 10, 8))


def _conv(shape: tuple[int, int, int], channels: int, kernel: int) -> Callable[[int], Graph]:
    def make(bits: int) -> Graph:
        build = NetworkBuilder("conv", shape)
        return build.graph(build.conv("input", channels, (kernel, kernel), bits))

    return make


def _depthwise(bits: int) -> Graph:
    build = NetworkBuilder("depthwise", (16, 16, 64))
    return build.graph(build.depthwise("input", (3, 3), bits))


def _fully_connected(bits: int) -> Graph:
    build = NetworkBuilder("fully connected", (1024,))
    return build.graph(build.fully_connected("input", 256, bits, relu=True))


BENCHMARKS: dict[str, Callable[[int], Graph]] = {
    "conv3x3-8x8-64-64": _conv((8, 8, 64), 64, 3),
    "conv3x3-16x16-32-32": _conv((16, 16, 32), 32, 3),
    "conv1x1-8x8-64-128": _conv((8, 8, 64), 128, 1),
    "depthwise3x3-16x16-64": _depthwise,
    "fully-connected-1024-256": _fully_connected,
    "resnet8": resnet8,
    "ds_cnn": ds_cnn,
    "stq": stq,
}
"""Single layers and whole networks by name; each takes the bits of a weight."""
