"""Square attack, a batch at a time."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Float32 = NDArray[np.float32]
Labels = NDArray[np.int64]

_SHARE = 0.8
"""Share of the image that the first squares cover."""
_HALVINGS = (0.001, 0.005, 0.02, 0.05, 0.1, 0.2, 0.4, 0.6, 0.8)
"""Shares of the queries after which squares have half of their area."""
_DRAWS = 20
"""Trials of a proposal, until one changes anything."""


@dataclass
class Square:
    """Random squares at the corners of the ball (arXiv 1912.00049), in the L-infinity norm.

    Every sample has a square of its own. A proposal that changes nothing is drawn again, as in the
    authors' implementation, and samples that are misclassified take no further part.

    The search begins at stripes; or, after a transfer, at adversarial samples of another model, as
    in Suya et al. 2020 (arXiv 1908.07000). Those that fool this one too are kept as they are.

    Attributes:
        margins: gives by how much the verdicts on samples with labels are right, see ``margins``.
        epsilon: largest change of a value.
        clip: the lowest and the highest value.
        queries: a sample and restart, that of the start not counted.
        restarts: of the search.
        random: draws the squares.
    """

    margins: Callable[[Float32, Labels], Float32]
    epsilon: float
    clip: tuple[float, float]
    queries: int
    restarts: int
    random: np.random.Generator

    def search(
        self,
        x: Float32,
        labels: Labels,
        start: Float32 | None = None,
        ball: tuple[Float32, Float32] | None = None,
    ) -> Float32:
        """Samples with smaller margins than those given, float32 (n, *shape).

        Args:
            x: samples (n, *shape).
            labels: their classes (n,).
            start: where to begin, within epsilon of ``x``; stripes by default.
            ball: the lowest and the highest each value may become, (n, *shape); by default those
                that lie epsilon away, and in the range.
        """
        # Any other input is an image of one row.
        images = x if x.ndim == 4 else x.reshape(len(x), 1, -1, 1)
        shape = x.shape[1:]

        def margins(tried: Float32, own: Labels) -> Float32:
            return self.margins(tried.reshape(len(tried), *shape), own)

        low, high = (end.reshape(images.shape) for end in ball or self._ball(images))
        best = (images if start is None else start.reshape(images.shape)).astype(np.float32)
        lead = margins(best, labels)
        for _restart in range(self.restarts):
            robust = np.flatnonzero(lead > 0)
            if not len(robust):
                break
            ends, own = (low[robust], high[robust]), labels[robust]
            if start is None:
                striped = self._stripes(*ends)
                found, left = self._descend(margins, *ends, own, striped, margins(striped, own))
            else:
                found, left = self._descend(margins, *ends, own, best[robust], lead[robust])
            fooled = left <= 0
            best[robust[fooled]], lead[robust[fooled]] = found[fooled], left[fooled]
        return best.reshape(x.shape)

    def _ball(self, x: Float32) -> tuple[Float32, Float32]:
        low, high = (
            np.clip(x + np.float32(change), *self.clip).astype(np.float32)
            for change in (-self.epsilon, self.epsilon)
        )
        return low, high

    def _stripes(self, low: Float32, high: Float32) -> Float32:
        count, _height, width, channels = low.shape
        upwards = self.random.choice([False, True], (count, 1, width, channels))
        return np.where(upwards, high, low)

    def _descend(
        self,
        margins: Callable[[Float32, Labels], Float32],
        low: Float32,
        high: Float32,
        labels: Labels,
        best: Float32,
        lead: Float32,
    ) -> tuple[Float32, Float32]:
        """Searches from points with these margins ahead; gives the best ones, and their margins."""
        best, lead = best.copy(), lead.copy()
        for query in range(self.queries):
            active = np.flatnonzero(lead > 0)
            if not len(active):
                break
            share = _SHARE / 2 ** bisect_left(_HALVINGS, query / self.queries)
            tried = self._proposals(low[active], high[active], best[active], share)
            found = margins(tried, labels[active])
            better = found < lead[active]
            best[active[better]] = tried[better]
            lead[active[better]] = found[better]
        return best, lead

    def _proposals(self, low: Float32, high: Float32, best: Float32, share: float) -> Float32:
        """A square of each sample moved to another corner of the ball, covering such a share."""
        _count, height, width, channels = best.shape
        side = max(round(np.sqrt(share * height * width)), 1)
        tall, wide = min(side, height), min(side, width)
        proposals, pending = best.copy(), np.arange(len(best))
        for _draw in range(_DRAWS):
            count = len(pending)
            tops = self.random.integers(0, height - tall + 1, (count, 1))
            lefts = self.random.integers(0, width - wide + 1, (count, 1))
            # As in AutoAttack: the change flips sign, or stays, within the ball.
            upwards = self.random.choice([False, True], (count, 1, 1, channels))
            same = []
            for sample, top, left, up in zip(
                pending, tops[:, 0], lefts[:, 0], upwards, strict=True
            ):
                square = (sample, slice(top, top + tall), slice(left, left + wide))
                corner = np.where(up, high[square], low[square])
                proposals[square] = corner
                if (corner == best[square]).all():
                    same.append(sample)
            if not same:
                break
            pending = np.array(same)
        return proposals
