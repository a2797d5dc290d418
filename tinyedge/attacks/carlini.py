"""C&W: the shortest change in L2 that a penalty for right verdicts leaves."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from tinyedge.attacks.descent import Differentiable
from tinyedge.attacks.losses import Labels, margin

Float32 = NDArray[np.float32]

_RATE = 0.05
"""Adam's rate, in units of tanh's argument: the paper's 0.01 takes 1,000 steps."""
_FIRST, _SECOND, _TINY = 0.9, 0.999, 1e-8
_START = 1.0
"""First weight of the penalty; it grows tenfold until a change is found."""
_INSIDE = 1 - 1e-6
"""Share of the range that samples start in, as the tangent reaches its ends only at infinity."""


def carlini_wagner(
    model: Differentiable,
    x: Float32,
    labels: Labels,
    clip: tuple[float, float],
    iterations: int,
    searches: int,
) -> Float32:
    """Carlini and Wagner's attack in L2, untargeted, without confidence (arXiv 1608.04644).

    Args:
        model: under attack.
        x: samples (n, *shape), between the bounds.
        labels: their classes (n,).
        clip: the lowest and the highest value.
        iterations: of Adam, for each constant.
        searches: constants that are tried, by bisection for each sample.

    Returns:
        The nearest adversarial sample that any step has met, float32 (n, *shape); the sample itself
        where there was none, or where the model is wrong anyway.
    """
    best = x.copy()
    which = np.flatnonzero(model.margins(x, labels) > 0)
    origin, own = x[which].astype(np.float64), labels[which]
    middle, half = (clip[1] + clip[0]) / 2, (clip[1] - clip[0]) / 2
    start = np.arctanh((origin - middle) / half * _INSIDE)
    each = (len(which), *[1] * (x.ndim - 1))
    shortest = np.full(len(which), np.inf)
    constant = np.full(len(which), _START)
    low, high = np.zeros(len(which)), np.full(len(which), np.inf)
    for _search in range(searches if len(which) else 0):
        at, first, second = start.copy(), np.zeros_like(start), np.zeros_like(start)
        reached = np.zeros(len(which), dtype=bool)
        for iteration in range(1, iterations + 1):
            bent = np.tanh(at)
            tried = np.clip(middle + half * bent, *clip).astype(np.float32)
            found = model.step(tried, own, margin)
            change = tried - origin
            lengths = np.linalg.norm(change.reshape(len(which), -1), axis=1)
            wrong = found.margins <= 0
            reached |= wrong
            better = wrong & (lengths < shortest)
            shortest[better] = lengths[better]
            best[which[better]] = tried[better]
            # The length in units of the range's half, so that constants mean the same anywhere.
            pressed = np.where(wrong, 0.0, constant).reshape(each)
            slope = (2 * change / half**2 - pressed * found.gradients) * half * (1 - bent**2)
            first = _FIRST * first + (1 - _FIRST) * slope
            second = _SECOND * second + (1 - _SECOND) * slope**2
            mean, spread = first / (1 - _FIRST**iteration), second / (1 - _SECOND**iteration)
            at = at - _RATE * mean / (np.sqrt(spread) + _TINY)
        high = np.where(reached, np.minimum(high, constant), high)
        low = np.where(reached, low, np.maximum(low, constant))
        between = (low + np.where(np.isinf(high), 0.0, high)) / 2
        constant = np.where(np.isinf(high), 10 * constant, between)
    return best
