"""Square attack, a batch at a time."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from tinyedge.attacks.classifier import Float32
from tinyedge.attacks.environment import SquareAttack, check_and_transform_label_format
from tinyedge.attacks.margins import margins


class BatchedSquare(SquareAttack):  # type: ignore[misc]
    """ART's Square attack in the L-infinity norm, with a third of its queries.

    As in the paper (Andriushchenko et al. 2020, arXiv 1912.00049), every sample has a square of
    its own; ART draws one for all samples of a batch. Logits of the best samples so far are kept
    instead of being asked for again, and samples that are misclassified take no further part.

    The search begins at stripes; or, after a transfer, at adversarial samples of another model, as
    in Suya et al. 2020 (arXiv 1908.07000). Those that fool this one too are kept as they are.

    Attributes:
        random: draws the squares.
    """

    random: np.random.Generator

    def generate(
        self, x: Float32, y: Any = None, transferred: Float32 | None = None, **_: Any
    ) -> Float32:
        labels = check_and_transform_label_format(
            y, nb_classes=self.estimator.nb_classes, return_one_hot=False
        ).ravel()
        original_shape = x.shape
        if x.ndim != 4:  # any other input is an image of one row
            x = x.reshape(len(x), 1, -1, 1)
        best = (x if transferred is None else transferred.reshape(x.shape)).astype(np.float32)
        lead = self._margins(best, labels)
        for _restart in range(self.nb_restarts):
            robust = np.flatnonzero(lead > 0)
            if not len(robust):
                break
            origin, own = x[robust], labels[robust]
            if transferred is None:
                start = self._stripes(origin)
                found, left = self._search(origin, own, start, self._margins(start, own))
            else:
                found, left = self._search(origin, own, best[robust], lead[robust])
            fooled = left <= 0
            best[robust[fooled]], lead[robust[fooled]] = found[fooled], left[fooled]
        return best.reshape(original_shape)

    def _stripes(self, x: Float32) -> Float32:
        count, _height, width, channels = x.shape
        low, high = self.estimator.clip_values
        stripes = self.random.choice([-self.eps, self.eps], (count, 1, width, channels))
        striped: Float32 = np.clip(x + stripes, low, high).astype(np.float32)
        return striped

    def _search(
        self, x: Float32, labels: NDArray[np.int64], best: Float32, lead: Float32
    ) -> tuple[Float32, Float32]:
        """Searches from points with these margins ahead; gives the best ones, and their margins."""
        _count, height, width, channels = x.shape
        low, high = self.estimator.clip_values
        best, lead = best.copy(), lead.copy()
        for iteration in range(self.max_iter):
            active = np.flatnonzero(lead > 0)
            if not len(active):
                break
            share = self._get_percentage_of_elements(iteration)
            side = max(round(np.sqrt(share * height * width)), 1)
            tall, wide = min(side, height), min(side, width)
            top = self.random.integers(0, height - tall + 1, (len(active), 1))
            left = self.random.integers(0, width - wide + 1, (len(active), 1))
            rows, columns = np.arange(height), np.arange(width)
            in_rows = (rows >= top) & (rows < top + tall)
            in_columns = (columns >= left) & (columns < left + wide)
            square = (in_rows[:, :, None] & in_columns[:, None, :])[..., None]
            # As in ART: the change flips sign, or stays, within the ball.
            signs = self.random.choice([-1.0, 1.0], (len(active), 1, 1, channels))
            origin = x[active]
            tried = best[active] + square * signs * 2 * self.eps
            tried = np.clip(tried, origin - self.eps, origin + self.eps)
            tried = np.clip(tried, low, high).astype(np.float32)
            found = self._margins(tried, labels[active])
            better = found < lead[active]
            best[active[better]] = tried[better]
            lead[active[better]] = found[better]
        return best, lead

    def _margins(self, x: Float32, labels: NDArray[np.int64]) -> Float32:
        logits = self.estimator.predict(x.reshape(len(x), *self.estimator.input_shape))
        return margins(logits, labels)
