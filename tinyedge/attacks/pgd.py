"""Projected gradient descent, all steps in one compiled call."""

from __future__ import annotations

from typing import Any

import numpy as np

from tinyedge.attacks.classifier import Float32, in_batches
from tinyedge.attacks.environment import ProjectedGradientDescent, check_and_transform_label_format
from tinyedge.keras.environment import tensorflow as tf


class CompiledPGD(ProjectedGradientDescent):  # type: ignore[misc]
    """ART's PGD in the L-infinity norm, untargeted, on a ``FrozenClassifier``.

    Of several random starts the one with the largest loss is kept.

    Attributes:
        random: draws the starts.
    """

    random: np.random.Generator

    def generate(self, x: Float32, y: Any = None, **_: Any) -> Float32:
        labels = check_and_transform_label_format(
            y, nb_classes=self.estimator.nb_classes, return_one_hot=False
        )
        targets = labels.ravel().astype(np.int32)
        inputs = tf.TensorSpec((None, *self.estimator.input_shape), tf.float32)
        steps = tf.function(
            self._steps,
            input_signature=[inputs, inputs, tf.TensorSpec((None,), tf.int32)],
            autograph=False,
        )
        best: Float32 = x
        highest = np.full(len(x), -np.inf, dtype=np.float32)
        for _start in range(max(1, self.num_random_init)):
            start = x
            if self.num_random_init:
                noise = self.random.uniform(-self.eps, self.eps, x.shape)
                start = (x + noise).astype(np.float32)
            found = in_batches(steps, x, start, targets)
            if self.num_random_init <= 1:
                return found
            losses = self.estimator.losses(found, targets)
            better = losses > highest
            best = np.where(better[(..., *(None,) * (x.ndim - 1))], found, best)
            highest = np.maximum(highest, losses)
        return best

    def _steps(self, origin: Any, start: Any, labels: Any) -> Any:
        low, high = self.estimator.clip_values

        def projected(x: Any) -> Any:
            near = tf.clip_by_value(x, origin - self.eps, origin + self.eps)
            return tf.clip_by_value(near, low, high)

        def step(number: Any, x: Any) -> tuple[Any, Any]:
            gradient = self.estimator.gradient(x, labels)
            return number + 1, projected(x + self.eps_step * tf.sign(gradient))

        unfinished = lambda number, _x: number < self.max_iter  # noqa: E731
        return tf.while_loop(unfinished, step, (0, projected(start)), parallel_iterations=1)[1]
