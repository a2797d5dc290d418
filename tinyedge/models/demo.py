"""The demonstration network: small, but with every kind of layer the toolchain knows."""

from __future__ import annotations

from typing import Any

TERNARY = "stochastic_ternary(alpha='auto', temperature=8.0)"
EIGHT_BIT = "quantized_bits(8, 0, 1, alpha=1.0)"
ACTIVATION = "quantized_relu(8, 2)"


def build_demo_network(classes: int = 10) -> Any:
    """Builds the demonstration network, untrained.

    Heterogeneous bit widths as in arXiv 2503.08973: the first convolution, the depthwise kernels
    and the classifier keep 8 bits, everything between is ternary.

    Args:
        classes: number of output classes.

    Returns:
        A ``tf_keras.Model`` from images ``(batch, 28, 28, 1)`` in [0, 1] to class probabilities
        ``(batch, classes)``. Its logits are quantized by ``quantized_bits(8, 3)``: steps of
        1/16 in [-8, 8).
    """
    from tinyedge.keras.environment import qkeras, tf_keras

    layers = tf_keras.layers

    def normalize(x: Any, activation: str, name: str) -> Any:
        x = layers.BatchNormalization(name=f"{name}_bn")(x)
        return qkeras.QActivation(activation, name=f"{name}_act")(x)

    inputs = layers.Input((28, 28, 1), name="image")
    x = qkeras.QConv2D(
        16, 3, padding="same", use_bias=False, kernel_quantizer=EIGHT_BIT, name="stem"
    )(inputs)
    x = normalize(x, ACTIVATION, "stem")
    x = layers.MaxPooling2D(2, name="stem_pool")(x)
    x = qkeras.QConv2D(
        32, 3, padding="same", use_bias=False, kernel_quantizer=TERNARY, name="conv"
    )(x)
    shortcut = normalize(x, ACTIVATION, "conv")

    x = qkeras.QDepthwiseConv2D(
        3, padding="same", use_bias=False, depthwise_quantizer=EIGHT_BIT, name="depthwise"
    )(shortcut)
    x = normalize(x, ACTIVATION, "depthwise")
    x = qkeras.QConv2D(32, 1, use_bias=False, kernel_quantizer=TERNARY, name="pointwise")(x)
    x = normalize(x, "quantized_bits(8, 2, 1)", "pointwise")
    x = layers.Add(name="residual")([x, shortcut])
    x = qkeras.QActivation(ACTIVATION, name="residual_act")(x)

    x = qkeras.QSeparableConv2D(
        64,
        3,
        strides=2,
        padding="same",
        use_bias=False,
        depthwise_quantizer=EIGHT_BIT,
        pointwise_quantizer=TERNARY,
        name="separable",
    )(x)
    x = normalize(x, ACTIVATION, "separable")
    x = layers.AveragePooling2D(2, name="pool")(x)
    x = qkeras.QActivation(ACTIVATION, name="pool_act")(x)
    x = layers.Flatten(name="flatten")(x)
    x = qkeras.QDense(64, use_bias=False, kernel_quantizer=TERNARY, name="hidden")(x)
    x = normalize(x, ACTIVATION, "hidden")
    x = qkeras.QDense(classes, kernel_quantizer=EIGHT_BIT, name="classifier")(x)
    logits = qkeras.QActivation("quantized_bits(8, 3, 1)", name="logits")(x)
    outputs = layers.Softmax(name="probabilities")(logits)
    return tf_keras.Model(inputs, outputs, name="tinyedge_demo")
