"""Errors of logits and confusion, against what can be worked out by hand."""

from __future__ import annotations

import numpy as np
import pytest

from tinyedge.errors import DataError
from tinyedge.evaluation.metrics import LogitError, class_logits, confusion_matrix, verdicts
from tinyedge.graph.tensors import Quantization


def test_logit_error_by_hand() -> None:
    expected = np.array([[3.0, 4.0], [0.0, 0.0]])
    found = np.array([[3.0, 0.0], [0.0, 3.0]])
    error = LogitError.of(found, expected)
    assert error.rmse == pytest.approx((25 / 4) ** 0.5)
    assert error.mae == pytest.approx(7 / 4)
    assert error.l2r == pytest.approx(5 / 5)
    assert error.cos == pytest.approx(9 / (5 * 18**0.5))
    assert error.largest == 4
    assert error.undefined is None


def test_equal_logits_have_no_error() -> None:
    logits = np.random.default_rng(0).normal(size=(50, 12))
    error = LogitError.of(logits, logits)
    assert (error.rmse, error.mae, error.l2r, error.largest) == (0, 0, 0, 0)
    assert error.cos == pytest.approx(1)
    assert error.cos is not None
    assert error.cos <= 1
    opposite = LogitError.of(-logits, logits)
    assert opposite.cos == pytest.approx(-1)
    assert opposite.l2r == pytest.approx(2)


def test_what_is_undefined_is_none_with_a_reason() -> None:
    zeros, ones = np.zeros((2, 3)), np.ones((2, 3))
    error = LogitError.of(ones, zeros)
    assert error.l2r is None
    assert error.cos is None
    assert error.undefined == "all logits of the reference are zero"
    assert error.rmse == 1
    error = LogitError.of(zeros, ones)
    assert error.l2r == 1
    assert error.cos is None
    assert error.undefined == "all logits are zero"


def test_other_shapes_are_refused() -> None:
    with pytest.raises(DataError, match="against"):
        LogitError.of(np.zeros((2, 3)), np.zeros((2, 4)))


def test_one_logit_tells_two_classes() -> None:
    reals = np.array([[-0.5], [0.0], [0.25], [2.0]], np.float32)
    assert verdicts(reals).tolist() == [0, 0, 1, 1]
    for output in (Quantization(0.25, 0), Quantization(0.25, -100), Quantization(0.25, 90)):
        assert verdicts(output.quantize(reals), output).tolist() == [0, 0, 1, 1]


def test_one_probability_is_compared_with_a_half() -> None:
    logistic = Quantization(1 / 256, -128)
    shares = np.array([[0.0], [0.49], [0.5], [0.51], [0.99]])
    assert verdicts(logistic.quantize(shares), logistic).tolist() == [0, 0, 0, 1, 1]


def test_several_logits_are_compared_with_each_other() -> None:
    output = Quantization(0.5, -20)
    logits = np.array([[-3, -3], [-5, -4]], np.int8)
    assert verdicts(logits, output).tolist() == [0, 1]


def test_confusion_matrix_counts_labels_by_verdict() -> None:
    found, labels = np.array([0, 1, 1, 2]), np.array([0, 1, 2, 3])
    counts = confusion_matrix(found, labels, 3)
    # The model has no fourth class: its label still has a row.
    assert counts.tolist() == [[1, 0, 0], [0, 1, 0], [0, 1, 0], [0, 0, 1]]


def test_the_first_of_equal_logits_is_the_verdict() -> None:
    logits = np.array([[1, 2, 2], [5, 5, 5]], dtype=np.int8)
    assert verdicts(logits).tolist() == [1, 0]


@pytest.mark.parametrize("output", [Quantization(0.25, -7), Quantization(1 / 256, -128)])
def test_two_logits_have_the_verdict_of_the_one(output: Quantization) -> None:
    """Tries every value that a device may answer, behind a logistic operator or not."""
    answers = np.arange(-128, 128, dtype=np.int8)[:, None]
    two = class_logits(output.dequantize(answers), output)
    assert two.shape == (256, 2)
    assert two.argmax(axis=1).tolist() == verdicts(answers, output).tolist()
