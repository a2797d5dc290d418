from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from tinyedge.errors import DataError
from tinyedge.samples.labels import are_targets, checked_labels, checked_targets

TEN = np.arange(10)


@pytest.mark.parametrize("labels", [TEN, TEN[:, None], TEN.astype(np.uint8)])
def test_integer_labels_are_taken(labels: NDArray[np.int64]) -> None:
    found = checked_labels("y", labels, 10, 10)
    assert found.dtype == np.int64
    np.testing.assert_array_equal(found, TEN)


@pytest.mark.parametrize(
    ("labels", "classes", "said"),
    [
        (np.r_[TEN, TEN], 10, "10 samples, but 20 labels"),
        (TEN - 1, 10, "labels are -1 to 8, allowed are 0 to 9, of the model's 10 classes"),
        (TEN - 1, None, "labels are -1 to 8, allowed are at least 0"),
        (TEN + 1, 10, "labels are 1 to 10, allowed are 0 to 9"),
        (TEN + 5, 12, "labels are 5 to 14, allowed are 0 to 11"),
        (TEN + 2**40, None, "allowed are 0 to 2147483647"),
        (np.full(10, 2**64 - 1, np.uint64), 10, "labels are 18446744073709551615"),
        (np.eye(10)[TEN], 10, r"one-hot, of shape \(10, 10\)"),
        (np.eye(10, dtype=bool)[TEN], None, "one-hot"),
        (np.ones((10, 2)), 10, r"labels of shape \(10, 2\)"),
        (np.where(TEN == 3, np.nan, TEN), 10, "the label of sample 3 is nan"),
        (TEN / 2, 10, "labels are float64"),
        (np.array(["a"] * 10), 10, "labels are <U1"),
    ],
)
def test_labels_that_do_not_fit_are_refused(
    labels: NDArray[np.int64], classes: int | None, said: str
) -> None:
    with pytest.raises(DataError, match=said) as refused:
        checked_labels("s.npz: y", labels, 10, classes)
    assert str(refused.value).startswith("s.npz: y: ")


def test_labels_counted_from_one_are_said_to_be() -> None:
    with pytest.raises(DataError) as refused:
        checked_labels("y", TEN + 1, 10, 10)
    assert refused.value.hint == "classes are counted from 0: give y - 1"


@pytest.mark.parametrize(
    ("y", "targets"),
    [
        (np.array([[3.0], [5.0], [2.0]]), True),
        (np.array([3.5, 5.0]), True),
        (np.ones((3, 2, 2)), True),
        (np.array([3.0, 5.0]), False),
        (np.array([[1.0], [0.0]]), False),
        (np.eye(3), False),
        (np.array([[3], [5]]), False),
        (np.zeros((0, 10)), False),
        (np.zeros(0), False),
        (np.float64(3.5), False),
    ],
)
def test_targets_are_told_from_labels(y: NDArray[Any], targets: bool) -> None:  # noqa: FBT001
    assert are_targets(y) == targets


@pytest.mark.parametrize("value", [np.nan, -np.inf, 1e39])
def test_targets_are_numbers_of_float32(value: float) -> None:
    with pytest.raises(DataError, match="y: a target of sample 1 is"):
        checked_targets("y", np.array([[0.5, 1], [value, 2]]), 2, 2)
