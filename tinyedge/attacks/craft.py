"""White-box attacks on the float model's logits."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tinyedge.attacks.settings import ATTACKS, AttackSettings
from tinyedge.errors import MissingDependencyError, UsageError
from tinyedge.importers.qkeras.environment import tensorflow as tf

try:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from art.attacks.evasion import FastGradientMethod, ProjectedGradientDescent
        from art.estimators.classification import TensorFlowV2Classifier
except ImportError as error:
    raise MissingDependencyError(
        f"attacks need the Adversarial Robustness Toolbox, and '{error.name}' is not installed",
        hint="pip install 'tinyedge[attack]'",
    ) from error

Float32 = NDArray[np.float32]


class Crafter:
    """A float model under attack.

    Args:
        logits: from float32 (n, *shape) to logits (n, classes), differentiable. White-box attacks
            see logits, not a softmax that may have been tempered.
        shape: of one input.
        classes: number of logits.
        settings: of the attacks.
    """

    def __init__(
        self,
        logits: Callable[[Any], Any],
        shape: tuple[int, ...],
        classes: int,
        settings: AttackSettings,
    ) -> None:
        self.settings = settings
        compiled = tf.function(logits, input_signature=[tf.TensorSpec((None, *shape), tf.float32)])

        def model(x: Any, **_training: bool) -> Any:
            return compiled(tf.cast(x, tf.float32))

        self._classifier = TensorFlowV2Classifier(
            model=model,
            nb_classes=classes,
            input_shape=shape,
            loss_object=tf.keras.losses.SparseCategoricalCrossentropy(from_logits=True),
            clip_values=settings.clip,
        )

    def logits(self, inputs: Float32) -> Float32:
        """The float model's logits (n, classes)."""
        predicted = self._classifier.predict(inputs, batch_size=self.settings.batch)
        return np.asarray(predicted, dtype=np.float32)

    def craft(
        self,
        attack: str,
        inputs: Float32,
        labels: NDArray[np.int64],
        progress: Callable[[int], None] | None = None,
    ) -> Float32:
        """Adversarial versions of labelled inputs, float32 (n, *shape).

        Raises:
            UsageError: the attack is unknown.
        """
        method = self._method(attack)
        np.random.seed(self.settings.seed)  # noqa: NPY002 - the generator that ART draws from
        tf.random.set_seed(self.settings.seed)
        crafted = []
        for start in range(0, len(inputs), self.settings.batch):
            part = slice(start, start + self.settings.batch)
            crafted.append(method.generate(x=inputs[part], y=labels[part]))
            if progress:
                progress(len(crafted[-1]))
        return np.concatenate(crafted).astype(np.float32)

    def _method(self, attack: str) -> Any:
        settings = self.settings
        common = {"eps": settings.epsilon, "batch_size": settings.batch}
        if attack == "fgsm":
            return FastGradientMethod(self._classifier, **common)
        if attack == "pgd":
            return ProjectedGradientDescent(
                self._classifier,
                eps_step=settings.pgd_step,
                max_iter=settings.iterations,
                num_random_init=settings.restarts,
                verbose=False,
                **common,
            )
        raise UsageError(f"unknown attack '{attack}'", hint=f"known: {', '.join(ATTACKS)}")
