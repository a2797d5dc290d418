"""A record's file may hold these parts, whoever wrote it."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.cli.commands import failure
from tinyedge.errors import DataError
from tinyedge.records.footprint import load_footprint
from tinyedge.records.parts import DEEPEST, LARGEST_FILE, LONGEST_NAME, LONGEST_TEXT, MOST_VALUES
from tinyedge.records.run import load_run

OLD = Path(__file__).parents[1] / "reports" / "data" / "report-0.1.0.json"


def nested(levels: int) -> Any:
    value: Any = "x"
    for _ in range(levels):
        value = [value]
    return value


def write(path: Path, change: Callable[[dict[str, Any]], Any]) -> Path:
    record = json.loads(OLD.read_text())
    change(record)
    path.write_text(json.dumps(record))
    return path


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda r: r["suites"][0].update(name="cle\0an"), r"suites.0.name is 'cle\x00an', allowed"),
        (lambda r: r["suites"][0].update(name="\x1b[31m"), r"suites.0.name is '\x1b[31m', allowed"),
        (lambda r: r["model"].update(name="two\nlines"), r"model.name is 'two\nlines', allowed"),
        (lambda r: r["model"]["notes"].append("a\0"), r"model.notes.0 is 'a\x00', allowed"),
        (lambda r: r["model"]["source"].update(file="a\x9b"), "model.source.file is"),
        (lambda r: r["model"]["source"].update({"a\0": 1}), r"a key in model.source is 'a\x00'"),
        (lambda r: r.update(later={"x": "\0"}), "later.x is"),
        (lambda r: r.update(later="x" * (LONGEST_TEXT + 1)), f"up to {LONGEST_TEXT:,} characters"),
        (lambda r: r["model"].update(name="x" * (LONGEST_NAME + 1)), f"to {LONGEST_NAME:,} char"),
        (lambda r: r.update(later=nested(DEEPEST)), "nested too deeply, allowed: 32 levels"),
        (lambda r: r["suites"][0].update(seconds={"mean": float("nan")}), "as JSON"),
        (lambda r: r["model"].update(macs=2**70), "model.macs is larger than 64 bits"),
        (lambda r: r["suites"][0].update(samples=True), "suites.0.samples is True"),
        (lambda r: r["suites"][0]["settings"].update(epsilon="8"), "settings.epsilon is '8'"),
    ],
)
def test_values_that_no_record_holds_are_refused(
    change: Callable[[dict[str, Any]], Any],
    message: str,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    path = write(tmp_path / "run.json", change)
    error = failure(capsys, 3, "report", path, "-o", tmp_path / "out")
    assert error["code"] == "data"
    assert str(path) in error["message"]
    assert message in error["message"]
    assert not any(ord(character) < 32 for character in error["message"])
    assert not (tmp_path / "out").exists()


def test_infinity_that_json_can_write_is_refused(tmp_path: Path) -> None:
    path = write(tmp_path / "run.json", lambda r: r.update(later=[0.5]))
    path.write_text(path.read_text().replace("[0.5]", "[1e999]"))
    with pytest.raises(DataError, match=r"later\.0 is inf, allowed: a finite number"):
        load_run(path)


def test_a_footprint_has_the_same_limits(tmp_path: Path) -> None:
    symbol = {"name": "a\0b", "section": ".text", "file": None, "flash": 1, "ram": 0}
    path = tmp_path / "footprint.json"
    path.write_text(json.dumps({"symbols": [symbol]}))
    with pytest.raises(DataError, match=r"symbols.0.name is 'a\\x00b', allowed: a text"):
        load_footprint(path)


def test_a_file_is_measured_before_it_is_read(tmp_path: Path) -> None:
    path = tmp_path / "run.json"
    with path.open("wb") as file:
        file.truncate(LARGEST_FILE + 1)
    with pytest.raises(DataError, match="134,217,729 bytes, allowed: up to 134,217,728"):
        load_run(path)
    path.write_text("[" + "0," * MOST_VALUES + "0]")
    with pytest.raises(DataError, match="2,000,001 values, allowed: up to 2,000,000"):
        load_run(path)


def test_of_many_wrong_rows_the_first_is_told(tmp_path: Path) -> None:
    path = write(tmp_path / "run.json", lambda r: r.update(suites=[{}] * 100_000))
    with pytest.raises(DataError, match=r"suites.0.name is missing") as error:
        load_run(path)
    assert "suites.1." not in str(error.value)
