from __future__ import annotations

import pytest
from scipy.stats import binomtest

from tinyedge.evaluation.intervals import wilson_interval


@pytest.mark.parametrize(("right", "count"), [(0, 10), (5, 10), (10, 10), (913, 1000), (1, 3)])
def test_interval_is_scipys(right: int, count: int) -> None:
    expected = binomtest(right, count).proportion_ci(method="wilson")
    found = wilson_interval(right / count, count)
    assert found == pytest.approx((expected.low, expected.high), abs=1e-9)
