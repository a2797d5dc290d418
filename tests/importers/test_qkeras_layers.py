"""Layers of QKeras and Keras beyond those of the demonstration: what they compute stays."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.importers import keras_models as km
from tinyedge.errors import ModelError
from tinyedge.graph import operators as ops
from tinyedge.graph import reference
from tinyedge.importers import import_model
from tinyedge.importers.qkeras import logits_function
from tinyedge.keras.environment import qkeras, tf_keras

pytestmark = pytest.mark.keras

layers = tf_keras.layers
EIGHT = "quantized_bits(8, 0, 1, alpha=1.0)"
TERNARY = "ternary(alpha='auto')"


def _functional(shape: tuple[int, ...], make: Callable[[Any], Any]) -> Any:
    inputs = layers.Input(shape)
    x = make(km.signed(8, 2)(inputs))
    return tf_keras.Model(inputs, km.signed(8, 3)(x))


def _conv(channels: int, **rest: Any) -> Any:
    return qkeras.QConv2D(channels, 3, padding="same", kernel_quantizer=EIGHT, **rest)


def _branches(join: Callable[[list[Any]], Any]) -> Callable[[Any], Any]:
    def make(x: Any) -> Any:
        return join([km.relu()(_conv(4)(x)), km.relu()(_conv(4)(x))])

    return make


def _nested(x: Any) -> Any:
    inner = tf_keras.Sequential(
        [layers.Input((6, 6, 2)), _conv(3), layers.BatchNormalization(), km.relu()], name="inner"
    )
    return _conv(2)(inner(x))


def _gate(x: Any) -> Any:
    x = km.relu()(_conv(4)(x))
    weights = layers.GlobalAveragePooling2D(keepdims=True)(x)
    weights = qkeras.QConv2D(4, 1, kernel_quantizer=EIGHT)(weights)
    return layers.Multiply()([x, layers.Activation("sigmoid")(weights)])


def _row(x: Any) -> Any:
    x = qkeras.QConv1D(6, 3, strides=2, padding="same", kernel_quantizer=TERNARY)(x)
    x = km.relu()(layers.BatchNormalization()(x))
    x = qkeras.QConv1D(6, 3, padding="causal", dilation_rate=2, kernel_quantizer=EIGHT)(x)
    x = layers.MaxPooling1D(2)(km.relu()(x))
    return layers.GlobalAveragePooling1D()(x)


IMAGE, ROW = (6, 6, 2), (20, 3)
NEW: dict[str, tuple[tuple[int, ...], Callable[[Any], Any], type[ops.Operator]]] = {
    "Concatenate": (IMAGE, _branches(layers.Concatenate()), ops.Concatenation),
    "Concatenate rows": (IMAGE, _branches(layers.Concatenate(axis=1)), ops.Concatenation),
    "Multiply": (IMAGE, _branches(layers.Multiply()), ops.Mul),
    "Subtract": (IMAGE, _branches(layers.Subtract()), ops.Sub),
    "a gate of each channel": (IMAGE, _gate, ops.Mul),
    "LeakyReLU": (IMAGE, lambda x: layers.LeakyReLU(0.1)(_conv(4)(x)), ops.LeakyRelu),
    "ReLU with a slope": (
        IMAGE,
        lambda x: layers.ReLU(negative_slope=0.25)(_conv(4)(x)),
        ops.LeakyRelu,
    ),
    "sigmoid": (IMAGE, lambda x: layers.Activation("sigmoid")(_conv(4)(x)), ops.Logistic),
    "tanh": (IMAGE, _conv(4, activation="tanh"), ops.Tanh),
    "groups": (IMAGE, lambda x: _conv(4, groups=2)(km.relu()(_conv(4)(x))), ops.Conv2D),
    "groups of one channel": (
        IMAGE,
        lambda x: _conv(8, groups=4)(km.relu()(_conv(4)(x))),
        ops.DepthwiseConv2D,
    ),
    "models inside a model": (IMAGE, _nested, ops.Conv2D),
    "QConv2DBatchnorm": (
        IMAGE,
        qkeras.QConv2DBatchnorm(4, 3, kernel_quantizer=EIGHT, name="folded"),
        ops.Conv2D,
    ),
    "QDepthwiseConv2DBatchnorm": (
        IMAGE,
        qkeras.QDepthwiseConv2DBatchnorm(3, depthwise_quantizer=EIGHT, name="folded"),
        ops.DepthwiseConv2D,
    ),
    "QDense on several rows": (
        ROW,
        qkeras.QDense(4, kernel_quantizer=TERNARY),
        ops.Conv2D,
    ),
    "QConv1D": (ROW, _row, ops.Conv2D),
    "powers of two": (
        IMAGE,
        qkeras.QConv2D(4, 3, kernel_quantizer="quantized_po2(3, 1)"),
        ops.Conv2D,
    ),
}


@pytest.mark.parametrize("case", NEW)
def test_what_a_layer_computes_stays(case: str, tmp_path: Path) -> None:
    shape, make, operator = NEW[case]
    model = _functional(shape, make)
    random = np.random.default_rng(2)
    for weight in model.weights:
        if weight.dtype.is_floating and "scale" not in weight.name:
            value = random.normal(0, 0.3, weight.shape)
            weight.assign(np.abs(value) + 0.5 if "variance" in weight.name else value)
    path = km.save(model, tmp_path / "model.h5")
    x = random.uniform(-2, 2, (60, *shape)).astype(np.float32)
    graph = import_model(path, x).graph
    assert operator in {type(each) for each in graph.operators}
    logits, _, _ = logits_function(path)
    source, target = graph.input_tensor.quantization, graph.output_tensor.quantization
    given = source.quantize(x)
    expected = np.asarray(logits(source.dequantize(given)))
    found = target.dequantize(reference.run(graph, given)).reshape(expected.shape)
    assert np.unique(found).size > 2
    steps = np.abs(found - expected) / target.scale
    assert np.sqrt((steps**2).mean()) < 0.6
    assert (steps < 1.01).mean() > 0.98


def test_powers_of_two_beyond_8_bits_are_refused(tmp_path: Path) -> None:
    model = _functional(IMAGE, qkeras.QConv2D(1, 3, kernel_quantizer="quantized_po2(6)"))
    kernel = np.full((3, 3, 2, 1), 0.5)
    kernel[0, 0, 0] = 2.0**-12
    model.layers[2].set_weights([kernel, np.zeros(1)])
    with pytest.raises(ModelError, match="kernel codes from 1 to"):
        import_model(km.save(model, tmp_path / "model.h5"))


@pytest.mark.parametrize("step", [1, -1])
@pytest.mark.parametrize("axis", [1, 2])
def test_values_with_and_without_a_row_are_not_concatenated(
    axis: int, step: int, tmp_path: Path
) -> None:
    def make(x: Any) -> Any:
        row = qkeras.QConv1D(3, 3, padding="same", kernel_quantizer=EIGHT)(x)
        return layers.Concatenate(axis=axis, name="both")([row, x][::step])

    path = km.save(_functional(ROW, make), tmp_path / "model.h5")
    with pytest.raises(ModelError, match="layer 'both': Concatenate of") as caught:
        import_model(path)
    assert caught.value.hint


def test_a_softmax_at_the_end_of_an_inner_model_is_refused(tmp_path: Path) -> None:
    inner = tf_keras.Sequential([layers.Input(IMAGE), layers.Flatten(), layers.Softmax()])
    inputs = layers.Input(IMAGE)
    path = km.save(tf_keras.Model(inputs, inner(inputs)), tmp_path / "model.h5")
    with pytest.raises(ModelError, match="softmax or sigmoid before the end"):
        import_model(path)
