"""The operators of an integer graph, with TensorFlow Lite's meaning.

Each is a frozen record: the names of its input and output tensors and its constants. Shapes are
NHWC without the batch. ``clamp`` is the fused activation as an int8 range, both ends included.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from tinyedge.errors import ModelError
from tinyedge.graph import gemmlowp
from tinyedge.graph.fixed_point import (
    INT8_MAX,
    INT8_MIN,
    INT32_MAX,
    Int64,
    multiply_by_quantized_multiplier,
    quantize_multiplier,
    round_half_away,
    rounding_divide_by_power_of_two,
)
from tinyedge.graph.tensors import WEIGHT_RANGES, Quantization, Tensor, Weights

Shape = tuple[int, ...]
Pair = tuple[int, int]
Padding = tuple[int, int, int, int]
"""Rows and columns added: top, bottom, left, right."""

FULL_RANGE: Pair = (INT8_MIN, INT8_MAX)
INT8_VALUES: Int64 = np.arange(INT8_MIN, INT8_MAX + 1, dtype=np.int64)
ADD_LEFT_SHIFT = 20
"""Headroom of Add's rescaled inputs; fixed by TensorFlow Lite for int8."""
MAXIMUM_CONCATENATED = 10
"""Inputs of one Concatenation, as in TFLite-Micro."""
INT32_BYTES = 4
MAXIMUM_REARRANGED = 4
"""Axes of a Rearrangement that a kernel goes along."""
MAXIMUM_RESIZED = 4096
"""Rows or columns of a Resize, which its tables hold in 16 bits."""
MAXIMUM_WINDOW = 32767
"""Rows or columns of a window or its padding, which TFLite keeps in 16 bits."""
MAXIMUM_SOFTMAX = 4095
"""Elements of one Softmax: their sum, with 12 integer bits, has to fit in 32."""


def same_padding(size: Pair, kernel: Pair, stride: Pair, dilation: Pair = (1, 1)) -> Padding:
    """TensorFlow's SAME padding: output size is ``ceil(size / stride)``, the odd one goes last."""
    padding: list[int] = []
    for n, k, s, d in zip(size, kernel, stride, dilation, strict=True):
        total = max((-(-n // s) - 1) * s + (k - 1) * d + 1 - n, 0)
        padding += [total // 2, total - total // 2]
    return (padding[0], padding[1], padding[2], padding[3])


@dataclass(frozen=True, eq=False, kw_only=True)
class Operator:
    """Base of all operators: ``inputs`` and ``output`` name tensors of the same graph."""

    name: str
    inputs: tuple[str, ...]
    output: str
    arity: ClassVar[int | None] = 1
    """Number of inputs; None for any number from one on."""

    def output_shape(self, inputs: Sequence[Shape]) -> Shape:
        """The shape of the output for inputs of these shapes; raises ModelError."""
        raise NotImplementedError

    def check(self, inputs: Sequence[Tensor], output: Tensor) -> None:
        """Raises ModelError where constants do not fit each other, the inputs or the output."""

    def macs(self, inputs: Sequence[Shape], output: Shape) -> int:
        """Dense multiply-accumulates of one inference; a zero weight counts as one."""
        return 0

    def fail(self, message: str) -> ModelError:
        """An error that names this operator."""
        return ModelError(f"operator '{self.name}' ({type(self).__name__}): {message}")


@dataclass(frozen=True, eq=False, kw_only=True)
class Clamped(Operator):
    """An operator with a fused activation."""

    clamp: Pair = FULL_RANGE

    def check(self, inputs: Sequence[Tensor], output: Tensor) -> None:
        low, high = self.clamp
        if not INT8_MIN <= low <= high <= INT8_MAX:
            raise self.fail(f"clamp {self.clamp} is not a range of int8")


@dataclass(frozen=True, eq=False, kw_only=True)
class Weighted(Clamped):
    """An operator with weights: int32 accumulators, a bias, and requantization per channel.

    Attributes:
        weights: see ``Weights`` for the layout.
        bias: int32 (out,), of scale ``input scale * weights.scales``.
    """

    weights: Weights
    bias: NDArray[np.int32]
    code_rank: ClassVar[int]

    def multipliers(
        self, source: Quantization, target: Quantization
    ) -> tuple[NDArray[np.int32], NDArray[np.int8]]:
        """Per-channel mantissas and shifts for ``input scale * weight scale / output scale``."""
        pairs = [
            quantize_multiplier(source.scale * float(scale) / target.scale)
            for scale in self.weights.scales
        ]
        return (
            np.array([mantissa for mantissa, _ in pairs], dtype=np.int32),
            np.array([shift for _, shift in pairs], dtype=np.int8),
        )

    def accumulator_bound(self, source: Quantization) -> NDArray[np.int64]:
        """Per channel, the largest magnitude that any input can bring its accumulator to."""
        largest_input = max(INT8_MAX - source.zero_point, source.zero_point - INT8_MIN)
        integers = self.weights.integers.astype(np.int64).reshape(len(self.weights.codes), -1)
        bound: NDArray[np.int64] = np.abs(integers).sum(axis=1) * largest_input
        return bound + np.abs(self.bias.astype(np.int64))

    def check(self, inputs: Sequence[Tensor], output: Tensor) -> None:
        super().check(inputs, output)
        weights, channels = self.weights, len(self.weights.codes)
        if weights.bits not in WEIGHT_RANGES:
            raise self.fail(f"weights of {weights.bits} bits; allowed: 1, 2, 4, 8")
        if weights.codes.ndim != self.code_rank or weights.codes.dtype != np.int8:
            raise self.fail(f"weights have to be int8 of {self.code_rank} axes")
        low, high = WEIGHT_RANGES[weights.bits]
        if weights.codes.size and not low <= weights.codes.min() <= weights.codes.max() <= high:
            raise self.fail(f"weights outside [{low}, {high}], the range of {weights.bits} bits")
        if weights.bits == 1 and np.any(weights.codes == 0):
            raise self.fail("binary weights hold a zero")
        if weights.scales.shape != (channels,) or self.bias.shape != (channels,):
            raise self.fail(
                f"scales and bias have to hold one value for each of {channels} channels"
            )
        if not np.all(np.isfinite(weights.scales) & (weights.scales > 0)):
            raise self.fail("weight scales have to be positive")
        if weights.steps is not None:
            if weights.steps.shape != (channels,) or weights.steps.dtype != np.uint8:
                raise self.fail(f"steps have to be uint8, one for each of {channels} channels")
            if np.any(weights.steps == 0) or np.any(np.abs(weights.integers + 0.5) > 127.5):
                raise self.fail("steps times codes have to lie in [-128, 127]")
        self.multipliers(inputs[0].quantization, output.quantization)  # have to be in range


@dataclass(frozen=True, eq=False, kw_only=True)
class Windowed(Operator):
    """An operator that slides a window over rows and columns."""

    stride: Pair
    padding: Padding = (0, 0, 0, 0)

    def window(self) -> Pair:
        """Height and width that the window spans, dilation included."""
        raise NotImplementedError

    def output_size(self, shape: Shape) -> Pair:
        """Rows and columns of the output."""
        if len(shape) != 3:
            raise self.fail(f"needs an input of 3 axes (height, width, channels), not {shape}")
        if min(self.stride) < 1 or min(self.padding) < 0:
            raise self.fail(f"stride {self.stride} and padding {self.padding} have to be positive")
        (height, width), top_left = self.window(), self.padding
        if min(height, width) < 1 or max(height, width, *self.padding) > MAXIMUM_WINDOW:
            raise self.fail(f"a window of {height}x{width} with padding {self.padding}")
        rows = (shape[0] + top_left[0] + top_left[1] - height) // self.stride[0] + 1
        columns = (shape[1] + top_left[2] + top_left[3] - width) // self.stride[1] + 1
        if rows < 1 or columns < 1:
            raise self.fail(f"a window of {height}x{width} does not fit an input of {shape}")
        return rows, columns


@dataclass(frozen=True, eq=False, kw_only=True)
class Conv2D(Weighted, Windowed):
    """2-D convolution; weights (out, height, width, in)."""

    dilation: Pair = (1, 1)
    code_rank: ClassVar[int] = 4

    def window(self) -> Pair:
        _, height, width, _ = self.weights.codes.shape
        return (height - 1) * self.dilation[0] + 1, (width - 1) * self.dilation[1] + 1

    def output_shape(self, inputs: Sequence[Shape]) -> Shape:
        size = self.output_size(inputs[0])
        if inputs[0][2] != self.weights.codes.shape[3]:
            raise self.fail(
                f"{inputs[0][2]} input channels, weights for {self.weights.codes.shape[3]}"
            )
        return (*size, len(self.weights.codes))

    def macs(self, inputs: Sequence[Shape], output: Shape) -> int:
        return int(output[0] * output[1] * self.weights.codes.size)


@dataclass(frozen=True, eq=False, kw_only=True)
class DepthwiseConv2D(Weighted, Windowed):
    """Depthwise convolution; weights (out, height, width), output channel c reads ``c // m``."""

    dilation: Pair = (1, 1)
    code_rank: ClassVar[int] = 3

    def window(self) -> Pair:
        _, height, width = self.weights.codes.shape
        return (height - 1) * self.dilation[0] + 1, (width - 1) * self.dilation[1] + 1

    def output_shape(self, inputs: Sequence[Shape]) -> Shape:
        size = self.output_size(inputs[0])
        if len(self.weights.codes) % inputs[0][2]:
            raise self.fail(
                f"{len(self.weights.codes)} output channels are no multiple of the "
                f"{inputs[0][2]} input channels"
            )
        return (*size, len(self.weights.codes))

    def macs(self, inputs: Sequence[Shape], output: Shape) -> int:
        return int(output[0] * output[1] * self.weights.codes.size)


@dataclass(frozen=True, eq=False, kw_only=True)
class FullyConnected(Weighted):
    """Matrix product with a vector; weights (out, in). The input is read as one flat vector."""

    code_rank: ClassVar[int] = 2

    def output_shape(self, inputs: Sequence[Shape]) -> Shape:
        if math.prod(inputs[0]) != self.weights.codes.shape[1]:
            raise self.fail(
                f"{math.prod(inputs[0])} inputs, weights for {self.weights.codes.shape[1]}"
            )
        return (len(self.weights.codes),)

    def macs(self, inputs: Sequence[Shape], output: Shape) -> int:
        return int(self.weights.codes.size)


@dataclass(frozen=True, eq=False, kw_only=True)
class Elementwise(Clamped):
    """An operator on pairs of elements; a shape of fewer axes, or an axis of one, is repeated."""

    arity: ClassVar[int] = 2

    def output_shape(self, inputs: Sequence[Shape]) -> Shape:
        try:
            return tuple(int(n) for n in np.broadcast_shapes(*inputs))
        except ValueError:
            raise self.fail(f"inputs of shapes {inputs[0]} and {inputs[1]}") from None

    def axes(self, inputs: Sequence[Shape]) -> list[tuple[int, tuple[bool, bool]]]:
        """The fewest axes to loop over: the size of each, and which input is repeated along it."""
        output = self.output_shape(inputs)
        first, second = ((1,) * (len(output) - len(shape)) + shape for shape in inputs)
        merged: list[tuple[int, tuple[bool, bool]]] = []
        for size, a, b in zip(output, first, second, strict=True):
            repeated = (a != size, b != size)
            if size > 1 and merged and merged[-1][1] == repeated:
                merged[-1] = (merged[-1][0] * size, repeated)
            elif size > 1:
                merged.append((size, repeated))
        return merged

    def check(self, inputs: Sequence[Tensor], output: Tensor) -> None:
        super().check(inputs, output)
        shapes = [tensor.shape for tensor in inputs]
        if len(self.axes(shapes)) > 3:
            raise self.fail(f"inputs of shapes {shapes[0]} and {shapes[1]} repeat too often")


@dataclass(frozen=True, eq=False, kw_only=True)
class Add(Elementwise):
    """Element-wise sum."""

    def check(self, inputs: Sequence[Tensor], output: Tensor) -> None:
        super().check(inputs, output)
        if self.real_multipliers(inputs, output)[2] >= 1.0:
            raise self.fail("the output scale is too small against the input scales")

    def real_multipliers(
        self, inputs: Sequence[Tensor], output: Tensor
    ) -> tuple[float, float, float]:
        """Factors of both inputs, against twice the larger scale, and of the sum (as TFLite)."""
        first, second = (tensor.quantization.scale for tensor in inputs)
        largest = 2.0 * max(first, second)
        headroom = float(1 << ADD_LEFT_SHIFT)
        return (
            first / largest,
            second / largest,
            largest / (headroom * output.quantization.scale),
        )

    def multipliers(self, inputs: Sequence[Tensor], output: Tensor) -> tuple[Pair, Pair, Pair]:
        """(mantissa, shift) of the first input, the second input and the output."""
        first, second, result = map(quantize_multiplier, self.real_multipliers(inputs, output))
        return first, second, result


@dataclass(frozen=True, eq=False, kw_only=True)
class Sub(Add):
    """Element-wise difference, the first less the second."""


@dataclass(frozen=True, eq=False, kw_only=True)
class Mul(Elementwise):
    """Element-wise product."""

    def multiplier(self, inputs: Sequence[Tensor], output: Tensor) -> Pair:
        """(mantissa, shift) of ``first scale * second scale / output scale``."""
        first, second = (tensor.quantization.scale for tensor in inputs)
        return quantize_multiplier(first * second / output.quantization.scale)

    def check(self, inputs: Sequence[Tensor], output: Tensor) -> None:
        super().check(inputs, output)
        _, shift = self.multiplier(inputs, output)
        if 255 * 255 << max(shift, 0) > INT32_MAX:
            raise self.fail("the output scale is too small against the input scales")


@dataclass(frozen=True, eq=False, kw_only=True)
class Extreme(Elementwise):
    """The larger or the smaller of two elements; all share one quantization."""

    def check(self, inputs: Sequence[Tensor], output: Tensor) -> None:
        super().check(inputs, output)
        if any(tensor.quantization != output.quantization for tensor in inputs):
            raise self.fail("inputs and output have to share one quantization")


@dataclass(frozen=True, eq=False, kw_only=True)
class Maximum(Extreme):
    """Element-wise maximum."""


@dataclass(frozen=True, eq=False, kw_only=True)
class Minimum(Extreme):
    """Element-wise minimum."""


@dataclass(frozen=True, eq=False, kw_only=True)
class Prelu(Elementwise):
    """The first input where positive, else its product with the second (TFLite's ``prelu.h``)."""

    def multipliers(self, inputs: Sequence[Tensor], output: Tensor) -> tuple[Pair, Pair]:
        """(mantissa, shift) for positive elements, and for products."""
        first, second = (tensor.quantization.scale for tensor in inputs)
        target = output.quantization.scale
        return quantize_multiplier(first / target), quantize_multiplier(first * second / target)

    def check(self, inputs: Sequence[Tensor], output: Tensor) -> None:
        super().check(inputs, output)
        positive, negative = self.multipliers(inputs, output)
        if max(255 << max(positive[1], 0), 255 * 255 << max(negative[1], 0)) > INT32_MAX:
            raise self.fail("the output scale is too small against the input scales")


@dataclass(frozen=True, eq=False, kw_only=True)
class Concatenation(Operator):
    """Tensors one behind the other along ``axis``; all share one quantization."""

    arity: ClassVar[int | None] = None
    axis: int

    def output_shape(self, inputs: Sequence[Shape]) -> Shape:
        first = inputs[0]
        if not 0 <= self.axis < len(first):
            raise self.fail(f"axis {self.axis} of inputs of {len(first)} axes")
        rests = {(*shape[: self.axis], *shape[self.axis + 1 :]) for shape in inputs}
        if len(rests) > 1 or any(len(shape) != len(first) for shape in inputs):
            raise self.fail(f"inputs of shapes {', '.join(map(str, inputs))}")
        total = sum(shape[self.axis] for shape in inputs)
        return (*first[: self.axis], total, *first[self.axis + 1 :])

    def check(self, inputs: Sequence[Tensor], output: Tensor) -> None:
        if len(inputs) > MAXIMUM_CONCATENATED:
            raise self.fail(f"{len(inputs)} inputs, at most {MAXIMUM_CONCATENATED} are possible")
        if any(tensor.quantization != output.quantization for tensor in inputs):
            raise self.fail("inputs and output have to share one quantization")


@dataclass(frozen=True, eq=False, kw_only=True)
class Join(Operator):
    """The bytes of tensors of any quantization behind each other: the result of several outputs."""

    arity: ClassVar[int | None] = None

    def output_shape(self, inputs: Sequence[Shape]) -> Shape:
        return (sum(math.prod(shape) for shape in inputs),)

    def check(self, inputs: Sequence[Tensor], output: Tensor) -> None:
        if not 2 <= len(inputs) <= MAXIMUM_CONCATENATED:
            raise self.fail(f"{len(inputs)} inputs, allowed: 2 to {MAXIMUM_CONCATENATED}")
        if inputs[0].quantization != output.quantization:
            raise self.fail("first input and output have to share one quantization")


@dataclass(frozen=True, eq=False, kw_only=True)
class Part(Operator):
    """Bytes of the graph's input, of any quantization: an input of a model that has several.

    Attributes:
        begin: of the input's bytes, the first one.
        shape: of the output.
    """

    begin: int
    shape: Shape

    def output_shape(self, inputs: Sequence[Shape]) -> Shape:
        whole = math.prod(inputs[0])
        if not 0 <= self.begin <= self.begin + math.prod(self.shape) <= whole:
            raise self.fail(f"{self.shape} from byte {self.begin} on, of {whole}")
        return self.shape


@dataclass(frozen=True, eq=False, kw_only=True)
class MatMul(Operator):
    """Matrix products of two activations (TFLite's ``batch_matmul.h``).

    Inputs are (groups, rows, depth) and (groups, depth, columns); one of them may have one group,
    for all of the other's.

    Attributes:
        transposed: which of the inputs have their last two axes in the other order.
    """

    arity: ClassVar[int | None] = 2
    transposed: Pair = (0, 0)

    def output_shape(self, inputs: Sequence[Shape]) -> Shape:
        if any(len(shape) != 3 for shape in inputs) or not set(self.transposed) <= {0, 1}:
            raise self.fail(f"inputs of shapes {inputs[0]} and {inputs[1]}, {self.transposed}")
        (groups, *first), (others, *second) = inputs
        rows, depth = reversed(first) if self.transposed[0] else first
        other_depth, columns = reversed(second) if self.transposed[1] else second
        if depth != other_depth or (groups != others and 1 not in (groups, others)):
            raise self.fail(f"inputs of shapes {inputs[0]} and {inputs[1]}, {self.transposed}")
        return (max(groups, others), rows, columns)

    def depth(self, first: Shape) -> int:
        """Products of a sum, by the shape of the first input."""
        return first[1 if self.transposed[0] else 2]

    def multiplier(self, inputs: Sequence[Tensor], output: Tensor) -> Pair:
        """(mantissa, shift) of ``first scale * second scale / output scale``."""
        first, second = (np.float32(tensor.quantization.scale) for tensor in inputs)
        return quantize_multiplier(float(np.float32(first * second)) / output.quantization.scale)

    def macs(self, inputs: Sequence[Shape], output: Shape) -> int:
        return math.prod(output) * self.depth(inputs[0])

    def check(self, inputs: Sequence[Tensor], output: Tensor) -> None:
        largest = self.depth(inputs[0].shape)
        for tensor in inputs:
            zero = tensor.quantization.zero_point
            largest *= max(INT8_MAX - zero, zero - INT8_MIN)
        if largest << max(self.multiplier(inputs, output)[1], 0) > INT32_MAX:
            raise self.fail("accumulators can overflow 32 bits")


@dataclass(frozen=True, eq=False, kw_only=True)
class ArgMax(Operator):
    """Where the largest, or smallest, element along an axis lies; of equal ones the first.

    The output holds an int32 for each of the other axes' elements, as four bytes along one more
    axis, the lowest first; it is a result of the graph, and nothing reads it.

    Attributes:
        axis: of the input.
        largest: whether the largest one is looked for.
    """

    output_quantization: ClassVar[Quantization] = Quantization(1.0, 0)
    axis: int
    largest: bool = True

    def output_shape(self, inputs: Sequence[Shape]) -> Shape:
        shape = inputs[0]
        if not 0 <= self.axis < len(shape):
            raise self.fail(f"axis {self.axis} of an input of {len(shape)} axes")
        return (*shape[: self.axis], *shape[self.axis + 1 :], INT32_BYTES)

    def check(self, inputs: Sequence[Tensor], output: Tensor) -> None:
        if output.quantization != self.output_quantization:
            raise self.fail(f"the output has to be {self.output_quantization}")


@dataclass(frozen=True, eq=False, kw_only=True)
class Pool2D(Clamped, Windowed):
    """Pooling inside the input: padded cells neither count nor compete."""

    kernel: Pair

    def window(self) -> Pair:
        return self.kernel

    def output_shape(self, inputs: Sequence[Shape]) -> Shape:
        return (*self.output_size(inputs[0]), inputs[0][2])

    def check(self, inputs: Sequence[Tensor], output: Tensor) -> None:
        super().check(inputs, output)
        if inputs[0].quantization != output.quantization:
            raise self.fail("input and output have to share one quantization")
        if max(self.padding[:2]) >= self.kernel[0] or max(self.padding[2:]) >= self.kernel[1]:
            raise self.fail(f"padding {self.padding} is as large as the window {self.kernel}")


@dataclass(frozen=True, eq=False, kw_only=True)
class AveragePool2D(Pool2D):
    """Mean of each window, halves away from zero."""

    def check(self, inputs: Sequence[Tensor], output: Tensor) -> None:
        super().check(inputs, output)
        rows, columns, _ = inputs[0].shape
        cells = min(self.kernel[0], rows) * min(self.kernel[1], columns)
        if 128 * cells + cells // 2 > INT32_MAX:
            raise self.fail(f"the sum of a window of {cells:,} cells can overflow 32 bits")


@dataclass(frozen=True, eq=False, kw_only=True)
class MaxPool2D(Pool2D):
    """Maximum of each window."""


@dataclass(frozen=True, eq=False, kw_only=True)
class Mean(Operator):
    """Mean over rows and columns; the output has a scale of its own.

    The division by the number of cells is part of the multiplier, as in TFLite's ``reduce.h``
    (``QuantizedMeanOrSum``), so that the result is rounded once.
    """

    def output_shape(self, inputs: Sequence[Shape]) -> Shape:
        if len(inputs[0]) != 3:
            raise self.fail(f"needs an input of 3 axes (height, width, channels), not {inputs[0]}")
        return (1, 1, inputs[0][2])

    def multiplier(self, source: Tensor, output: Tensor) -> Pair:
        """(mantissa, shift) of ``input scale / (cells * output scale)``.

        The mantissa is divided, not made anew, and so may lie in [2**29, 2**31).
        """
        mantissa, shift = quantize_multiplier(source.quantization.scale / output.quantization.scale)
        cells = source.shape[0] * source.shape[1]
        extra = min(cells.bit_length() - 1, 31 + shift)
        return (mantissa << extra) // cells, shift - extra

    def check(self, inputs: Sequence[Tensor], output: Tensor) -> None:
        cells = inputs[0].shape[0] * inputs[0].shape[1]
        _, shift = self.multiplier(inputs[0], output)
        if 255 * cells << max(shift, 0) > INT32_MAX:
            raise self.fail("the sum can overflow 32 bits")


@dataclass(frozen=True, eq=False, kw_only=True)
class Pad(Operator):
    """Adds rows, columns and channels of one value.

    Attributes:
        padding: rows and columns.
        channels: channels before and behind.
        value: int8; None for the zero point, which is zero.
    """

    padding: Padding
    channels: Pair = (0, 0)
    value: int | None = None

    def output_shape(self, inputs: Sequence[Shape]) -> Shape:
        if len(inputs[0]) != 3:
            raise self.fail(f"needs an input of 3 axes (height, width, channels), not {inputs[0]}")
        top, bottom, left, right = self.padding
        height, width, channels = inputs[0]
        return (height + top + bottom, width + left + right, channels + sum(self.channels))

    def filler(self, source: Tensor) -> int:
        """The int8 value that is added."""
        return source.quantization.zero_point if self.value is None else self.value

    def check(self, inputs: Sequence[Tensor], output: Tensor) -> None:
        if min(*self.padding, *self.channels) < 0:
            raise self.fail(f"padding {self.padding}, {self.channels} is negative")
        if not INT8_MIN <= self.filler(inputs[0]) <= INT8_MAX:
            raise self.fail(f"value {self.value} is not int8")
        if inputs[0].quantization != output.quantization:
            raise self.fail("input and output have to share one quantization")


@dataclass(frozen=True, eq=False, kw_only=True)
class Reshape(Operator):
    """The same elements in the same order under another shape; costs nothing."""

    shape: Shape

    def output_shape(self, inputs: Sequence[Shape]) -> Shape:
        if math.prod(inputs[0]) != math.prod(self.shape):
            raise self.fail(f"{inputs[0]} cannot become {self.shape}")
        return self.shape

    def check(self, inputs: Sequence[Tensor], output: Tensor) -> None:
        if inputs[0].quantization != output.quantization:
            raise self.fail("input and output have to share one quantization")


@dataclass(frozen=True, eq=False, kw_only=True)
class Rearrangement(Operator):
    """Elements of the input in another order; input and output share one quantization."""

    most_axes: ClassVar[int]
    """With the batch, as many as TFLite-Micro takes."""

    def steps(self, shape: Shape) -> tuple[int, tuple[int, ...]]:
        """Where the output's elements lie in the input.

        Args:
            shape: of the input.

        Returns:
            The place of the first one; and for each axis of the output, how many elements lie from
            one to the next.
        """
        raise NotImplementedError

    def check(self, inputs: Sequence[Tensor], output: Tensor) -> None:
        if len(inputs[0].shape) > self.most_axes:
            raise self.fail(f"{len(inputs[0].shape)} axes, at most {self.most_axes}")
        if inputs[0].quantization != output.quantization:
            raise self.fail("input and output have to share one quantization")


def _strides(shape: Shape) -> tuple[int, ...]:
    """How many elements lie from one to the next along each axis."""
    return tuple(math.prod(shape[axis + 1 :]) for axis in range(len(shape)))


@dataclass(frozen=True, eq=False, kw_only=True)
class Transpose(Rearrangement):
    """The axes in another order.

    Attributes:
        axes: of the input, in the order that the output has them.
    """

    most_axes: ClassVar[int] = 4
    axes: Shape

    def output_shape(self, inputs: Sequence[Shape]) -> Shape:
        if sorted(self.axes) != list(range(len(inputs[0]))):
            raise self.fail(f"axes {self.axes} of an input of {inputs[0]}")
        return tuple(inputs[0][axis] for axis in self.axes)

    def steps(self, shape: Shape) -> tuple[int, tuple[int, ...]]:
        strides = _strides(shape)
        return 0, tuple(strides[axis] for axis in self.axes)


@dataclass(frozen=True, eq=False, kw_only=True)
class Slice(Rearrangement):
    """Every so many elements of each axis, from one on.

    Attributes:
        begin: the first one of each axis.
        size: how many.
        stride: from one to the next; below 0 from the end to the beginning.
    """

    most_axes: ClassVar[int] = 3
    begin: Shape
    size: Shape
    stride: Shape

    def output_shape(self, inputs: Sequence[Shape]) -> Shape:
        shape = inputs[0]
        if not len(shape) == len(self.begin) == len(self.size) == len(self.stride):
            raise self.fail(f"begin {self.begin}, size {self.size}, stride {self.stride}")
        for axis in zip(shape, self.begin, self.size, self.stride, strict=True):
            whole, begin, size, stride = axis
            last = begin + (size - 1) * stride
            if size < 1 or not stride or not (0 <= begin < whole and 0 <= last < whole):
                raise self.fail(f"{size} elements from {begin} on, by {stride}, of {whole}")
        return self.size

    def steps(self, shape: Shape) -> tuple[int, tuple[int, ...]]:
        strides = _strides(shape)
        first = sum(begin * step for begin, step in zip(self.begin, strides, strict=True))
        return first, tuple(a * b for a, b in zip(self.stride, strides, strict=True))


@dataclass(frozen=True, eq=False, kw_only=True)
class Resize(Operator):
    """Other numbers of rows and columns, each made of the nearest ones.

    Attributes:
        size: rows and columns of the output.
        align_corners: whether the outermost cells stay where they are.
        half_pixel: whether the middle of a cell is its place, and not its corner.
    """

    size: Pair
    align_corners: bool = False
    half_pixel: bool = False

    def output_shape(self, inputs: Sequence[Shape]) -> Shape:
        if len(inputs[0]) != 3:
            raise self.fail(f"needs an input of 3 axes (height, width, channels), not {inputs[0]}")
        if not all(1 <= n <= MAXIMUM_RESIZED for n in (*self.size, *inputs[0][:2])):
            raise self.fail(f"from {inputs[0][:2]} to {self.size} cells")
        return (*self.size, inputs[0][2])

    def cells(self, count: int, wanted: int) -> NDArray[np.int64]:
        """Gives the sources of each of the wanted cells of an axis.

        Args:
            count: cells of the input.
            wanted: cells of the output.

        Returns:
            int64 (wanted, 3): two cells of the input, and how much of the second one, in 1024ths.
        """
        raise NotImplementedError

    def weights(self, count: int, wanted: int) -> NDArray[np.float64]:
        """The same as a matrix, (wanted, count), in 1024ths."""
        found = np.zeros((wanted, count))
        lower, upper, share = self.cells(count, wanted).T
        np.add.at(found, (np.arange(wanted), lower), 1024 - share)
        np.add.at(found, (np.arange(wanted), upper), share)
        return found

    def check(self, inputs: Sequence[Tensor], output: Tensor) -> None:
        if inputs[0].quantization != output.quantization:
            raise self.fail("input and output have to share one quantization")
        if self.align_corners and self.half_pixel:
            raise self.fail("corners of half pixels cannot be aligned")
        for count, wanted in zip(inputs[0].shape[:2], self.size, strict=True):
            cells = self.cells(count, wanted)[:, :2]
            if cells.min() < 0 or cells.max() >= count:
                raise self.fail(f"from {count} to {wanted} cells, rounding leaves the input")


@dataclass(frozen=True, eq=False, kw_only=True)
class ResizeNearest(Resize):
    """Copies the nearest cell (TFLite's ``resize_nearest_neighbor.h``)."""

    def cells(self, count: int, wanted: int) -> NDArray[np.int64]:
        aligned = self.align_corners and wanted > 1
        scale = np.float32(count - 1 if aligned else count)
        scale /= np.float32(wanted - 1 if aligned else wanted)
        places = np.arange(wanted, dtype=np.float32) + np.float32(0.5 if self.half_pixel else 0.0)
        places *= scale
        nearest = round_half_away(places) if self.align_corners else np.floor(places)
        chosen = np.minimum(nearest.astype(np.int64), count - 1)
        return np.stack([chosen, chosen, np.zeros_like(chosen)], axis=1)


@dataclass(frozen=True, eq=False, kw_only=True)
class ResizeBilinear(Resize):
    """Mixes the four nearest cells, in 1024ths along each axis (``resize_bilinear.h``)."""

    def cells(self, count: int, wanted: int) -> NDArray[np.int64]:
        if self.align_corners and wanted > 1:
            count, wanted_steps = count - 1, wanted - 1
        else:
            wanted_steps = wanted
        scale = (1024 * count + wanted_steps // 2) // wanted_steps
        places = np.arange(wanted, dtype=np.int64) * scale
        if self.half_pixel:
            places += scale // 2 - 512
        last = count if wanted_steps < wanted else count - 1
        lower = np.maximum(places // 1024, 0)
        upper = np.minimum(np.maximum(places + 1023, 0) // 1024, last)
        return np.stack([lower, upper, places - 1024 * lower], axis=1)


@dataclass(frozen=True, eq=False, kw_only=True)
class Requantize(Clamped):
    """The same values on another int8 grid (TFLite's QUANTIZE from int8 to int8)."""

    def output_shape(self, inputs: Sequence[Shape]) -> Shape:
        return inputs[0]

    def multiplier(self, source: Tensor, output: Tensor) -> Pair:
        """(mantissa, shift) of ``input scale / output scale``."""
        return quantize_multiplier(source.quantization.scale / output.quantization.scale)

    def check(self, inputs: Sequence[Tensor], output: Tensor) -> None:
        super().check(inputs, output)
        _, shift = self.multiplier(inputs[0], output)
        if 255 << max(shift, 0) > INT32_MAX:
            raise self.fail("the scales of input and output are too far apart")


@dataclass(frozen=True, eq=False, kw_only=True)
class Lookup(Operator):
    """A function of each element by itself: 256 results, computed once."""

    def output_shape(self, inputs: Sequence[Shape]) -> Shape:
        return inputs[0]

    def table(self, source: Quantization, target: Quantization) -> NDArray[np.int8]:
        """The results for -128 to 127, int8 (256,)."""
        raise NotImplementedError

    def check(self, inputs: Sequence[Tensor], output: Tensor) -> None:
        self.table(inputs[0].quantization, output.quantization)


def _ratio(source: Quantization, target: Quantization, factor: float = 1.0) -> Pair:
    """(mantissa, shift) of a ratio of float32 numbers, which TFLite-Micro computes in float64."""
    scales = float(np.float32(source.scale)), float(np.float32(target.scale))
    return quantize_multiplier(scales[0] * float(np.float32(factor)) / scales[1])


def _rescaled(values: Int64, multiplier: Pair) -> Int64:
    """Scales centred int8 values; raises ValueError where 32 bits do not hold them."""
    if 255 << max(multiplier[1], 0) > INT32_MAX:
        raise ValueError("the scales of input and output are too far apart")
    return multiply_by_quantized_multiplier(values, *multiplier)


def _int8(values: Int64) -> NDArray[np.int8]:
    return np.clip(values, INT8_MIN, INT8_MAX).astype(np.int8)


@dataclass(frozen=True, eq=False, kw_only=True)
class Relu(Lookup):
    """``max(x, 0)`` on another grid; on the same grid it is a Requantize with a clamp."""

    def table(self, source: Quantization, target: Quantization) -> NDArray[np.int8]:
        centred = INT8_VALUES - source.zero_point
        scaled = _rescaled(centred, _ratio(source, target))
        return _int8(np.maximum(scaled, 0) + target.zero_point)


@dataclass(frozen=True, eq=False, kw_only=True)
class Relu6(Lookup):
    """TFLite-Micro's RELU6: integers limited on the input's grid, whatever the output's may be.

    On the same grid it is a Requantize with a clamp.
    """

    def table(self, source: Quantization, target: Quantization) -> NDArray[np.int8]:
        six = float(round_half_away(np.float32(6.0) / np.float32(source.scale)))
        highest = min(source.zero_point + six, INT8_MAX)
        return np.clip(INT8_VALUES, source.zero_point, highest).astype(np.int8)


@dataclass(frozen=True, eq=False, kw_only=True)
class LeakyRelu(Lookup):
    """``x`` where positive, else ``alpha * x`` (TFLite's ``leaky_relu.h``).

    Attributes:
        alpha: kept at float32 precision; not negative.
    """

    alpha: float

    def table(self, source: Quantization, target: Quantization) -> NDArray[np.int8]:
        centred = INT8_VALUES - source.zero_point
        positive = _rescaled(centred, _ratio(source, target))
        negative = _rescaled(centred, _ratio(source, target, self.alpha))
        return _int8(np.where(centred >= 0, positive, negative) + target.zero_point)


@dataclass(frozen=True, eq=False, kw_only=True)
class HardSwish(Lookup):
    """``x * min(max(x + 3, 0), 6) / 6`` in 16 bits (TFLite's ``hard_swish.h``)."""

    def table(self, source: Quantization, target: Quantization) -> NDArray[np.int8]:
        fine = np.float32(source.scale) * np.float32(1.0 / 128.0)
        scaled = quantize_multiplier(float(fine / np.float32(target.scale)))
        ramp = quantize_multiplier(float(fine / np.float32(3.0 / 32768.0)))
        if scaled[1] > 0 or ramp[1] > 30:
            raise ValueError("the scales of input and output are too far apart")
        x = (INT8_VALUES - source.zero_point) << 7
        share = x
        if ramp[1] > 0:
            share = _int16(share << (ramp[1] - 1))
        share = _high_mul_16(share, _mantissa_16(ramp[0]))
        if ramp[1] > 0:
            share = _int16(share << 1)
        share = rounding_divide_by_power_of_two(share, max(-ramp[1], 0))
        share = (share + 2**15) >> 1
        product = share * _high_mul_16(x, _mantissa_16(scaled[0]))
        product = np.sign(product) * (np.abs(product) >> 15)  # rounded towards zero, as C divides
        result = rounding_divide_by_power_of_two(product, -scaled[1])
        return _int8(result + target.zero_point)


def _int16(values: Int64) -> Int64:
    return np.clip(values, -(2**15), 2**15 - 1)


def _mantissa_16(mantissa: int) -> int:
    """The upper half of a mantissa, rounded."""
    return min((mantissa + 2**15) >> 16, 2**15 - 1)


def _high_mul_16(values: Int64, mantissa: int) -> Int64:
    """``round(values * mantissa / 2**15)``, halves up, as gemmlowp's for 16 bits."""
    product: Int64 = values * mantissa + 2**14
    return product >> 15


@dataclass(frozen=True, eq=False, kw_only=True)
class Sigmoidal(Lookup):
    """Logistic and Tanh: an S-shaped curve of fixed output quantization.

    The input is brought to 4 integer bits and saturates beyond; see ``CalculateInputRadius``.
    """

    output_quantization: ClassVar[Quantization]
    output_bits: ClassVar[int]

    @staticmethod
    def curve(x: Int64) -> Int64:
        """The function, from raw numbers with 4 integer bits to raw ones with none."""
        raise NotImplementedError

    def table(self, source: Quantization, target: Quantization) -> NDArray[np.int8]:
        mantissa, shift = quantize_multiplier(min(source.scale * float(1 << 27), float(INT32_MAX)))
        if shift < 0 or source.scale >= 2.0**36:
            raise ValueError(f"an input scale of {source.scale}")
        radius = (15 << 27) >> shift
        centred = INT8_VALUES - source.zero_point
        inside = np.clip(centred, 1 - radius, radius - 1) if radius > 0 else 0 * centred
        raw = multiply_by_quantized_multiplier(inside, mantissa, shift)
        values = rounding_divide_by_power_of_two(self.curve(raw), 31 - self.output_bits)
        values = np.where(centred >= radius, INT32_MAX, values)
        values = np.where(centred <= -radius, -INT32_MAX, values)
        return _int8(values + self.output_quantization.zero_point)

    def check(self, inputs: Sequence[Tensor], output: Tensor) -> None:
        super().check(inputs, output)
        if output.quantization != self.output_quantization:
            raise self.fail(f"the output has to be {self.output_quantization}")


@dataclass(frozen=True, eq=False, kw_only=True)
class Logistic(Sigmoidal):
    """``1 / (1 + exp(-x))`` (TFLite's ``integer_ops/logistic.h``)."""

    output_quantization: ClassVar[Quantization] = Quantization(1.0 / 256.0, -128)
    output_bits: ClassVar[int] = 8

    @staticmethod
    def curve(x: Int64) -> Int64:
        return gemmlowp.logistic(x, 4)


@dataclass(frozen=True, eq=False, kw_only=True)
class Tanh(Sigmoidal):
    """``tanh(x)`` (TFLite's ``integer_ops/tanh.h``)."""

    output_quantization: ClassVar[Quantization] = Quantization(1.0 / 128.0, 0)
    output_bits: ClassVar[int] = 7

    @staticmethod
    def curve(x: Int64) -> Int64:
        return gemmlowp.tanh(x, 4)


@dataclass(frozen=True, eq=False, kw_only=True)
class Softmax(Operator):
    """``exp(beta * x) / sum(exp(beta * x))`` over the last axis (TFLite's ``softmax.h``).

    Attributes:
        beta: inverse temperature, kept at float32 precision; positive.
    """

    output_quantization: ClassVar[Quantization] = Quantization(1.0 / 256.0, -128)
    beta: float = 1.0

    def output_shape(self, inputs: Sequence[Shape]) -> Shape:
        return inputs[0]

    def multiplier(self, source: Quantization) -> Pair:
        """(mantissa, shift) that bring a difference to 5 integer bits; shift in [0, 31]."""
        real = min(self.beta * source.scale * float(1 << 26), float(INT32_MAX))
        return quantize_multiplier(real)

    def smallest_difference(self, source: Quantization) -> int:
        """Differences from the largest element below this one count as minus infinity."""
        return -((31 << 26) >> self.multiplier(source)[1])

    def check(self, inputs: Sequence[Tensor], output: Tensor) -> None:
        if output.quantization != self.output_quantization:
            raise self.fail(f"the output has to be {self.output_quantization}")
        source = inputs[0].quantization
        if not self.beta > 0 or self.beta * source.scale * (1 << 26) <= 1.0:
            raise self.fail(f"beta {self.beta} with an input scale of {source.scale}")
        if inputs[0].shape[-1] > MAXIMUM_SOFTMAX:
            raise self.fail(f"over {inputs[0].shape[-1]} elements, at most {MAXIMUM_SOFTMAX}")


@dataclass(frozen=True, eq=False, kw_only=True)
class LogSoftmax(Softmax):
    """``x - log(sum(exp(x)))`` over the last axis (TFLite's ``log_softmax.h``); beta is one."""

    output_quantization: ClassVar[Quantization] = Quantization(1.0 / 16.0, 127)

    def reverse_multiplier(self, source: Quantization) -> Pair:
        """(mantissa, shift) that bring 5 integer bits back to a difference; shift in [-31, 0]."""
        mantissa, shift = self.multiplier(source)
        return quantize_multiplier(float(1 << (31 - shift)) / mantissa)

    def check(self, inputs: Sequence[Tensor], output: Tensor) -> None:
        super().check(inputs, output)
        if self.beta != 1.0:
            raise self.fail(f"beta {self.beta} has to be 1")


OPERATORS: dict[str, type[Operator]] = {
    kind.__name__: kind
    for kind in (
        Conv2D,
        DepthwiseConv2D,
        FullyConnected,
        Add,
        Sub,
        Mul,
        Maximum,
        Minimum,
        Prelu,
        Concatenation,
        Join,
        Part,
        MatMul,
        ArgMax,
        AveragePool2D,
        MaxPool2D,
        Mean,
        Pad,
        Reshape,
        Transpose,
        Slice,
        ResizeNearest,
        ResizeBilinear,
        Requantize,
        Relu,
        Relu6,
        LeakyRelu,
        HardSwish,
        Logistic,
        Tanh,
        Softmax,
        LogSoftmax,
    )
}
"""Every operator by name."""
