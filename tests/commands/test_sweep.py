from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import tinyedge
from tests.cli.commands import failure, run_json
from tests.commands.records import as_printed
from tests.graph.random_graphs import RandomGraph
from tinyedge.commands import sweep as module
from tinyedge.errors import ConfigError, DoesNotFitError, ToolchainError
from tinyedge.templates import data_folder

SWEEP = """
boards = ["netduinoplus2", "nucleo-f446re"]
optimize = ["speed", "size"]
suites = ["data.npz"]
on = "numpy"
samples = 5
[networks.first]
model = "first.npz"
[networks.second]
model = "second.npz"
"""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    graph = RandomGraph(5).graph
    graph.save(tmp_path / "first.npz")
    graph.save(tmp_path / "second.npz")
    x = RandomGraph(5).inputs(6)
    np.savez(tmp_path / "data.npz", x=x, y=np.arange(6, dtype=np.int64) % 2)
    path = tmp_path / "sweep.toml"
    path.write_text(SWEEP, encoding="utf-8")
    return path


def test_the_function_gives_what_the_command_prints_and_nothing_is_done_twice(
    file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    record = run_json(capsys, "sweep", file, "-o", tmp_path / "all")
    assert (record.pop("computed"), record.pop("kept"), len(record["rows"])) == (8, 0, 8)
    given = as_printed(tinyedge.sweep(file, output=tmp_path / "all"))
    assert (given.pop("computed"), given.pop("kept")) == (0, 8)
    assert given == record
    with (tmp_path / "all" / "sweep.csv").open() as table:
        rows = list(csv.DictReader(table))
    assert tuple(rows[0]) == module.COLUMNS
    assert {row["samples"] for row in rows} == {"5"}
    assert [row["board"] for row in rows[:3]] == ["netduinoplus2", "netduinoplus2", "nucleo-f446re"]
    # Only what changed is done again.
    np.savez(tmp_path / "second.npz", **np.load(tmp_path / "second.npz"))
    (tmp_path / "all" / "runs" / "first-netduinoplus2-size-data.json").unlink()
    again = tinyedge.sweep(file, output=tmp_path / "all")
    assert again["computed"] >= 1
    assert again["rows"] == given["rows"]


def test_an_interrupted_sweep_goes_on(
    file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real, count = tinyedge.run, 0

    def interrupted(*arguments: Any, **named: Any) -> Any:
        nonlocal count
        count += 1
        if count == 4:
            raise KeyboardInterrupt
        return real(*arguments, **named)

    monkeypatch.setattr(module, "run", interrupted)
    with pytest.raises(KeyboardInterrupt):
        tinyedge.sweep(file, output=tmp_path / "all")
    found = tinyedge.sweep(file, output=tmp_path / "all")
    assert (found["kept"], found["computed"]) == (3, 5)


def test_a_network_that_does_not_fit_is_a_row(
    file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = tinyedge.run

    def run(folder: Path, **named: Any) -> Any:
        if "second" in folder.name:
            raise DoesNotFitError("too large")
        return real(folder, **named)

    monkeypatch.setattr(module, "run", run)
    rows = tinyedge.sweep(file, output=tmp_path / "all")["rows"]
    assert [row["failure"] for row in rows] == [None] * 4 + ["too large"] * 4


def test_a_tool_that_is_missing_is_no_row(
    file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def run(*_: Any, **__: Any) -> Any:
        raise ToolchainError("no emulator")

    monkeypatch.setattr(module, "run", run)
    with pytest.raises(ToolchainError, match="no emulator"):
        tinyedge.sweep(file, output=tmp_path / "all")


def test_two_runs_of_one_name_are_refused(file: Path, tmp_path: Path) -> None:
    board = (data_folder("boards") / "netduinoplus2.toml").read_text(encoding="utf-8")
    (tmp_path / "netduinoplus2.toml").write_text(board, encoding="utf-8")
    boards = '["netduinoplus2", "netduinoplus2.toml"]'
    text = SWEEP.replace('["netduinoplus2", "nucleo-f446re"]', boards)
    file.write_text(text, encoding="utf-8")
    told = "two runs would be called 'first-netduinoplus2-speed-data'"
    with pytest.raises(ConfigError, match=told):
        tinyedge.sweep(file, output=tmp_path / "all")


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        ('["data.npz"]', "[]", "suites is []"),
        ('["data.npz"]', '["data.npz", "data.npz"]', "each once"),
        ('on = "numpy"', 'on = "nowhere"', "on is 'nowhere', allowed: 'numpy'"),
        ("[networks.first]", '[networks."../x"]', "networks"),
        ("samples", "sample", "did you mean 'samples'"),
    ],
)
def test_faults_of_the_file_are_named(
    old: str, new: str, told: str, file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file.write_text(SWEEP.replace(old, new), encoding="utf-8")
    error = failure(capsys, 3, "sweep", file, "-o", file.parent / "all")
    assert error["code"] == "config"
    assert told in error["message"]


def test_a_file_that_is_missing_is_named(
    file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "data.npz").unlink()
    told = failure(capsys, 3, "sweep", file, "-o", tmp_path / "all")["message"]
    assert told == f"{tmp_path / 'data.npz'}: no such file"
