"""FAB: the nearest point of a hyperplane within bounds, and what it finds where others do not."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from tinyedge.attacks.descent import Descent, Found
from tinyedge.attacks.fab import fab, nearest_change
from tinyedge.attacks.margins import margins


@pytest.mark.parametrize("seed", range(5))
def test_changes_are_the_smallest_that_reach_the_plane(seed: int) -> None:
    """Against bisection over the largest change, on points some of which lie on the bounds."""
    random = np.random.default_rng(seed)
    points = np.clip(random.uniform(-0.2, 1.2, (40, 9)), 0.0, 1.0)
    normals = random.normal(size=points.shape) * (random.random(points.shape) < 0.8)
    missing = random.normal(scale=0.8, size=40)
    found = nearest_change(points, normals, missing, (0.0, 1.0))
    assert ((points + found >= -1e-12) & (points + found <= 1 + 1e-12)).all()

    def reached(largest: np.ndarray) -> np.ndarray:
        ways = np.sign(normals) * np.sign(missing)[:, None] * largest[:, None]
        change = np.clip(points + ways, 0.0, 1.0) - points
        gone: np.ndarray = np.abs((normals * change).sum(axis=1))
        return gone

    low, high = np.zeros(40), np.ones(40)
    for _ in range(60):
        middle = (low + high) / 2
        enough = reached(middle) >= np.abs(missing)
        low, high = np.where(enough, low, middle), np.where(enough, middle, high)
    possible = reached(np.ones(40)) >= np.abs(missing)
    assert 0 < possible.sum() < 40
    gone = (normals * found).sum(axis=1)
    assert np.allclose(gone[possible], missing[possible])
    assert np.allclose(np.abs(found).max(axis=1)[possible], high[possible], atol=1e-9)
    assert (np.abs(gone) <= np.abs(missing) + 1e-9).all()


class Linear:
    """Three classes by a matrix."""

    classes = 3

    def __init__(self, weights: np.ndarray) -> None:
        self.weights = weights

    def logits(self, samples: Any) -> Any:
        return (samples @ self.weights).astype(np.float32)

    scores = logits

    def margins(self, samples: Any, labels: Any) -> Any:
        return margins(self.logits(samples), labels)

    def step(self, samples: Any, labels: Any, loss: Any, targets: Any = None) -> Found:
        logits = self.logits(samples)
        losses, gradient = loss(logits.astype(np.float64), labels, targets)
        by_input = (gradient @ self.weights.T).astype(np.float32)
        return Found(margins(logits, labels), losses, by_input)


@pytest.mark.parametrize("epsilon", [0.06, 0.1])
def test_a_linear_model_is_fooled_wherever_it_can_be(epsilon: float) -> None:
    random = np.random.default_rng(1)
    model = Linear(random.normal(size=(12, 3)))
    origin = random.uniform(0.3, 0.7, (60, 12)).astype(np.float32)
    labels = model.logits(origin).argmax(axis=1)
    randoms = [np.random.default_rng(index) for index in range(60)]
    descent = Descent(model, origin, labels, epsilon, (0.0, 1.0), randoms)
    for rank in range(2):
        fab(descent, 10, rank)
    logits = model.logits(origin).astype(np.float64)
    own = logits[np.arange(60), labels]
    reach = np.abs(model.weights[:, :, None] - model.weights[:, None, :]).sum(axis=0)[labels]
    possible = (own[:, None] - logits < epsilon * reach - 1e-5).any(axis=1)
    assert 0 < possible.sum() < 60
    np.testing.assert_array_equal(descent.lead <= 0, possible)
    assert np.abs(descent.best - origin).max() <= epsilon + 1e-6
