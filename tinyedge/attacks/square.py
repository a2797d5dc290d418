"""Square attack, a batch at a time."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from tinyedge.attacks.classifier import Float32
from tinyedge.attacks.environment import SquareAttack, check_and_transform_label_format


class BatchedSquare(SquareAttack):  # type: ignore[misc]
    """ART's Square attack in the L-infinity norm, with a third of its queries.

    As in the paper (Andriushchenko et al. 2020, arXiv 1912.00049), every sample has a square of
    its own; ART draws one for all samples of a batch. Logits of the best samples so far are kept
    instead of being asked for again, and samples that are misclassified take no further part.

    Attributes:
        random: draws the squares.
    """

    random: np.random.Generator

    def generate(self, x: Float32, y: Any = None, **_: Any) -> Float32:
        labels = check_and_transform_label_format(
            y, nb_classes=self.estimator.nb_classes, return_one_hot=False
        ).ravel()
        original_shape = x.shape
        if x.ndim != 4:  # any other input is an image of one row
            x = x.reshape(len(x), 1, -1, 1)
        best = x.astype(np.float32).copy()
        for _restart in range(self.nb_restarts):
            margins = self._margins(best, labels)
            robust = np.flatnonzero(margins > 0)
            if not len(robust):
                break
            found, fooled = self._restart(x[robust], labels[robust])
            best[robust[fooled]] = found[fooled]
        return best.reshape(original_shape)

    def _restart(self, x: Float32, labels: NDArray[np.int64]) -> tuple[Float32, NDArray[np.bool_]]:
        count, height, width, channels = x.shape
        low, high = self.estimator.clip_values
        stripes = self.random.choice([-self.eps, self.eps], (count, 1, width, channels))
        best = np.clip(x + stripes, low, high).astype(np.float32)
        margins = self._margins(best, labels)
        for iteration in range(self.max_iter):
            active = np.flatnonzero(margins > 0)
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
            better = found < margins[active]
            best[active[better]] = tried[better]
            margins[active[better]] = found[better]
        return best, margins <= 0

    def _margins(self, x: Float32, labels: NDArray[np.int64]) -> Float32:
        """By how much the true class's logit exceeds the largest other one, float32 (n,)."""
        logits = self.estimator.predict(x.reshape(len(x), *self.estimator.input_shape))
        at = np.arange(len(labels))
        own = logits[at, labels]
        others = logits.copy()
        others[at, labels] = -np.inf
        margins: Float32 = own - others.max(axis=1)
        # Of equal logits the first wins: the device's verdict, and numpy's.
        wins = logits.argmax(axis=1) == labels
        return np.where(wins, np.maximum(margins, np.float32(1e-9)), np.minimum(margins, 0))
