"""Square: proposals that change nothing are drawn again."""

from __future__ import annotations

from typing import Any

import numpy as np

from tinyedge.attacks.square import Square


def test_no_query_asks_what_was_asked_before() -> None:
    """The best so far is not proposed again, though single values soon are where they would go."""
    asked: list[np.ndarray] = []

    def lead(x: Any, labels: Any) -> Any:  # noqa: ARG001
        asked.append(x[0].copy())
        return 1 + np.abs(x - 1).mean(axis=(1, 2, 3)).astype(np.float32)

    x = np.full((1, 4, 4, 1), 0.5, np.float32)
    square = Square(lead, 0.1, (0.0, 1.0), 60, 1, np.random.default_rng(0))
    square.search(x, np.zeros(1, np.int64))
    best, stripes, *proposals = asked
    assert len(proposals) == 60
    best, lowest = stripes, float("inf")
    for proposal in (stripes, *proposals):
        assert proposal is stripes or (proposal != best).any()
        cost = float(np.abs(proposal - 1).mean())
        if cost < lowest:
            best, lowest = proposal, cost
    assert np.allclose(best, 0.6)


def test_a_sample_that_nothing_can_change_ends() -> None:
    """Where the ball lies outside of the range, no draw helps, and the search goes on."""
    x = np.ones((2, 3, 3, 1), np.float32)
    square = Square(
        lambda x, _labels: np.ones(len(x), np.float32), 0.5, (1.0, 1.0), 3, 1,
        np.random.default_rng(0),
    )  # fmt: skip
    assert (square.search(x, np.zeros(2, np.int64)) == 1.0).all()
