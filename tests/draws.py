"""How often tests draw at random.

``make quick`` takes a tenth of what a test names, ``make test`` a quarter, ``make soak`` all of it.
The seeds are fixed: the same share draws the same cases.
"""

from __future__ import annotations

import itertools
import os
import random
from collections.abc import Callable, Iterable
from typing import Any

import pytest
from hypothesis import settings

SHARE = float(os.environ.get("TINYEDGE_TEST_SHARE", "0.25"))


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


def some_of(first: Iterable[Any], *others: Iterable[Any]) -> list[Any]:
    """Parameters: a share of the combinations; the rest is left to ``make soak``.

    With ``others``, each of the ``first`` is among those tried, with at least one of theirs.
    """
    generator = random.Random(0)  # noqa: S311 - the same cases each time
    rows = [list(itertools.product([value], *others)) for value in first]
    if not others:
        rows = [[combination for row in rows for combination in row]]
    parameters = []
    for row in rows:
        count = max(1, round(SHARE * len(row)))
        tried = generator.sample(range(len(row)), count)
        for index, combination in enumerate(row):
            marks = [] if index in tried else [pytest.mark.slow]
            parameters.append(pytest.param(*combination, marks=marks))
    return parameters
