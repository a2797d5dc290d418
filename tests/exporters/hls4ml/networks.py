"""Small networks with random weights for hls4ml."""

from __future__ import annotations

from typing import Any

from tests.importers import keras_models as km
from tinyedge.keras.environment import qkeras, tf_keras

layers = tf_keras.layers

KERNELS = {
    "ternary": "stochastic_ternary(alpha='auto')",
    "bits8": "quantized_bits(8, 0, symmetric=1, alpha='auto')",
    "po2": "stochastic_ternary(alpha='auto_po2')",
}


def everything(temperature: float = 50.0) -> Any:
    """Convolutions of every kind, a branch, maxima, averages, a vector part, and a temperature."""
    inputs = layers.Input((9, 9, 2), name="input")
    x = qkeras.QConv2D(6, 3, padding="same", kernel_quantizer=KERNELS["bits8"], name="first")(
        inputs
    )
    x = km.relu()(layers.BatchNormalization(name="first_bn")(x))
    x = shortcut = layers.MaxPooling2D(2, padding="same", name="maximum")(x)
    x = qkeras.QDepthwiseConv2D(
        3, padding="same", depthwise_quantizer=KERNELS["bits8"], name="depthwise"
    )(x)
    x = km.signed()(layers.BatchNormalization(name="depthwise_bn")(x))
    x = km.relu()(layers.Add(name="sum")([x, shortcut]))
    x = qkeras.QSeparableConv2D(
        8,
        3,
        padding="same",
        depthwise_quantizer=KERNELS["bits8"],
        pointwise_quantizer=KERNELS["ternary"],
        activation=qkeras.quantized_relu(8, 2),
        name="separable",
    )(x)
    x = layers.AveragePooling2D(2, name="average")(x)
    x = qkeras.QConv2D(8, 1, kernel_quantizer=KERNELS["ternary"], name="free")(x)
    x = layers.ReLU(name="float_relu")(x)
    x = km.relu(8, 2)(layers.GlobalAveragePooling2D(name="mean")(x))
    x = qkeras.QDense(5, kernel_quantizer="binary(alpha='auto')", name="classifier")(x)
    x = layers.Rescaling(temperature, name="temperature")(x)
    x = km.signed(8, 8)(x)
    return tf_keras.Model(inputs, layers.Softmax()(x))


def power_of_two() -> Any:
    """Nothing but powers of two: hls4ml needs no help to be exact."""
    inputs = layers.Input((6, 6, 2))
    x = km.relu(8, 0)(inputs)
    x = km.relu()(qkeras.QConv2D(4, 3, kernel_quantizer=KERNELS["po2"], name="conv")(x))
    x = layers.Flatten(name="flat")(x)
    return tf_keras.Model(
        inputs, km.signed(8, 3)(qkeras.QDense(3, kernel_quantizer=KERNELS["po2"])(x))
    )
