"""Int8 ``.tflite`` models as TensorFlow's converter makes them, with random weights."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np

from tinyedge.keras.environment import tensorflow as tf
from tinyedge.keras.environment import tf_keras

layers = tf_keras.layers
Builder = Callable[[], Any]


def _randomized(model: Any) -> Any:
    """Gives every variable values that make normalization and biases matter."""
    rng = np.random.default_rng(1)
    for variable in model.variables:
        values = variable.numpy()
        if "variance" in variable.name or "gamma" in variable.name:
            values = rng.uniform(0.5, 1.5, values.shape)
        elif "beta" in variable.name or "bias" in variable.name or "moving_mean" in variable.name:
            values = rng.normal(0, 0.2, values.shape)
        elif values.ndim == 2:
            values = 3.0 * values  # logits that differ
        variable.assign(values.astype(np.float32))
    return model


def _functional(
    shape: tuple[int, ...], body: Callable[[Any], Any], batch: int | None = None
) -> Any:
    inputs = layers.Input(shape, batch_size=batch)
    return _randomized(tf_keras.Model(inputs, body(inputs)))


def _normalized(x: Any, layer: Any, activation: Any = "relu") -> Any:
    x = layers.BatchNormalization()(layer(x))
    return layers.Activation(activation)(x) if activation else x


def mobilenet_v1() -> Any:
    """As MLPerf Tiny's visual wake words, smaller."""

    def body(x: Any) -> Any:
        x = _normalized(x, layers.Conv2D(8, 3, 2, "same", use_bias=False))
        for filters, stride in ((16, 1), (32, 2), (32, 1), (64, 2)):
            x = _normalized(x, layers.DepthwiseConv2D(3, stride, "same", use_bias=False))
            x = _normalized(x, layers.Conv2D(filters, 1, use_bias=False))
        x = layers.Flatten()(layers.AveragePooling2D((4, 4))(x))
        return layers.Dense(10, activation="softmax")(x)

    return _functional((32, 32, 3), body)


def mobilenet_v2() -> Any:
    """Inverted residuals with ReLU6 and explicit padding before strides."""

    def body(x: Any) -> Any:
        x = layers.ZeroPadding2D(((0, 1), (0, 1)))(x)
        x = _normalized(x, layers.Conv2D(8, 3, 2, "valid", use_bias=False), tf.nn.relu6)
        for filters, stride in ((8, 1), (12, 2), (12, 1)):
            y = _normalized(x, layers.Conv2D(4 * x.shape[-1], 1, use_bias=False), tf.nn.relu6)
            if stride == 2:
                y = layers.ZeroPadding2D(((0, 1), (0, 1)))(y)
            padding = "same" if stride == 1 else "valid"
            y = _normalized(
                y, layers.DepthwiseConv2D(3, stride, padding, use_bias=False), tf.nn.relu6
            )
            y = _normalized(y, layers.Conv2D(filters, 1, use_bias=False), None)
            x = layers.Add()([x, y]) if stride == 1 and x.shape[-1] == filters else y
        x = layers.GlobalAveragePooling2D()(x)
        return layers.Dense(10, activation="softmax")(x)

    return _functional((24, 24, 3), body)


def autoencoder() -> Any:
    """As MLPerf Tiny's anomaly detection: fully connected, linear at the end."""

    def body(x: Any) -> Any:
        for units in (64, 64, 8, 64, 64):
            x = _normalized(x, layers.Dense(units))
        return layers.Dense(80)(x)

    return _functional((80,), body)


def arithmetic() -> Any:
    """Normalization by constants, gates, branches and a sigmoid at the end."""

    def body(x: Any) -> Any:
        x = (x - np.array([0.4, 0.5, 0.6], np.float32)) * np.float32(2.0)
        a = layers.Conv2D(6, 3, padding="same", dilation_rate=2)(x)
        b = layers.Conv2D(6, 1, activation="sigmoid")(x)
        x = layers.Concatenate()([layers.Multiply()([a, b]), layers.MaxPooling2D(3, 1, "same")(a)])
        gate = layers.GlobalAveragePooling2D(keepdims=True)(x)
        x = layers.ReLU(6.0)(x * layers.Conv2D(12, 1, activation="sigmoid")(gate))
        x = layers.LeakyReLU(0.2)(layers.Conv2D(5, 3, (2, 1))(x))
        x = layers.Conv2D(4, 2, activation="tanh")(layers.AveragePooling2D((2, 3), 1, "same")(x))
        return layers.Dense(3, activation="sigmoid")(layers.Flatten()(x))

    return _functional((12, 10, 3), body, batch=1)  # else dilation becomes SPACE_TO_BATCH_ND


def keyword_conv1d() -> Any:
    """One-dimensional convolutions, and a Dense on every row."""

    def body(x: Any) -> Any:
        x = layers.Conv1D(16, 5, 2, padding="same", activation="relu")(x)
        x = layers.Conv1D(16, 3, padding="causal", activation="relu")(x)
        x = layers.Dense(12, activation="relu")(x)
        x = layers.MaxPooling1D(2)(x)
        return layers.Dense(4)(layers.GlobalAveragePooling1D()(x))

    return _functional((40, 10), body, batch=1)


def wide_padding() -> Any:
    """A residual whose short cut is padded by channels, and uneven paddings."""

    def body(x: Any) -> Any:
        y = layers.Conv2D(7, 3, padding="same", activation="relu")(x)
        short = tf.pad(x, [[0, 0], [0, 0], [0, 0], [2, 2]])
        x = layers.Add()([y, short])
        x = layers.Conv2D(4, 3, 2)(layers.ZeroPadding2D(((2, 0), (1, 2)))(x))
        x = tf.maximum(x, -0.25)
        return layers.Dense(5)(layers.Flatten()(x))

    return _functional((9, 8, 3), body)


def global_maximum() -> Any:
    """A depth multiplier, and the largest value of each channel."""

    def body(x: Any) -> Any:
        x = layers.DepthwiseConv2D(3, depth_multiplier=2, activation="relu")(x)
        return layers.Dense(6)(layers.GlobalMaxPooling2D()(x))

    return _functional((9, 7, 4), body)


def ternary() -> Any:
    """Weights of three values a channel, which the converter spreads over 8 bits."""
    model = mobilenet_v1()
    rng = np.random.default_rng(7)
    for layer in model.layers:
        if isinstance(layer, layers.Conv2D | layers.Dense):
            weights = layer.get_weights()
            codes = rng.integers(-1, 2, weights[0].shape)
            codes.reshape(-1, codes.shape[-1])[0] = 1
            weights[0] = codes * rng.uniform(0.02, 0.2, codes.shape[-1])
            layer.set_weights(weights)
    return model


BUILDERS: dict[str, Builder] = {
    builder.__name__: builder
    for builder in (
        mobilenet_v1,
        mobilenet_v2,
        autoencoder,
        arithmetic,
        keyword_conv1d,
        wide_padding,
        global_maximum,
        ternary,
    )
}


@cache
def converted(name: str, ends: str = "int8", *, per_channel_dense: bool = True) -> bytes:
    """A model of ``BUILDERS``, fully quantized.

    Args:
        name: of the builder.
        ends: type of input and output: ``int8``, ``uint8`` or ``float32``.
        per_channel_dense: whether Dense layers have one scale a channel.
    """
    tf_keras.utils.set_random_seed(1)
    model = BUILDERS[name]()
    rng = np.random.default_rng(2)
    shape = model.input_shape[1:]

    def samples() -> Any:
        for _ in range(20):
            yield [rng.random((1, *shape), dtype=np.float32)]

    converter = tf.lite.TFLiteConverter.from_keras_model(model)
    converter.optimizations = [tf.lite.Optimize.DEFAULT]
    converter.representative_dataset = samples
    converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
    converter.inference_input_type = converter.inference_output_type = getattr(tf, ends)
    converter._experimental_disable_per_channel_quantization_for_dense_layers = (
        not per_channel_dense
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return bytes(converter.convert())
