from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

import tinyedge
from tests.cli.commands import run_cli, run_json
from tests.commands.records import as_printed
from tests.reports import runs
from tinyedge.errors import ThresholdError, UsageError

OLD = Path(runs.__file__).with_name("data") / "report-0.1.0.json"
"""The record of a run, as an earlier release wrote it."""


def test_the_function_gives_what_the_command_prints(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    options = ("-o", tmp_path, "--junit", tmp_path / "cases.xml", "--min-accuracy", "clean=1%")
    record = run_json(capsys, "report", OLD, *options)
    written = [Path(path).read_bytes() for path in record["written"]]
    given = tinyedge.report(
        OLD, output=tmp_path, junit=tmp_path / "cases.xml", min_accuracy={"clean": 0.01}
    )
    assert as_printed(given) == record
    assert [Path(path).read_bytes() for path in given["written"]] == written
    assert [Path(path).name for path in given["written"]] == [
        "report.html",
        "report.md",
        "cases.xml",
    ]


def test_what_is_missed_is_raised_with_the_record(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    other = tmp_path / "other.json"
    other.write_bytes(OLD.read_bytes())
    code, out, _ = run_cli(capsys, "report", OLD, other, "--min-accuracy", "clean=1", "--json")
    assert code == 8
    printed = json.loads(out)
    del printed["error"]
    with pytest.raises(ThresholdError, match=r"other: clean: accuracy .* is below") as raised:
        tinyedge.report([OLD, other], min_accuracy={"clean": 1}, markdown=tmp_path / "r.md")
    assert raised.value.record
    given = as_printed(raised.value.record) | {"status": "error"}
    assert given.pop("written") == [str(tmp_path / "r.md")]
    assert given == {key: value for key, value in printed.items() if key != "written"}
    # People read the same.
    code, out, _ = run_cli(capsys, "report", OLD, other, "--min-accuracy", "clean=1")
    assert code == 8
    assert "FAILED: other: clean: accuracy" in out


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"min_accuracy": {"clean": 90}}, r"min_accuracy\['clean'\]=90: a number from 0 to 1"),
        ({"min_accuracy": {"none": 0.5}}, "no run has a suite 'none'"),
        ({"board": "netduinoplus2"}, "--board goes with a build"),
    ],
)
def test_arguments_are_checked_as_options_are(given: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        tinyedge.report(OLD, **given)
