"""The Jacobian of the logits by the input: its norm, and a penalty on it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tinyedge.keras.environment import tensorflow as tf

_BATCH = 50


def penalty(function: Callable[[Any], Any], inputs: Any, seed: Any) -> tuple[Any, Any]:
    """Estimates the squared Frobenius norm of the Jacobian by one random projection a sample.

    For v uniform on the unit sphere in C dimensions, ``C * ||v^T J||^2`` has the expectation
    ``||J||_F^2`` (Hoffman, Roberts and Yaida 2019, arXiv 1908.02729, equation 8).

    Args:
        function: from inputs (n, ...) to logits (n, C).
        inputs: float32.
        seed: int32 (2,).

    Returns:
        The logits, and the estimate's mean over the samples: differentiable once more.
    """
    with tf.GradientTape() as tape:
        tape.watch(inputs)
        logits = function(inputs)
        direction = tf.random.stateless_normal(tf.shape(logits), seed)
        direction /= tf.norm(direction, axis=1, keepdims=True)
        projected = tf.reduce_sum(logits * direction)
    gradient = tape.gradient(projected, inputs)
    squared = tf.reduce_sum(tf.square(gradient), axis=tf.range(1, tf.rank(gradient)))
    return logits, float(logits.shape[-1]) * tf.reduce_mean(squared)


def frobenius_norms(
    function: Callable[[Any], Any], inputs: NDArray[np.float32]
) -> NDArray[np.float32]:
    """The Frobenius norm of the Jacobian at each input, float32 (n,), exactly.

    Args:
        function: from inputs (n, ...) to logits (n, C).
        inputs: float32 (n, ...).
    """

    @tf.function(reduce_retracing=True)  # type: ignore[untyped-decorator]
    def norms(part: Any) -> Any:
        with tf.GradientTape(persistent=True) as tape:
            tape.watch(part)
            logits = function(part)
            columns = tf.unstack(logits, axis=1)
        total = 0.0
        for column in columns:
            gradient = tape.gradient(column, part)
            total += tf.reduce_sum(tf.square(gradient), axis=tf.range(1, tf.rank(gradient)))
        return tf.sqrt(total)

    parts = range(0, len(inputs), _BATCH)
    found = [norms(tf.constant(inputs[at : at + _BATCH])).numpy() for at in parts]
    return np.concatenate(found)
