"""Trainings of a grid: one after another and on workers, to the bytes of single ones."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from typing import Any

import pytest

from tests.cli.commands import failure, run_json
from tests.cluster.processes import ROOT
from tests.conftest import require_packages
from tests.training.test_grid import BASE, written
from tinyedge.cluster.bench import Bench
from tinyedge.cluster.jobs import Job
from tinyedge.errors import BusyError, ClusterError, DivergedError, UsageError
from tinyedge.training.config import RunConfig, write_config
from tinyedge.training.grid import read_grid

require_packages("distributed")

from tinyedge.cluster import training as module  # noqa: E402 - needs Dask

SAME = ("run.toml", "model.h5", "calibration.npz")


@pytest.fixture
def grid(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return written(tmp_path, '"float"', "[0, 7]")


@pytest.mark.keras
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
    # Finished trainings are not repeated, by a grid that has grown neither.
    written(tmp_path, '"float"', "[7, 8]")
    grown = run_json(capsys, "train", grid, "--grid", "-o", here)
    assert (grown["trained"], grown["kept"]) == (1, 1)
    assert grown["grid"][0] == ours["grid"][1]


@pytest.mark.keras
@pytest.mark.slow
def test_experiments_are_trained_behind_those_that_they_begin_with(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    spec = spec_from_file_location("run_experiments", ROOT / "tools" / "run_experiments.py")
    assert spec
    assert spec.loader
    run_experiments = module_from_spec(spec)
    spec.loader.exec_module(run_experiments)
    monkeypatch.setattr(run_experiments, "ROOT", tmp_path)
    monkeypatch.setattr(run_experiments, "EXPERIMENTS", tmp_path / "experiments")
    (tmp_path / "experiments" / "digits").mkdir(parents=True)
    first = BASE.replace("PRECISION", '"stq"').replace("SEED", "0")
    second = first + 'initial = "experiments/digits/first"\n'
    for name, text in (("first", first), ("second", second)):
        (tmp_path / "experiments" / "digits" / f"{name}.toml").write_text(text)
    names = run_experiments.in_order(["digits/second"])
    assert names == ["digits/first", "digits/second"]
    run_experiments.train_on("local:1", names)
    for name in names:
        assert (tmp_path / "experiments" / name / "model.h5").is_file()
    run_experiments.train_on("local:1", names)  # nothing is left to do


def test_a_training_that_diverges_is_a_row(
    grid: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def diverging(*_: object, **__: object) -> None:
        raise DivergedError("loss is nan")

    monkeypatch.setattr("tinyedge.commands.train.train_apart", diverging)
    record = run_json(capsys, "train", grid, "--grid", "-o", tmp_path / "grid")
    assert [(row["accuracy"], row["failure"]) for row in record["grid"]] == [
        (None, "loss is nan")
    ] * 2
    with (tmp_path / "grid" / "grid.csv").open() as table:
        assert [row["failure"] for row in csv.DictReader(table)] == ["loss is nan"] * 2


def test_workers_tell_of_divergence_and_wait_for_the_same_training(
    grid: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One diverges; the other is under way, as a command that was killed has left it."""
    asked: list[int] = []
    bench = Bench(tmp_path)

    def trained(config: RunConfig, folder: Path, **_: object) -> None:
        asked.append(config.training.seed)
        if config.training.seed == 0:
            raise DivergedError("loss is nan")
        if asked.count(7) == 1:
            raise BusyError(f"{folder}: another training writes to this folder")
        folder.mkdir(parents=True)
        for name in (*SAME, "run.json"):
            (folder / name).write_text(name)
        (folder / "run.toml").write_text(write_config(config))

    class Here:
        def compute(self, jobs: list[Job], _: str) -> Iterator[bytes]:
            return (job.task.compute(bench) for job in jobs)

    monkeypatch.setattr(module, "train_apart", trained)
    monkeypatch.setattr(module, "_BUSY_S", 0.0)
    runs = [(point.config, tmp_path / point.name) for point in read_grid(grid)]
    engine: Any = Here()
    assert list(module.train_on_cluster(engine, runs)) == ["loss is nan", None]
    assert asked == [0, 7, 7]
    assert not (tmp_path / "seed=0").exists()
    for name in SAME[1:]:
        assert (tmp_path / "seed=7" / name).read_text() == name
    assert len(bench.remarks) == 1
    assert not list((tmp_path / "cache" / "tinyedge" / "trainings").iterdir())


def test_a_worker_of_another_tensorflow_is_refused(
    grid: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    task = module._job(read_grid(grid)[0].config).task
    monkeypatch.setattr(module, "package_versions", lambda names: dict.fromkeys(names, "0.1"))
    with pytest.raises(ClusterError, match=r"tensorflow is '0\.1' there"):
        task.compute(Bench(tmp_path))


def test_files_of_something_else_are_left_alone(grid: Path, tmp_path: Path) -> None:
    """Before any training: there is no engine to ask."""
    mine = tmp_path / "seed=7" / "model.h5"
    mine.parent.mkdir()
    mine.write_text("mine")
    runs = [(point.config, tmp_path / point.name) for point in read_grid(grid)]
    engine: Any = None
    with pytest.raises(UsageError, match="is not empty"):
        list(module.train_on_cluster(engine, runs))
    assert mine.read_text() == "mine"


def test_what_does_not_go_together_is_refused(
    grid: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    train = ("train", grid, "-o", tmp_path / "grid")
    told = failure(capsys, 2, *train, "--grid", "--cross-validate")
    assert told["message"] == "--grid and --cross-validate exclude each other"
    told = failure(capsys, 2, *train, "--grid", "--resume")
    assert told["message"] == "--resume does not go with --grid"
    told = failure(capsys, 2, *train, "--cluster", "local:1")
    assert told["message"] == "--cluster and --chunks go with --grid"
    (tmp_path / "grid" / "seed=0").mkdir(parents=True)
    (tmp_path / "grid" / "seed=0" / "run.toml").write_text("[data]\n")
    told = failure(capsys, 2, *train, "--grid")
    assert told["message"] == f"{tmp_path / 'grid' / 'seed=0'}: holds a run with other settings"
