"""FAB towards one class: the smallest change that crosses a border, by linear approximations."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from tinyedge.attacks.descent import Descent
from tinyedge.attacks.losses import targeted_difference

Float32 = NDArray[np.float32]
Float64 = NDArray[np.float64]

_BEYOND = 1.05
"""How far a step to the border goes, as a share of the way."""
_BACK = 0.9
"""Share of an adversarial change that is kept before the search goes on."""
_LARGEST_BIAS = 0.1
"""Share, at most, of the projection of the sample itself in the next point."""
_TINY = 1e-12
_SHORTEST = 1e-8


def fab(descent: Descent, iterations: int, rank: int) -> None:
    """Fast Adaptive Boundary in the L-infinity norm (arXiv 1907.02044), as AutoAttack runs it.

    Each point goes to the border with one class where the model were linear, drawn towards the
    sample. A change is kept if it is no larger than the descent's radius; the sample is then left.

    Args:
        descent: in real numbers; whole steps have no smallest change to look for.
        iterations: how many.
        rank: of the class among the wrong ones, see ``Descent.targets``.
    """
    which = descent.take_up()
    if not len(which):
        return
    targets = descent.targets(which, rank)
    origin = descent.origin[which]
    at = origin.copy()
    for _ in range(iterations):
        labels = descent.labels[which]
        found = descent.model.step(at, labels, targeted_difference, targets)
        normals, here, there = (
            values.reshape(len(which), -1).astype(np.float64)
            for values in (found.gradients, at, origin)
        )
        # The border: losses + normals . (point - at) = 0.
        forth = nearest_change(here, normals, -found.losses, descent.bounds)
        missing = -found.losses + (normals * (here - there)).sum(axis=1)
        back = nearest_change(there, normals, missing, descent.bounds)
        sizes = [np.maximum(np.abs(each).max(axis=1), _SHORTEST) for each in (forth, back)]
        bias = np.minimum(sizes[0] / (sizes[0] + sizes[1]), _LARGEST_BIAS)[:, None]
        moved = (here + _BEYOND * forth) * (1 - bias) + (there + _BEYOND * back) * bias
        at = np.clip(moved, *descent.bounds).astype(np.float32).reshape(at.shape)
        lead = descent.model.margins(at, labels)
        change = np.abs(at - origin).reshape(len(which), -1).max(axis=1)
        wrong = lead <= 0
        reached = wrong & (change <= descent.radius)
        descent.note(which[reached], at[reached], lead[reached])
        # From too far beyond the border the search goes on nearer to the sample.
        at[wrong] = origin[wrong] + (at[wrong] - origin[wrong]) * np.float32(_BACK)
        which, targets, origin, at = (values[~reached] for values in (which, targets, origin, at))
        if not len(which):
            return


def nearest_change(
    points: Float64, normals: Float64, missing: Float64, bounds: tuple[float, float]
) -> Float64:
    """The changes, smallest in their largest value, that lead to hyperplanes within bounds.

    With every value moving by at most r the way that helps, as far as the bounds let it, a
    hyperplane comes nearer by ``sum(|normal| * min(r, room))``: pieces of lines, between which r is
    found after sorting the rooms.

    Args:
        points: (n, values).
        normals: of the hyperplanes, (n, values).
        missing: what ``normal . change`` has to come to, (n,).
        bounds: the lowest and the highest value of a point.

    Returns:
        (n, values); where a hyperplane is out of reach, all the way that the bounds allow.
    """
    signs = np.sign(normals) * np.sign(missing)[:, None]
    room = np.where(signs > 0, bounds[1] - points, points - bounds[0])
    room = np.maximum(np.where(signs == 0, 0.0, room), 0.0)
    order = np.argsort(room, axis=1)
    sorted_room = np.take_along_axis(room, order, axis=1)
    weights = np.take_along_axis(np.abs(normals), order, axis=1)
    # Sums over the values before each, which have used up their room, and from each one on.
    used = np.cumsum(weights * sorted_room, axis=1) - weights * sorted_room
    slope = np.cumsum(weights[:, ::-1], axis=1)[:, ::-1]
    reached = used + slope * sorted_room >= np.abs(missing)[:, None]
    first = np.where(reached.any(axis=1), reached.argmax(axis=1), room.shape[1] - 1)
    rows = np.arange(len(points))
    radius = (np.abs(missing) - used[rows, first]) / (slope[rows, first] + _TINY)
    radius = np.minimum(radius, sorted_room[:, -1])
    changes: Float64 = signs * np.minimum(room, radius[:, None])
    return changes
