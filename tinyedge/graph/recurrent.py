"""Operators that go on from one inference to the next.

Their states are inputs, and the next states part of the output.

Cells of 16 bits lie in int8 tensors as pairs of bytes, the lower one first.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from tinyedge.graph.fixed_point import INT32_MAX, quantize_multiplier
from tinyedge.graph.operators import OPERATORS, Operator, Pair, Shape
from tinyedge.graph.tensors import Quantization, Tensor

INT16 = (-(2**15), 2**15 - 1)
_GATES = 4
_GATE_SCALE = 2.0**-12
"""Scale of a gate's sum before its curve, as TensorFlow Lite fixes it."""
_CURVE_SCALE = 2.0**-15
"""Scale of the curve's result."""


def sigmoid_table() -> NDArray[np.uint16]:
    """``sigmoid(i / 24)`` in 16 bits, (256,): the curves of 16 bits lie between its values.

    TensorFlow Lite's values are a little off, so that the function alone does not give them.
    """
    values = np.rint(65536.0 / (1.0 + np.exp(-np.arange(256) * (1.0 + 3.8e-5) / 24.0)))
    values[[4, 28, 35, 255]] += 1
    values[[69, 71, 117, 174]] -= 1
    table: NDArray[np.uint16] = values.astype(np.uint16)
    return table


def float_product(*factors: float) -> float:
    """A product rounded to float32 at each step, as TensorFlow Lite computes scales."""
    result = np.float32(1.0)
    for factor in factors:
        result = np.float32(result * np.float32(factor))
    return float(result)


@dataclass(frozen=True, eq=False, kw_only=True)
class Lstm(Operator):
    """A long short-term memory over the rows of its first input (TFLite's ``lstm_eval.h``).

    Inputs are the sequence (steps, inputs), the last output (units,) and the cells (2 * units,);
    the output holds the outputs of all steps, one behind the other, and then the cells. All tensors
    but the first have the output's quantization, of which the bytes of cells know nothing.

    Attributes:
        kernel: int8 (4, units, inputs), of the gates input, forget, cell and output.
        recurrent: int8 (4, units, units).
        bias: int32 (4, units).
        scales: float32 (2, 4), of the gates' kernels and recurrent kernels.
        cell_power: of two, which is the cells' scale; -15 to -9.
        cell_clip: the largest magnitude of a cell; 0 for any.
    """

    arity: ClassVar[int | None] = 3
    kernel: NDArray[np.int8]
    recurrent: NDArray[np.int8]
    bias: NDArray[np.int32]
    scales: NDArray[np.float32]
    cell_power: int
    cell_clip: int = 0

    @property
    def units(self) -> int:
        """Outputs of a step."""
        return int(self.kernel.shape[1])

    def output_shape(self, inputs: Sequence[Shape]) -> Shape:
        units = self.units
        if len(inputs[0]) != 2 or inputs[0][1] != self.kernel.shape[2]:
            raise self.fail(f"inputs of {inputs[0]}, a kernel of {self.kernel.shape}")
        if tuple(inputs[1:]) != ((units,), (2 * units,)):
            raise self.fail(f"states of {inputs[1]} and {inputs[2]} for {units} units")
        return (inputs[0][0] * units + 2 * units,)

    def multipliers(self, source: Quantization, target: Quantization) -> list[list[Pair]]:
        """(mantissa, shift) of each gate's kernel, and of each gate's recurrent kernel."""
        return [
            [
                quantize_multiplier(float_product(grid.scale, scale) / _GATE_SCALE)
                for scale in scales
            ]
            for grid, scales in zip((source, target), self.scales.tolist(), strict=True)
        ]

    def products(self, target: Quantization) -> list[Pair]:
        """(mantissa, shift) of forget gate and cell, input gate and cell gate, output and tanh."""
        curve = _CURVE_SCALE
        cell = 2.0**self.cell_power
        return [
            quantize_multiplier(curve),
            quantize_multiplier(curve * curve / cell),
            quantize_multiplier(curve * curve / target.scale),
        ]

    @property
    def tanh(self) -> Pair:
        """The multiplier of a cell, and the right shift that follows, before its tanh."""
        left = 12 + self.cell_power
        return (3 << left, 0) if left >= 0 else (3, -left)

    def macs(self, inputs: Sequence[Shape], output: Shape) -> int:
        return int(inputs[0][0] * (self.kernel.size + self.recurrent.size))

    def check(self, inputs: Sequence[Tensor], output: Tensor) -> None:
        units = self.units
        shapes = (_GATES, units, self.kernel.shape[2]), (_GATES, units, units), (_GATES, units)
        arrays = self.kernel, self.recurrent, self.bias
        if tuple(array.shape for array in arrays) != shapes or self.scales.shape != (2, _GATES):
            raise self.fail(f"arrays of {[array.shape for array in arrays]}")
        if not np.all(np.isfinite(self.scales) & (self.scales > 0)):
            raise self.fail("weight scales have to be positive")
        if any(tensor.quantization != output.quantization for tensor in inputs[1:]):
            raise self.fail("states and output have to share one quantization")
        if not -15 <= self.cell_power <= -9 or not 0 <= self.cell_clip <= INT16[1]:
            raise self.fail(f"cells of scale 2^{self.cell_power}, clipped at {self.cell_clip}")
        source, target = inputs[0].quantization, output.quantization
        pairs = self.multipliers(source, target)
        for grid, weights, gates, bias in (
            (source, self.kernel, pairs[0], self.bias),
            (target, self.recurrent, pairs[1], np.zeros_like(self.bias)),
        ):
            largest = max(127 - grid.zero_point, grid.zero_point + 128)
            bounds = np.abs(weights.astype(np.int64)).sum(axis=2) * largest
            bounds += np.abs(bias.astype(np.int64))
            for gate, (_, shift) in enumerate(gates):
                if int(bounds[gate].max()) << max(shift, 0) > INT32_MAX:
                    raise self.fail(f"accumulators of gate {gate} can overflow 32 bits")
        if any(shift > 0 for _, shift in self.products(target)):
            raise self.fail("the output scale is too small")


@dataclass(frozen=True, eq=False, kw_only=True)
class Svdf(Operator):
    """A rank-limited filter over time (TFLite-Micro's ``svdf_common.cc``), with cells of 16 bits.

    Inputs are a frame (inputs,) and the memory (cell_bytes * filters * length,); the output holds
    one value a unit, and then the memory. Both have the output's quantization, of which the bytes
    of cells know nothing.

    Attributes:
        feature: int8 (filters, inputs).
        time: int16 (filters, length).
        bias: int32 (units,); the filters of a unit lie behind each other.
        scales: float32 (3,), of feature, time and memory.
    """

    arity: ClassVar[int | None] = 2
    feature: NDArray[np.int8]
    time: NDArray[np.int16]
    bias: NDArray[np.int32]
    scales: NDArray[np.float32]
    cell_bytes: ClassVar[int] = 2

    @property
    def memory_bytes(self) -> int:
        """Bytes of the memories of all cells."""
        return int(self.cell_bytes * self.time.size)

    @property
    def largest_cell(self) -> int:
        """The largest magnitude of a cell, its zero point taken off."""
        return 2**15

    def output_shape(self, inputs: Sequence[Shape]) -> Shape:
        if math.prod(inputs[0]) != self.feature.shape[1]:
            raise self.fail(f"inputs of {inputs[0]}, features of {self.feature.shape}")
        if tuple(inputs[1]) != (self.memory_bytes,):
            raise self.fail(f"a memory of {inputs[1]} for {self.time.shape}")
        return (len(self.bias) + self.memory_bytes,)

    def multipliers(self, source: Quantization, target: Quantization) -> tuple[Pair, Pair]:
        """(mantissa, shift) into the memory, and of the output."""
        feature, time, memory = self.scales.tolist()
        first = np.float32(float_product(source.scale, feature)) / np.float32(memory)
        second = np.float32(float_product(memory, time)) / np.float32(target.scale)
        return quantize_multiplier(float(first)), quantize_multiplier(float(second))

    def macs(self, inputs: Sequence[Shape], output: Shape) -> int:
        return int(self.feature.size + self.time.size)

    def check(self, inputs: Sequence[Tensor], output: Tensor) -> None:
        filters, units = len(self.feature), len(self.bias)
        if self.feature.ndim != 2 or self.time.ndim != 2 or self.bias.ndim != 1:
            raise self.fail("features and times have two axes, a bias has one")
        if len(self.time) != filters or units < 1 or filters % units or self.scales.shape != (3,):
            raise self.fail(f"{filters} filters, times of {self.time.shape}, {units} units")
        if not np.all(np.isfinite(self.scales) & (self.scales > 0)):
            raise self.fail("scales have to be positive")
        if inputs[1].quantization != output.quantization:
            raise self.fail("memory and output have to share one quantization")
        grid = inputs[0].quantization
        first, second = self.multipliers(grid, output.quantization)
        largest = max(127 - grid.zero_point, grid.zero_point + 128)
        feature = int(np.abs(self.feature.astype(np.int64)).sum(axis=1).max()) * largest
        times = np.abs(self.time.astype(np.int64)).sum(axis=1) * self.largest_cell
        total = times.reshape(units, -1).sum(axis=1) + np.abs(self.bias.astype(np.int64))
        if feature << max(first[1], 0) > INT32_MAX:
            raise self.fail("accumulators of features can overflow 32 bits")
        if int(total.max()) << max(second[1], 0) > INT32_MAX:
            raise self.fail("accumulators over time can overflow 32 bits")


@dataclass(frozen=True, eq=False, kw_only=True)
class SvdfNarrow(Svdf):
    """The same with times and cells of 8 bits.

    A cell that its zero point would lead out of int8 wraps around, as in TFLite-Micro.

    Attributes:
        memory_zero: zero point of the cells.
    """

    cell_bytes: ClassVar[int] = 1
    memory_zero: int

    @property
    def largest_cell(self) -> int:
        return max(127 - self.memory_zero, self.memory_zero + 128)

    def check(self, inputs: Sequence[Tensor], output: Tensor) -> None:
        if not -128 <= self.memory_zero <= 127:
            raise self.fail(f"a memory of zero point {self.memory_zero}")
        if self.time.size and not -128 <= self.time.min() <= self.time.max() <= 127:
            raise self.fail("times have to fit in 8 bits")
        super().check(inputs, output)


OPERATORS |= {kind.__name__: kind for kind in (Lstm, Svdf, SvdfNarrow)}
