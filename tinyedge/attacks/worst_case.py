"""The worst case of each sample over all attacks within one budget."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from tinyedge.attacks.settings import Norm
from tinyedge.evaluation.intervals import wilson_interval
from tinyedge.evaluation.perturbation import Perturbation

_ROUNDING = 1e-5
"""Share of the range of inputs that float32 may add to a change."""


class Tried(NamedTuple):
    """A suite that was tried.

    Attributes:
        name: of the suite.
        norm: that its attack's change is measured in.
        epsilon: its budget.
        change: of the samples.
        right: whether the model's verdict on each is right, (n,).
    """

    name: str
    norm: Norm
    epsilon: float
    change: Perturbation
    right: NDArray[np.bool_]


def worst_cases(
    clean: NDArray[np.bool_], tried: Sequence[Tried], span: float
) -> list[dict[str, Any]]:
    """Gives the accuracies left where every sample meets the attack that is worst for it.

    Any suite counts whose change of the sample is within the budget, whatever it was made for: of a
    smaller epsilon, or of another norm.

    Args:
        clean: whether the verdict on each sample was right before the attacks, (n,).
        tried: suites of the same samples.
        span: of the model's float input, from the lowest to the highest value.

    Returns:
        A record a budget: ``norm``, ``epsilon``, ``samples``, ``accuracy``, ``interval``,
        ``suites`` that fool any sample within it.
    """
    budgets = sorted({(each.norm, each.epsilon) for each in tried}, key=lambda each: each[::-1])
    found = []
    for norm, epsilon in budgets:
        left, fooling = clean.copy(), []
        for each in tried:
            sizes = each.change.largest if norm == "Linf" else each.change.lengths
            fooled = ~each.right & (sizes <= epsilon + _ROUNDING * span)
            if (norm, epsilon) == (each.norm, each.epsilon) and norm == "Linf":
                fooled = ~each.right  # that it kept its budget is checked elsewhere
            if (fooled & clean).any():
                fooling.append(each.name)
            left &= ~fooled
        share = float(left.mean())
        found.append(
            {
                "norm": norm,
                "epsilon": epsilon,
                "samples": len(left),
                "accuracy": share,
                "interval": list(wilson_interval(share, len(left))),
                "suites": fooling,
            }
        )
    return found
