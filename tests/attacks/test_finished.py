"""An attack on a float model keeps the suites that are finished, and goes on after them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.cli.commands import failure, run_cli, run_json
from tinyedge import demo
from tinyedge.attacks import AttackSettings
from tinyedge.attacks.finished import FinishedSuites, identity
from tinyedge.attacks.float_craft import FloatCrafter
from tinyedge.errors import DataError, FileError
from tinyedge.evaluation.suites import Suite

SUITE = Suite("clean", np.linspace(0, 1, 24, dtype=np.float32).reshape(4, 6), np.arange(4))
SETTINGS = AttackSettings(epsilon=0.1)
BOUND = identity("abc", SUITE, SETTINGS, {"surrogate": None})
SHAPE = SUITE.inputs.shape


def journal(path: Path) -> Path:
    with FinishedSuites.create(path, BOUND) as kept:
        kept.add("fgsm", SUITE.inputs, {"attack": "fgsm", "epsilon": 0.1})
        kept.add("pgd", SUITE.inputs + 1, {"attack": "pgd", "clip": [0.0, 1.0]})
    return path


def test_suites_survive_the_journal(tmp_path: Path) -> None:
    with FinishedSuites.resume(journal(tmp_path / "journal"), BOUND, SHAPE) as kept:
        assert list(kept.suites) == ["fgsm", "pgd"]
        np.testing.assert_array_equal(kept.suites["pgd"][0], SUITE.inputs + 1)
        assert kept.suites["pgd"][1] == {"attack": "pgd", "clip": [0.0, 1.0]}


def test_a_suite_that_was_cut_off_is_made_again(tmp_path: Path) -> None:
    path = journal(tmp_path / "journal")
    path.write_bytes(path.read_bytes()[:-7])
    with FinishedSuites.resume(path, BOUND, SHAPE) as kept:
        assert list(kept.suites) == ["fgsm"]


def test_finished_suites_are_not_replaced_unasked(tmp_path: Path) -> None:
    path = journal(tmp_path / "journal")
    with pytest.raises(FileError, match="holds 2 finished suites") as refused:
        FinishedSuites.create(path, BOUND)
    assert "--resume" in refused.value.hint
    assert "--discard" in refused.value.hint
    with FinishedSuites.create(path, BOUND, discard=True) as kept:
        assert kept.suites == {}


@pytest.mark.parametrize(
    ("bound_to", "said"),
    [
        (identity("abd", SUITE, SETTINGS, {"surrogate": None}), "model differ"),
        (identity("abc", SUITE.first(3), SETTINGS, {"surrogate": None}), "samples differ"),
        (identity("abc", SUITE, AttackSettings(0.1, seed=1), {"surrogate": None}), "settings diff"),
        (identity("abc", SUITE, SETTINGS, {"surrogate": "x"}), "surrogate differ"),
    ],
)
def test_suites_of_another_attack_are_refused(
    bound_to: dict[str, Any], said: str, tmp_path: Path
) -> None:
    path = journal(tmp_path / "journal")
    with pytest.raises(DataError, match=said):
        FinishedSuites.resume(path, bound_to, SHAPE)


def test_a_journal_of_another_kind_is_refused(tmp_path: Path) -> None:
    from tinyedge.attacks.journal import QueryJournal

    path = tmp_path / "journal"
    with QueryJournal.create(path, "abc") as answers:
        answers.add([b"a"], [b"b"])
    with pytest.raises(DataError, match="no journal of finished suites"):
        FinishedSuites.resume(path, BOUND, SHAPE)
    with FinishedSuites.create(path, BOUND, discard=True) as kept:
        kept._records.append(['{"name": "fgsm", "settings": {}, "inputs": "AAAA"}'])
    with pytest.raises(DataError, match="a finished suite is damaged"):
        FinishedSuites.resume(path, BOUND, SHAPE)


def test_an_interrupted_attack_goes_on_to_the_same_bytes(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    clean = demo.clean_suite().first(4)
    np.savez(tmp_path / "data.npz", x=clean.inputs, y=clean.labels)
    attack = ["attack", demo.MODEL, "--data", tmp_path / "data.npz", "--iterations", "2"]
    attack += ["--square-queries", "20", "--attacks", "fgsm,noise,square", "-o"]
    real, crafted = FloatCrafter.craft, []

    def timed(self: FloatCrafter, attack: str, *arguments: Any) -> Any:
        crafted.append(attack)
        return real(self, attack, *arguments)

    def interrupted(self: FloatCrafter, attack: str, *arguments: Any) -> Any:
        if attack == "square":
            raise KeyboardInterrupt
        return timed(self, attack, *arguments)

    from tinyedge.commands import attack as command

    masking = {"believable": True, "findings": []}
    judgement = {"believable": True, "findings": [], "cautions": []}
    found = {"suites": [], "worst_cases": [], "judgement": judgement, "masking": masking}
    monkeypatch.setattr(command, "judge", lambda *_: found)
    monkeypatch.setattr(FloatCrafter, "craft", timed)
    run_json(capsys, *attack, tmp_path / "whole.npz")
    assert not (tmp_path / "whole.npz.journal").exists()

    parts = tmp_path / "parts.npz"
    monkeypatch.setattr(FloatCrafter, "craft", interrupted)
    code, _, err = run_cli(capsys, *attack, parts)
    assert code == 130
    assert "2 finished suites are in" in err
    assert not parts.exists()
    monkeypatch.setattr(FloatCrafter, "craft", timed)
    again = failure(capsys, 2, *attack, parts)
    assert "parts.npz.journal: holds 2 finished suites" in again["message"]
    assert "exclude" in failure(capsys, 2, *attack, parts, "--resume", "--discard")["message"]
    other = failure(capsys, 3, *attack, parts, "--resume", "--seed", "1")
    assert "settings differ" in other["message"]
    crafted.clear()
    run_json(capsys, *attack, parts, "--resume")
    assert crafted == ["square"]
    assert parts.read_bytes() == (tmp_path / "whole.npz").read_bytes()
    assert not (tmp_path / "parts.npz.journal").exists()
