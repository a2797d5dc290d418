"""Lean activations are QKeras' own, bit for bit."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from tinyedge.keras.activations import lean_activations
from tinyedge.keras.environment import qkeras, tf_keras
from tinyedge.keras.environment import tensorflow as tf

pytestmark = pytest.mark.keras


@pytest.mark.parametrize(
    "quantizer",
    [
        "quantized_relu(8, 2)",
        "quantized_relu(4, 0)",
        "quantized_bits(8, 3, 1)",
        "quantized_bits(8, 9, 1)",
        "quantized_bits(3, 0, 1)",
    ],
)
def test_values_and_gradients_are_those_of_qkeras(quantizer: str) -> None:
    inputs = tf_keras.layers.Input((None,))
    layer = qkeras.QActivation(quantizer)
    model = tf_keras.Model(inputs, layer(inputs))
    own = layer.quantizer
    random = np.random.default_rng(0)
    spread = [random.normal(0, scale, 20_000) for scale in (1e-3, 0.1, 1, 10, 1000)]
    # Every tie of the rounding, and both sides of every bound.
    ties = np.arange(-3000, 3000) / 512
    values = np.concatenate([*spread, ties, [0.0, -0.0]]).astype(np.float32)
    upper = np.nextafter(values, np.float32(np.inf))
    x = tf.constant(np.concatenate([values, upper])[None])
    weights = tf.constant(random.normal(size=x.shape).astype(np.float32))

    def found() -> tuple[Any, Any]:
        with tf.GradientTape() as tape:
            tape.watch(x)
            y = model(x)
        return y.numpy(), tape.gradient(y, x, output_gradients=weights).numpy()

    expected = found()
    with lean_activations(model):
        assert layer.quantizer is not own
        lean = found()
    assert layer.quantizer is own
    for one, other in zip(expected, lean, strict=True):
        # Zeros may differ in their sign, which no sum of them and no comparison sees.
        np.testing.assert_array_equal(one, other)
