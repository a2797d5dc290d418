"""Training steps, compiled, many of them in one call."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tinyedge.datasets import LabelledSamples
from tinyedge.errors import DivergedError
from tinyedge.keras.activations import lean_activations
from tinyedge.keras.environment import tensorflow as tf
from tinyedge.keras.environment import tf_keras
from tinyedge.keras.load import logits_model
from tinyedge.names import Scheme
from tinyedge.training import augmentation, jacobian
from tinyedge.training.adversarial import ball, warmed_up
from tinyedge.training.checkpoint import Begun
from tinyedge.training.config import AugmentationConfig, RunConfig
from tinyedge.training.kernels import (
    PORTIONS,
    TrainingKernel,
    deterministic,
    partly_quantized,
    sampled,
    training_kernels,
)

_STEPS_A_CALL = 25
"""Training steps between two signs of progress."""
_EVALUATION_BATCH = 250


@dataclass
class Epoch:
    """The results of one epoch: training loss and accuracy, and the penalty's value.

    Of adversarial training both are of what the network is trained on, and ``epsilon`` is that of
    the last step.
    """

    loss: float
    accuracy: float
    jacobian_squared: float | None = None
    portion: float | None = None
    epsilon: float | None = None


@dataclass
class Trainer:
    """Trains a model epoch by epoch.

    Every random number of an epoch follows from the seed and the epoch alone, so that training
    which is taken up again from a checkpoint goes on as if it had not stopped.

    Attributes:
        model: to train, ending in a softmax.
        config: of the run.
        samples: to train on.
        teacher: from inputs to logits, for distillation.
        input_range: that crafted samples stay in, for adversarial training.
        variables: all that training changes: weights, statistics, the optimizer's state, averages.
    """

    model: Any
    config: RunConfig
    samples: LabelledSamples
    teacher: Callable[[Any], Any] | None = None
    input_range: tuple[float, float] = (0.0, 1.0)
    variables: list[Any] = field(init=False)

    def __post_init__(self) -> None:
        training = self.config.training
        self._logits = logits_model(self.model)
        self._classes = int(self.model.output_shape[-1])
        self._steps = max(1, len(self.samples.y) // training.batch)
        self._total = total = self._steps * training.epochs
        warm_up = round(self._steps * training.warm_up_epochs)
        rate = tf_keras.optimizers.schedules.CosineDecay(
            training.learning_rate / 100 if warm_up else training.learning_rate,
            max(1, total - warm_up),
            warmup_target=training.learning_rate if warm_up else None,
            warmup_steps=warm_up,
        )
        if training.optimizer == "adam":
            self._optimizer = tf_keras.optimizers.Adam(rate)
        else:
            self._optimizer = tf_keras.optimizers.SGD(rate, momentum=0.9, nesterov=True)
        self._optimizer.build(self.model.trainable_variables)
        self._averages = (
            [tf.Variable(weights, trainable=False) for weights in self.model.trainable_variables]
            if training.averaging
            else []
        )
        self.variables = [*self.model.weights, *self._optimizer.variables, *self._averages]
        self._x, self._y = tf.constant(self.samples.x), tf.constant(self.samples.y, tf.int32)
        self._run = tf.function(self._run_steps)

    @property
    def steps(self) -> int:
        """Steps of an epoch."""
        return self._steps

    def use_averages(self) -> None:
        """Gives the model the averages of its weights, where the run has any."""
        for weights, average in zip(self.model.trainable_variables, self._averages, strict=False):
            weights.assign(average)

    def epoch(
        self,
        number: int,
        progress: Callable[[int], None] | None = None,
        begun: Begun | None = None,
        pause: Callable[[Begun], None] | None = None,
    ) -> Epoch:
        """Trains for one epoch.

        Args:
            number: of the epoch, from 0.
            progress: called with the number of steps done since the last call.
            begun: goes on from there, with the variables as they were then.
            pause: called now and then with where the epoch stands.

        Raises:
            DivergedError: the loss, or a weight in the end, is NaN or infinite.
        """
        seed = self.config.training.seed
        random = np.random.default_rng([seed, number])
        order = tf.constant(random.permutation(len(self.samples.y)), tf.int32)
        epochs = self.config.training.epochs
        portion = portion_of(number, epochs)
        begun = begun or Begun()
        totals = np.array(begun.totals)
        for first in range(begun.steps, self._steps, _STEPS_A_CALL):
            last = min(first + _STEPS_A_CALL, self._steps)
            arguments = [tf.constant(value) for value in (number, first, last)]
            part, done, last_loss = self._run(order, tf.constant(portion, tf.float32), *arguments)
            if not np.isfinite(last_loss):
                raise DivergedError(
                    f"the loss is {float(last_loss)} in epoch {number + 1} of {epochs}, "
                    f"step {int(done)} of {self._steps}"
                )
            totals += part.numpy()
            if progress:
                progress(last - first)
            if pause and last < self._steps:
                pause(Begun(steps=last, totals=tuple(totals.tolist())))
        for weights in self.model.weights:
            if not np.isfinite(weights.numpy()).all():
                raise DivergedError(
                    f"'{weights.name}' holds NaN or infinite values after epoch {number + 1} of "
                    f"{epochs}"
                )
        loss, correct, squared = totals / self._steps
        training = self.config.training
        return Epoch(
            loss,
            correct,
            squared if self.config.jacobian.weight else None,
            portion if training.scheme == "portion" else None,
            self._epsilon(number),
        )

    def _epsilon(self, epoch: int) -> float | None:
        """That of an epoch's last step, in parts of the input range."""
        config = self.config.adversarial
        if not config:
            return None
        last = (epoch + 1) * self._steps - 1
        return config.epsilon * float(warmed_up(last, self._total, config.warmup))

    def _run_steps(self, order: Any, portion: Any, epoch: Any, first: Any, last: Any) -> Any:
        """Trains until ``last``, or the first loss that is not finite.

        Returns:
            The sums of loss, accuracy and penalty; the number of the last step; its whole loss.
        """
        batch = self.config.training.batch
        totals, loss, step = tf.zeros([3]), tf.constant(0.0), first
        while step < last and tf.math.is_finite(loss):
            overall = epoch * self._steps + step
            seed = tf.stack([self.config.training.seed, overall])
            picked = order[step * batch : (step + 1) * batch]
            found, loss = self._step(
                tf.gather(self._x, picked), tf.gather(self._y, picked), portion, overall, seed
            )
            totals += found
            step += 1
        return totals, step, loss

    def _step(self, x: Any, y: Any, portion: Any, overall: Any, seed: Any) -> Any:
        fold = partial(tf.random.experimental.stateless_fold_in, seed)
        config = self.config
        temperature = config.model.temperature
        x = augmented(as_floats(x), config.augmentation, fold)
        targets = tf.one_hot(y, self._classes)
        if config.training.label_smoothing:
            smoothing = config.training.label_smoothing
            targets = targets * (1.0 - smoothing) + smoothing / self._classes
        if config.augmentation.mixup:
            x, targets = augmentation.mix(x, targets, config.augmentation.mixup, fold(4))
        if self.teacher is not None:
            targets = tf.nn.softmax(self.teacher(x) / temperature)
        schemes: dict[Scheme, TrainingKernel] = {
            "deterministic": deterministic,
            "sampling": sampled,
            "portion": partial(partly_quantized, portion=portion),
        }
        kernel = schemes[config.training.scheme]

        def soft_logits(inputs: Any) -> Any:
            return self._logits(inputs, training=True) / temperature

        def crafted(wanted: Any) -> Any:
            with tape.stop_recording():
                return self._crafted(soft_logits, x, wanted, overall, fold(10))

        weights = self.model.trainable_variables
        method = config.adversarial.method if config.adversarial else None
        squared = tf.constant(0.0)
        with (
            tf.GradientTape() as tape,
            training_kernels(self.model, kernel, fold(8)),
            lean_activations(self.model),
        ):
            if method in ("fgsm", "pgd"):
                x = crafted(targets)
            if config.jacobian.weight:
                logits, squared = jacobian.penalty(soft_logits, x, fold(9))
            else:
                logits = soft_logits(x)
            losses = tf.nn.softmax_cross_entropy_with_logits(targets, logits)
            if config.adversarial and method == "trades":
                wanted = tf.nn.softmax(logits) if self.teacher is None else targets
                pulled = divergence(wanted, soft_logits(crafted(wanted)))
                losses += config.adversarial.weight * pulled
            loss = tf.reduce_mean(losses)
            total = loss + 0.5 * config.jacobian.weight * squared
            if config.training.weight_decay:
                kernels = [w for w in weights if "kernel" in w.name]
                total += config.training.weight_decay * tf.add_n(map(tf.nn.l2_loss, kernels))
        gradients = tape.gradient(total, weights)
        self._optimizer.apply_gradients(zip(gradients, weights, strict=True))
        if self._averages:
            # From the first steps on what is averaged is young, whatever the decay.
            age = tf.cast(overall, tf.float32)
            decay = tf.minimum(config.training.averaging, (1.0 + age) / (10.0 + age))
            for average, value in zip(self._averages, weights, strict=True):
                average.assign_add((1.0 - decay) * (value - average))
        correct = tf.equal(tf.argmax(logits, axis=1, output_type=tf.int32), y)
        return tf.stack([loss, tf.reduce_mean(tf.cast(correct, tf.float32)), squared]), total

    def _crafted(
        self, function: Callable[[Any], Any], x: Any, wanted: Any, overall: Any, seed: Any
    ) -> Any:
        """Samples whose answers are further from the wanted ones, with the step's own kernels."""
        config = self.config.adversarial
        assert config
        around = ball(config, self.input_range, warmed_up(overall, self._total, config.warmup))
        return around.ascend(
            lambda at: tf.nn.softmax_cross_entropy_with_logits(wanted, function(at)),
            x,
            config.step_count,
            seed,
        )


def divergence(wanted: Any, logits: Any) -> Any:
    """Kullback and Leibler's, of the softmax of logits from wanted probabilities, (n,)."""
    entropy = -tf.reduce_sum(tf.math.xlogy(wanted, wanted), axis=1)
    return tf.nn.softmax_cross_entropy_with_logits(wanted, logits) - entropy


def portion_of(epoch: int, epochs: int) -> float:
    """The share of quantized filters in an epoch: each of ``PORTIONS`` for a part of the epochs."""
    return PORTIONS[min(epoch * len(PORTIONS) // epochs, len(PORTIONS) - 1)]


def as_floats(x: Any) -> Any:
    """Samples as the model takes them: uint8 pixels become 0 to 1."""
    return tf.cast(x, tf.float32) / 255.0 if x.dtype == tf.uint8 else x


def augmented(x: Any, config: AugmentationConfig, fold: Callable[[int], Any]) -> Any:
    """Samples changed at random."""
    if config.shift:
        x = augmentation.shift(x, config.shift, fold(1))
    if config.mirror:
        x = augmentation.mirror(x, fold(2))
    if config.mask_rows:
        x = augmentation.mask_rows(x, config.mask_rows, fold(3))
    return x


def predict(model: Any, x: NDArray[Any]) -> NDArray[np.float32]:
    """A model's outputs for samples, float32 (n, outputs), at inference.

    Args:
        model: a Keras model.
        x: (n, *shape), uint8 images that stand for 0 to 1, or float32.
    """
    compiled = tf.function(
        lambda part: model(as_floats(part), training=False), reduce_retracing=True
    )
    parts = range(0, len(x), _EVALUATION_BATCH)
    found = [compiled(tf.constant(x[at : at + _EVALUATION_BATCH])).numpy() for at in parts]
    return np.concatenate(found)
