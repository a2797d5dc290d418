from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from tinyedge import demo
from tinyedge.attacks import AttackSettings
from tinyedge.attacks.suites import craft_suites
from tinyedge.cli.output import Output
from tinyedge.errors import DataError, ModelError, UsageError
from tinyedge.evaluation.compare import accuracy
from tinyedge.evaluation.suites import Suite, load_suites, save_suites

QUIET = Output(verbosity=-1).progress
CLEAN = demo.clean_suite()
FIRST = Suite("clean", CLEAN.inputs[:40], CLEAN.labels[:40])


def craft(
    clean: Suite = FIRST, attacks: tuple[str, ...] = ("fgsm", "pgd"), **rest: object
) -> list[Suite]:
    settings = AttackSettings(**{"epsilon": 0.05, **rest})  # type: ignore[arg-type]
    return craft_suites(demo.MODEL, clean, attacks, settings, 40, QUIET)


def test_attacks_keep_their_budget_and_do_harm() -> None:
    clean, fgsm, pgd = craft()
    for suite in (fgsm, pgd):
        change = np.abs(suite.inputs - FIRST.inputs).max()
        assert 0.049 < change <= 0.05 + 1e-6
        assert suite.inputs.min() >= 0.0
        assert suite.inputs.max() <= 1.0
    accuracies = [accuracy(suite.float_logits, suite.labels) for suite in (clean, fgsm, pgd)]  # type: ignore[arg-type]
    assert accuracies[0] > accuracies[1] >= accuracies[2]
    assert accuracies[0] - accuracies[2] > 0.4


def test_same_seed_gives_the_same_samples() -> None:
    first, again, other = (craft(attacks=("pgd",), seed=seed)[1].inputs for seed in (3, 3, 4))
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)


def test_suites_survive_their_file(tmp_path: Path) -> None:
    suites = craft(attacks=("fgsm",))
    save_suites(tmp_path / "suites.npz", suites, {"file": "m.h5"})
    for saved, loaded in zip(suites, load_suites(tmp_path / "suites.npz"), strict=True):
        assert saved.name == loaded.name
        assert saved.settings == loaded.settings
        assert np.array_equal(saved.inputs, loaded.inputs)
        assert np.array_equal(saved.labels, loaded.labels)
        assert np.array_equal(saved.float_logits, loaded.float_logits)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("suite", "error", "message"),
    [
        (Suite("clean", FIRST.inputs[:, :27], FIRST.labels), DataError, "shape"),
        (Suite("clean", FIRST.inputs, FIRST.labels + 5), DataError, "labels"),
        (Suite("clean", FIRST.inputs * 255, FIRST.labels), DataError, "range"),
    ],
)
def test_unfit_samples_are_refused(suite: Suite, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        craft(suite)


def test_unknown_attack_and_model_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="deepfool"):
        craft(attacks=("deepfool",))
    with pytest.raises(ModelError, match="no such file"):
        craft_suites(tmp_path / "m.h5", FIRST, ("fgsm",), AttackSettings(0.1), 5, QUIET)
