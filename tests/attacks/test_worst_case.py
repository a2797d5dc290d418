"""The worst case of each sample within one budget, and what records keep of samples."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from tinyedge.attacks.rows import compare_records, kept_samples, packed, unpacked
from tinyedge.attacks.settings import Norm
from tinyedge.attacks.worst_case import Tried, worst_cases
from tinyedge.errors import DataError
from tinyedge.evaluation.paired import Paired
from tinyedge.evaluation.perturbation import Perturbation

CLEAN = np.array([True] * 5 + [False])


def tried(name: str, norm: Norm, epsilon: float, size: float, fooled: list[int]) -> Tried:
    """A suite whose samples move by so much in the first of four values."""
    change = np.zeros((6, 4))
    change[:, 0] = size
    right = CLEAN.copy()
    right[fooled] = False
    return Tried(name, norm, epsilon, Perturbation(change), right)


def test_every_sample_meets_the_attack_that_is_worst_for_it() -> None:
    suites = [
        tried("pgd@0.1", "Linf", 0.1, 0.1, [0]),
        tried("pgd@0.2", "Linf", 0.2, 0.2, [1]),
        tried("square@0.2", "Linf", 0.2, 0.2, [1, 2]),
        tried("cw", "L2", 0.3, 0.15, [3]),
    ]
    cases = worst_cases(CLEAN, suites, 1.0)
    found = {(case["norm"], case["epsilon"]): case for case in cases}
    # Five were right; a small change counts within every larger budget, of any norm.
    assert {key: round(6 * case["accuracy"]) for key, case in found.items()} == {
        ("Linf", 0.1): 4,
        ("Linf", 0.2): 1,
        ("L2", 0.3): 1,
    }
    assert found["Linf", 0.2]["suites"] == ["pgd@0.1", "pgd@0.2", "square@0.2", "cw"]
    assert found["Linf", 0.1]["suites"] == ["pgd@0.1"]


def test_a_change_beyond_the_budget_does_not_count() -> None:
    suites = [tried("pgd", "Linf", 0.1, 0.1, []), tried("cw", "L2", 0.3, 0.4, [0])]
    shares = [case["accuracy"] for case in worst_cases(CLEAN, suites, 1.0)]
    assert shares == [pytest.approx(5 / 6)] * 2


def record(verdicts: list[int], withstood: list[int] | None = None, **rest: Any) -> dict[str, Any]:
    suite = {"name": "pgd", "verdicts": packed(np.array(verdicts))}
    if withstood:
        suite["withstood"] = packed(np.array(withstood))
    return {"labels": "3 1 12 0", "samples_sha256": "a", "suites": [suite]} | rest


def test_records_are_compared_sample_by_sample() -> None:
    first, second = record([3, 1, 12, 1]), record([3, 0, 0, 1])
    assert kept_samples(first, "pgd") is not None
    assert list(kept_samples(first, "pgd")) == [True, True, True, False]  # type: ignore[arg-type]
    assert compare_records(first, second, "pgd") == Paired(2, 0)
    within = record([0, 0, 0, 0], [1, 0, 1, 1])
    assert compare_records(within, second, "pgd") == Paired(2, 0)
    assert compare_records(first, second | {"samples_sha256": "b"}, "pgd") is None
    assert compare_records(first, {**second, "suites": []}, "pgd") is None
    older: dict[str, Any] = {"suites": [{"name": "pgd"}]}
    assert compare_records(older, older, "pgd") is None


def test_damaged_verdicts_are_named() -> None:
    with pytest.raises(DataError, match="no whole numbers"):
        unpacked("1 two 3")
    with pytest.raises(DataError, match="3 verdicts, 4 labels"):
        kept_samples(record([1, 2, 3]), "pgd")
