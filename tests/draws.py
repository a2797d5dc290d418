"""How often tests draw at random.

``make quick`` takes a tenth of what a test names, ``make test`` a third, ``make soak`` all of it.
The seeds are fixed: the same share draws the same cases.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import settings

SHARE = float(os.environ.get("TINYEDGE_TEST_SHARE", "0.33"))


def draws(count: int) -> int:
    """How many of ``count`` random cases are tried; never fewer than five."""
    return min(count, max(5, round(SHARE * count)))


def examples(count: int) -> Callable[[Any], Any]:
    """For a test that hypothesis draws for: ``count`` examples, or a share of them."""

    def decorate(test: Any) -> Any:
        return pytest.mark.drawn(settings(max_examples=draws(count))(test))

    return decorate


def each_seed(count: int) -> Callable[[Any], Any]:
    """For a test of a ``seed``: ``count`` of them, or a share."""

    def decorate(test: Any) -> Any:
        return pytest.mark.drawn(pytest.mark.parametrize("seed", range(draws(count)))(test))

    return decorate


def spread(count: int) -> range:
    """The numbers below ``count``, or a share of them from the first to the last."""
    return range(0, count, max(1, round(count / draws(count))))
