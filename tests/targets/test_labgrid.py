"""A board in a lab: acquired, reset, flashed, run and released, however the run ends."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.cli.commands import failure, run_cli, run_json
from tests.cluster.processes import ROOT
from tests.conftest import require
from tests.link.native import BOARD, dense_model, random_samples
from tests.targets.lab import EmulatedBoard, Lab
from tinyedge.exporters.converted import ConvertedModel
from tinyedge.graph import reference
from tinyedge.targets import available_emulators, labgrid, labgrid_keeper

pytestmark = [pytest.mark.needs_tool, pytest.mark.emulator]


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> ConvertedModel:
    folder = tmp_path_factory.mktemp("lab")
    model = dense_model(folder / "model", 16)
    np.save(folder / "x.npy", random_samples(model, 30))
    x = random_samples(model, 6, 1)
    np.savez(folder / "y.npz", x=x, y=reference.run(model.graph, x).argmax(axis=1))
    return model


@pytest.fixture(scope="module")
def boards() -> Iterator[dict[str, EmulatedBoard]]:
    """Two, by the places that they are in."""
    require(available_emulators(BOARD), "qemu")
    with (
        EmulatedBoard(BOARD, "rfc2217") as bench,
        EmulatedBoard(BOARD, "socket", reset=True) as rig,
    ):
        yield {"bench": bench, "rig": rig}


@pytest.fixture(scope="module")
def opened_lab(
    boards: dict[str, EmulatedBoard], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Lab]:
    with Lab(tmp_path_factory.mktemp("labgrid"), boards) as opened:
        yield opened


@pytest.fixture
def lab(opened_lab: Lab, monkeypatch: pytest.MonkeyPatch) -> Lab:
    monkeypatch.setenv(labgrid.VARIABLE, opened_lab.client)
    for name, value in opened_lab.environment.items():
        monkeypatch.setenv(name, value)
    return opened_lab


def run(model: ConvertedModel, place: str, *options: object) -> list[Any]:
    data = model.folder.parent / "x.npy"
    where = ("--on", "board", "-b", BOARD.name, "--labgrid", place)
    return ["run", model.folder, *where, "--data", data, *options]


def test_a_place_is_acquired_reset_flashed_run_and_released(
    lab: Lab,
    boards: dict[str, EmulatedBoard],
    model: ConvertedModel,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    board, logits = boards["bench"], tmp_path / "logits.npy"
    run_json(capsys, *run(model, "bench", "--logits", logits))
    samples = np.load(model.folder.parent / "x.npy")
    assert np.array_equal(np.load(logits), reference.run(model.graph, samples))
    assert (board.flashed, board.started) == (1, 2)
    assert not lab.acquired("bench")
    # It holds the firmware: it is not written again.
    run_json(capsys, *run(model, "bench", "--logits", logits))
    assert (board.flashed, board.started) == (1, 3)


@pytest.mark.slow
def test_attacks_ask_and_a_digital_output_resets(
    lab: Lab,
    boards: dict[str, EmulatedBoard],
    model: ConvertedModel,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    board = boards["rig"]
    record = run_json(capsys, "flash", model.folder, "-b", BOARD.name, "--labgrid", "rig")
    assert (record["tool"], record["flashed"], record["verified"]) == ("labgrid", True, False)
    assert (board.flashed, board.started) == (1, 2)
    data = model.folder.parent / "y.npz"
    where = ("--on", "board", "-b", BOARD.name, "--labgrid", "rig", "--data", data)
    attack = ("attack", model.folder, "--attacks", "square", "--square-queries", 2)
    record = run_json(capsys, *attack, "-o", tmp_path / "suites.npz", *where)
    assert record["oracle"]["on"] == "board"
    assert (board.flashed, board.started) == (1, 3)
    record = run_json(capsys, "monitor", "--labgrid", "rig", "--seconds", "0.2")
    assert record["port"].startswith("socket://127.0.0.1:")
    assert (board.started, lab.acquired("rig")) == (3, False)


@pytest.mark.parametrize(
    "how",
    [
        signal.SIGKILL,
        pytest.param(signal.SIGINT, marks=pytest.mark.slow),
        pytest.param(signal.SIGTERM, marks=pytest.mark.slow),
    ],
)
def test_a_run_that_ends_badly_releases(
    how: signal.Signals,
    lab: Lab,
    boards: dict[str, EmulatedBoard],
    model: ConvertedModel,
    tmp_path: Path,
) -> None:
    many = tmp_path / "many.npy"
    np.save(many, random_samples(model, 100_000))
    where = ("--on", "board", "-b", BOARD.name, "--labgrid", "bench", "--data", str(many))
    command = ["run", str(model.folder), *where, "--logits", str(tmp_path / "logits.npy")]
    before = boards["bench"].carried
    process = subprocess.Popen(
        [sys.executable, "-m", "tinyedge", *command, "--discard"],
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        stderr=subprocess.DEVNULL,
    )
    deadline = time.monotonic() + 120
    while boards["bench"].carried < before + 20_000:
        assert process.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.05)
    assert lab.acquired("bench")
    process.send_signal(how)
    process.wait(60)
    assert process.returncode == {signal.SIGKILL: -9, signal.SIGINT: 130, signal.SIGTERM: 143}[how]
    assert lab.is_released("bench")


def test_what_labgrid_refuses_is_told(
    lab: Lab,
    boards: dict[str, EmulatedBoard],
    model: ConvertedModel,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    to = ("--logits", tmp_path / "x.npy")
    assert lab.call("-p", "bench", "acquire").returncode == 0
    told = failure(capsys, 6, *run(model, "bench", *to))
    assert "already acquired" in told["message"]
    assert told["hint"].startswith("labgrid-client -p bench release")
    assert lab.acquired("bench")  # it is not ours to release
    lab.call("-p", "bench", "release")
    monkeypatch.delenv("LG_ENV")
    flashed = boards["bench"].flashed
    code, _, err = run_cli(capsys, "flash", model.folder, "-b", BOARD.name, "--labgrid", "bench")
    assert (code, boards["bench"].flashed) == (6, flashed)
    assert "has no driver that writes an image" in err
    assert not lab.acquired("bench")
    monkeypatch.setenv("LG_COORDINATOR", "127.0.0.1:1")
    code, _, err = run_cli(capsys, *run(model, "bench", *to))
    assert code == 6
    assert "labgrid's place 'bench': " in err
    assert "LG_COORDINATOR" in err


def test_options_that_do_not_go_together_are_refused(
    model: ConvertedModel, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    told = failure(capsys, 2, *run(model, "rig", "-p", "/dev/null", "--logits", "x.npy"))
    assert told["message"].startswith("--labgrid and --port exclude each other")
    told = failure(capsys, 2, *run(model, "rig", "--trace"))
    assert told["message"] == "--profile and --trace do not go with --labgrid"
    data = ("--data", model.folder.parent / "y.npz")
    told = failure(capsys, 2, "run", model.folder, "--on", "numpy", *data, "--flash")
    assert told["message"] == "--flash and --labgrid go with --on board"
    monkeypatch.setenv(labgrid.VARIABLE, "/nowhere/labgrid-client")
    told = failure(capsys, 5, *run(model, "rig", "--logits", "x.npy"))
    assert told["message"] == f"{labgrid.VARIABLE}=/nowhere/labgrid-client: is no program"


def test_what_labgrid_complains_of_is_one_line() -> None:
    told = "WARNING: something\nlabgrid-client: error: no driver found\nThis is likely caused by"
    assert labgrid_keeper.last_words(told) == "error: no driver found"
    assert labgrid_keeper.last_words("Traceback\n  x\nValueError: y\n\n") == "ValueError: y"
    assert labgrid_keeper.last_words("") == "no message"
