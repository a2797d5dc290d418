"""Attacks by name on a float model, those by its gradients among them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from tinyedge.attacks.carlini import carlini_wagner
from tinyedge.attacks.classifier import FloatModel, FrozenClassifier
from tinyedge.attacks.craft import Crafter, Float32, Labels, Method
from tinyedge.attacks.descent import Descent
from tinyedge.attacks.float_gradients import DifferentiableFloat
from tinyedge.attacks.margins import margins
from tinyedge.attacks.members import Member, members
from tinyedge.attacks.pieces import Piece
from tinyedge.attacks.settings import ATTACKS, DESCENTS, AttackSettings
from tinyedge.attacks.starts import generators
from tinyedge.keras.environment import tensorflow as tf

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
        self._differentiable = DifferentiableFloat(model, settings.temperature)

    def details(self, attack: str, crafted: Piece) -> dict[str, Any]:
        if attack in DESCENTS:
            return {"members": list(self._members(attack))}
        return {} if ATTACKS[attack].kind != "black-box" else {"queries": int(crafted.asked.sum())}

    def _part_size(self, attack: str) -> int | None:
        # The others draw from one generator from the first sample to the last.
        return self.settings.batch if ATTACKS[attack].kind == "white-box" else None

    def _part(
        self,
        attack: str,
        inputs: Float32,
        labels: Labels,
        at: slice,
        progress: Callable[[int], None],
    ) -> Piece:
        np.random.seed(self.settings.seed)  # noqa: NPY002 - the generator that ART draws from
        tf.random.set_seed(self.settings.seed)
        random = np.random.default_rng(self.settings.seed)
        self._classifier.queries = 0
        generate = self._method(attack, random, (inputs, labels))
        crafted = []
        for start in range(at.start, at.stop, self.settings.batch):
            part = slice(start, min(start + self.settings.batch, at.stop))
            crafted.append(generate(inputs[part], labels[part], part))
            progress(len(crafted[-1]))
        result = np.clip(np.concatenate(crafted), *self.settings.clip).astype(np.float32)
        # A gradient that is NaN leads nowhere: judging names it, the sample stays as it was.
        result = np.where(np.isfinite(result), result, inputs[at])
        if ATTACKS[attack].norm == "L2" and attack not in DESCENTS:
            result = self._confirmed(inputs[at], result)
        return Piece(result, np.array([self._classifier.queries], np.int64))

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
        if attack in DESCENTS:
            return lambda x, y, at: self._descend(attack, x, y, at)
        if attack != "cw":
            return super()._method(attack, random, others)
        settings = self.settings
        return lambda x, y, _at: carlini_wagner(
            self._differentiable,
            x,
            y,
            settings.clip,
            settings.cw_iterations,
            settings.cw_searches,
        )

    def _members(self, attack: str) -> dict[str, Member]:
        step = self.settings.step_of(attack, int(np.prod(self.model.shape)))
        return members(attack, self.settings, self.model.classes, step, whole_steps=False)

    def _descend(self, attack: str, x: Float32, y: Labels, at: slice) -> Float32:
        """An attack by gradients; what the model file itself gets right is not done with."""
        settings, norm = self.settings, ATTACKS[attack].norm
        values = int(np.prod(self.model.shape))
        radius = settings.epsilon if norm == "Linf" else settings.l2_budget(values)
        randoms = generators(settings.seed, at.start, len(x))
        descent = Descent(
            self._differentiable, x, y, radius, settings.clip, randoms, norm, goes_on=True
        )
        for member in self._members(attack).values():
            member(descent)
            # Code that was compiled for attacks may disagree by a rounding.
            logits = self.model.logits(descent.best) / np.float32(settings.temperature)
            descent.lead = margins(logits, y)
        found: Float32 = descent.best
        return found
