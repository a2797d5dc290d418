"""Figures on the page of results come out again, from the committed weights."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from tinyedge.attacks import AttackSettings
from tinyedge.attacks.suites import craft_suites
from tinyedge.cli.output import Output
from tinyedge.datasets import load_test_set
from tinyedge.errors import DataError
from tinyedge.evaluation.metrics import verdicts
from tinyedge.evaluation.suites import Suite
from tinyedge.records.training import load_training

pytestmark = [pytest.mark.keras, pytest.mark.slow]

RUN = Path(__file__).parents[2] / "experiments" / "fashion_mnist" / "stq-fgsm"
SAMPLES = 50


def test_stored_verdicts_are_computed_again() -> None:
    """Takes 50 of the 1,000 samples: crafted anew, each is right or wrong as the record says."""
    record = json.loads((RUN / "robust.json").read_text())
    clean, attacked = record["suites"]
    try:
        data = load_test_set("fashion_mnist")
    except DataError as error:
        pytest.skip(str(error))
    drawn = Suite("clean", data.x, data.y).drawn(clean["samples"], clean["settings"]["seed"])
    labels = [int(label) for label in record["labels"].split()]
    np.testing.assert_array_equal(drawn.labels, labels)
    few = replace(drawn, inputs=drawn.inputs[:SAMPLES], labels=drawn.labels[:SAMPLES])
    settings = AttackSettings(epsilon=attacked["settings"]["epsilon"], seed=0)
    quiet = Output(verbosity=-1).progress
    crafted = craft_suites(RUN / "model.h5", few, ("autoattack",), settings, SAMPLES, quiet)
    for suite, stored in zip(crafted, (clean, attacked), strict=True):
        assert suite.float_logits is not None
        found = verdicts(suite.float_logits) == suite.labels
        told = np.array([int(each) for each in stored["verdicts"].split()][:SAMPLES])
        np.testing.assert_array_equal(found, told == few.labels, err_msg=suite.name)
    assert load_training(RUN / "run.json").test.accuracy == pytest.approx(0.8756)
