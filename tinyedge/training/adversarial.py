"""Samples crafted against a network, within a distance of its samples."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from tinyedge.keras.environment import tensorflow as tf
from tinyedge.training.config import AdversarialConfig

Loss = Callable[[Any], Any]
"""From inputs (n, ...) to losses (n,)."""
_FIRST = 0.25
"""Share of epsilon that training begins with."""


@dataclass(frozen=True)
class Ball:
    """Where a crafted sample may lie (L-infinity), and how far a step leads.

    Attributes:
        epsilon: largest change of an input value, a number or a scalar tensor.
        step: change of an input value in one step, likewise.
        low: end of the input range.
        high: its other end.
    """

    epsilon: Any
    step: Any
    low: float
    high: float

    def start(self, x: Any, seed: Any) -> Any:
        """A point drawn uniformly around each sample; ``seed`` is int32 (2,)."""
        noise = tf.random.stateless_uniform(tf.shape(x), seed, -1.0, 1.0)
        return self.projected(x + self.epsilon * noise, x)

    def projected(self, changed: Any, x: Any) -> Any:
        """The nearest point that may be."""
        near = tf.clip_by_value(changed, x - self.epsilon, x + self.epsilon)
        return tf.clip_by_value(near, self.low, self.high)

    def climb(self, loss: Loss, changed: Any, x: Any) -> tuple[Any, Any]:
        """The losses of changed samples (n,), and the samples one step further."""
        with tf.GradientTape(watch_accessed_variables=False) as tape:
            tape.watch(changed)
            losses = loss(changed)
            total = tf.reduce_sum(losses)
        along = tf.sign(tape.gradient(total, changed))
        return losses, self.projected(changed + self.step * along, x)

    def ascend(self, loss: Loss, x: Any, steps: int, seed: Any) -> Any:
        """Samples with a larger loss.

        One step is FGSM with a random start (Wong, Rice and Kolter 2020, arXiv 2001.03994), several
        are PGD (Madry et al. 2018, arXiv 1706.06083).
        """
        changed = self.start(x, seed)
        if steps == 1:
            return self.climb(loss, changed, x)[1]

        def step(number: Any, reached: Any) -> tuple[Any, Any]:
            return number + 1, self.climb(loss, reached, x)[1]

        unfinished = lambda number, _reached: number < steps  # noqa: E731
        return tf.while_loop(unfinished, step, (0, changed), parallel_iterations=1)[1]


def ball(config: AdversarialConfig, input_range: tuple[float, float], share: Any = 1.0) -> Ball:
    """The ball of a configuration in units of the input, or so large a share of it."""
    low, high = input_range
    unit = share * (high - low)
    return Ball(config.epsilon * unit, config.step_size * unit, low, high)


def warmed_up(step: Any, total: int, warmup: float) -> Any:
    """The share of epsilon in a training step: from a quarter linearly to all.

    Args:
        step: of the whole training, from 0; a number or a scalar tensor.
        total: number of all steps.
        warmup: share of them in which it grows.

    Returns:
        A scalar float32 tensor.
    """
    if not warmup:
        return tf.constant(1.0)
    done = tf.cast(step, tf.float32) / (warmup * total)
    return _FIRST + (1.0 - _FIRST) * tf.minimum(done, 1.0)


def margins(labels: Any, logits: Any) -> Any:
    """By how much the largest other logit exceeds that of the label, float32 (n,)."""
    own = tf.one_hot(labels, logits.shape[-1], on_value=True, off_value=False, dtype=tf.bool)
    others = tf.reduce_max(tf.where(own, logits.dtype.min, logits), axis=1)
    return others - tf.gather(logits, labels, batch_dims=1)
