"""Training samples that are not trained on: which epoch's network withstands attacks best."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from tinyedge.datasets import LabelledSamples
from tinyedge.evaluation.intervals import wilson_interval
from tinyedge.keras.activations import lean_activations
from tinyedge.keras.environment import tensorflow as tf
from tinyedge.keras.load import logits_model
from tinyedge.records.training import Adversarial
from tinyedge.training.adversarial import Ball, margins
from tinyedge.training.kernels import deterministic, training_kernels
from tinyedge.training.normalization import (
    RECALIBRATION_SAMPLES,
    recalibrate_normalization,
    subset,
)
from tinyedge.training.trainer import Trainer, as_floats

_HELD_OUT = 500
_LARGEST_SHARE = 10
"""No more than a tenth of the training samples is held out."""
_SEED = 0
"""Not the run's: runs of several seeds hold out the same samples."""
_ITERATIONS = 10
_BATCH = 250


def hold_out(samples: LabelledSamples) -> tuple[LabelledSamples, LabelledSamples]:
    """Divides training samples into those to train on and those to choose the epoch by."""
    count = max(1, min(_HELD_OUT, len(samples.y) // _LARGEST_SHARE))
    order = np.random.default_rng(_SEED).permutation(len(samples.y))
    chosen, rest = np.sort(order[:count]), np.sort(order[count:])
    return (
        samples.select(rest, f"{samples.source}, without {count} held out"),
        samples.select(chosen, f"{count} of {samples.source}"),
    )


def best_epoch(epochs: Sequence[dict[str, Any]]) -> int:
    """Which of judged epochs is kept, from 0: the most robust; of several the most accurate."""

    def quality(number: int) -> tuple[float, float]:
        return epochs[number]["robust_accuracy"], epochs[number]["held_out_accuracy"]

    return max(range(len(epochs)), key=quality)


def overfitted(epochs: Sequence[dict[str, Any]], samples: int) -> bool:
    """Whether the last epoch withstands less than half of what the best one did.

    Training on one-step attacks may fall so from one epoch to the next: "catastrophic overfitting"
    (Wong, Rice and Kolter 2020, arXiv 2001.03994). The 95 % intervals do not meet, so that few
    samples do not end a training by chance.
    """
    best, last = epochs[best_epoch(epochs)]["robust_accuracy"], epochs[-1]["robust_accuracy"]
    apart = wilson_interval(last, samples)[1] < wilson_interval(best, samples)[0]
    return bool(apart and last < best / 2)


@dataclass
class Selection:
    """Judges what a training would save after an epoch, and keeps the best.

    Attributes:
        trainer: of the training.
        samples: held out.
        ball: of PGD, at the epsilon that is trained for; its step is a quarter of that.
        variables: the weights that are kept, for a checkpoint.
    """

    trainer: Trainer
    samples: LabelledSamples
    ball: Ball
    variables: list[Any] = field(init=False)

    def __post_init__(self) -> None:
        model = self.trainer.model
        self.variables = [tf.Variable(weights, trainable=False) for weights in model.weights]
        logits = logits_model(model)
        around = Ball(self.ball.epsilon, self.ball.epsilon / 4, self.ball.low, self.ball.high)

        def climb(changed: Any, x: Any, y: Any) -> tuple[Any, Any]:
            with (
                training_kernels(model, deterministic, tf.constant([0, 0])),
                lean_activations(model),
            ):
                return around.climb(lambda at: margins(y, logits(at, training=False)), changed, x)

        self._climb = tf.function(climb, reduce_retracing=True)
        self._start = around.start

    def judge(self, epochs: list[dict[str, Any]]) -> None:
        """Adds to the last of the epochs what it came to, and keeps its weights if it is the best.

        ``held_out_accuracy`` and ``robust_accuracy`` are shares of the held-out samples: right as
        they are, and right besides at every point of a PGD by margins from a random start.
        """
        model = self.trainer.model
        with self._as_saved():
            right, robust = self._withstood()
            epochs[-1] |= {"held_out_accuracy": right, "robust_accuracy": robust}
            if best_epoch(epochs) == len(epochs) - 1:
                for kept, weights in zip(self.variables, model.weights, strict=True):
                    kept.assign(weights)

    def overfitted(self, epochs: Sequence[dict[str, Any]]) -> bool:
        """Whether the training is to end, see ``overfitted``."""
        return bool(epochs) and overfitted(epochs, len(self.samples.y))

    def summary(self, epochs: Sequence[dict[str, Any]]) -> Adversarial:
        """Describes the weights that the training kept."""
        best, count = best_epoch(epochs), len(self.samples.y)
        robust = epochs[best]["robust_accuracy"]
        return Adversarial(
            held_out=count,
            epsilon=self.ball.epsilon,
            best_epoch=best + 1,
            held_out_accuracy=epochs[best]["held_out_accuracy"],
            robust_accuracy=robust,
            interval=list(wilson_interval(robust, count)),
            stopped_after=len(epochs) if self.overfitted(epochs) else None,
        )

    def put_back(self) -> None:
        """Gives the model the weights that are kept."""
        for kept, weights in zip(self.variables, self.trainer.model.weights, strict=True):
            weights.assign(kept)

    @contextlib.contextmanager
    def _as_saved(self) -> Iterator[None]:
        """Gives the model, inside the ``with`` block, the weights that would be saved."""
        model = self.trainer.model
        live = [weights.numpy() for weights in model.weights]
        try:
            self.trainer.use_averages()
            x = subset(self.trainer.samples.x, RECALIBRATION_SAMPLES, 0)
            recalibrate_normalization(model, x)
            yield
        finally:
            for weights, value in zip(model.weights, live, strict=True):
                weights.assign(value)

    def _withstood(self) -> tuple[float, float]:
        """Shares of the samples that are right, and that stay right at every point of PGD."""
        right = robust = 0
        for first in range(0, len(self.samples.y), _BATCH):
            x = as_floats(tf.constant(self.samples.x[first : first + _BATCH]))
            y = tf.constant(self.samples.y[first : first + _BATCH], tf.int32)
            stays = self._climb(x, x, y)[0].numpy() < 0
            right += int(stays.sum())
            changed = self._start(x, tf.constant([_SEED, first]))
            for _ in range(_ITERATIONS + 1):
                found, changed = self._climb(changed, x, y)
                stays &= found.numpy() < 0
            robust += int(stays.sum())
        return right / len(self.samples.y), robust / len(self.samples.y)
