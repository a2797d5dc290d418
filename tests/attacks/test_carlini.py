"""C&W finds changes that are hardly longer than the shortest there are."""

from __future__ import annotations

import numpy as np
import pytest

from tests.attacks.test_fab import Linear
from tinyedge.attacks.carlini import carlini_wagner


@pytest.mark.parametrize("clip", [(0.0, 1.0), (0.0, 255.0)])
def test_changes_are_the_shortest_there_are(clip: tuple[float, float]) -> None:
    """The shortest change of a linear model leads straight to the nearest border."""
    random = np.random.default_rng(1)
    high = clip[1]
    model = Linear(random.normal(size=(12, 3)) / high)
    x = (high * random.uniform(0.35, 0.65, (30, 12))).astype(np.float32)
    logits = model.logits(x).astype(np.float64)
    labels = logits.argmax(axis=1)
    labels[0] = (labels[0] + 1) % 3
    found = carlini_wagner(model, x, labels, clip, 200, 6)
    assert (model.margins(found, labels) <= 0).all()
    assert (found[0] == x[0]).all()
    lengths = np.linalg.norm(found - x, axis=1)[1:]
    rows = np.arange(1, 30)
    ways = model.weights.T[labels[1:], None] - model.weights.T[None]
    gaps = logits[rows, labels[1:], None] - logits[1:]
    away = gaps / (np.linalg.norm(ways, axis=2) + 1e-12)
    away[np.arange(29), labels[1:]] = np.inf
    shortest = away.min(axis=1)
    assert (lengths >= shortest * (1 - 1e-4)).all()
    assert np.median(lengths / shortest) < 1.05
    assert clip[0] <= found.min() <= found.max() <= clip[1]
