"""Trainings that diverge, meet a full disk, a damaged file or each other."""

from __future__ import annotations

import dataclasses
import resource
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.cli.commands import failure
from tinyedge.cli.output import Output
from tinyedge.errors import DivergedError, FileError, ModelError, UsageError
from tinyedge.records import locked
from tinyedge.training.checkpoint import CHECKPOINT, restore_checkpoint
from tinyedge.training.config import read_config, write_config
from tinyedge.training.data import TrainAndTest, load_data
from tinyedge.training.run import train

PROGRESS = Output(verbosity=-1).progress
CONFIG = """
[data]
name = "digits"
limit = 128

[model]
name = "stq"
width = 0.05

[training]
epochs = 2
batch = 32
"""


@pytest.fixture(scope="module")
def begun(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder whose training was killed after one of two epochs."""
    folder: Path = tmp_path_factory.mktemp("run")
    (folder / "given.toml").write_text(CONFIG)
    config = read_config(folder / "given.toml")
    data = load_data(config.data, None)
    train(config, data, folder / "run", resume=False, progress=PROGRESS, stop_after=1)
    return folder / "run"


@pytest.fixture
def folder(begun: Path, tmp_path: Path) -> Path:
    target = tmp_path / "run"
    target.mkdir()
    for path in begun.iterdir():
        (target / path.name).write_bytes(path.read_bytes())
    return target


def resumed(folder: Path, data: TrainAndTest | None = None) -> dict[str, Any]:
    config = read_config(folder / "run.toml")
    data = data or load_data(config.data, None)
    return train(config, data, folder, resume=True, progress=PROGRESS)


@contextmanager
def files_of_at_most(size: int) -> Iterator[None]:
    """As on a disk that is full: no file grows beyond so many bytes."""
    old = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, old[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, old)
        signal.signal(signal.SIGXFSZ, handler)


def test_the_first_loss_that_is_not_finite_ends_it(folder: Path) -> None:
    data = load_data(read_config(folder / "run.toml").data, None)
    x = data.train.x.astype(np.float32)
    x[7] = np.inf
    kept = (folder / CHECKPOINT).read_bytes()
    broken = dataclasses.replace(data, train=dataclasses.replace(data.train, x=x))
    with pytest.raises(DivergedError, match=r"loss is nan in epoch 2 of 2, step [1-4] of 4") as end:
        resumed(folder, broken)
    assert str(folder) in str(end.value)
    assert "learning_rate" in end.value.hint
    assert CHECKPOINT in end.value.hint
    assert (folder / CHECKPOINT).read_bytes() == kept
    assert sorted(path.name for path in folder.iterdir()) == [CHECKPOINT, "run.toml"]


def test_weights_that_are_not_finite_end_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    # The loss stays finite behind batch normalization; the weights do not.
    text = CONFIG.replace("batch = 32", 'batch = 32\noptimizer = "sgd"\nlearning_rate = 100')
    (tmp_path / "run.toml").write_text(text + "weight_decay = 100\n")
    arguments = ("train", tmp_path / "run.toml", "-o", tmp_path / "run")
    error = failure(capsys, 3, *arguments)
    assert error["code"] == "diverged"
    assert "epoch 1 of 2" in error["message"]
    assert not (tmp_path / "run" / "model.h5").exists()
    assert not (tmp_path / "run" / "run.json").exists()


DAMAGES: dict[str, Callable[[bytes], bytes]] = {
    "empty": lambda _: b"",
    "torn": lambda content: content[: len(content) // 2],
    "a bit": lambda content: content[:3000] + bytes([content[3000] ^ 1]) + content[3001:],
    "another file": lambda _: b"finished",
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_checkpoint_is_named(damage: str, folder: Path) -> None:
    path = folder / CHECKPOINT
    path.write_bytes(DAMAGES[damage](path.read_bytes()))
    with pytest.raises(ModelError, match=str(path)) as refused:
        resumed(folder)
    assert "delete it" in refused.value.hint


def test_a_checkpoint_of_another_network_is_named(folder: Path) -> None:
    config = read_config(folder / "run.toml")
    wider = config.model_copy(update={"model": config.model.model_copy(update={"width": 0.1})})
    (folder / "run.toml").write_text(write_config(wider))
    with pytest.raises(ModelError, match=f"{CHECKPOINT}: damaged, or of another network"):
        resumed(folder)


def test_a_checkpoint_of_an_earlier_version_is_named(tmp_path: Path) -> None:
    (tmp_path / "checkpoint").mkdir()
    with pytest.raises(UsageError, match="earlier tinyedge"):
        restore_checkpoint(tmp_path, [])


def test_a_configuration_that_is_no_text_is_of_another_run(folder: Path, begun: Path) -> None:
    config = read_config(begun / "run.toml")
    (folder / "run.toml").write_bytes(b"\xff\xfe")
    data = load_data(config.data, None)
    with pytest.raises(UsageError, match="other settings"):
        train(config, data, folder, resume=True, progress=PROGRESS)


def test_two_trainings_in_one_folder_exclude_each_other(folder: Path) -> None:
    with locked(folder / "lock"), pytest.raises(FileError, match=f"{folder}: another training"):
        resumed(folder)
    assert (folder / "lock").exists(), "it is the other's"
    assert resumed(folder)["epochs"]
    assert not (folder / "lock").exists()


def test_a_full_disk_leaves_the_checkpoint(folder: Path) -> None:
    kept = (folder / CHECKPOINT).read_bytes()
    with files_of_at_most(len(kept) // 2), pytest.raises(OSError, match=CHECKPOINT):
        resumed(folder)
    assert (folder / CHECKPOINT).read_bytes() == kept
    assert sorted(path.name for path in folder.iterdir()) == [CHECKPOINT, "run.toml"]
    assert len(resumed(folder)["epochs"]) == 2


def test_a_full_disk_leaves_no_half_a_model(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from tinyedge.training import run

    real = run.save_model

    def on_a_full_disk(model: Any, path: Path) -> None:
        with files_of_at_most(4096):
            real(model, path)

    monkeypatch.setattr(run, "save_model", on_a_full_disk)
    with pytest.raises(OSError, match=r"model\.h5"):
        resumed(folder)
    monkeypatch.undo()
    assert sorted(path.name for path in folder.iterdir()) == [CHECKPOINT, "run.toml"]
    record = resumed(folder)
    assert len(record["epochs"]) == 2
    assert resumed(folder) == record
    (folder / "run.json").write_text("{")
    with pytest.raises(ModelError, match=r"run\.json: damaged"):
        resumed(folder)
