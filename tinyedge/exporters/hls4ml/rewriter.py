"""Adding layers to the model that hls4ml is given: their units, their types, their rounding."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from tinyedge.errors import ModelError
from tinyedge.exporters.hls4ml.faults import safe_name, saturation
from tinyedge.exporters.hls4ml.precision import (
    INPUT_GUARD_BITS,
    ROUND,
    FixedRange,
    Float64,
    constant_type,
    exact_fraction,
    is_power_of_two,
    result_fraction,
    scale_fraction,
)
from tinyedge.graph import operators as ops
from tinyedge.graph.fixed_point import quantize_multiplier
from tinyedge.graph.graph import Graph
from tinyedge.graph.operators import Pair
from tinyedge.graph.tensors import Quantization
from tinyedge.importers.result import Origin
from tinyedge.keras.environment import qkeras, tf_keras
from tinyedge.keras.quantizers import activation_grid, quantizer_name, weight_codes
from tinyedge.names import Arithmetic

layers = tf_keras.layers


INPUT = "network_input"
"""The input's name, which becomes that of a C++ parameter: no model's own name is in its way."""


@dataclass(frozen=True)
class Value:
    """A tensor of the rewritten model.

    Attributes:
        tensor: Keras'.
        range: of its values.
        unit: real value of one; other than 1 for values on an int8 grid whose step is no power of
            two, which are integers.
        on_grid: whether it lies on the int8 grid that the integer graph has it on.
        largest: integer weight of each channel, (channels,), where it is a sum of products.
        affine: a scale and an offset of real values, each (channels,), that are still to be
            applied, and the name of the value that they make.
    """

    tensor: Any
    range: FixedRange
    unit: float = 1.0
    on_grid: bool = False
    largest: Float64 | None = None
    affine: tuple[Float64, Float64, str] | None = None


class Rewriter:
    """Adds layers to a rewritten model, with their types.

    Args:
        graph: the integer graph.
        origins: of its tensors in the model.
        arithmetic: see ``rewrite``.
        stream: whether layers pass one pixel after the other.
    """

    def __init__(
        self, graph: Graph, origins: dict[str, Origin], arithmetic: Arithmetic, *, stream: bool
    ) -> None:
        self.stream = stream
        self._graph = graph
        self._input = graph.input_tensor.quantization
        self._exact = arithmetic == "exact"
        self._weighted = {
            layer: operator
            for operator in graph.operators
            if isinstance(operator, ops.Weighted) and operator.output in origins
            for layer in origins[operator.output].layers
        }
        self._means = {
            layer: operator
            for operator in graph.operators
            if isinstance(operator, ops.Mean) and operator.output in origins
            for layer in origins[operator.output].layers
        }
        self._applied: dict[str, Value] = {}
        quantizations = {name: graph.tensors[name].quantization for name in origins}
        self._ahead = {
            layer: quantizations[name]
            for name, origin in origins.items()
            for layer in origin.layers
        }
        self._final = {
            origin.value_of: quantizations[name]
            for name, origin in origins.items()
            if origin.value_of
        }
        clamps = {each.output: getattr(each, "clamp", (-128, 127)) for each in graph.operators}
        self._cut = {
            origin.value_of
            for name, origin in origins.items()
            if clamps.get(name, (0, 127))[1] < 127
        }
        self.types: dict[str, dict[str, str]] = {}
        self.names: dict[str, str] = {}
        self.products: dict[str, str] = {}
        self.units: dict[str, float] = {}

    def quantized_input(self, origin: str, tensor: Any) -> Value:
        """The input, on its int8 grid."""
        if is_power_of_two(self._input.scale):
            grid = FixedRange.of_grid(self._input)
            self.types[INPUT] = {"result": grid.type(ROUND)}
            return Value(tensor, grid, on_grid=True)
        reals = FixedRange.of_grid(self._input, guard_bits=INPUT_GUARD_BITS)
        self.types[INPUT] = {"result": reals.type(ROUND)}
        ones = np.ones(tensor.shape[-1])
        return self._apply(Value(tensor, reals), ones, 0 * ones, origin)

    def fail(self, layer: Any, reason: str) -> ModelError:
        """An error that names the layer."""
        kind = type(layer).__name__
        return ModelError(
            f"layer '{layer.name}': hls4ml cannot do {kind} {reason}".rstrip(),
            hint="docs/hls4ml.md lists what it can",
        )

    def name(self, origin: str) -> str:
        """hls4ml's name for a value of the original model."""
        if origin not in self.names:
            self.names[origin] = safe_name(origin, {INPUT, *self.names.values()})
        return self.names[origin]

    def unit(self, origin: str) -> float:
        """The unit of values on the grid that the work on a value ends on."""
        step = self._grid_ahead(origin).scale
        return 1.0 if is_power_of_two(step) else step

    def step(self, origin: str) -> float:
        """The step of that grid, in its unit."""
        return self._grid_ahead(origin).scale / self.unit(origin)

    def _grid_ahead(self, origin: str) -> Quantization:
        while origin not in self._ahead:  # a part of a layer that the importer knows as a whole
            origin = origin[: origin.rindex("/")]
        return self._ahead[origin]

    def is_final(self, origin: str) -> bool:
        """Whether the integer graph has this value in int8."""
        return origin in self._final

    def saturates_at_bound(self, origin: str) -> bool:
        """Whether the integer graph has this value in int8, up to the very top of its grid."""
        return self.is_final(origin) and origin not in self._cut

    def grid(self, origin: str) -> FixedRange:
        """The int8 values that it has there, in their unit."""
        quantization, unit = self._final[origin], self.unit(origin)
        scaled = Quantization(quantization.scale / unit, quantization.zero_point)
        return FixedRange.of_grid(scaled)

    def emit(
        self, made: Any, inputs: Any, value: FixedRange, unit: float = 1.0, **rest: Any
    ) -> Value:
        """Applies a new layer, whose result has all bits of its range."""
        self.types[made.name] = {"result": value.type()}
        self.units[made.name] = unit
        return Value(made(inputs), value, unit, **rest)

    def rounded(self, value: Value, grid: FixedRange, **rest: Any) -> Value:
        """The same value where its layer rounds it to a grid."""
        self.types[_layer_name(value)]["result"] = grid.type(ROUND)
        return replace(value, range=grid, on_grid=True, **rest)

    def to_grid(self, origin: str, value: Value) -> Value:
        """Rounds what no layer of its own has rounded to the grid that the integer graph has."""
        if value.on_grid or value.affine or not self.is_final(origin):
            return value
        channels = value.tensor.shape[-1]
        return self.affine(origin, value, np.ones(channels), np.zeros(channels))

    def affine(self, origin: str, source: Value, scale: Float64, offset: Float64) -> Value:
        """``scale * x + offset``, a pair a channel, of real values.

        It is put off, so that what follows can join it, unless the integer graph has the value.

        Args:
            origin: the value's name in the original model.
            source: x.
            scale: (channels,).
            offset: (channels,).
        """
        if source.affine:
            inner_scale, inner_offset, _ = source.affine
            scale, offset = scale * inner_scale, scale * inner_offset + offset
        value = replace(source, on_grid=False, affine=(scale, offset, origin))
        return self.applied(value) if self.is_final(origin) else value

    def applied(self, value: Value) -> Value:
        """A value whose affine layer, if it was put off, is there."""
        if value.affine is None:
            return value
        scale, offset, origin = value.affine
        if origin not in self._applied:
            self._applied[origin] = self._apply(value, scale, offset, origin)
        return self._applied[origin]

    def _apply(self, source: Value, scale: Float64, offset: Float64, origin: str) -> Value:
        unit, step = self.unit(origin), self.step(origin)
        if self._exact and origin in self._weighted:
            source, scale = self._multiplied(origin, source, scale, offset)
            offset = 0 * scale
        if not self.is_final(origin):
            return self.normalization(origin, source, scale, offset, unit, step)
        grid, zero_point = self.grid(origin), self._final[origin].zero_point
        if unit == 1.0 or zero_point in (0, -128):
            made = self.normalization(origin, source, scale, offset, unit, step)
            return self.rounded(made, grid)
        # Int8 saturates where, without its zero point, no type does: rounded, shifted and back.
        made = self.normalization(f"{origin}/rounded", source, scale, offset, unit, step)
        made = self.rounded(made, made.range.with_fraction(0))
        ones, shift = np.ones_like(scale), zero_point * unit * np.ones_like(scale)
        made = self.normalization(f"{origin}/saturated", made, ones, shift, unit, step)
        made = self.rounded(made, FixedRange.of_grid(Quantization(1.0, 0)))
        made = self.normalization(origin, made, ones, -shift, unit, step)
        return self.rounded(made, grid)

    def _multiplied(
        self, origin: str, source: Value, scale: Float64, offset: Float64
    ) -> tuple[Value, Float64]:
        """The first half of the graph's requantization: multiplied, and rounded to integers.

        Scale and bias are computed anew from the model. The graph tells only of which integer its
        weights are multiples, which sets the unit of its biases: a matter of precision.

        Returns:
            Integers, and the power of two a channel that gives their real value.
        """
        operator = self._weighted[origin]
        given = self._graph.inputs_of(operator)[0].quantization.scale
        target = self._graph.tensors[operator.output].quantization.scale
        integers = operator.weights.integers.astype(np.float64).reshape(len(scale), -1)
        largest = np.abs(integers).max(axis=1)
        idle = largest == 0
        own = 1.0 if source.largest is None else source.largest
        multiples = np.where(idle, 1.0, largest / np.maximum(own, 1.0))
        units = (np.abs(scale) / multiples).astype(np.float32)
        units = np.where(idle, operator.weights.scales, units).astype(np.float64)
        bias = np.rint(offset / (given * units))
        pairs = [quantize_multiplier(given * unit / target) for unit in units]
        slope = np.where(idle, 0.0, np.sign(scale) * multiples * source.unit / given)
        return self.multiplied(origin, source, slope, bias, pairs), self._shifts(pairs) * target

    @staticmethod
    def _shifts(pairs: list[Pair]) -> Float64:
        """The inverted divisors of multipliers' shifts to the right."""
        return np.exp2([min(shift, 0) for _, shift in pairs])

    def multiplied(
        self, origin: str, source: Value, slope: Float64, bias: Float64, pairs: list[Pair]
    ) -> Value:
        """``round((slope * x + bias) * multiplier)`` without its shift to the right.

        Args:
            origin: the value's name in the original model.
            source: x, as it is, of whatever unit.
            slope: (channels,), which makes integers of x.
            bias: (channels,), integers.
            pairs: mantissa and shift of each channel.
        """
        factor = np.array([mantissa * 2.0 ** (max(shift, 0) - 31) for mantissa, shift in pairs])
        made = layers.BatchNormalization(
            epsilon=0.0, name=self.name(f"{origin}/multiplied"), dtype="float64"
        )
        result = source.range.affine(slope * factor, bias * factor, 0)
        value = self.emit(made, source.tensor, result)
        self.types[made.name] = {
            "result": result.type("RND,WRAP"),
            "scale": constant_type(slope * factor, exact_fraction(slope * factor)),
            "bias": constant_type(bias * factor, exact_fraction(bias * factor)),
        }
        zeros = np.zeros_like(slope)
        made.set_weights([slope * factor, bias * factor, zeros, zeros + 1])
        return value

    def exact_average(self, origin: str, average: Value, source: Value) -> Value:
        """An average of windows on the grid of its source, halves away from int8's zero."""
        quantization = self._grid_ahead(origin)
        ones, step = np.ones(average.tensor.shape[-1]), quantization.scale
        shift = quantization.zero_point * ones
        made = self.normalization(f"{origin}/shifted", average, ones / step, shift, 1.0, 1.0)
        made = self.rounded(made, FixedRange.of_grid(Quantization(1.0, 0)))
        made = self.normalization(
            origin, made, step * ones, -shift * step, source.unit, step / source.unit
        )
        finer = math.log2(source.unit / step) - source.range.fraction  # steps than the source's
        fraction = source.range.fraction + max(0, round(finer))
        return self.rounded(made, source.range.with_fraction(fraction))

    def is_mean(self, layer: str) -> bool:
        """Whether the graph averages a layer's whole value, onto a grid of its own."""
        return layer in self._means

    def exact_mean(self, origin: str, part: str, average: Value, area: int) -> Value:
        """An average over a whole image as the graph rounds it: twice; or as it is.

        Args:
            origin: the value's name in the original model.
            part: the importer's name for it.
            average: with guard bits.
            area: of the image.
        """
        operator = self._means.get(part) or self._means.get(origin)
        if not self._exact or operator is None:
            return average
        source = self._graph.inputs_of(operator)[0]
        output = self._graph.tensors[operator.output]
        pairs = [operator.multiplier(source, output)] * average.tensor.shape[-1]
        step = source.quantization.scale
        total = average.range.times(area * average.unit / step)
        ones = np.ones(average.tensor.shape[-1])
        sums = self.normalization(f"{origin}/sum", average, area / step * ones, 0 * ones, 1.0, 1.0)
        self.types[_layer_name(sums)]["result"] = total.with_fraction(0).type("RND,WRAP")
        sums = replace(sums, range=total.with_fraction(0))
        made = self.multiplied(origin, sums, ones, 0 * ones, pairs)
        scale = self._shifts(pairs) * output.quantization.scale
        return self.affine(origin, made, scale, 0 * ones)

    def normalization(
        self,
        origin: str,
        source: Value,
        scale: Float64,
        offset: Float64,
        unit: float,
        step: float,
    ) -> Value:
        """Batch normalization of real values, into a unit, for a grid of a step in that unit."""
        scale, offset = scale * (source.unit / unit), offset / unit
        made = layers.BatchNormalization(epsilon=0.0, name=self.name(origin))
        scale_bits = scale_fraction(scale, source.range, step)
        fraction = result_fraction(step)
        if not offset.any() and (np.frexp(scale)[0] == 0.5).all():
            fraction = scale_bits + source.range.fraction  # powers of two only shift: exact
        result = source.range.affine(scale, offset, fraction)
        value = self.emit(made, source.tensor, result, unit)
        self.types[made.name] |= {
            "scale": constant_type(scale, scale_bits),
            "bias": constant_type(offset, fraction),
        }
        zeros = np.zeros_like(scale)
        made.set_weights([scale, offset, zeros, zeros + 1])
        return value

    def product(
        self,
        layer: Any,
        source: Value,
        role: str,
        quantizer: Any,
        kernel: Any,
        make: Callable[..., Any],
        part: str = "",
        bias: Float64 | None = None,
        spread: Callable[[Any], Any] | None = None,
    ) -> Value:
        """A product with integer weights, then scale and bias.

        Args:
            layer: the original one.
            source: what it multiplies.
            role: which kernel of the layer, for messages.
            quantizer: of the kernel.
            kernel: the float kernel.
            make: makes the layer from its integer kernel, its name and its quantizer.
            part: of the layer, where it becomes several.
            bias: (out,), or None.
            spread: writes zeros into the kernel for what hls4ml has no word for, or None.
        """
        origin = f"{layer.name}/{part}" if part else before_activation(layer)
        codes, scales = weight_codes(layer.name, role, quantizer, kernel)
        depthwise = role.startswith("depthwise")
        if depthwise:  # (rows, columns, in, multiplier)
            rows = codes.transpose(2, 3, 0, 1).reshape(-1, *codes.shape[:2])
            scale = scales.transpose(2, 3, 0, 1).reshape(len(rows), -1)[:, 0]
        else:  # (..., out)
            rows = np.moveaxis(codes, -1, 0)
            scale = scales.reshape(-1, scales.shape[-1])[0]
        given = codes if spread is None else spread(codes)
        made = make(
            given,
            name=f"{self.name(origin)}_codes",
            quantizer=_integer_quantizer(quantizer, zeros=spread is not None),
        )
        self.products[made.name] = origin
        sums = source.range.through(rows)
        largest = np.abs(rows.reshape(len(rows), -1)).max(axis=1).astype(np.float64)
        value = self.emit(made, source.tensor, sums, source.unit, largest=largest)
        self.types[made.name]["accum"] = sums.type()
        # hls4ml's layer for the linear activation that every Keras layer has; it goes, if it
        # changes nothing.
        self.types[f"{made.name}_linear"] = {"result": sums.type()}
        made.set_weights([given.astype(np.float32)])
        offset = np.zeros(len(scale)) if bias is None else bias
        return self.affine(origin, value, np.array(scale), offset)

    def activation(self, layer: Any, activation: Any, source: Value, origin: str) -> Value:
        """A quantizer or a ReLU; others are refused by the importer."""
        kind = activation if isinstance(activation, str) else getattr(activation, "__name__", None)
        if activation is None or kind in ("linear", "softmax"):
            return source
        name = self.name(origin)
        if kind == "relu":
            if source.unit != self.unit(origin):
                source = self.converted(f"{origin}/unit", source, self.unit(origin))
            positive = FixedRange(
                np.maximum(source.range.low, 0.0),
                np.maximum(source.range.high, 0.0),
                source.range.fraction,
            )
            made = layers.Activation("relu", name=name)
            value = self.emit(made, source.tensor, positive, source.unit)
            return self.rounded(value, self.grid(origin)) if self.is_final(origin) else value
        grid = activation_grid(layer.name, activation)
        if source.unit != 1.0:
            source = self.converted(f"{origin}/unit", source, 1.0)
        result = FixedRange.of_grid(grid.quantization, grid.clamp)
        held = 2 ** int(activation.bits) - 1
        if quantizer_name(activation) == "quantized_relu" and grid.clamp[1] - grid.clamp[0] != held:
            raise self.fail(layer, "with an upper bound below what its bits hold")
        value = self.emit(qkeras.QActivation(activation, name=name), source.tensor, result)
        symmetric = result.signed and -result.low[0] == result.high[0]
        self.types[name]["result"] = result.type(saturation(ROUND, symmetric=symmetric))
        return replace(value, on_grid=True)

    def converted(self, origin: str, source: Value, unit: float) -> Value:
        """The same real values in another unit."""
        ones = np.ones(source.tensor.shape[-1])
        step = 2.0**-source.range.fraction
        return self.normalization(origin, source, ones, 0 * ones, unit, step)


def _layer_name(value: Value) -> str:
    """The layer that made a value."""
    return str(value.tensor._keras_history.layer.name)  # noqa: SLF001 - as Keras itself does


def _integer_quantizer(quantizer: Any, *, zeros: bool) -> Any:
    """A quantizer that leaves the codes of another as they are, and zeros between them."""
    name = quantizer_name(quantizer)
    if "ternary" in name or ("binary" in name and zeros):
        return qkeras.ternary(alpha=1.0, threshold=0.5)
    if "binary" in name:
        return qkeras.binary(alpha=1.0)
    bits = 1 + int(quantizer.bits) - int(quantizer.keep_negative)
    return qkeras.quantized_bits(bits, bits - 1, alpha=1.0)


def before_activation(layer: Any) -> str:
    """The name of a layer's value before the activation that it has as an argument."""
    activation = getattr(layer, "activation", None)
    plain = activation is None or getattr(activation, "__name__", "") in ("linear", "softmax")
    return layer.name if plain else f"{layer.name}/inner"
