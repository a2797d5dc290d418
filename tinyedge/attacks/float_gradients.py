"""A float model as attacks by gradients see it."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from tinyedge.attacks.classifier import FloatModel, in_batches
from tinyedge.attacks.descent import Found
from tinyedge.attacks.losses import Labels, Loss
from tinyedge.attacks.margins import margins
from tinyedge.keras.environment import tensorflow as tf

Float32 = NDArray[np.float32]


class DifferentiableFloat:
    """The frozen model, forward and backward in one compiled call whatever the loss.

    Args:
        model: under attack.
        temperature: that logits are divided by.

    Attributes:
        classes: number of logits, at least 2.
    """

    def __init__(self, model: FloatModel, temperature: float = 1.0) -> None:
        self.classes = model.classes
        self._by_logits: Loss
        self._labels: tuple[Labels, Labels]
        self._losses: NDArray[np.float64]
        signature = [tf.TensorSpec((None, *model.shape), tf.float32)]

        def logits(x: Any) -> Any:
            return model.frozen(x) / temperature

        def step(x: Any) -> Any:
            with tf.GradientTape() as tape:
                tape.watch(x)
                found = logits(x)
            upstream = tf.numpy_function(self._upstream, [found], tf.float32)
            upstream.set_shape(found.shape)
            zero = tf.UnconnectedGradients.ZERO
            return found, tape.gradient(found, x, upstream, unconnected_gradients=zero)

        self._logits = tf.function(logits, input_signature=signature, autograph=False)
        self._step = tf.function(step, input_signature=signature, autograph=False)

    def logits(self, samples: Float32) -> Float32:
        """The logits of samples, float32 (n, classes)."""
        found: Float32 = in_batches(self._logits, samples)
        return found

    scores = logits

    def margins(self, samples: Float32, labels: Labels) -> Float32:
        """By how much the verdict on each sample is right, float32 (n,)."""
        return margins(self.logits(samples), labels)

    def step(
        self, samples: Float32, labels: Labels, loss: Loss, targets: Labels | None = None
    ) -> Found:
        """Gives the model's answer to samples (n, *shape), and the direction of a loss.

        A gradient that is not finite leads nowhere; ``gradients`` shows it.
        """
        found, losses, gradients = self._forth_and_back(samples, labels, loss, targets)
        return Found(margins(found, labels), losses, np.nan_to_num(gradients, posinf=0, neginf=0))

    def gradients(self, samples: Float32, labels: Labels, loss: Loss) -> tuple[Float32, Float32]:
        """The logits of samples, and a loss's gradient, NaN and infinite values among them."""
        found, _losses, gradients = self._forth_and_back(samples, labels, loss, None)
        return found, gradients

    def _forth_and_back(
        self, samples: Float32, labels: Labels, loss: Loss, targets: Labels | None
    ) -> tuple[Float32, NDArray[np.float64], Float32]:
        self._by_logits = loss
        self._labels = labels, labels if targets is None else targets
        found, gradients = self._step(tf.constant(samples))
        return found.numpy(), self._losses, gradients.numpy()

    def _upstream(self, logits: Float32) -> Float32:
        with np.errstate(all="ignore"):  # a damaged model's logits are NaN; judging says so
            self._losses, gradient = self._by_logits(logits.astype(np.float64), *self._labels)
            # Only directions are of use: scaled, the smallest does not vanish in float32.
            largest = np.abs(gradient).max(axis=1, keepdims=True)
            scaled: NDArray[np.float64] = gradient / (largest + np.finfo(np.float64).tiny)
        return scaled.astype(np.float32)
