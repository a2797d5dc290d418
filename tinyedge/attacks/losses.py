"""Losses that attacks by gradients make grow, and their gradients by the logits."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

Float64 = NDArray[np.float64]
Labels = NDArray[np.int64]

LossValues = tuple[Float64, Float64]
"""Losses (n,), and their gradients by the logits (n, classes)."""
Loss = Callable[[Float64, Labels, Labels], LossValues]
"""A loss of logits (n, classes), labels (n,) and targets (n,), which some ignore."""

RATIO_CLASSES, TARGETED_CLASSES = 3, 4
"""Classes that the ratios of logits take at least."""
_TINY = 1e-12


def cross_entropy(logits: Float64, labels: Labels, targets: Labels) -> LossValues:  # noqa: ARG001
    """Cross entropy of the softmax.

    Its gradient does not vanish, however certain a verdict is (arXiv 2003.13511): only where the
    others' probability is too small for a number it is larger than it were.
    """
    rows = np.arange(len(labels))
    others = logits.copy()
    others[rows, labels] = -np.inf
    highest = others.max(axis=1)
    powers = np.exp(others - highest[:, None])
    total = powers.sum(axis=1)
    lead = logits[rows, labels] - highest - np.log(total)
    # The share of all others together, which may be too small for a number.
    wrong = np.exp(-np.logaddexp(0.0, lead)) + np.finfo(np.float64).tiny
    gradient = powers * (wrong / total)[:, None]
    gradient[rows, labels] = -wrong
    return np.logaddexp(0.0, -lead), gradient


def rescaled_cross_entropy(logits: Float64, labels: Labels, targets: Labels) -> LossValues:
    """Cross entropy of logits whose spread over a sample's classes is one.

    However large or small a network's logits are, every class weighs in (arXiv 2003.13511, which
    takes one factor for a network). The factor is passed through as a constant.
    """
    spread = logits.std(axis=1, keepdims=True) + _TINY
    return cross_entropy(logits / spread, labels, targets)


def targeted_difference(logits: Float64, labels: Labels, targets: Labels) -> LossValues:
    """The logit of one class less that of the true class: 0 on the border between them."""
    return _difference(logits, labels, targets)


def margin(logits: Float64, labels: Labels, targets: Labels) -> LossValues:  # noqa: ARG001
    """The largest other logit less that of the true class (arXiv 1608.04644)."""
    return _difference(logits, labels, _runner_up(logits, labels))


def logits_ratio(logits: Float64, labels: Labels, targets: Labels) -> LossValues:  # noqa: ARG001
    """The margin over the spread of the three largest (arXiv 2003.01690, equation 6)."""
    order = np.argsort(-logits, axis=1, kind="stable")
    weights = ((order[:, 0], 1.0), (order[:, 2], -1.0))
    return _over(logits, _difference(logits, labels, _runner_up(logits, labels)), weights)


def targeted_ratio(logits: Float64, labels: Labels, targets: Labels) -> LossValues:
    """The same towards one class (arXiv 2003.01690, equation 7); takes four classes."""
    order = np.argsort(-logits, axis=1, kind="stable")
    weights = ((order[:, 0], 1.0), (order[:, 2], -0.5), (order[:, 3], -0.5))
    return _over(logits, _difference(logits, labels, targets), weights)


def _runner_up(logits: Float64, labels: Labels) -> Labels:
    others = logits.copy()
    others[np.arange(len(labels)), labels] = -np.inf
    found: Labels = others.argmax(axis=1)
    return found


def _difference(logits: Float64, labels: Labels, others: Labels) -> LossValues:
    rows = np.arange(len(labels))
    gradient = np.zeros_like(logits)
    gradient[rows, others] += 1.0
    gradient[rows, labels] -= 1.0
    return logits[rows, others] - logits[rows, labels], gradient


def _over(
    logits: Float64, difference: LossValues, weights: Sequence[tuple[Labels, float]]
) -> LossValues:
    """A difference divided by a weighted sum of logits, by the quotient rule."""
    rows = np.arange(len(logits))
    above, by_above = difference
    below, by_below = np.full(len(logits), _TINY), np.zeros_like(logits)
    for classes, weight in weights:
        below += weight * logits[rows, classes]
        by_below[rows, classes] += weight
    ratio = above / below
    return ratio, (by_above - ratio[:, None] * by_below) / below[:, None]
