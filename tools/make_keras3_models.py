#!/usr/bin/env python3
"""Writes models of Keras 3 that the tests read, with the logits that their own framework gives.

    python tools/make_keras3_models.py -o tests/data

- ``qkeras_v3_demo.keras``: the demonstration's network in qkeras-v3, with its trained weights
- ``keras_int8.keras``: a small network with random weights that ``model.quantize("int8")`` has
  quantized

It needs packages that tinyedge must not have beside it, in an environment of its own: ``pip install
qkeras-v3==1.2.1 tensorflow==2.21.0 h5py==3.14.0 keras==3.15.1``.
"""

from __future__ import annotations

import argparse
import os
from pathlib import Path
from typing import Any

os.environ.setdefault("KERAS_BACKEND", "tensorflow")

import h5py
import keras
import numpy as np
from keras import layers

DEMO = Path(__file__).parent.parent / "tinyedge" / "demo"
TERNARY = "stochastic_ternary(alpha='auto', temperature=8.0)"
EIGHT_BIT = "quantized_bits(8, 0, 1, alpha=1.0)"
ACTIVATION = "quantized_relu(8, 2)"
IMAGES = 100


def demo_network() -> Any:
    """The network of ``tinyedge/models/demo.py``, in Keras 3."""
    import qkeras

    common: dict[str, Any] = {"padding": "same", "use_bias": False}

    def normalize(x: Any, activation: str, name: str) -> Any:
        x = layers.BatchNormalization(name=f"{name}_bn")(x)
        return qkeras.QActivation(activation, name=f"{name}_act")(x)

    inputs = layers.Input((28, 28, 1), name="image")
    x = qkeras.QConv2D(16, 3, kernel_quantizer=EIGHT_BIT, name="stem", **common)(inputs)
    x = normalize(x, ACTIVATION, "stem")
    x = layers.MaxPooling2D(2, name="stem_pool")(x)
    x = qkeras.QConv2D(32, 3, kernel_quantizer=TERNARY, name="conv", **common)(x)
    shortcut = normalize(x, ACTIVATION, "conv")
    x = qkeras.QDepthwiseConv2D(3, depthwise_quantizer=EIGHT_BIT, name="depthwise", **common)(
        shortcut
    )
    x = normalize(x, ACTIVATION, "depthwise")
    x = qkeras.QConv2D(32, 1, kernel_quantizer=TERNARY, name="pointwise", use_bias=False)(x)
    x = normalize(x, "quantized_bits(8, 2, 1)", "pointwise")
    x = layers.Add(name="residual")([x, shortcut])
    x = qkeras.QActivation(ACTIVATION, name="residual_act")(x)
    x = qkeras.QSeparableConv2D(
        64,
        3,
        strides=2,
        depthwise_quantizer=EIGHT_BIT,
        pointwise_quantizer=TERNARY,
        name="separable",
        **common,
    )(x)
    x = normalize(x, ACTIVATION, "separable")
    x = layers.AveragePooling2D(2, name="pool")(x)
    x = qkeras.QActivation(ACTIVATION, name="pool_act")(x)
    x = layers.Flatten(name="flatten")(x)
    x = qkeras.QDense(64, use_bias=False, kernel_quantizer=TERNARY, name="hidden")(x)
    x = normalize(x, ACTIVATION, "hidden")
    x = qkeras.QDense(10, kernel_quantizer=EIGHT_BIT, name="classifier")(x)
    x = qkeras.QActivation("quantized_bits(8, 3, 1)", name="logits")(x)
    return keras.Model(inputs, layers.Softmax(name="probabilities")(x), name="tinyedge_demo")


def with_trained_weights(model: Any, path: Path) -> None:
    """Puts the weights of a Keras 2 file into layers of the same names."""
    with h5py.File(path) as file:
        held = file["model_weights"]
        for layer in model.layers:
            names = held[layer.name].attrs["weight_names"]
            layer.set_weights([np.asarray(held[layer.name][name]) for name in names])


def write_demo(output: Path) -> None:
    """Writes the demonstration's network, and its logits."""
    images = np.load(DEMO / "fashion_mnist_test_1000.npz")["x"][:IMAGES].astype(np.float32) / 255
    model = demo_network()
    with_trained_weights(model, DEMO / "fashion_mnist_stq.h5")
    model.save(output / "qkeras_v3_demo.keras")
    logits = keras.Model(model.inputs, model.get_layer("logits").output)
    found = np.asarray(logits(images.reshape(-1, 28, 28, 1), training=False))
    np.save(output / "qkeras_v3_demo_logits.npy", found)


def write_int8(output: Path) -> None:
    """Writes a network whose layers Keras itself has quantized."""
    keras.utils.set_random_seed(0)
    rows = layers.Input((4, 6))
    x = layers.EinsumDense("abc,cd->abd", (4, 5), activation="relu", name="einsum")(rows)
    model = keras.Model(rows, layers.Dense(3, name="dense")(layers.Flatten()(x)))
    model.quantize("int8")
    model.save(output / "keras_int8.keras")


def main() -> None:
    """Writes; see the module."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("-o", "--output", type=Path, default=Path("tests/data"))
    parser.add_argument("--only", choices=("demo", "int8"), help="by default both")
    arguments = parser.parse_args()
    if arguments.only != "int8":
        write_demo(arguments.output)
    if arguments.only != "demo":
        write_int8(arguments.output)


if __name__ == "__main__":
    main()
