#!/usr/bin/env python3
"""Trains the demonstration network on Fashion-MNIST; writes it, with images, to tinyedge/demo.

    python tools/train_demo.py --epochs 40 --seed 1

Stochastic ternary quantization: QKeras samples every ternary weight at each training step. Adam
with cosine annealing; images are shifted by up to two pixels and mirrored. Deterministic for a
given seed and TensorFlow build.
"""

from __future__ import annotations

import argparse
import json
import warnings
from pathlib import Path

import numpy as np

from tinyedge.datasets import fashion_mnist
from tinyedge.keras.environment import tensorflow as tf
from tinyedge.keras.environment import tf_keras
from tinyedge.models.demo import build_demo_network
from tinyedge.training.stochastic import with_stochastic_training

DEMO_IMAGES = 1000
CALIBRATION_IMAGES = 64
LABEL_SMOOTHING = 0.05
"""Keeps the logits inside the [-8, 8) that they are quantized to."""


def augment(images: tf.Tensor) -> tf.Tensor:
    """Shifts each image of a batch (n, 28, 28, 1) by up to two pixels and mirrors half of them."""
    n = tf.shape(images)[0]
    padded = tf.pad(images, [[0, 0], [2, 2], [2, 2], [0, 0]])
    offsets = tf.random.uniform([n, 2], 0, 5, dtype=tf.int32)
    rows = offsets[:, :1] + tf.range(28)[None]
    columns = offsets[:, 1:] + tf.range(28)[None]
    shifted = tf.gather(padded, rows, axis=1, batch_dims=1)
    shifted = tf.gather(shifted, columns, axis=2, batch_dims=1)
    mirrored = tf.reverse(shifted, [2])
    return tf.where(tf.random.uniform([n, 1, 1, 1]) < 0.5, mirrored, shifted)


def main() -> None:
    """Trains and writes; see the module."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--epochs", type=int, default=40)
    parser.add_argument("--batch", type=int, default=128)
    parser.add_argument("--learning-rate", type=float, default=4e-3)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--data-folder", type=Path, help="folder with the Fashion-MNIST idx files")
    parser.add_argument(
        "-o", "--output", type=Path, default=Path(__file__).parent.parent / "tinyedge" / "demo"
    )
    arguments = parser.parse_args()

    tf_keras.utils.set_random_seed(arguments.seed)
    tf.config.experimental.enable_op_determinism()
    train = fashion_mnist.load("train", arguments.data_folder)
    test = fashion_mnist.load("test", arguments.data_folder)
    images, test_images = ((part.x / 255.0).astype(np.float32) for part in (train, test))
    labels, test_labels = train.y, test.y

    options = tf.data.Options()
    options.autotune.enabled = False
    data = (
        tf.data.Dataset.from_tensor_slices((images, labels))
        .shuffle(len(images), seed=arguments.seed)
        .batch(arguments.batch, drop_remainder=True)
        .map(lambda x, y: (augment(x), tf.one_hot(y, 10)))
        .prefetch(2)
        .with_options(options)
    )
    model = build_demo_network()
    trainer = with_stochastic_training(model)
    steps = arguments.epochs * (len(images) // arguments.batch)
    schedule = tf_keras.optimizers.schedules.CosineDecay(arguments.learning_rate, steps)
    trainer.compile(
        tf_keras.optimizers.Adam(schedule),
        tf_keras.losses.CategoricalCrossentropy(label_smoothing=LABEL_SMOOTHING),
        metrics=["accuracy"],
    )
    trainer.fit(
        data,
        epochs=arguments.epochs,
        validation_data=(test_images[DEMO_IMAGES:], tf.one_hot(test_labels[DEMO_IMAGES:], 10)),
        validation_batch_size=500,
        verbose=2,
    )

    predicted = model.predict(test_images, batch_size=500, verbose=0).argmax(axis=1)
    arguments.output.mkdir(parents=True, exist_ok=True)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model.save(arguments.output / "fashion_mnist_stq.h5", include_optimizer=False)
    np.savez_compressed(
        arguments.output / "fashion_mnist_test_1000.npz",
        x=np.rint(test_images[:DEMO_IMAGES] * 255).astype(np.uint8),
        y=test_labels[:DEMO_IMAGES].astype(np.uint8),
    )
    np.savez_compressed(
        arguments.output / "fashion_mnist_calibration_64.npz",
        x=np.rint(images[:CALIBRATION_IMAGES] * 255).astype(np.uint8),
    )
    correct = predicted == test_labels
    print(
        json.dumps(
            {
                "parameters": model.count_params(),
                "test_accuracy": float(correct.mean()),
                "demo_images_accuracy": float(correct[:DEMO_IMAGES].mean()),
                "seed": arguments.seed,
                "epochs": arguments.epochs,
            }
        )
    )


if __name__ == "__main__":
    main()
