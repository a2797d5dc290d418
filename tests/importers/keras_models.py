"""Small QKeras models with random weights, saved to files."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from tinyedge.keras.environment import qkeras, tf_keras

layers = tf_keras.layers

KERNEL_QUANTIZERS = {
    "stochastic_ternary": "stochastic_ternary(alpha='auto')",
    "stochastic_ternary_po2": "stochastic_ternary(alpha='auto_po2')",
    "ternary": "ternary(alpha='auto')",
    "ternary_fixed": "ternary(alpha=1.0, threshold=0.2)",
    "binary": "binary(alpha='auto')",
    "stochastic_binary": "stochastic_binary(alpha='auto')",
    "binary_fixed": "binary(alpha=0.5)",
    "bits4": "quantized_bits(4, 0, 1, alpha=1.0)",
    "bits4_auto": "quantized_bits(4, 0, symmetric=1, alpha='auto')",
    "bits8": "quantized_bits(8, 0, 1, alpha=1.0)",
    "bits8_auto": "quantized_bits(8, 1, symmetric=1, alpha='auto')",
    "bits8_po2": "quantized_bits(8, 0, symmetric=1, alpha='auto_po2')",
}


def randomized(model: Any, seed: int = 0, images: np.ndarray | None = None) -> Any:
    """Gives a model random weights; batch normalization gets statistics that fit its input.

    Some gammas are negative and one is zero, as training can leave them.
    """
    random = np.random.default_rng(seed)
    for layer in model.layers:
        if isinstance(layer, layers.BatchNormalization):
            continue
        layer.set_weights(
            [
                random.normal(0, 0.4, weight.shape).astype(np.float32)
                for weight in layer.get_weights()
            ]
        )
    if images is None:
        images = random.random((64, *model.input_shape[1:])).astype(np.float32)
    for layer in model.layers:
        if not isinstance(layer, layers.BatchNormalization):
            continue
        seen = np.asarray(tf_keras.Model(model.input, layer.input)(images))
        seen = seen.reshape(-1, seen.shape[-1])
        channels = seen.shape[-1]
        gamma = random.uniform(0.5, 1.5, channels) * random.choice([-1, 1, 1], channels)
        gamma[0] = 0.0 if channels > 2 else gamma[0]
        beta = random.normal(0.3, 0.4, channels)
        layer.set_weights([gamma, beta, seen.mean(axis=0), seen.var(axis=0) + 1e-3])
    return model


def save(model: Any, path: Path) -> Path:
    model.save(path, include_optimizer=False) if path.suffix == ".h5" else model.save(path)
    return path


def sequential(shape: tuple[int | None, ...], *stack: Any) -> Any:
    inputs = x = layers.Input(shape)
    for layer in stack:
        x = layer(x)
    return tf_keras.Model(inputs, x)


def relu(bits: int = 8, integer: int = 2) -> Any:
    return qkeras.QActivation(f"quantized_relu({bits},{integer})")


def signed(bits: int = 8, integer: int = 2) -> Any:
    return qkeras.QActivation(f"quantized_bits({bits},{integer},1)")


def conv(filters: int = 6, size: Any = 3, quantizer: str = "ternary", **rest: Any) -> Any:
    kernel = KERNEL_QUANTIZERS[quantizer]
    return qkeras.QConv2D(filters, size, kernel_quantizer=kernel, **rest)


def depthwise(size: Any = 3, quantizer: str = "ternary", **rest: Any) -> Any:
    return qkeras.QDepthwiseConv2D(size, depthwise_quantizer=KERNEL_QUANTIZERS[quantizer], **rest)


def separable(filters: int = 6, size: Any = 3, quantizer: str = "ternary", **rest: Any) -> Any:
    kernel = KERNEL_QUANTIZERS[quantizer]
    return qkeras.QSeparableConv2D(
        filters, size, depthwise_quantizer=kernel, pointwise_quantizer=kernel, **rest
    )


def dense(units: int = 5, quantizer: str = "ternary", **rest: Any) -> Any:
    return qkeras.QDense(units, kernel_quantizer=KERNEL_QUANTIZERS[quantizer], **rest)


def one_layer(shape: tuple[int, ...], *stack: Any) -> Callable[[], Any]:
    """A model builder; layers are built anew in each call."""
    return lambda: sequential(shape, *(layer() for layer in stack))


def residual(*, quantized_branches: bool) -> Any:
    inputs = layers.Input((8, 8, 3))
    x = shortcut = relu()(layers.BatchNormalization()(conv(padding="same")(inputs)))
    x = layers.BatchNormalization()(conv(padding="same", quantizer="bits8")(x))
    if quantized_branches:
        x = signed()(x)
    x = relu()(layers.Add()([x, shortcut]))
    return tf_keras.Model(inputs, signed(8, 3)(dense()(layers.Flatten()(x))))


def relu_of_shared() -> Any:
    inputs = layers.Input((9, 8, 3))
    x = conv()(inputs)
    return tf_keras.Model(inputs, layers.Add()([x, signed(8, 3)(layers.ReLU()(x))]))


def pre_activation() -> Any:
    """The sum is used twice: normalized and activated, and as it is."""
    inputs = layers.Input((8, 8, 3))
    x = signed()(conv(padding="same")(inputs))
    y = relu()(layers.BatchNormalization()(x))
    y = signed()(conv(padding="same")(y))
    x = layers.Add()([x, y])
    y = relu()(layers.BatchNormalization()(x))
    return tf_keras.Model(inputs, signed(8, 3)(dense()(layers.Flatten()(y))))


EXACT_MODELS: dict[str, Callable[[], Any]] = {
    **{
        f"conv {name}": one_layer(
            (9, 7, 3), partial(conv, quantizer=name), layers.BatchNormalization, relu
        )
        for name in KERNEL_QUANTIZERS
    },
    **{
        f"depthwise {name}": one_layer(
            (9, 7, 3), partial(depthwise, quantizer=name), layers.BatchNormalization, signed
        )
        for name in KERNEL_QUANTIZERS
    },
    **{
        f"dense {name}": one_layer(
            (12,), partial(dense, quantizer=name), layers.BatchNormalization, signed
        )
        for name in KERNEL_QUANTIZERS
    },
    **{
        f"relu of {bits} bits": one_layer((9, 7, 3), conv, partial(relu, bits, 1))
        for bits in range(2, 9)
    },
    **{
        f"signed of {bits} bits": one_layer((9, 7, 3), conv, partial(signed, bits, 1))
        for bits in range(2, 9)
    },
    "stride and same": lambda: sequential(
        (9, 8, 3),
        conv(padding="same", strides=2),
        relu(),
        conv(size=(1, 5), padding="same"),
        signed(),
    ),
    "uneven strides": lambda: sequential((9, 8, 3), conv(strides=(2, 3)), signed()),
    "dilation": lambda: sequential((9, 8, 3), conv(padding="same", dilation_rate=2), signed()),
    "depth multiplier": lambda: sequential(
        (9, 8, 3), depthwise(depth_multiplier=2, padding="same", strides=2), signed()
    ),
    "bias quantizer": lambda: sequential(
        (9, 8, 3), conv(bias_quantizer="quantized_bits(6,0,1,alpha=1.0)"), signed()
    ),
    "activation argument": lambda: sequential(
        (9, 8, 3), conv(activation="quantized_relu(6,1)"), conv(activation="quantized_bits(8,2,1)")
    ),
    "activation behind max pooling": lambda: sequential(
        (9, 8, 3), conv(), layers.BatchNormalization(), layers.MaxPooling2D(2), relu()
    ),
    "padding layer": lambda: sequential(
        (9, 8, 3), layers.ZeroPadding2D(((1, 2), (0, 3))), conv(), signed()
    ),
    "quantized input": lambda: sequential((9, 8, 3), signed(8, 0), conv(), signed()),
    "narrow quantized input": lambda: sequential((9, 8, 3), relu(4, 0), conv(), signed()),
    "same pooling": lambda: sequential(
        (9, 8, 3), conv(), relu(), layers.MaxPooling2D(3, 2, padding="same"), conv(), signed()
    ),
    "global max pooling": lambda: sequential(
        (9, 8, 3), conv(), relu(), layers.GlobalMaxPooling2D(), dense(), signed()
    ),
    "dropout": lambda: sequential(
        (9, 8, 3), conv(), relu(), layers.Dropout(0.5), layers.Flatten(), dense(), signed(8, 4)
    ),
    "normalization alone": lambda: sequential(
        (9, 8, 3), conv(), relu(), layers.BatchNormalization(), signed()
    ),
    "normalization of a vector": lambda: sequential(
        (12,), dense(), relu(), layers.BatchNormalization(), signed()
    ),
    "normalization of rows": lambda: sequential(
        (9, 8), layers.BatchNormalization(), signed(), layers.Reshape((9, 8, 1)), conv(), signed()
    ),
    "residual": lambda: residual(quantized_branches=True),
    "reshape": lambda: sequential((24,), layers.Reshape((4, 2, 3)), conv(size=2), signed()),
}
"""Models all of whose values a quantizer puts on a grid: nothing has to be estimated."""

APPROXIMATE_MODELS: dict[str, Callable[[], Any]] = {
    "separable": lambda: sequential(
        (9, 8, 3), separable(padding="same", strides=2), layers.BatchNormalization(), relu()
    ),
    "average pooling": lambda: sequential(
        (9, 8, 3), conv(padding="same"), relu(), layers.AveragePooling2D(2), conv(size=2), signed()
    ),
    "same average pooling": lambda: sequential(
        (9, 9, 3),
        conv(padding="same"),
        relu(),
        layers.AveragePooling2D(3, 2, padding="same"),
        conv(size=2),
        signed(),
    ),
    "QKeras average pooling": lambda: sequential(
        (9, 8, 3),
        conv(padding="same"),
        relu(),
        qkeras.QAveragePooling2D(3, average_quantizer="quantized_bits(6,0,1,alpha=1.0)"),
        layers.Flatten(),
        dense(),
        signed(8, 3),
    ),
    "global average pooling": lambda: sequential(
        (9, 8, 3), conv(), relu(), layers.GlobalAveragePooling2D(), dense(), signed()
    ),
    "QKeras global average pooling": lambda: sequential(
        (9, 8, 3), conv(), relu(), qkeras.QGlobalAveragePooling2D(), dense(), signed()
    ),
    "float relu": lambda: sequential(
        (9, 8, 3),
        conv(),
        layers.BatchNormalization(),
        layers.Activation("relu"),
        conv(),
        signed(8, 3),
    ),
    "bounded float relu": lambda: sequential(
        (9, 8, 3), conv(), layers.BatchNormalization(), layers.ReLU(1.5), conv(), signed(8, 3)
    ),
    "float relu behind average pooling": lambda: sequential(
        (9, 8, 3), conv(), layers.AveragePooling2D(2), layers.ReLU(), signed(8, 1)
    ),
    "two float relus": lambda: sequential(
        (9, 8, 3), conv(), layers.AveragePooling2D(2), layers.ReLU(), layers.ReLU(0.5)
    ),
    "float relu of a value used twice": relu_of_shared,
    "float relu behind a quantizer": lambda: sequential(
        (9, 8, 3), conv(), signed(8, 2), layers.ReLU(), conv(4), signed(8, 3)
    ),
    "residual with float branches": lambda: residual(quantized_branches=False),
    "pre-activation": pre_activation,
    "no activations": lambda: sequential((9, 8, 3), conv(), conv(), layers.Flatten(), dense()),
    "average pooling, quantized again": lambda: sequential(
        (9, 8, 3), conv(padding="same"), relu(), layers.AveragePooling2D(2), signed(6, 1)
    ),
}
"""Models with values between the grids, which int8 can only approximate."""
