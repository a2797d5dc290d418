"""Keras layers, one function a kind, into layers that hls4ml reads right."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from tinyedge.exporters.hls4ml.faults import dilated, expanded, pad_maximum
from tinyedge.exporters.hls4ml.precision import GUARD_BITS, Float64
from tinyedge.exporters.hls4ml.rewriter import Rewriter, Value, before_activation
from tinyedge.importers.plain import normalization
from tinyedge.importers.qkeras.layers import averaging_factor, layer_bias
from tinyedge.keras.environment import qkeras, tf_keras
from tinyedge.keras.load import is_softmax

layers = tf_keras.layers

Rewrite = Callable[[Rewriter, Any, list[Value]], Value]
_REWRITES: dict[str, Rewrite] = {}
_AFFINE = ("BatchNormalization", "Rescaling")


def _rewrites(*kinds: str) -> Callable[[Rewrite], Rewrite]:
    def register(rewrite: Rewrite) -> Rewrite:
        _REWRITES.update(dict.fromkeys(kinds, rewrite))
        return rewrite

    return register


def rewrite_layer(to: Rewriter, layer: Any, inputs: list[Value]) -> Value:
    """Writes a layer anew.

    Raises:
        ModelError: hls4ml cannot do it.
    """
    if is_softmax(layer):
        return inputs[0]
    kind = type(layer).__name__
    if kind not in _REWRITES:
        raise to.fail(layer, "")
    if kind not in _AFFINE:
        inputs = [to.applied(value) for value in inputs]
    return _REWRITES[kind](to, layer, inputs)


def _own_activation(to: Rewriter, layer: Any, value: Value) -> Value:
    """The activation that a layer has as an argument."""
    if before_activation(layer) == layer.name:
        return value
    return to.activation(layer, layer.activation, to.applied(value), layer.name)


def _windows(layer: Any) -> dict[str, Any]:
    return {"strides": layer.strides, "padding": layer.padding, "use_bias": False}


def _dilation(layer: Any) -> Callable[[Any], Any] | None:
    rows, columns = layer.dilation_rate
    return None if rows == columns == 1 else lambda codes: dilated(codes, (rows, columns))


@_rewrites("QConv2D")
def _conv2d(to: Rewriter, layer: Any, inputs: list[Value]) -> Value:
    def make(codes: Any, name: str, quantizer: Any) -> Any:
        return qkeras.QConv2D(
            layer.filters,
            codes.shape[:2],
            kernel_quantizer=quantizer,
            name=name,
            **_windows(layer),
        )

    value = to.product(
        layer,
        inputs[0],
        "kernel",
        layer.kernel_quantizer_internal,
        layer.kernel,
        make,
        bias=layer_bias(layer, layer.filters),
        spread=_dilation(layer),
    )
    return _own_activation(to, layer, value)


def _depthwise(to: Rewriter, layer: Any, source: Value, part: str, bias: Any) -> Value:
    spread = _dilation(layer)
    several = layer.depth_multiplier > 1

    def expand(codes: Any) -> Any:
        return expanded(spread(codes) if spread else codes)

    def make(codes: Any, name: str, quantizer: Any) -> Any:
        common = {"name": name, **_windows(layer)}
        if several:
            filters, window = codes.shape[-1], codes.shape[:2]
            return qkeras.QConv2D(filters, window, kernel_quantizer=quantizer, **common)
        return qkeras.QDepthwiseConv2D(codes.shape[:2], depthwise_quantizer=quantizer, **common)

    return to.product(
        layer,
        source,
        "depthwise kernel",
        layer.depthwise_quantizer_internal,
        layer.depthwise_kernel,
        make,
        part=part,
        bias=bias,
        spread=expand if several else spread,
    )


@_rewrites("QDepthwiseConv2D")
def _depthwise_conv2d(to: Rewriter, layer: Any, inputs: list[Value]) -> Value:
    channels = inputs[0].tensor.shape[-1] * layer.depth_multiplier
    value = _depthwise(to, layer, inputs[0], "", layer_bias(layer, channels))
    return _own_activation(to, layer, value)


@_rewrites("QSeparableConv2D")
def _separable_conv2d(to: Rewriter, layer: Any, inputs: list[Value]) -> Value:
    middle = to.applied(_depthwise(to, layer, inputs[0], "depthwise", None))

    def make(_codes: Any, name: str, quantizer: Any) -> Any:
        return qkeras.QConv2D(
            layer.filters, 1, kernel_quantizer=quantizer, name=name, use_bias=False
        )

    value = to.product(
        layer,
        middle,
        "pointwise kernel",
        layer.pointwise_quantizer_internal,
        layer.pointwise_kernel,
        make,
        part="pointwise" if before_activation(layer) != layer.name else "",
        bias=layer_bias(layer, layer.filters),
    )
    return _own_activation(to, layer, value)


@_rewrites("QDense")
def _dense(to: Rewriter, layer: Any, inputs: list[Value]) -> Value:
    def make(_codes: Any, name: str, quantizer: Any) -> Any:
        return qkeras.QDense(layer.units, kernel_quantizer=quantizer, use_bias=False, name=name)

    value = to.product(
        layer,
        inputs[0],
        "kernel",
        layer.kernel_quantizer_internal,
        layer.kernel,
        make,
        bias=layer_bias(layer, layer.units),
    )
    return _own_activation(to, layer, value)


@_rewrites("QActivation", "Activation")
def _activation(to: Rewriter, layer: Any, inputs: list[Value]) -> Value:
    activation = getattr(layer, "quantizer", None) or layer.activation
    return to.activation(layer, activation, inputs[0], layer.name)


@_rewrites("ReLU")
def _relu(to: Rewriter, layer: Any, inputs: list[Value]) -> Value:
    bounded = layer.max_value is not None and math.isfinite(layer.max_value)
    if bounded and not to.saturates_at_bound(layer.name):
        raise to.fail(layer, f"with a maximum ({layer.max_value}) inside the range of a quantizer")
    return to.activation(layer, "relu", inputs[0], layer.name)


@_rewrites("BatchNormalization")
def _batch_normalization(to: Rewriter, layer: Any, inputs: list[Value]) -> Value:
    return _affine(to, layer, inputs[0], *normalization(layer))


@_rewrites("Rescaling")
def _rescaling(to: Rewriter, layer: Any, inputs: list[Value]) -> Value:
    channels = inputs[0].tensor.shape[-1]
    scale, offset = (
        np.broadcast_to(np.asarray(value, np.float64), channels)
        for value in (layer.scale, layer.offset)
    )
    return _affine(to, layer, inputs[0], scale, offset)


def _affine(to: Rewriter, layer: Any, source: Value, scale: Float64, offset: Float64) -> Value:
    if len(source.tensor.shape) not in (2, 4):
        raise to.fail(layer, f"of a value of shape {tuple(source.tensor.shape[1:])}")
    return to.affine(layer.name, source, scale, offset)


@_rewrites("Add")
def _add(to: Rewriter, layer: Any, inputs: list[Value]) -> Value:
    inputs = [
        value if value.unit == 1.0 else to.converted(f"{layer.name}/term{index}", value, 1.0)
        for index, value in enumerate(inputs)
    ]
    total = inputs[0]
    for index, value in enumerate(inputs[1:], 1):
        last = index == len(inputs) - 1
        origin = f"{layer.name}/sum" if last else f"{layer.name}/partial{index}"
        origin = layer.name if last and not to.is_final(layer.name) else origin
        made = layers.Add(name=to.name(origin))
        total = to.emit(made, [total.tensor, value.tensor], total.range.plus(value.range))
    return to.to_grid(layer.name, total)


def _check_pool(to: Rewriter, layer: Any) -> None:
    """Raises ModelError for windows that overlap or leave gaps, which streams cannot do."""
    if to.stream and tuple(layer.pool_size) != tuple(layer.strides):
        raise to.fail(layer, "with strides other than its window in streams")


@_rewrites("MaxPooling2D", "GlobalMaxPooling2D", "ZeroPadding2D", "Flatten", "Reshape")
def _same_grid(to: Rewriter, layer: Any, inputs: list[Value]) -> Value:
    source, name = inputs[0], to.name(layer.name)
    made, tensor = type(layer).from_config({**layer.get_config(), "name": name}), source.tensor
    if hasattr(layer, "pool_size"):
        _check_pool(to, layer)
    if getattr(layer, "padding", "") == "same":
        if not source.range.signed:
            made, tensor = pad_maximum(layer, tensor, name)
        elif to.stream:
            raise to.fail(layer, "with padding, of values that may be negative, in streams")
    mixes = type(layer).__name__ in ("Flatten", "Reshape")
    values = source.range.of_all_channels() if mixes else source.range
    value = to.emit(made, tensor, values, source.unit, on_grid=source.on_grid)
    if "Pooling" in type(layer).__name__:
        to.types[made.name]["accum"] = source.range.type()
    return value


def _factor(layer: Any, area: int) -> float:
    return averaging_factor(layer, area) if type(layer).__name__.startswith("Q") else 1.0


def _before_factor(layer: Any, area: int) -> str:
    """The name of an average before the factor and the activation that QKeras may apply."""
    inner = _factor(layer, area) != 1.0 or before_activation(layer) != layer.name
    return f"{layer.name}/inner" if inner else layer.name


def _average(to: Rewriter, made: Any, source: Value, area: int) -> Value:
    """An average with guard bits."""
    fraction = source.range.fraction + max(GUARD_BITS, area.bit_length() + 2)
    average = source.range.with_fraction(fraction)
    value = to.emit(made, source.tensor, average, source.unit)
    to.types[made.name]["accum"] = average.times(area).type()
    return value


def _averaged(to: Rewriter, layer: Any, value: Value, area: int) -> Value:
    """The factor and the activation that QKeras may apply to an average."""
    if (factor := _factor(layer, area)) != 1.0:
        activated = before_activation(layer) != layer.name
        origin = f"{layer.name}/factor" if activated else layer.name
        scale = np.full(value.tensor.shape[-1], factor)
        value = to.affine(origin, value, scale, 0 * scale)
    return _own_activation(to, layer, value)


@_rewrites("AveragePooling2D", "QAveragePooling2D")
def _average_pooling(to: Rewriter, layer: Any, inputs: list[Value]) -> Value:
    area = math.prod(layer.pool_size)
    _check_pool(to, layer)
    if to.stream and layer.padding == "same":
        raise to.fail(layer, "with padding in streams")
    origin = _before_factor(layer, area)
    made = layers.AveragePooling2D(
        layer.pool_size, layer.strides, layer.padding, name=to.name(f"{origin}/average")
    )
    value = _average(to, made, inputs[0], area)
    if to.is_mean(origin):
        cells = math.prod(inputs[0].tensor.shape[1:3])
        value = to.to_grid(origin, to.exact_mean(origin, origin, value, cells))
    else:
        value = to.exact_average(origin, value, inputs[0])
    return _averaged(to, layer, value, area)


@_rewrites("GlobalAveragePooling2D", "QGlobalAveragePooling2D")
def _global_average(to: Rewriter, layer: Any, inputs: list[Value]) -> Value:
    area = math.prod(inputs[0].tensor.shape[1:3])
    origin = _before_factor(layer, area)
    made = layers.GlobalAveragePooling2D(
        keepdims=layer.keepdims, name=to.name(f"{layer.name}/average")
    )
    value = _average(to, made, inputs[0], area)
    value = to.exact_mean(origin, f"{layer.name}/inner", value, area)
    return _averaged(to, layer, to.to_grid(origin, value), area)


@_rewrites(
    "Dropout", "SpatialDropout2D", "GaussianNoise", "GaussianDropout", "ActivityRegularization"
)
def _training_only(_to: Rewriter, _layer: Any, inputs: list[Value]) -> Value:
    return inputs[0]
