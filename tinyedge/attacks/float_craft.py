"""Attacks by name on a float model, those by its gradients among them."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import numpy as np

from tinyedge.attacks.classifier import (
    FloatModel,
    FrozenClassifier,
    cross_entropy,
    logits_ratio,
)
from tinyedge.attacks.craft import Crafter, Float32, Labels, Method
from tinyedge.attacks.environment import (
    AutoAttack,
    AutoProjectedGradientDescent,
    CarliniL2Method,
    DeepFool,
    FastGradientMethod,
)
from tinyedge.attacks.pgd import CompiledPGD
from tinyedge.attacks.settings import ATTACKS, AttackSettings
from tinyedge.keras.environment import tensorflow as tf

_RATIO_CLASSES = 3
"""That the loss ``logits_ratio`` takes at least."""
_STRETCHES = tuple(np.float32(1 + 0.005 * 2**step) for step in range(7))


class FloatCrafter(Crafter):
    """A float model under attack, a batch of samples at a time.

    Args:
        model: to attack.
        settings: of the attacks.
        surrogate: see ``Crafter``.
        transferred: see ``Crafter``.
    """

    def __init__(
        self,
        model: FloatModel,
        settings: AttackSettings,
        surrogate: Crafter | None = None,
        transferred: Float32 | None = None,
    ) -> None:
        classifier = FrozenClassifier(model, settings.clip, temperature=settings.temperature)
        super().__init__(model, classifier, settings, surrogate, transferred)
        self._float_model = model
        self._seconds = 0.0

    def craft(
        self,
        attack: str,
        inputs: Float32,
        labels: Labels,
        progress: Callable[[int], None] | None = None,
    ) -> Float32:
        start = time.monotonic()
        crafted = super().craft(attack, inputs, labels, progress)
        self._seconds = time.monotonic() - start
        return crafted

    def details(self, attack: str) -> dict[str, Any]:
        timed: dict[str, Any] = {"crafting_seconds": round(self._seconds, 3)}
        if attack in ("apgd", "autoattack") and self.model.classes < _RATIO_CLASSES:
            timed["left_out"] = "APGD on the ratio of logits, which takes three classes"
        if ATTACKS[attack].kind != "black-box":
            return timed
        return timed | {"queries": self._classifier.queries}

    def _craft(
        self, attack: str, inputs: Float32, labels: Labels, progress: Callable[[int], None]
    ) -> Float32:
        np.random.seed(self.settings.seed)  # noqa: NPY002 - the generator that ART draws from
        tf.random.set_seed(self.settings.seed)
        random = np.random.default_rng(self.settings.seed)
        self._classifier.queries = 0
        generate = self._method(attack, random, (inputs, labels))
        crafted = []
        for start in range(0, len(inputs), self.settings.batch):
            part = slice(start, start + self.settings.batch)
            crafted.append(generate(inputs[part], labels[part], part))
            progress(len(crafted[-1]))
        result = np.clip(np.concatenate(crafted), *self.settings.clip).astype(np.float32)
        # A gradient that is NaN leads nowhere: judging names it, the sample stays as it was.
        result = np.where(np.isfinite(result), result, inputs)
        return self._confirmed(inputs, result) if ATTACKS[attack].norm == "L2" else result

    def _confirmed(self, inputs: Float32, crafted: Float32) -> Float32:
        """Goes on a little where a smallest change does not quite change the model's verdict.

        It ends on the border between two classes, where what was compiled for the attack and the
        model file may disagree by a rounding.
        """
        low, high = self.settings.clip
        result = crafted.copy()
        own = self.model.logits(inputs).argmax(axis=1)
        moved = (crafted != inputs).reshape(len(inputs), -1).any(axis=1)
        for stretch in _STRETCHES:
            same = self.model.logits(result).argmax(axis=1) == own
            again = np.flatnonzero(same & moved)
            if not len(again):
                break
            changed = inputs[again] + (crafted[again] - inputs[again]) * stretch
            result[again] = np.clip(changed, low, high)
        return result

    def _method(
        self, attack: str, random: np.random.Generator, others: tuple[Float32, Labels]
    ) -> Method:
        settings, classifier = self.settings, self._classifier
        common: dict[str, Any] = {"batch_size": settings.batch}
        linf = common | {"eps": settings.epsilon}
        method: Any
        match attack:
            case "fgsm":
                method = FastGradientMethod(classifier, **linf)
            case "pgd":
                method = CompiledPGD(
                    classifier,
                    eps_step=settings.pgd_step,
                    max_iter=settings.iterations,
                    num_random_init=settings.restarts,
                    verbose=False,
                    **linf,
                )
                method.random = random
            case "cw":
                method = CarliniL2Method(
                    classifier,
                    max_iter=settings.cw_iterations,
                    binary_search_steps=settings.cw_searches,
                    learning_rate=0.1,
                    initial_const=1.0,
                    verbose=False,
                    **common,
                )
            case "apgd":
                method = self._one_after_another(self._descents())
            case "autoattack":
                method = self._autoattack(random)
            case _:
                return super()._method(attack, random, others)
        return lambda x, y, _at: method.generate(x=x, y=y)

    def _autoattack(self, random: np.random.Generator) -> AutoAttack:
        """ART's AutoAttack: APGD on two losses, DeepFool, and Square, one after another."""
        settings = self.settings
        deep = DeepFool(self._classifier, max_iter=50, batch_size=settings.batch, verbose=False)
        return self._one_after_another([*self._descents(), deep, self._square(random, restarts=1)])

    def _one_after_another(self, attacks: list[Any]) -> AutoAttack:
        """Attacks each of which takes the samples that those before it have left."""
        return AutoAttack(
            self._classifier,
            eps=self.settings.epsilon,
            eps_step=2 * self.settings.epsilon,
            batch_size=self.settings.batch,
            attacks=attacks,
        )

    def _descents(self) -> list[Any]:
        """APGD on cross entropy, and on the ratio of logits, which takes three classes."""
        settings = self.settings
        losses = [cross_entropy]
        if self.model.classes >= _RATIO_CLASSES:
            losses.append(logits_ratio)
        return [
            AutoProjectedGradientDescent(
                FrozenClassifier(self._float_model, settings.clip, loss, settings.temperature),
                eps=settings.epsilon,
                eps_step=2 * settings.epsilon,
                max_iter=settings.autoattack_iterations,
                nb_random_init=5,
                batch_size=settings.batch,
                verbose=False,
            )
            for loss in losses
        ]
