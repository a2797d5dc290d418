"""Attacks by name through the gradients of a converted model's integer graph."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tinyedge.attacks.craft import Float32, Labels
from tinyedge.attacks.descent import (
    Descent,
    IntegerModel,
    Loss,
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
            "members": list(self._members(attack, settings)),
        }
        if attack == "pgd":
            described["step"] = self._pgd_step(settings) * self._oracle.quantization.scale
        if attack in ("apgd", "autoattack"):
            described["restarts"] = 1
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
            for run in self._members(attack, settings).values():
                run(descent)
            crafted.append(grid.inputs(inputs[part], descent.best))
            progress(len(labels[part]))
        return np.concatenate(crafted)

    def _pgd_step(self, settings: AttackSettings) -> float:
        """Of each iteration, in int8 steps: of whole ones a quarter, unless it was given."""
        grid = self.grid(settings)
        if settings.step is None:
            return grid.steps(settings.epsilon) / 4
        return settings.step / grid.quantization.scale

    def _members(
        self, attack: str, settings: AttackSettings
    ) -> dict[str, Callable[[Descent], None]]:
        """What an attack runs one after another, by its name in reports."""
        if attack == "fgsm":
            return {"FGSM on cross entropy": Descent.fgsm}
        if attack == "pgd":
            return {
                "PGD on cross entropy": self._restarted(cross_entropy, settings),
                "PGD on the margin": self._restarted(margin, settings),
            }

        def auto(loss: Loss, ranks: Sequence[int | None] = (None,)) -> Callable[[Descent], None]:
            def run(descent: Descent) -> None:
                for rank in ranks:
                    descent.apgd(loss, settings.autoattack_iterations, rank)

            return run

        classes, ensemble = self._oracle.classes, attack == "autoattack"
        members = {"APGD on cross entropy": auto(cross_entropy)}
        if ensemble and classes >= _TARGETED_CLASSES:
            targets = min(_TARGETS, classes - 1)
            name = f"APGD on the ratio of logits towards {targets} classes"
            members[name] = auto(targeted_ratio, range(targets))
        elif classes >= _RATIO_CLASSES:
            members["APGD on the ratio of logits"] = auto(logits_ratio)
        if ensemble or classes < _RATIO_CLASSES:
            members["APGD on the margin"] = auto(margin)
        if ensemble:
            members["Square"] = lambda descent: self._square(descent, settings)
        return members

    def _restarted(self, loss: Loss, settings: AttackSettings) -> Callable[[Descent], None]:
        def run(descent: Descent) -> None:
            for _restart in range(settings.restarts):
                descent.pgd(loss, self._pgd_step(settings), settings.iterations)

        return run

    def _square(self, descent: Descent, settings: AttackSettings) -> None:
        """Square on the grid: each value stays, or moves by all steps that are allowed."""
        which = descent.right
        if not len(which):
            return
        grid = self.grid(settings)
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
