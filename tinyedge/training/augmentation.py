"""Random changes of training samples, computed in the training step."""

from __future__ import annotations

from typing import Any

from tinyedge.keras.environment import tensorflow as tf


def shift(samples: Any, pixels: int, seed: Any) -> Any:
    """Shifts each sample by up to so many rows and columns; what comes in is its edge's value.

    Args:
        samples: (n, rows, columns, channels).
        pixels: largest shift.
        seed: int32 (2,).
    """
    count, rows, columns = tf.shape(samples)[0], samples.shape[1], samples.shape[2]
    offsets = tf.random.stateless_uniform([2, count, 1], seed, -pixels, pixels + 1, dtype=tf.int32)
    at_row = tf.clip_by_value(offsets[0] + tf.range(rows)[None], 0, rows - 1)
    at_column = tf.clip_by_value(offsets[1] + tf.range(columns)[None], 0, columns - 1)
    shifted = tf.gather(samples, at_row, axis=1, batch_dims=1)
    return tf.gather(shifted, at_column, axis=2, batch_dims=1)


def mirror(samples: Any, seed: Any) -> Any:
    """Mirrors half of the samples, left for right."""
    draws = tf.random.stateless_uniform([tf.shape(samples)[0], 1, 1, 1], seed)
    return tf.where(draws < 0.5, tf.reverse(samples, [2]), samples)


def mask_rows(samples: Any, rows: int, seed: Any) -> Any:
    """Sets up to so many rows in a row to the sample's mean (Park et al. 2019, arXiv 1904.08779).

    The rows of a spectrogram are points in time.
    """
    count, height = tf.shape(samples)[0], samples.shape[1]
    draws = tf.random.stateless_uniform([2, count, 1, 1, 1], seed)
    length = tf.floor(draws[0] * (rows + 1))
    start = tf.floor(draws[1] * (height - length + 1))
    at = tf.reshape(tf.range(height, dtype=tf.float32), [1, height, 1, 1])
    masked = (at >= start) & (at < start + length)
    return tf.where(masked, tf.reduce_mean(samples, axis=[1, 2, 3], keepdims=True), samples)


def mix(samples: Any, targets: Any, alpha: float, seed: Any) -> tuple[Any, Any]:
    """Mixes each sample and its target with another of the batch.

    "mixup" (Zhang et al. 2018, arXiv 1710.09412).

    Args:
        samples: (n, ...).
        targets: (n, classes).
        alpha: of the distribution Beta(alpha, alpha) of a sample's share.
        seed: int32 (2,).
    """
    count = tf.shape(samples)[0]
    gammas = tf.random.stateless_gamma([2, count], seed, alpha=alpha)
    share = gammas[0] / (gammas[0] + gammas[1])
    wide = tf.reshape(share, [-1, *[1] * (len(samples.shape) - 1)])
    narrow = share[:, None]
    others, their_targets = tf.roll(samples, 1, axis=0), tf.roll(targets, 1, axis=0)
    return wide * samples + (1 - wide) * others, narrow * targets + (1 - narrow) * their_targets
