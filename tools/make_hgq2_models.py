#!/usr/bin/env python3
"""Writes models of HGQ2 that the tests read, with what HGQ2 gives for some inputs.

    python tools/make_hgq2_models.py -o tests/data

- ``hgq2_residual.keras``: a small network, trained on Fashion-MNIST. Weights of up to 8 bits, with
  bits of their own for each weight or each output channel, activations of up to 8 bits for each
  tensor or each channel
- ``hgq2_residual_logits.npy``: of the demonstration's 1,000 test images
- ``hgq2_layers.zip``: networks of few layers, with weights and bits drawn at random: for each a
  ``.keras`` file, inputs and outputs

It needs packages that tinyedge does not, in an environment of its own: ``pip install hgq2==0.2.0
keras==3.15.1 jax==0.10.2``. Deterministic for a given seed and build of JAX.
"""

from __future__ import annotations

import argparse
import gzip
import io
import os
import zipfile
from pathlib import Path
from typing import Any

os.environ["KERAS_BACKEND"] = "jax"

import keras
import numpy as np
from hgq.config import QuantizerConfig
from hgq.constraints import MinMax
from hgq.layers import (
    QAdd,
    QAveragePooling1D,
    QBatchNormalization,
    QConv1D,
    QConv2D,
    QDense,
    QGlobalAveragePooling2D,
    QMaxPooling2D,
    QMultiply,
    Quantizer,
)
from hgq.quantizer.internal import FixedPointQuantizerKBI
from hgq.utils import trace_minmax
from keras import layers

DEMO = Path(__file__).parent.parent / "tinyedge" / "demo"
IMAGES, LABELS = "{}-images-idx3-ubyte.gz", "{}-labels-idx1-ubyte.gz"
NAME = "hgq2_residual"
BATCH = 192
MAGNITUDE_BITS = 7
"""Bits of a weight or an activation of any sign, besides the sign."""
COST = 3e-9
"""Loss that a product of one bit and one bit adds."""


def load(folder: Path, split: str) -> tuple[np.ndarray, np.ndarray]:
    """Images (n, 28, 28, 1) from 0 to 1, and labels."""
    pixels = gzip.decompress((folder / IMAGES.format(split)).read_bytes())[16:]
    labels = gzip.decompress((folder / LABELS.format(split)).read_bytes())[8:]
    images = np.frombuffer(pixels, np.uint8).reshape(-1, 28, 28, 1)
    return images.astype(np.float32) / 255, np.frombuffer(labels, np.uint8).astype(np.int32)


def weights(axis: tuple[int, ...] | None) -> Any:
    """Up to 7 bits and a sign; bits of their own along an axis, or for each weight.

    Weights of one channel share a scale in int8: where each has bits of its own, none is larger
    than one, and none finer than 2^-7.
    """
    if axis is None:
        limits = {"ic": MinMax(-MAGNITUDE_BITS, 0), "fc": MinMax(0, MAGNITUDE_BITS)}
        return QuantizerConfig("kif", "weight", i0=0, f0=MAGNITUDE_BITS, **limits)
    limits = {"bc": MinMax(0, MAGNITUDE_BITS)}
    return QuantizerConfig("kbi", "weight", b0=7, i0=0, heterogeneous_axis=axis, **limits)


def values(bits: int, *, channels: bool = False, **rest: Any) -> Any:
    """Up to so many bits besides a sign, for the whole tensor or for each channel."""
    own = {"homogeneous_axis": (0, 1, 2)} if channels else {"heterogeneous_axis": ()}
    return QuantizerConfig("kbi", "datalane", b0=bits, i0=2, bc=MinMax(0, bits), **own, **rest)


def network() -> Any:
    """A residual block between two convolutions with strides; every value lies on 8 bits."""
    pixels = QuantizerConfig(
        "kif", "datalane", k0=0, i0=0, f0=8, overflow_mode="SAT", heterogeneous_axis=()
    )
    pixels.config["trainable"] = False
    common: dict[str, Any] = {"padding": "same", "beta0": COST}
    image = layers.Input((28, 28, 1), name="image")
    stem = QConv2D(
        16,
        3,
        strides=2,
        activation="relu",
        iq_conf=pixels,
        kq_conf=weights(None),
        oq_conf=values(8),
        enable_oq=True,
        name="stem",
        **common,
    )(image)
    x = QConv2D(
        16, 3, activation="relu", kq_conf=weights((3,)), enable_iq=False, name="inner", **common
    )(stem)
    x = QConv2D(
        16,
        3,
        iq_conf=values(8, channels=True),
        kq_conf=weights((3,)),
        oq_conf=values(MAGNITUDE_BITS),
        enable_oq=True,
        name="outer",
        **common,
    )(x)
    x = QAdd(enable_iq=False, name="sum")([stem, x])
    x = layers.ReLU(name="sum_relu")(x)
    x = QConv2D(
        32,
        3,
        strides=2,
        activation="relu",
        iq_conf=values(8),
        kq_conf=weights((3,)),
        name="down",
        **common,
    )(x)
    x = layers.MaxPooling2D(2, name="pool")(x)
    x = layers.Flatten(name="flatten")(x)
    x = QDense(
        10,
        iq_conf=values(8),
        kq_conf=weights((1,)),
        oq_conf=values(MAGNITUDE_BITS, overflow_mode="SAT"),
        enable_oq=True,
        beta0=COST,
        name="classes",
    )(x)
    return keras.Model(image, x, name=NAME)


def fine() -> Any:
    """Seven bits and a sign, two of them before the point, for the whole tensor."""
    return QuantizerConfig(
        "kif", "datalane", k0=1, i0=2, f0=5, heterogeneous_axis=(), overflow_mode="SAT"
    )


def input_bits() -> Any:
    """Eight bits with a sign for inputs from -1 to 1."""
    return QuantizerConfig(
        "kif", "datalane", k0=1, i0=0, f0=7, heterogeneous_axis=(), overflow_mode="SAT"
    )


def few_bits(axis: int) -> Any:
    """Weights of three bits and a sign, with a step of its own for each output channel."""
    return QuantizerConfig("kbi", "weight", b0=3, i0=0, heterogeneous_axis=(axis,))


END: dict[str, Any] = {"enable_oq": True, "oq_conf": fine(), "kq_conf": weights((1,))}


def channels() -> Any:
    """Channels with steps of their own that go through a pool and a reshape into weights."""
    image = layers.Input((8, 8, 3))
    x = QConv2D(6, 3, activation="relu", iq_conf=input_bits(), kq_conf=weights(None))(image)
    x = QMaxPooling2D(2, iq_conf=values(8, channels=True))(x)
    x = layers.Flatten()(layers.Dropout(0.1)(x))
    return image, QDense(5, enable_iq=False, **(END | {"kq_conf": few_bits(1)}))(x)


def groups() -> Any:
    """A depthwise convolution, one of two groups, and one with dilation."""
    image = layers.Input((9, 9, 4))
    common: dict[str, Any] = {"activation": "relu", "kq_conf": few_bits(3)}
    x = QConv2D(4, 3, padding="same", groups=4, iq_conf=input_bits(), **common)(image)
    x = QConv2D(6, (3, 1), groups=2, iq_conf=values(8, channels=True), **common)(x)
    x = layers.ZeroPadding2D(((1, 0), (0, 2)))(x)
    x = QConv2D(4, 2, dilation_rate=2, iq_conf=values(8), **common)(x)
    x = QGlobalAveragePooling2D(iq_conf=values(8))(x)
    return image, QDense(5, iq_conf=values(8), **END)(x)


def row() -> Any:
    """One dimension."""
    signal = layers.Input((16, 3))
    common: dict[str, Any] = {"activation": "relu", "kq_conf": weights((2,))}
    # HGQ2 cannot count the cost of a causal one.
    x = QConv1D(4, 5, padding="causal", iq_conf=input_bits(), enable_ebops=False, **common)(signal)
    x = QAveragePooling1D(2, iq_conf=values(8))(x)
    x = QConv1D(6, 3, strides=2, padding="same", iq_conf=values(8), **common)(x)
    x = layers.Reshape((-1,))(x)
    return signal, QDense(5, iq_conf=values(8), **END)(x)


def merges() -> Any:
    """Values of two convolutions, with steps of their own for each channel, that are joined."""
    image = layers.Input((6, 6, 2))
    common: dict[str, Any] = {"padding": "same", "kq_conf": few_bits(3), "enable_oq": True}
    own = QuantizerConfig(
        "kbi", "datalane", b0=4, i0=2, bc=MinMax(0, 5), homogeneous_axis=(0, 1, 2)
    )
    left = QConv2D(4, 3, activation="relu", iq_conf=input_bits(), oq_conf=own, **common)(image)
    right = QConv2D(4, 1, iq_conf=input_bits(), oq_conf=own, **common)(image)
    x = QAdd(enable_iq=False, enable_oq=True, oq_conf=fine())([left, right])
    x = QMultiply(iq_confs=[fine(), fine()], enable_oq=True, oq_conf=fine())([x, left])
    x = layers.Flatten()(layers.ReLU()(x))
    return image, QDense(5, iq_conf=values(8), **END)(x)


def normalizations() -> Any:
    """HGQ2's own batch normalization, Keras' one, and a quantizer by itself."""
    image = layers.Input((6, 6, 2))
    x = Quantizer(input_bits())(image)
    x = QConv2D(4, 3, enable_iq=False, kq_conf=weights((3,)))(x)
    x = QBatchNormalization(
        iq_conf=fine(), kq_conf=weights((0,)), bq_conf=weights((0,)), enable_oq=False
    )(x)
    x = layers.Activation("relu")(x)
    x = QConv2D(6, 3, use_bias=False, iq_conf=values(8), kq_conf=weights((3,)))(x)
    x = layers.ReLU()(layers.BatchNormalization()(x))
    x = Quantizer(values(8))(x)
    return image, QDense(5, enable_iq=False, **END)(layers.Flatten()(x))


RANDOM = (channels, groups, row, merges, normalizations)
SAMPLES = 20


def drawn(make: Any, seed: int) -> tuple[Any, np.ndarray]:
    """A network with weights and bits drawn at random, and inputs int8, in steps of 1/128."""
    keras.utils.set_random_seed(seed)
    generator = np.random.default_rng(seed)
    model = keras.Model(*make(), name=make.__name__)
    for layer in model._flatten_layers():  # noqa: SLF001 - Keras has no public way to all
        if isinstance(layer, FixedPointQuantizerKBI) and layer.overflow_mode == "WRAP":
            held = next(each for each in layer.weights if each.name == "b")
            most = int(layer.b_constraint.max_value)
            bits = generator.integers(max(most - 3, 0), most + 1, held.shape)
            if held.shape[-1] > 1 and len(held.shape) > 1:
                bits[..., 1] = 0  # a channel that training has put out
            held.assign(bits)
        for weight in layer._trainable_variables + layer._non_trainable_variables:  # noqa: SLF001
            if weight.name == "kernel":
                weight.assign(2 * np.asarray(weight))
            elif weight.name == "bias":
                weight.assign(generator.uniform(-0.5, 0.5, weight.shape))
            elif "moving" in weight.name or "gamma" in weight.name:
                weight.assign(generator.uniform(0.5, 1.5, weight.shape))
    codes = generator.integers(-128, 128, (SAMPLES, *model.input_shape[1:])).astype(np.int8)
    trace_minmax(model, codes.astype(np.float32) / 128)
    return model, codes


def write_drawn(path: Path) -> None:
    """Writes the networks of few layers."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as archive:
        for seed, make in enumerate(RANDOM):
            model, codes = drawn(make, seed)
            outputs = model.predict(codes.astype(np.float32) / 128, verbose=0)
            file = path.with_name(f"{model.name}.keras")
            model.save(file)
            held = {f"{model.name}.keras": file.read_bytes()}
            for name, array in (("inputs", codes), ("outputs", outputs)):
                stream = io.BytesIO()
                np.save(stream, array)
                held[f"{model.name}_{name}.npy"] = stream.getvalue()
            file.unlink()
            for name, content in held.items():
                archive.writestr(zipfile.ZipInfo(name), content, zipfile.ZIP_DEFLATED)


def compressed(path: Path) -> None:
    """Packs the entries of an archive, which Keras stores as they are."""
    with zipfile.ZipFile(path) as archive:
        held = {name: archive.read(name) for name in archive.namelist()}
    target = io.BytesIO()
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as archive:
        for name, content in held.items():
            archive.writestr(zipfile.ZipInfo(name), content, zipfile.ZIP_DEFLATED)
    path.write_bytes(target.getvalue())


def train(output: Path, data: Path, epochs: int, seed: int) -> None:
    """Trains the network, and writes it with its logits."""
    keras.utils.set_random_seed(seed)
    (images, labels), test = load(data, "train"), load(data, "t10k")
    model = network()
    schedule = keras.optimizers.schedules.CosineDecay(3e-3, epochs * (len(images) // BATCH))
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(keras.optimizers.Adam(schedule), loss, metrics=["accuracy"])
    model.fit(images, labels, batch_size=BATCH, epochs=epochs, verbose=2)
    trace_minmax(model, images)
    print("accuracy", model.evaluate(*test, batch_size=1000, verbose=0)[1])

    path = output / f"{NAME}.keras"
    keras.Model(model.inputs, model.outputs, name=NAME).save(path)  # without its optimizer
    compressed(path)
    images = np.load(DEMO / "fashion_mnist_test_1000.npz")["x"].astype(np.float32) / 255
    logits = model.predict(images.reshape(-1, 28, 28, 1), batch_size=1000, verbose=0)
    np.save(output / f"{NAME}_logits.npy", logits)


def main() -> None:
    """Writes; see the module."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("-o", "--output", type=Path, default=Path("tests/data"))
    parser.add_argument("--data", type=Path, default=Path("/usr/share/datasets/fashion-mnist"))
    parser.add_argument("--epochs", type=int, default=6)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", choices=("trained", "drawn"), help="by default both")
    arguments = parser.parse_args()
    arguments.output.mkdir(parents=True, exist_ok=True)
    if arguments.only != "trained":
        write_drawn(arguments.output / "hgq2_layers.zip")
    if arguments.only != "drawn":
        train(arguments.output, arguments.data, arguments.epochs, arguments.seed)


if __name__ == "__main__":
    main()
