"""Attacks by name through the gradients of a converted model's integer graph."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tinyedge.attacks.craft import Float32, Labels
from tinyedge.attacks.descent import (
    Descent,
    IntegerModel,
    cross_entropy,
    logits_ratio,
    margin,
    targeted_ratio,
)
from tinyedge.attacks.environment import BlackBoxClassifierNeuralNetwork
from tinyedge.attacks.oracle import Oracle
from tinyedge.attacks.settings import AttackSettings
from tinyedge.attacks.square import BatchedSquare
from tinyedge.attacks.steps import StepGrid
from tinyedge.graph.gradients import check_differentiable

_TARGETS = 9
"""Wrong classes that targeted Auto-PGD aims at, the likeliest first, as in AutoAttack."""
_RATIO_CLASSES, _TARGETED_CLASSES = 3, 4
"""Classes that the ratios of logits take at least."""
_SQUARE_SHARE = 0.8


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
        """What a report has to say of an attack, besides what ``settings`` describe."""
        described: dict[str, Any] = {
            "oracle": self._oracle.about,
            "gradient_of": "logits of the integer graph, rounding passed straight through",
            "epsilon_steps": self.grid(settings).steps(settings.epsilon),
            "input_step": self._oracle.quantization.scale,
        }
        if attack == "pgd":
            described["losses"] = ["cross entropy", "margin"]
        if attack in ("apgd", "autoattack"):
            described["restarts"] = 1
            described["members"] = self._members(attack)
        return described

    def craft(
        self,
        attack: str,
        inputs: Float32,
        labels: Labels,
        settings: AttackSettings,
        progress: Callable[[int], None],
    ) -> Float32:
        """Adversarial versions of labelled inputs, float32 (n, *shape).

        Each quantizes to the int8 sample that was found.

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
            sequences = [
                np.random.SeedSequence([settings.seed, start + index])
                for index in range(len(labels[part]))
            ]
            randoms = [np.random.default_rng(sequence) for sequence in sequences]
            descent = Descent(model, origin[part], labels[part], steps, grid.bounds, randoms)
            self._attack(attack, descent, settings, grid)
            crafted.append(grid.inputs(inputs[part], descent.best))
            progress(len(labels[part]))
        return np.concatenate(crafted)

    def _attack(
        self, attack: str, descent: Descent, settings: AttackSettings, grid: StepGrid
    ) -> None:
        if attack == "fgsm":
            descent.fgsm()
            return
        if attack == "pgd":
            step = settings.step
            steps = descent.steps / 4 if step is None else step / grid.quantization.scale
            for _restart in range(settings.restarts):
                for loss in (cross_entropy, margin):
                    descent.pgd(loss, steps, settings.iterations)
            return
        iterations, classes = settings.autoattack_iterations, self._oracle.classes
        descent.apgd(cross_entropy, iterations)
        if classes >= _TARGETED_CLASSES and attack == "autoattack":
            for rank in range(min(_TARGETS, classes - 1)):
                descent.apgd(targeted_ratio, iterations, rank)
        elif classes >= _RATIO_CLASSES:
            descent.apgd(logits_ratio, iterations)
        if attack == "autoattack" or classes < _RATIO_CLASSES:
            descent.apgd(margin, iterations)
        if attack == "autoattack":
            self._square(descent, settings, grid)

    def _members(self, attack: str) -> list[str]:
        """What ``_attack`` runs one after another."""
        classes = self._oracle.classes
        members = ["APGD on cross entropy"]
        if classes >= _TARGETED_CLASSES and attack == "autoattack":
            targets = min(_TARGETS, classes - 1)
            members.append(f"APGD on the ratio of logits towards {targets} classes")
        elif classes >= _RATIO_CLASSES:
            members.append("APGD on the ratio of logits")
        if attack == "autoattack" or classes < _RATIO_CLASSES:
            members.append("APGD on the margin")
        return [*members, "Square"] if attack == "autoattack" else members

    def _square(self, descent: Descent, settings: AttackSettings, grid: StepGrid) -> None:
        """Square on the grid: each value stays, or moves by all steps that are allowed."""
        which = descent.right
        if not len(which):
            return
        quantization = grid.quantization

        def predict(x: NDArray[Any], **_: Any) -> Float32:
            return descent.model.logits(quantization.quantize(x))

        # Whole steps, and clipped to whole ones, so that no sample lies between two.
        low, high = (float(value) for value in quantization.dequantize(grid.bounds))
        classifier = BlackBoxClassifierNeuralNetwork(
            predict,
            self._oracle.shape,
            self._oracle.classes,
            channels_first=False,
            clip_values=(low, high),
        )
        square = BatchedSquare(
            classifier,
            eps=descent.steps * quantization.scale,
            max_iter=settings.square_queries,
            p_init=_SQUARE_SHARE,
            nb_restarts=1,
            batch_size=settings.batch,
            verbose=False,
        )
        square.random = descent.randoms[which[0]]
        origin, labels = descent.origin[which], descent.labels[which]
        found = square.generate(quantization.dequantize(origin), labels)
        samples = quantization.quantize(found)
        descent.note(which, samples, descent.model.margins(samples, labels))
