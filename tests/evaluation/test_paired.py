"""The exact test of McNemar, against sums of binomial coefficients and a known value."""

from __future__ import annotations

import math

import numpy as np
import pytest

from tinyedge.evaluation.paired import Paired


@pytest.mark.parametrize(("first", "second"), [(0, 0), (3, 1), (1, 3), (10, 2), (5, 5), (0, 7)])
def test_tails_are_sums_of_binomials(first: int, second: int) -> None:
    count = first + second
    upper = sum(math.comb(count, k) for k in range(first, count + 1)) / 2**count
    larger = max(first, second)
    both = 2 * sum(math.comb(count, k) for k in range(larger, count + 1)) / 2**count
    assert Paired(first, second).first_is_more == pytest.approx(upper)
    assert Paired(first, second).p_value == pytest.approx(min(1.0, both))


def test_thousands_of_samples_are_exact() -> None:
    # By the binomial test of SciPy.
    assert Paired(4000, 3900).p_value == pytest.approx(0.2653478988383241)
    assert Paired(9000, 0).p_value == 0.0


def test_samples_on_which_both_agree_say_nothing() -> None:
    first = np.array([True, True, False, False, True])
    second = np.array([True, False, True, False, False])
    assert Paired.of(first, second) == Paired(2, 1)
