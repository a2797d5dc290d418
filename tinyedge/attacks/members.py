"""The members that attacks by gradients run in turn, on float models and integer graphs alike."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from tinyedge.attacks.descent import Descent
from tinyedge.attacks.fab import fab
from tinyedge.attacks.losses import (
    RATIO_CLASSES,
    TARGETED_CLASSES,
    Labels,
    Loss,
    cross_entropy,
    logits_ratio,
    margin,
    rescaled_cross_entropy,
    targeted_ratio,
)
from tinyedge.attacks.settings import AttackSettings
from tinyedge.attacks.square import Square

Float32 = NDArray[np.float32]
Member = Callable[[Descent], None]

_TARGETS = 9
"""Wrong classes that targeted attacks aim at, the likeliest first, as in AutoAttack."""


def members(
    attack: str, settings: AttackSettings, classes: int, step: float, *, whole_steps: bool
) -> dict[str, Member]:
    """The parts of an attack, by their names in reports; each takes what those before have left.

    Args:
        attack: its name; one by gradients that goes by a ``Descent``.
        settings: of the attack.
        classes: of the model, at least 2.
        step: of each iteration of PGD, in the unit and norm of the descent's radius.
        whole_steps: whether the model's samples lie on a grid, on which there is no smallest
            change for FAB to look for.
    """
    if attack == "fgsm":
        return {"FGSM on cross entropy": Descent.fgsm}
    if attack in ("pgd", "pgd-l2"):
        iterations = settings.iterations if attack == "pgd" else settings.pgd_l2_iterations

        def restarted(loss: Loss) -> Member:
            def run(descent: Descent) -> None:
                for _restart in range(settings.restarts):
                    descent.pgd(loss, step, iterations)

            return run

        return {
            "PGD on cross entropy": restarted(cross_entropy),
            "PGD on the margin": restarted(margin),
            "PGD on cross entropy of rescaled logits": restarted(rescaled_cross_entropy),
        }

    def auto(loss: Loss, ranks: Sequence[int | None] = (None,)) -> Member:
        def run(descent: Descent) -> None:
            for rank in ranks:
                descent.apgd(loss, settings.autoattack_iterations, rank)

        return run

    ensemble, targets = attack == "autoattack", min(_TARGETS, classes - 1)
    aim = f"towards {targets} class{'es' * (targets > 1)}"
    found: dict[str, Member] = {"APGD on cross entropy": auto(cross_entropy)}
    if ensemble and classes >= TARGETED_CLASSES:
        found[f"APGD on the ratio of logits {aim}"] = auto(targeted_ratio, range(targets))
    elif classes >= RATIO_CLASSES:
        found["APGD on the ratio of logits"] = auto(logits_ratio)
    if classes < RATIO_CLASSES or (ensemble and whole_steps):
        found["APGD on the margin"] = auto(margin)
    if ensemble and not whole_steps:

        def all_fab(descent: Descent) -> None:
            for rank in range(targets):
                fab(descent, settings.autoattack_iterations, rank)

        found[f"FAB {aim}"] = all_fab
    if ensemble:
        found["Square"] = lambda descent: _square(descent, settings.autoattack_queries)
    return found


def _square(descent: Descent, queries: int) -> None:
    """Square from the samples that are left; each value moves as far as it may, either way."""
    which = descent.take_up()
    if not len(which):
        return

    def margins(x: Float32, labels: Labels) -> Float32:
        return descent.model.margins(x.astype(descent.origin.dtype), labels)

    square = Square(
        margins, descent.radius, descent.bounds, queries, 1, descent.randoms[int(which[0])]
    )
    origin, ball = descent.origin[which].astype(np.float32), descent.ball(which)
    descent.ask(which, square.search(origin, descent.labels[which], ball=ball))
