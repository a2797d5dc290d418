"""Attacks by name through the gradients of a converted model's integer graph."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from tinyedge.attacks.craft import Float32, Labels
from tinyedge.attacks.descent import Descent
from tinyedge.attacks.integer_model import IntegerModel
from tinyedge.attacks.members import Member, members
from tinyedge.attacks.oracle import Oracle
from tinyedge.attacks.settings import AttackSettings
from tinyedge.attacks.starts import generators
from tinyedge.attacks.steps import StepGrid
from tinyedge.graph.gradients import check_differentiable


class IntegerCrafter:
    """A converted model under attack by the gradients of its graph, a batch of samples at a time.

    Args:
        oracle: the model; it answers where logits alone are asked for.

    Raises:
        ModelError: an operator has no gradient.
    """

    def __init__(self, oracle: Oracle) -> None:
        check_differentiable(oracle.graph)
        self._oracle = oracle

    def grid(self, settings: AttackSettings) -> StepGrid:
        """The int8 steps of the input."""
        return StepGrid(self._oracle.quantization, settings.clip)

    def details(self, attack: str, settings: AttackSettings) -> dict[str, Any]:
        """Gives a report's details of an attack, besides those that ``settings`` describe."""
        described: dict[str, Any] = {
            "oracle": self._oracle.about,
            "gradient_of": "logits of the integer graph, rounding passed straight through",
            "epsilon_steps": self.grid(settings).steps(settings.epsilon),
            "input_step": self._oracle.quantization.scale,
            "members": list(self._members(attack, settings)),
        }
        if attack == "pgd":
            described["step"] = self._pgd_step(settings) * self._oracle.quantization.scale
        return described

    def craft(
        self,
        attack: str,
        inputs: Float32,
        labels: Labels,
        settings: AttackSettings,
        progress: Callable[[int], None],
        first: int = 0,
    ) -> Float32:
        """Adversarial versions of labelled inputs, float32 (n, *shape).

        Each quantizes to the int8 sample that was found.

        Args:
            attack: its name.
            inputs: float32 (n, *shape).
            labels: (n,).
            settings: of the attack.
            progress: called with the number of samples that are finished.
            first: number of the first sample; a batch begins with it.

        Raises:
            UsageError: epsilon is below one int8 step.
        """
        grid = self.grid(settings)
        steps = grid.steps(settings.epsilon)
        model = IntegerModel(self._oracle.graph, self._oracle.execute, settings.temperature)
        origin = grid.quantization.quantize(inputs)
        crafted = [np.empty((0, *inputs.shape[1:]), np.float32)]
        for start in range(0, len(inputs), settings.batch):
            part = slice(start, start + settings.batch)
            randoms = generators(settings.seed, first + start, len(labels[part]))
            limits = grid.limits(inputs[part], steps)
            descent = Descent(
                model, origin[part], labels[part], steps, grid.bounds, randoms, limits=limits
            )
            for member in self._members(attack, settings).values():
                member(descent)
            crafted.append(grid.inputs(inputs[part], descent.best))
            progress(len(labels[part]))
        return np.concatenate(crafted)

    def _pgd_step(self, settings: AttackSettings) -> float:
        """The step of an iteration, in int8 steps: a quarter of the whole ones unless given."""
        grid = self.grid(settings)
        if settings.step is None:
            return grid.steps(settings.epsilon) / 4
        return settings.step / grid.quantization.scale

    def _members(self, attack: str, settings: AttackSettings) -> dict[str, Member]:
        """Gives the members that an attack runs one after another, by its name in reports."""
        step = self._pgd_step(settings)
        return members(attack, settings, self._oracle.classes, step, whole_steps=True)
