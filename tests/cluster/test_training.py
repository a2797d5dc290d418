"""Trainings of a grid: one after another and on workers, to the bytes of single ones."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest

from tests.cli.commands import failure, run_json
from tests.conftest import require_packages
from tests.training.test_grid import written
from tinyedge.training.config import write_config
from tinyedge.training.grid import read_grid

require_packages("distributed")
pytestmark = pytest.mark.keras

SAME = ("run.toml", "model.h5", "calibration.npz")


@pytest.fixture
def grid(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return written(tmp_path, '"float"', "[0, 7]")


@pytest.mark.slow
def test_each_training_is_that_of_its_own_command(
    grid: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    here, there, alone = tmp_path / "here", tmp_path / "there", tmp_path / "alone"
    ours = run_json(capsys, "train", grid, "--grid", "-o", here)
    on = ("--cluster", "local:2", "--chunks", tmp_path / "chunks")
    theirs = run_json(capsys, "train", grid, "--grid", "-o", there, *on)
    assert (ours["trained"], theirs["trained"]) == (2, 2)
    assert theirs["grid"] == ours["grid"]
    assert (here / "grid.csv").read_bytes() == (there / "grid.csv").read_bytes()
    (tmp_path / "single.toml").write_text(write_config(read_grid(grid)[1].config))
    single = run_json(capsys, "train", tmp_path / "single.toml", "-o", alone)
    assert ours["grid"][1]["accuracy"] == single["runs"][0]["test"]["accuracy"]
    for name in SAME:
        expected = (alone / name).read_bytes()
        assert (here / "seed=7" / name).read_bytes() == expected
        assert (there / "seed=7" / name).read_bytes() == expected
    # What is there is not trained again, by a grid that has grown neither.
    written(tmp_path, '"float"', "[7, 8]")
    grown = run_json(capsys, "train", grid, "--grid", "-o", here)
    assert (grown["trained"], grown["kept"]) == (1, 1)
    assert grown["grid"][0] == ours["grid"][1]


def test_a_training_that_diverges_is_a_row(
    grid: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    text = written(tmp_path, '"float"', "[0]").read_text()
    settings = '\noptimizer = "sgd"\nlearning_rate = 100\nweight_decay = 100\n'
    grid.write_text(text + settings)
    on = ("--cluster", "local:1", "--chunks", tmp_path / "chunks")
    record = run_json(capsys, "train", grid, "--grid", "-o", tmp_path / "grid", *on)
    (row,) = record["grid"]
    assert row["accuracy"] is None
    assert "not finite" in row["failure"] or "is nan" in row["failure"]
    with (tmp_path / "grid" / "grid.csv").open() as table:
        assert next(csv.DictReader(table))["failure"] == row["failure"]
    assert record["cluster"]["chunks_computed"] == 1


def test_what_does_not_go_together_is_refused(
    grid: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    train = ("train", grid, "-o", tmp_path / "grid")
    told = failure(capsys, 2, *train, "--grid", "--cross-validate")
    assert told["message"] == "--grid and --cross-validate exclude each other"
    told = failure(capsys, 2, *train, "--cluster", "local:1")
    assert told["message"] == "--cluster and --chunks go with --grid"
    (tmp_path / "grid" / "seed=0").mkdir(parents=True)
    (tmp_path / "grid" / "seed=0" / "run.toml").write_text("[data]\n")
    told = failure(capsys, 2, *train, "--grid")
    assert told["message"] == f"{tmp_path / 'grid' / 'seed=0'}: holds a run with other settings"
