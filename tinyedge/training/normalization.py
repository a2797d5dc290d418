"""Batch normalization's statistics, measured anew."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from tinyedge.keras.environment import tensorflow as tf
from tinyedge.keras.environment import tf_keras
from tinyedge.training.kernels import deterministic, training_kernels
from tinyedge.training.trainer import as_floats

RECALIBRATION_SAMPLES = 5000
_BATCH = 250


def recalibrate_normalization(model: Any, x: NDArray[Any]) -> None:
    """Replaces moving means and variances by their averages over samples.

    During training the kernels are sampled, or partly in full precision; at inference they are not,
    and what they compute is distributed otherwise.

    Args:
        model: whose statistics are replaced.
        x: (n, *shape), uint8 images that stand for 0 to 1, or float32; without augmentation.
    """
    normalizations = [
        layer for layer in model.layers if isinstance(layer, tf_keras.layers.BatchNormalization)
    ]
    momenta = [layer.momentum for layer in normalizations]
    seed = tf.constant([0, 0])
    try:
        for number, start in enumerate(range(0, max(1, len(x) - _BATCH + 1), _BATCH)):
            for layer in normalizations:
                layer.momentum = number / (number + 1)
            with training_kernels(model, deterministic, seed):
                model(as_floats(tf.constant(x[start : start + _BATCH])), training=True)
    finally:
        for layer, momentum in zip(normalizations, momenta, strict=True):
            layer.momentum = momentum


def subset(x: NDArray[Any], count: int, seed: int) -> NDArray[Any]:
    """So many samples drawn without replacement, all of them if there are fewer."""
    order = np.random.default_rng(seed).permutation(len(x))[:count]
    return x[np.sort(order)]
