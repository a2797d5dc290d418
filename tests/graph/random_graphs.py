"""Random integer graphs: shapes, strides, paddings, bit widths, scales and connections."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tinyedge.graph import operators as ops
from tinyedge.graph.graph import Graph
from tinyedge.graph.tensors import WEIGHT_RANGES, Quantization, Tensor, Weights


class RandomGraph:
    """Builds one graph from a seed; ``graph`` is the result.

    Every operator but Reshape may follow any other. Output scales are chosen so that results spread
    over the int8 range, with some that saturate and some that vanish.

    Args:
        seed: of everything.
        all_kinds: with the operators, too, that only ``.tflite`` files bring; a seed without them
            gives the graph that it always gave.
    """

    def __init__(self, seed: int, *, all_kinds: bool = False) -> None:
        self.all_kinds = all_kinds
        self.random = np.random.default_rng(seed)
        self.tensors: dict[str, Tensor] = {}
        self.constants: dict[str, NDArray[np.int8]] = {}
        self.operators: list[ops.Operator] = []
        shape = tuple(int(n) for n in self.random.integers(1, (11, 11, 8)))
        current = self.add_tensor(shape, self.quantization(0.01, 1.0))
        first = current
        for _ in range(self.random.integers(1, 6)):
            current = self.add_operator(current)
        self.graph = Graph(
            f"random {seed}",
            self.tensors,
            tuple(self.operators),
            first.name,
            current.name,
            constants=self.constants,
        )

    def inputs(self, count: int) -> NDArray[np.int8]:
        """Random samples, among them all -128, all 127 and all zero point."""
        tensor = self.graph.input_tensor
        samples = self.random.integers(-128, 128, (count, *tensor.shape))
        for index, value in enumerate((-128, 127, tensor.quantization.zero_point)):
            samples[index] = value
        return samples.astype(np.int8)

    def choose(self, *options: Any) -> Any:
        return options[self.random.integers(len(options))]

    def quantization(self, low: float, high: float) -> Quantization:
        scale = float(np.exp(self.random.uniform(np.log(low), np.log(high))))
        near, anywhere = self.random.integers(-30, 31), self.random.integers(-128, 128)
        return Quantization(scale, int(self.choose(near, near, near, anywhere, -128, 127)))

    def clamp(self) -> ops.Pair:
        low, high = sorted(int(n) for n in self.random.integers(-128, 128, 2))
        chosen: ops.Pair = self.choose(*[(-128, 127)] * 6, (low, high), (low, 127))
        return chosen

    def add_tensor(self, shape: tuple[int, ...], quantization: Quantization) -> Tensor:
        tensor = Tensor(f"t{len(self.tensors)}", shape, quantization)
        self.tensors[tensor.name] = tensor
        return tensor

    def add_operator(self, source: Tensor) -> Tensor:
        kinds = [self.fully_connected, self.elementwise, self.requantize, self.reshape]
        kinds += [self.lookup, self.softmax, self.concatenation]
        if self.all_kinds:
            kinds += [self.extreme, self.transpose, self.slice, self.prelu, self.hard_swish]
            kinds += [self.log_softmax]
        if len(source.shape) == 3:
            kinds += [self.conv2d, self.conv2d, self.depthwise, self.depthwise]
            kinds += [self.pool, self.mean, self.pad]
            kinds += [self.resize, self.mat_mul] if self.all_kinds else []
        result: Tensor = self.choose(*kinds)(source)
        return result

    def name(self, kind: str) -> str:
        return f"{self.choose('', 'block/', '1-')}{kind} {len(self.operators)}"

    def finish(
        self,
        kind: type[ops.Operator],
        sources: list[Tensor],
        quantization: Quantization,
        **rest: Any,
    ) -> Tensor:
        """Adds an operator whose output shape follows from its inputs."""
        name = self.name(kind.__name__.lower())
        inputs = tuple(tensor.name for tensor in sources)
        output = f"t{len(self.tensors)}"
        operator = kind(name=name, inputs=inputs, output=output, **rest)
        shape = operator.output_shape([tensor.shape for tensor in sources])
        tensor = self.add_tensor(shape, quantization)
        self.operators.append(operator)
        return tensor

    def weighted(
        self, kind: type[ops.Weighted], source: Tensor, shape: tuple[int, ...], **rest: Any
    ) -> Tensor:
        bits = int(self.choose(1, 2, 2, 4, 8))
        low, high = WEIGHT_RANGES[bits]
        codes = self.random.integers(low, high + 1, shape)
        if bits == 1:
            codes = np.where(codes < 0, -1, 1)
        elif self.random.random() < 0.2:
            codes[0] = self.choose(low, high, 0)
        scales = np.exp(self.random.uniform(-6, 0, shape[0])).astype(np.float32)
        largest = int(np.abs(codes).max(initial=1))
        steps = None
        if bits < 8 and self.random.random() < 0.3:
            steps = self.random.integers(1, 127 // largest + 1, shape[0]).astype(np.uint8)
            largest *= int(steps.max())
        spread = np.sqrt(np.prod(shape[1:])) * largest * 100
        bias = self.random.normal(0, spread, shape[0]).astype(np.int32)
        typical = source.quantization.scale * float(np.median(scales)) * spread
        return self.finish(
            kind,
            [source],
            self.quantization(typical / 150, typical / 20),
            weights=Weights(codes.astype(np.int8), bits, scales, steps),
            bias=bias,
            clamp=self.clamp(),
            **rest,
        )

    def window(self, source: Tensor, kernel: ops.Pair, dilation: ops.Pair) -> dict[str, Any]:
        """A stride, and a padding with which the window fits."""
        stride = (int(self.random.integers(1, 4)), int(self.random.integers(1, 4)))
        size = (source.shape[0], source.shape[1])
        span = tuple((k - 1) * d + 1 for k, d in zip(kernel, dilation, strict=True))
        fits = span[0] <= size[0] and span[1] <= size[1]
        same = ops.same_padding(size, kernel, stride, dilation)
        wide = (span[0] - 1, span[0] - 1, span[1] - 1, span[1] - 1)
        padding = self.choose(same, wide, (0, 0, 0, 0)) if fits else wide
        return {"stride": stride, "padding": padding}

    def dilation(self) -> ops.Pair:
        chosen: ops.Pair = self.choose((1, 1), (1, 1), (2, 1), (1, 2), (2, 3))
        return chosen

    def kernel(self) -> ops.Pair:
        chosen: ops.Pair = self.choose((1, 1), (3, 3), (3, 3), (1, 3), (5, 2), (4, 4))
        return chosen

    def conv2d(self, source: Tensor) -> Tensor:
        kernel, dilation = self.kernel(), self.dilation()
        shape = (int(self.random.integers(1, 9)), *kernel, source.shape[2])
        rest = self.window(source, kernel, dilation)
        return self.weighted(ops.Conv2D, source, shape, dilation=dilation, **rest)

    def depthwise(self, source: Tensor) -> Tensor:
        kernel, dilation = self.kernel(), self.dilation()
        shape = (source.shape[2] * int(self.choose(1, 1, 2, 3)), *kernel)
        rest = self.window(source, kernel, dilation)
        return self.weighted(ops.DepthwiseConv2D, source, shape, dilation=dilation, **rest)

    def fully_connected(self, source: Tensor) -> Tensor:
        shape = (int(self.random.integers(1, 13)), source.size)
        return self.weighted(ops.FullyConnected, source, shape)

    def constant(self, shape: tuple[int, ...], quantization: Quantization) -> Tensor:
        tensor = self.add_tensor(shape, quantization)
        self.constants[tensor.name] = self.random.integers(-128, 128, shape).astype(np.int8)
        return tensor

    def elementwise(self, source: Tensor) -> Tensor:
        """Two tensors of one shape, or a constant whose shape is repeated."""
        alike = [tensor for tensor in self.tensors.values() if tensor.shape == source.shape]
        other = self.choose(*alike)
        if self.random.random() < 0.4:
            sizes = [int(self.choose(1, n)) for n in source.shape]
            shape = tuple(sizes[self.random.integers(len(sizes)) :])
            other = self.constant(shape, self.quantization(0.01, 1.0))
        largest = max(source.quantization.scale, other.quantization.scale)
        sources = [source, other] if self.random.random() < 0.5 else [other, source]
        kind = self.choose(ops.Add, ops.Add, ops.Sub, ops.Mul)
        quantization = self.quantization(largest / 2, largest * 4)
        return self.finish(kind, sources, quantization, clamp=self.clamp())

    def extreme(self, source: Tensor) -> Tensor:
        """Two tensors of one grid, or a constant whose shape is repeated."""
        other = self.finish(ops.Requantize, [source], source.quantization, clamp=self.clamp())
        if self.random.random() < 0.6:
            other = self.constant(source.shape[-1:], source.quantization)
        kind = self.choose(ops.Maximum, ops.Minimum)
        return self.finish(kind, [source, other], source.quantization, clamp=self.clamp())

    def prelu(self, source: Tensor) -> Tensor:
        slope = self.constant(source.shape[-1:], self.quantization(0.01, 1.0))
        scale = source.quantization.scale
        quantization = self.quantization(scale / 2, scale * 4)
        return self.finish(ops.Prelu, [source, slope], quantization, clamp=self.clamp())

    def hard_swish(self, source: Tensor) -> Tensor:
        scale = source.quantization.scale
        return self.finish(ops.HardSwish, [source], self.quantization(scale / 2, scale * 2))

    def resize(self, source: Tensor) -> Tensor:
        aligned, half = self.choose((False, False), (True, False), (False, True))
        return self.finish(
            self.choose(ops.ResizeNearest, ops.ResizeBilinear),
            [source],
            source.quantization,
            size=tuple(int(n) for n in self.random.integers(1, 12, 2)),
            align_corners=aligned,
            half_pixel=half,
        )

    def transpose(self, source: Tensor) -> Tensor:
        axes = tuple(int(axis) for axis in self.random.permutation(len(source.shape)))
        return self.finish(ops.Transpose, [source], source.quantization, axes=axes)

    def slice(self, source: Tensor) -> Tensor:
        begin = [int(self.random.integers(n)) for n in source.shape]
        stride = [int(self.choose(1, 1, 2)) for _ in begin]
        size = [
            int(self.random.integers(1, (n - first - 1) // step + 2))
            for n, first, step in zip(source.shape, begin, stride, strict=True)
        ]
        for axis, step in enumerate(stride):
            if self.random.random() < 0.3:  # from the end to the beginning
                begin[axis] += (size[axis] - 1) * step
                stride[axis] = -step
        return self.finish(
            ops.Slice,
            [source],
            source.quantization,
            begin=tuple(begin),
            size=tuple(size),
            stride=tuple(stride),
        )

    def mat_mul(self, source: Tensor) -> Tensor:
        """With constants, or itself; of the same groups, or one for all."""
        turned = (int(self.random.integers(2)), int(self.random.integers(2)))
        groups, *sides = source.shape
        depth, columns = sides[1 - turned[0]], int(self.random.integers(1, 6))
        shape = (
            int(self.choose(1, groups)),
            *((columns, depth) if turned[1] else (depth, columns)),
        )
        other = source
        if turned[0] == turned[1] or self.random.random() < 0.5:
            other = self.constant(shape, self.quantization(0.01, 1.0))
        typical = source.quantization.scale * other.quantization.scale * 74 * 74 * np.sqrt(depth)
        quantization = self.quantization(typical / 150, typical / 20)
        return self.finish(ops.MatMul, [source, other], quantization, transposed=turned)

    def concatenation(self, source: Tensor) -> Tensor:
        axis = int(self.random.integers(len(source.shape)))
        sources = [source]
        for _ in range(self.random.integers(1, 4)):
            sizes = list(source.shape)
            sizes[axis] = int(self.random.integers(1, 4))
            other = source
            if self.random.random() < 0.5:
                other = self.constant(tuple(sizes), source.quantization)
            sources.insert(int(self.choose(0, len(sources))), other)
        return self.finish(ops.Concatenation, sources, source.quantization, axis=axis)

    def lookup(self, source: Tensor) -> Tensor:
        kind = self.choose(ops.Logistic, ops.Tanh, ops.Relu, ops.Relu6, ops.LeakyRelu)
        scale = source.quantization.scale
        quantization = getattr(kind, "output_quantization", self.quantization(scale / 2, scale * 2))
        rest = {"alpha": 0.1} if kind is ops.LeakyRelu else {}
        return self.finish(kind, [source], quantization, **rest)

    def softmax(self, source: Tensor) -> Tensor:
        beta = float(self.choose(1.0, 0.1))
        return self.finish(ops.Softmax, [source], ops.Softmax.output_quantization, beta=beta)

    def log_softmax(self, source: Tensor) -> Tensor:
        return self.finish(ops.LogSoftmax, [source], ops.LogSoftmax.output_quantization)

    def pool(self, source: Tensor) -> Tensor:
        height, width = (int(self.random.integers(1, min(n, 4) + 1)) for n in source.shape[:2])
        kernel = (height, width)
        stride = (int(self.random.integers(1, 4)), int(self.random.integers(1, 4)))
        size = (source.shape[0], source.shape[1])
        padding = self.choose((0, 0, 0, 0), ops.same_padding(size, kernel, stride))
        return self.finish(
            self.choose(ops.AveragePool2D, ops.MaxPool2D),
            [source],
            source.quantization,
            kernel=kernel,
            stride=stride,
            padding=padding,
            clamp=self.clamp(),
        )

    def mean(self, source: Tensor) -> Tensor:
        scale = source.quantization.scale
        return self.finish(ops.Mean, [source], self.quantization(scale / 4, scale * 2))

    def pad(self, source: Tensor) -> Tensor:
        padding = tuple(int(n) for n in self.random.integers(0, 3, 4))
        channels = self.choose((0, 0), (0, 0), (1, 2))
        value = self.choose(None, None, int(self.random.integers(-128, 128)))
        return self.finish(
            ops.Pad,
            [source],
            source.quantization,
            padding=padding,
            channels=channels,
            value=value,
        )

    def requantize(self, source: Tensor) -> Tensor:
        scale = source.quantization.scale
        quantization = self.quantization(scale / 8, scale * 8)
        return self.finish(ops.Requantize, [source], quantization, clamp=self.clamp())

    def reshape(self, source: Tensor) -> Tensor:
        size = source.size
        divisor = next(n for n in (4, 3, 2, 1) if size % n == 0)
        shape = self.choose((size,), (1, divisor, size // divisor), (divisor, 1, size // divisor))
        return self.finish(ops.Reshape, [source], source.quantization, shape=shape)


class WideGraph(RandomGraph):
    """With more channels than vectors have lanes: of rows, of groups and of blocks all tails."""

    def conv2d(self, source: Tensor) -> Tensor:
        kernel, dilation = self.kernel(), self.dilation()
        shape = (int(self.random.integers(1, 70)), *kernel, source.shape[2])
        rest = self.window(source, kernel, dilation)
        return self.weighted(ops.Conv2D, source, shape, dilation=dilation, **rest)

    def fully_connected(self, source: Tensor) -> Tensor:
        shape = (int(self.random.integers(1, 70)), source.size)
        return self.weighted(ops.FullyConnected, source, shape)


def graph_of(seed: int) -> RandomGraph:
    """Makes graphs of either kind, with or without the operators that few executors have."""
    kind = WideGraph if seed % 3 else RandomGraph
    return kind(seed, all_kinds=bool(seed % 2))


def side_by_side(graphs: Sequence[Graph]) -> Graph:
    """One graph of several: the bytes of their inputs behind each other, and of their outputs."""
    tensors: dict[str, Tensor] = {}
    constants: dict[str, NDArray[np.int8]] = {}
    parts: list[ops.Operator] = []
    operators: list[ops.Operator] = []
    outputs, begin = [], 0
    for index, graph in enumerate(graphs):

        def own(name: str, index: int = index) -> str:
            return f"{index} {name}"

        for tensor in graph.tensors.values():
            tensors[own(tensor.name)] = replace(tensor, name=own(tensor.name))
        constants |= {own(name): values for name, values in graph.constants.items()}
        name, shape = own(graph.input), graph.input_tensor.shape
        part = ops.Part(name=name, inputs=("all",), output=name, begin=begin, shape=shape)
        parts.append(part)
        begin += graph.input_tensor.size
        operators += [
            replace(
                operator,
                name=own(operator.name),
                inputs=tuple(map(own, operator.inputs)),
                output=own(operator.output),
            )
            for operator in graph.operators
        ]
        outputs.append(own(graph.output))
    first, size = tensors[outputs[0]], sum(tensors[name].size for name in outputs)
    tensors["all"] = Tensor("all", (begin,), graphs[0].input_tensor.quantization)
    tensors["results"] = Tensor("results", (size,), first.quantization)
    join = ops.Join(name="results", inputs=tuple(outputs), output="results")
    name = ", ".join(graph.name for graph in graphs)
    return Graph(name, tensors, (*parts, *operators, join), "all", "results", constants=constants)
