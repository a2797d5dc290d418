"""FGSM, PGD and Auto-PGD on an integer graph: whole int8 steps, gradients of the graph itself.

Steps that are no whole ones add up in real numbers; the model is asked where these round to, and
only what it was asked counts. So every result is a sample that the device gets to the byte, and has
been judged by the integers that it computes with.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from tinyedge.attacks.margins import margins
from tinyedge.evaluation.compare import Executor
from tinyedge.evaluation.metrics import class_logits
from tinyedge.graph.gradients import logits_tensor, outputs_and_gradient
from tinyedge.graph.graph import Graph

Float32 = NDArray[np.float32]
Float64 = NDArray[np.float64]
Int8 = NDArray[np.int8]
Labels = NDArray[np.int64]

LossValues = tuple[Float64, Float64]
"""Losses (n,), and their gradients by the logits (n, classes)."""
Loss = Callable[[Float64, Labels, Labels], LossValues]
"""Of logits (n, classes), labels (n,) and targets (n,), which those without target ignore."""

_MOMENTUM = 0.75
_INCREASES = 0.75
"""Share of the steps between two checkpoints that ought to increase the loss."""
_TINY = 1e-12


def cross_entropy(logits: Float64, labels: Labels, targets: Labels) -> LossValues:  # noqa: ARG001
    """Cross entropy of the softmax.

    The gradient of the true class is the sum of the others', which does not vanish where float32
    has its probability be one (arXiv 2003.13511).
    """
    rows = np.arange(len(labels))
    shifted = logits - logits.max(axis=1, keepdims=True)
    powers = np.exp(shifted)
    total = powers.sum(axis=1, keepdims=True)
    gradient = powers / total
    gradient[rows, labels] = 0.0
    gradient[rows, labels] = -gradient.sum(axis=1)
    return np.log(total[:, 0]) - shifted[rows, labels], gradient


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


class Found(NamedTuple):
    """What the model says of samples.

    Attributes:
        margins: by how much each verdict is right, float32 (n,), see ``margins``.
        losses: (n,).
        signs: of the gradient of the loss by the input, float32 (n, *shape).
    """

    margins: Float32
    losses: Float64
    signs: Float32


class IntegerModel:
    """An integer graph as attacks by gradients see it.

    Args:
        graph: whose operators all have a product, see ``check_differentiable``.
        execute: runs the graph, where logits alone are asked for.
        temperature: that logits are divided by.

    Attributes:
        classes: number of logits, at least 2: of one output 0 and its own.
    """

    def __init__(self, graph: Graph, execute: Executor, temperature: float = 1.0) -> None:
        self._graph = graph
        self._execute = execute
        self._temperature = temperature
        self.classes = max(graph.output_tensor.size, 2)
        last = logits_tensor(graph)
        # Before a last Logistic the border lies at 0; what follows it knows of 0.5.
        self._border = graph.output_tensor.quantization if last == graph.output else None

    def logits(self, samples: Int8) -> Float32:
        """Real logits of int8 samples, float32 (n, classes), without a gradient."""
        return self._class_logits(self._execute(samples).logits)

    def margins(self, samples: Int8, labels: Labels) -> Float32:
        """By how much the verdict on each sample is right, float32 (n,)."""
        return margins(self.logits(samples), labels)

    def step(
        self, samples: Int8, labels: Labels, loss: Loss, targets: Labels | None = None
    ) -> Found:
        """What the model says of int8 samples (n, *shape), and where a loss leads."""
        losses = np.empty(len(samples))
        aimed = labels if targets is None else targets

        def by_logits(real: Float32, part: slice) -> Float32:
            logits = class_logits(real, self._border).astype(np.float64) / self._temperature
            losses[part], gradient = loss(logits, labels[part], aimed[part])
            # Only signs are of use: scaled, the smallest does not vanish in float32.
            gradient /= np.abs(gradient).max(axis=1, keepdims=True) + np.finfo(np.float64).tiny
            return gradient[:, -real.shape[1] :].astype(np.float32)

        outputs, gradient = outputs_and_gradient(self._graph, samples, by_logits)
        return Found(margins(self._class_logits(outputs), labels), losses, np.sign(gradient))

    def _class_logits(self, outputs: Int8) -> Float32:
        quantization = self._graph.output_tensor.quantization
        real = quantization.dequantize(outputs.reshape(len(outputs), -1))
        return class_logits(real, quantization)


@dataclass
class Descent:
    """Samples under attack, and the best that was found for each.

    A sample that the model has got wrong is finished: no later attack takes that back.

    Attributes:
        model: under attack.
        origin: int8 (n, *shape).
        labels: (n,).
        steps: that a value may move.
        bounds: the lowest and the highest int8 value.
        randoms: one generator a sample, so that none depends on the others.
        best: of the samples that the model was asked about, those with the smallest margins, int8.
        lead: their margins, float32 (n,).
    """

    model: IntegerModel
    origin: Int8
    labels: Labels
    steps: int
    bounds: tuple[int, int]
    randoms: Sequence[np.random.Generator]

    def __post_init__(self) -> None:
        self.best = self.origin.copy()
        self.lead = self.model.margins(self.origin, self.labels)
        origin = self.origin.astype(np.float32)
        self._low = np.maximum(origin - self.steps, self.bounds[0])
        self._high = np.maximum(np.minimum(origin + self.steps, self.bounds[1]), self._low)

    @property
    def right(self) -> NDArray[np.int64]:
        """The samples that the model still gets right."""
        return np.flatnonzero(self.lead > 0)

    def note(self, which: NDArray[np.int64], samples: Int8, lead: Float32) -> None:
        """Takes in what the model says of versions of some samples."""
        better = lead < self.lead[which]
        self.best[which[better]] = samples[better]
        self.lead[which[better]] = lead[better]

    def fgsm(self) -> None:
        """One step as long as allowed, by cross entropy (arXiv 1412.6572)."""
        which = self.right
        if len(which):
            signs = self.model.step(self.origin[which], self.labels[which], cross_entropy).signs
            self._ask(which, self.origin[which] + self.steps * signs)

    def pgd(self, loss: Loss, step: float, iterations: int) -> None:
        """Steps from a random start (arXiv 1706.06083).

        Args:
            loss: that grows.
            step: of each iteration, in int8 steps; need not be whole.
            iterations: how many.
        """
        which = self.right
        at = self.origin[which] + self._random_change(which)
        for _ in range(iterations):
            if not len(which):
                return
            at = self._within(which, at)
            found = self._step(which, at, loss)
            left = found.margins > 0
            which, at = which[left], (at + np.float32(step) * found.signs)[left]
        if len(which):
            self._ask(which, at)

    def apgd(self, loss: Loss, iterations: int, rank: int | None = None) -> None:
        """Auto-PGD: steps that are halved where they do not help (arXiv 2003.01690, algorithm 1).

        Args:
            loss: that grows.
            iterations: how many.
            rank: aims at the wrong class whose logit is the so many-th largest at the origin, from
                0; None for no target.
        """
        which = self.right
        if not len(which) or iterations < 1:
            return
        targets = None if rank is None else self._targets(which, rank)
        change = self._random_change(which)
        largest = np.abs(change).reshape(len(which), -1).max(axis=1)
        at = self.origin[which] + self.steps * change / _each(largest + _TINY, change)
        run = _Run(which, self._within(which, at), targets, 2.0 * self.steps)
        checks = checkpoints(iterations)
        run.take(self._step(which, run.at, loss, targets))
        for iteration in range(1, iterations):
            run.drop_fooled()
            if not len(run.which):
                return
            size = _each(run.size, run.at)
            ahead = self._within(run.which, run.at + size * run.signs)
            # The first step has no way behind it that momentum could come from.
            share = _MOMENTUM if iteration > 1 else 1.0
            moved = run.at + share * (ahead - run.at) + (1 - share) * (run.at - run.before)
            run.move(self._within(run.which, moved))
            run.take(self._step(run.which, run.at, loss, run.targets))
            if iteration in checks:
                run.check(checks[iteration])

    def _targets(self, which: NDArray[np.int64], rank: int) -> Labels:
        logits = self.model.logits(self.origin[which])
        logits[np.arange(len(which)), self.labels[which]] = -np.inf
        order: Labels = np.argsort(-logits, axis=1, kind="stable")
        return order[:, rank]

    def _random_change(self, which: NDArray[np.int64]) -> Float32:
        shape = self.origin.shape[1:]
        changes = [self.randoms[at].uniform(-self.steps, self.steps, shape) for at in which]
        return np.array(changes, dtype=np.float32).reshape(len(which), *shape)

    def _within(self, which: NDArray[np.int64], at: NDArray[np.floating]) -> Float32:
        inside: Float32 = np.clip(at, self._low[which], self._high[which]).astype(np.float32)
        return inside

    def _rounded(self, which: NDArray[np.int64], at: NDArray[np.floating]) -> Int8:
        # Within whole numbers of steps, rounding leads to none outside.
        rounded: Int8 = np.rint(self._within(which, at)).astype(np.int8)
        return rounded

    def _step(
        self,
        which: NDArray[np.int64],
        at: Float32,
        loss: Loss,
        targets: Labels | None = None,
    ) -> Found:
        samples = self._rounded(which, at)
        found = self.model.step(samples, self.labels[which], loss, targets)
        self.note(which, samples, found.margins)
        return found

    def _ask(self, which: NDArray[np.int64], at: NDArray[np.floating]) -> None:
        samples = self._rounded(which, at)
        self.note(which, samples, self.model.margins(samples, self.labels[which]))


def checkpoints(iterations: int) -> dict[int, int]:
    """The iterations after which Auto-PGD judges its steps, and how many those are of each."""
    shares = [0.0, 0.22]
    while shares[-1] < 1:
        shares.append(shares[-1] + max(shares[-1] - shares[-2] - 0.03, 0.06))
    # The shares have two digits; their sums in floating point a little more.
    ends = [math.ceil(share * iterations - 1e-9) for share in shares]
    return {end: end - start for start, end in pairwise(ends) if start < end}


class _Run:
    """The samples of one run of Auto-PGD that are not fooled yet.

    Attributes:
        which: they are of the descent's.
        at, before: where they are and were, in real numbers of int8 steps.
        targets: classes that they aim at.
        size: of the next step.
        signs: of the gradient where they are.
    """

    def __init__(
        self, which: NDArray[np.int64], at: Float32, targets: Labels | None, size: float
    ) -> None:
        self.which, self.at, self.before, self.targets = which, at, at, targets
        self.size = np.full(len(which), size)
        self.signs = np.zeros_like(at)
        self._left = np.ones(len(which), dtype=bool)
        self._losses = np.full(len(which), -np.inf)
        self._highest = np.full(len(which), -np.inf)
        self._highest_before = np.full(len(which), -np.inf)
        self._best_at, self._best_signs = at.copy(), np.zeros_like(at)
        self._increases = np.zeros(len(which))
        self._halved = np.ones(len(which), dtype=bool)

    def move(self, to: Float32) -> None:
        """Goes on to other points."""
        self.before, self.at = self.at, to

    def take(self, found: Found) -> None:
        """Takes in what the model says of the points."""
        self._left = found.margins > 0
        self.signs = found.signs
        self._increases += found.losses > self._losses
        self._losses = found.losses
        better = found.losses > self._highest
        self._highest = np.where(better, found.losses, self._highest)
        self._best_at[better], self._best_signs[better] = self.at[better], found.signs[better]

    def drop_fooled(self) -> None:
        """Leaves those that the model gets right."""
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
        self.signs = np.where(_each(back, self.at), self._best_signs, self.signs)


def _each(values: NDArray[Any], samples: Float32) -> NDArray[Any]:
    """One value a sample, in a shape that fits the samples'."""
    return values.reshape(-1, *[1] * (samples.ndim - 1))
