"""The changes that an attack made, and the samples that withstand it."""

from __future__ import annotations

import numpy as np
import pytest

from tinyedge.evaluation.perturbation import Perturbation, successes, withstood

BEFORE = np.array([True, True, True, False])
AFTER = np.array([False, False, True, False])


def changed() -> Perturbation:
    clean = np.zeros((6, 2, 2), np.float32)
    attacked = clean[:4].copy()
    attacked[0, 0] = (3, -4)
    attacked[1, 1, 1] = 1
    attacked[3, 0, 0] = 7
    return Perturbation.between(clean, attacked)


def test_lengths_and_largest_changes_of_each_sample() -> None:
    change = changed()
    assert change.lengths.tolist() == [5, 1, 0, 7]
    assert change.largest.tolist() == [4, 1, 0, 7]
    assert change.samples_changed == 3


def test_successes_are_what_was_right_and_is_no_more() -> None:
    assert successes(BEFORE, AFTER).tolist() == [True, True, False, False]
    assert changed().median_of_successes(BEFORE, AFTER) == 3
    assert changed().median_of_successes(AFTER, AFTER) is None


@pytest.mark.parametrize(("epsilon", "held"), [(0.5, 3), (1, 2), (5, 1)])
def test_a_change_longer_than_the_budget_is_withstood(epsilon: float, held: int) -> None:
    assert withstood(changed().lengths, epsilon, BEFORE, AFTER).sum() == held


def test_changes_are_exact_where_float32_rounds() -> None:
    clean = np.array([[1.0]], np.float32)
    attacked = np.array([[2.0**-30]], np.float32)
    assert Perturbation.between(clean, attacked).lengths[0] == 1 - 2.0**-30
