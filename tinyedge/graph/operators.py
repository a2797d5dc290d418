"""The operators of an integer graph, with TensorFlow Lite's meaning.

Each is a frozen record: the names of its input and output tensors and its constants. Shapes are
NHWC without the batch. ``clamp`` is the fused activation as an int8 range, both ends included.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from tinyedge.errors import ModelError
from tinyedge.graph.fixed_point import INT8_MAX, INT8_MIN, INT32_MAX, quantize_multiplier
from tinyedge.graph.tensors import WEIGHT_RANGES, Quantization, Tensor, Weights

Shape = tuple[int, ...]
Pair = tuple[int, int]
Padding = tuple[int, int, int, int]
"""Rows and columns added: top, bottom, left, right."""

FULL_RANGE: Pair = (INT8_MIN, INT8_MAX)
ADD_LEFT_SHIFT = 20
"""Headroom of Add's rescaled inputs; fixed by TensorFlow Lite for int8."""


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
    arity: ClassVar[int] = 1

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
        codes = self.weights.codes.astype(np.int64).reshape(len(self.weights.codes), -1)
        bound: NDArray[np.int64] = np.abs(codes).sum(axis=1) * largest_input
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
        source = inputs[0].quantization
        _, shifts = self.multipliers(source, output.quantization)
        bound = self.accumulator_bound(source) << np.maximum(shifts.astype(np.int64), 0)
        if np.any(bound > INT32_MAX):
            raise self.fail(f"accumulators of channel {int(bound.argmax())} can overflow 32 bits")


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
        if int(np.prod(inputs[0])) != self.weights.codes.shape[1]:
            raise self.fail(
                f"{int(np.prod(inputs[0]))} inputs, weights for {self.weights.codes.shape[1]}"
            )
        return (len(self.weights.codes),)

    def macs(self, inputs: Sequence[Shape], output: Shape) -> int:
        return int(self.weights.codes.size)


@dataclass(frozen=True, eq=False, kw_only=True)
class Add(Clamped):
    """Element-wise sum of two tensors of the same shape."""

    arity: ClassVar[int] = 2

    def output_shape(self, inputs: Sequence[Shape]) -> Shape:
        if inputs[0] != inputs[1]:
            raise self.fail(f"inputs of different shapes {inputs[0]} and {inputs[1]}")
        return inputs[0]

    def check(self, inputs: Sequence[Tensor], output: Tensor) -> None:
        super().check(inputs, output)
        if self.real_output_multiplier(inputs, output) >= 1.0:
            raise self.fail("the output scale is too small against the input scales")

    @staticmethod
    def _twice_largest_scale(inputs: Sequence[Tensor]) -> float:
        return 2.0 * max(tensor.quantization.scale for tensor in inputs)

    def real_output_multiplier(self, inputs: Sequence[Tensor], output: Tensor) -> float:
        """Scale of the headroom sum against the output's; under 1 (TFLite's ``add.cc``)."""
        headroom = float(1 << ADD_LEFT_SHIFT)
        return self._twice_largest_scale(inputs) / (headroom * output.quantization.scale)

    def multipliers(self, inputs: Sequence[Tensor], output: Tensor) -> tuple[Pair, Pair, Pair]:
        """(mantissa, shift) of the first input, the second input and the output."""
        largest = self._twice_largest_scale(inputs)
        first, second = (quantize_multiplier(t.quantization.scale / largest) for t in inputs)
        return first, second, quantize_multiplier(self.real_output_multiplier(inputs, output))


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
    """Adds rows and columns of zeros (the zero point)."""

    padding: Padding

    def output_shape(self, inputs: Sequence[Shape]) -> Shape:
        if len(inputs[0]) != 3:
            raise self.fail(f"needs an input of 3 axes (height, width, channels), not {inputs[0]}")
        top, bottom, left, right = self.padding
        return (inputs[0][0] + top + bottom, inputs[0][1] + left + right, inputs[0][2])

    def check(self, inputs: Sequence[Tensor], output: Tensor) -> None:
        if min(self.padding) < 0:
            raise self.fail(f"padding {self.padding} is negative")
        if inputs[0].quantization != output.quantization:
            raise self.fail("input and output have to share one quantization")


@dataclass(frozen=True, eq=False, kw_only=True)
class Reshape(Operator):
    """The same elements in the same order under another shape; costs nothing."""

    shape: Shape

    def output_shape(self, inputs: Sequence[Shape]) -> Shape:
        if int(np.prod(inputs[0])) != int(np.prod(self.shape)):
            raise self.fail(f"{inputs[0]} cannot become {self.shape}")
        return self.shape

    def check(self, inputs: Sequence[Tensor], output: Tensor) -> None:
        if inputs[0].quantization != output.quantization:
            raise self.fail("input and output have to share one quantization")


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


OPERATORS: dict[str, type[Operator]] = {
    kind.__name__: kind
    for kind in (
        Conv2D,
        DepthwiseConv2D,
        FullyConnected,
        Add,
        AveragePool2D,
        MaxPool2D,
        Mean,
        Pad,
        Reshape,
        Requantize,
    )
}
"""Every operator by name."""
