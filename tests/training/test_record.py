"""A run's record that is damaged is refused by name, with the way on."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tinyedge.errors import ModelError
from tinyedge.training.record import read_record

RECORD: dict[str, Any] = {
    "version": 1,
    "config": {
        "data": {"name": "digits"},
        "model": {"name": "stq"},
        "training": {"epochs": 1},
        "distillation": {"teacher": "other"},
    },
    "nominal_bytes": {"float": 12.0, "stq": 3},
    "input_range": [0.0, 1.0],
    "test": {"source": "digits", "samples": 3, "accuracy": 0.5, "interval": [0.1, 0.9]},
    "jacobian": {"samples": 3, "frobenius_mean": 1.5},
    "epochs": [{"loss": 1.0, "portion": None}],
    "seconds": 1.0,
    "versions": {"numpy": "1"},
}
DAMAGES: dict[str, tuple[Callable[[str], str], str]] = {
    "empty": (lambda _: "", "damaged"),
    "torn": (lambda text: text[:-9], "damaged"),
    "no object": (lambda _: "[1]", "no object"),
    "NaN": (lambda text: text.replace("1.5", "NaN"), "NaN is no number"),
    "endless": (lambda text: text.replace("1.5", "1e999"), "jacobian.frobenius_mean is inf"),
    "a part missing": (lambda text: text.replace('"seconds"', '"hours"'), "seconds is missing"),
    "a text": (lambda text: text.replace("0.5", '"half"'), "test.accuracy is 'half'"),
    "nested": (lambda _: "[" * 100_000, "nested too deeply"),
}


def test_a_record_is_read_as_it_is(tmp_path: Path) -> None:
    (tmp_path / "run.json").write_text(json.dumps(RECORD))
    assert read_record(tmp_path) == RECORD


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_record_is_refused(damage: str, tmp_path: Path) -> None:
    change, said = DAMAGES[damage]
    (tmp_path / "run.json").write_text(change(json.dumps(RECORD)))
    with pytest.raises(ModelError) as refused:
        read_record(tmp_path)
    assert str(refused.value).startswith(f"{tmp_path / 'run.json'}: ")
    assert said in str(refused.value)
    assert "train again" in refused.value.hint
