"""Records of trainings: those that the repository keeps, and what a report says of one."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.cli.commands import failure
from tinyedge.errors import DataError
from tinyedge.records.parts import dumped
from tinyedge.records.training import load_training

KEPT = sorted(Path(__file__).parents[2].glob("experiments/*/*/run.json"))


def test_kept_records_are_read_and_written_as_they_are() -> None:
    assert len(KEPT) > 20
    for path in KEPT:
        assert json.dumps(dumped(load_training(path))) == json.dumps(json.loads(path.read_text()))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"test": {"accuracy": 2}}, "test.accuracy is 2"),
        ({"config": {"name": "a\0"}}, r"config.name is 'a\x00', allowed"),
        ({"epochs": [{}]}, "epochs.0.loss is missing"),
        ({"version": 2}, "version is 2, allowed: up to 1"),
    ],
)
def test_damaged_ones_are_refused(change: dict[str, object], message: str, tmp_path: Path) -> None:
    path = tmp_path / "run.json"
    path.write_text(json.dumps(json.loads(KEPT[0].read_text()) | change))
    with pytest.raises(DataError) as error:
        load_training(path)
    assert str(path) in str(error.value)
    assert message in str(error.value)


def test_a_report_says_what_it_is(capsys: pytest.CaptureFixture[str]) -> None:
    error = failure(capsys, 3, "report", KEPT[0])
    assert "the record of a training, not of a run" in error["message"]
    assert "tinyedge attack" in error["hint"]
    assert "tinyedge run" in error["hint"]
