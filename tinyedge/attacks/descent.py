"""FGSM, PGD and Auto-PGD on anything that has gradients: a float model, or an integer graph.

One implementation for both, in the unit of a model's own samples: real values of a float model,
int8 steps of an integer graph. Steps that are no whole ones add up in real numbers; the model is
asked where these round to, and only what it was asked counts. So every result is a sample that the
model has got, to the byte, and has been judged by.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from tinyedge.attacks.losses import Float64, Labels, Loss, cross_entropy
from tinyedge.attacks.settings import Norm

Float32 = NDArray[np.float32]
Samples = NDArray[Any]
"""float32 of a float model, int8 of an integer graph, (n, *shape)."""

_MOMENTUM = 0.75
_INCREASES = 0.75
"""Share of the steps between two checkpoints that ought to increase the loss."""
_TINY = 1e-12
_INSIDE = 1 - 1e-6
"""Share of an L2 ball's radius, so that no rounding of the share leads out of it."""


class Found(NamedTuple):
    """A model's answer to samples.

    Attributes:
        margins: by how much each verdict is right, float32 (n,), see ``margins``.
        losses: (n,).
        gradients: of the loss by the input, float32 (n, *shape), of any positive scale.
    """

    margins: Float32
    losses: Float64
    gradients: Float32


class Differentiable(Protocol):
    """A model under attack by gradients.

    Attributes:
        classes: number of logits, at least 2.
    """

    classes: int

    def scores(self, samples: Samples) -> Float32:
        """Gives values that rank the classes, float32 (n, classes): logits before any softmax."""

    def margins(self, samples: Samples, labels: Labels) -> Float32:
        """By how much the verdict on each sample is right, float32 (n,)."""

    def step(
        self, samples: Samples, labels: Labels, loss: Loss, targets: Labels | None = None
    ) -> Found:
        """Gives the model's answer to samples (n, *shape), and the direction of a loss."""


@dataclass
class Descent:
    """Samples under attack, and the best that was found for each.

    What one attack has broken no later one takes up again: members of an ensemble, and restarts,
    add to each other.

    Attributes:
        model: under attack.
        origin: (n, *shape), int8 or float32.
        labels: (n,).
        radius: that a value (of Linf), or the change of a sample (of L2), may grow to.
        bounds: the lowest and the highest value.
        randoms: one generator a sample, so that its starts do not depend on the others; Square
            draws with that of the first sample left for all of them.
        norm: that the radius is in.
        goes_on: whether a run goes on with samples that it has fooled, to the lowest margin, and
            the first run with those that were wrong before; else it leaves them at once. What is to
            fool another model, or the device behind the float one, has to be more than just wrong.
        limits: the lowest and the highest each value may become, (n, *shape), of Linf; by default
            as far as the radius leads from the origin.
        best: of the samples that the model was asked about, those with the smallest margins.
        lead: their margins, float32 (n,).
    """

    model: Differentiable
    origin: Samples
    labels: Labels
    radius: float
    bounds: tuple[float, float]
    randoms: Sequence[np.random.Generator]
    norm: Norm = "Linf"
    goes_on: bool = False
    limits: tuple[Float32, Float32] | None = None

    def __post_init__(self) -> None:
        self.best = self.origin.copy()
        self.lead = self.model.margins(self.origin, self.labels)
        self._untried = np.full(len(self.labels), self.goes_on)
        origin = self.origin.astype(np.float32)
        if self.norm == "L2":
            self._low, self._high = (np.full_like(origin, bound) for bound in self.bounds)
            # Rounding to float32 may change every value by half a unit in its last place.
            unit = np.spacing(np.float32(max(map(abs, self.bounds))))
            rounding = float(unit) / 2 * math.sqrt(math.prod(origin.shape[1:]))
            self._inside = max(_INSIDE * self.radius - rounding, 0.0)
        elif self.limits:
            self._low, self._high = self.limits
        else:
            self._low = np.maximum(origin - np.float32(self.radius), self.bounds[0])
            highest = np.minimum(origin + np.float32(self.radius), self.bounds[1])
            self._high = np.maximum(highest, self._low)

    def ball(self, which: NDArray[np.int64]) -> tuple[Float32, Float32]:
        """The lowest and the highest values of some samples, of Linf."""
        return self._low[which], self._high[which]

    @property
    def right(self) -> NDArray[np.int64]:
        """The samples that the model still gets right."""
        return np.flatnonzero(self.lead > 0)

    def take_up(self) -> NDArray[np.int64]:
        """The samples that a run has to attack."""
        which = np.flatnonzero((self.lead > 0) | self._untried)
        self._untried[:] = False
        return which

    def note(self, which: NDArray[np.int64], samples: Samples, lead: Float32) -> None:
        """Takes in what the model says of versions of some samples."""
        better = lead < self.lead[which]
        self.best[which[better]] = samples[better]
        self.lead[which[better]] = lead[better]

    def fgsm(self) -> None:
        """One step as long as allowed, by cross entropy (arXiv 1412.6572)."""
        which = self.take_up()
        if len(which):
            found = self.model.step(self.origin[which], self.labels[which], cross_entropy)
            self.ask(which, self.origin[which] + self.radius * self.direction(found.gradients))

    def pgd(self, loss: Loss, step: float, iterations: int) -> None:
        """Steps from a random start (arXiv 1706.06083).

        Args:
            loss: that grows.
            step: length of each, in the unit and norm of the radius.
            iterations: how many.
        """
        which = self.take_up()
        at = self.origin[which] + self._random_change(which)
        for _ in range(iterations):
            if not len(which):
                return
            at = self.within(which, at)
            found = self._step(which, at, loss)
            at = at + np.float32(step) * self.direction(found.gradients)
            left = self.unfinished(found.margins)
            which, at = which[left], at[left]
        if len(which):
            self.ask(which, at)

    def apgd(self, loss: Loss, iterations: int, rank: int | None = None) -> None:
        """Auto-PGD: steps that are halved where they do not help (arXiv 2003.01690, algorithm 1).

        Args:
            loss: that grows.
            iterations: steps behind the start.
            rank: aims at the wrong class whose logit is the so many-th largest at the origin, from
                0; None for no target.
        """
        which = self.take_up()
        if not len(which) or iterations < 1:
            return
        targets = None if rank is None else self.targets(which, rank)
        change = self._random_change(which)
        largest = np.abs(change).reshape(len(which), -1).max(axis=1)
        at = self.origin[which] + self.radius * change / _each(largest + _TINY, change)
        run = _Run(which, self.within(which, at), targets, 2.0 * self.radius)
        checks = checkpoints(iterations)
        run.take(self._step(which, run.at, loss, targets), self)
        for iteration in range(1, iterations + 1):
            run.drop_finished()
            if not len(run.which):
                return
            size = _each(run.size, run.at)
            ahead = self.within(run.which, run.at + size * run.directions)
            # The first step has no way behind it that momentum could come from.
            share = _MOMENTUM if iteration > 1 else 1.0
            moved = run.at + share * (ahead - run.at) + (1 - share) * (run.at - run.before)
            run.move(self.within(run.which, moved))
            run.take(self._step(run.which, run.at, loss, run.targets), self)
            if iteration in checks:
                run.check(checks[iteration])

    def targets(self, which: NDArray[np.int64], rank: int) -> Labels:
        """The wrong classes of the so many-th largest logits at the origin, from 0."""
        logits = self.model.scores(self.origin[which])
        logits[np.arange(len(which)), self.labels[which]] = -np.inf
        order: Labels = np.argsort(-logits, axis=1, kind="stable")
        return order[:, rank]

    def unfinished(self, lead: Float32) -> NDArray[np.bool_]:
        """Which samples a run goes on with, by the margins where it is."""
        return (lead > 0) | self.goes_on

    def direction(self, gradients: Float32) -> Float32:
        """The step of length 1, in the descent's norm, that a gradient leads to."""
        if self.norm == "L2":
            lengths = np.linalg.norm(gradients.reshape(len(gradients), -1), axis=1)
            steps: Float32 = gradients / _each(lengths + _TINY, gradients)
            return steps.astype(np.float32)
        return np.sign(gradients)

    def within(self, which: NDArray[np.int64], at: NDArray[np.floating]) -> Float32:
        """Points brought into the ball around their origins, and between the bounds."""
        if self.norm == "L2":
            origin = self.origin[which].astype(np.float32)
            change = (at - origin).astype(np.float64)
            lengths = np.linalg.norm(change.reshape(len(which), -1), axis=1)
            share = np.minimum(1.0, self._inside / (lengths + _TINY))
            at = origin + change * _each(share, change)
        inside: Float32 = np.clip(at, self._low[which], self._high[which]).astype(np.float32)
        return inside

    def rounded(self, which: NDArray[np.int64], at: NDArray[np.floating]) -> Samples:
        """The samples of the model that points stand for."""
        inside = self.within(which, at)
        if self.origin.dtype != np.int8:
            return inside
        # Within whole numbers of steps, rounding leads to none outside.
        return np.rint(inside).astype(np.int8)

    def ask(self, which: NDArray[np.int64], at: NDArray[np.floating]) -> Float32:
        """Has the model judge points; gives their margins, float32 (n,)."""
        samples = self.rounded(which, at)
        found = self.model.margins(samples, self.labels[which])
        self.note(which, samples, found)
        return found

    def _random_change(self, which: NDArray[np.int64]) -> Float32:
        shape = self.origin.shape[1:]
        changes = [self.randoms[at].uniform(-self.radius, self.radius, shape) for at in which]
        return np.array(changes, dtype=np.float32).reshape(len(which), *shape)

    def _step(
        self,
        which: NDArray[np.int64],
        at: Float32,
        loss: Loss,
        targets: Labels | None = None,
    ) -> Found:
        samples = self.rounded(which, at)
        found = self.model.step(samples, self.labels[which], loss, targets)
        self.note(which, samples, found.margins)
        return found


def checkpoints(iterations: int) -> dict[int, int]:
    """The iterations after which Auto-PGD judges its steps, and how many those are of each."""
    shares = [0.0, 0.22]
    while shares[-1] < 1:
        shares.append(shares[-1] + max(shares[-1] - shares[-2] - 0.03, 0.06))
    # The shares have two digits; their sums in floating point a little more.
    ends = [math.ceil(share * iterations - 1e-9) for share in shares]
    return {end: end - start for start, end in pairwise(ends) if start < end}


class _Run:
    """The samples of one run of Auto-PGD that it goes on with.

    Attributes:
        which: they are of the descent's.
        at, before: where they are and were.
        targets: classes that they aim at.
        size: of the next step.
        directions: of the gradient where they are.
    """

    def __init__(
        self, which: NDArray[np.int64], at: Float32, targets: Labels | None, size: float
    ) -> None:
        self.which, self.at, self.before, self.targets = which, at, at, targets
        self.size = np.full(len(which), size)
        self.directions = np.zeros_like(at)
        self._left = np.ones(len(which), dtype=bool)
        self._losses = np.full(len(which), np.inf)  # the start increases nothing
        self._highest = np.full(len(which), -np.inf)
        self._highest_before = np.full(len(which), -np.inf)
        self._best_at, self._best_directions = at.copy(), np.zeros_like(at)
        self._increases = np.zeros(len(which))
        self._halved = np.ones(len(which), dtype=bool)

    def move(self, to: Float32) -> None:
        """Goes on to other points."""
        self.before, self.at = self.at, to

    def take(self, found: Found, descent: Descent) -> None:
        """Takes in what the model says of the points."""
        self._left = descent.unfinished(found.margins)
        self.directions = descent.direction(found.gradients)
        self._increases += found.losses > self._losses
        self._losses = found.losses
        better = found.losses > self._highest
        self._highest = np.where(better, found.losses, self._highest)
        self._best_at[better] = self.at[better]
        self._best_directions[better] = self.directions[better]

    def drop_finished(self) -> None:
        """Leaves those that the run goes on with."""
        left = self._left
        if left.all():
            return
        for name, value in list(vars(self).items()):
            if value is not None:
                setattr(self, name, value[left])

    def check(self, steps: int) -> None:
        """Halves steps after so many of them, where few helped, and goes back to the best point."""
        few = self._increases < _INCREASES * steps
        stuck = ~self._halved & (self._highest <= self._highest_before)
        self._halved = few | stuck
        self._highest_before = self._highest.copy()
        self._increases[:] = 0
        back = self._halved
        self.size[back] /= 2
        self.at = np.where(_each(back, self.at), self._best_at, self.at)
        self.directions = np.where(_each(back, self.at), self._best_directions, self.directions)


def _each(values: NDArray[Any], samples: NDArray[Any]) -> NDArray[Any]:
    """One value a sample, in a shape that fits the samples'."""
    return values.reshape(-1, *[1] * (samples.ndim - 1))
