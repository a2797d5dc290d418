"""``train`` and ``quantize``: what the function trains, the command reads as its own."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

import tinyedge
from tests.cli.commands import run_json
from tests.commands.records import as_printed
from tinyedge.errors import UsageError

pytestmark = pytest.mark.keras

CONFIG = """
[data]
name = "digits"
limit = 64
folds = 2

[model]
name = "stq"
precision = "float"
width = 0.05

[training]
epochs = 1
batch = 32
"""


@pytest.fixture(scope="module")
def config(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path: Path = tmp_path_factory.mktemp("train") / "config.toml"
    path.write_text(CONFIG)
    return path


@pytest.fixture(scope="module")
def trained(config: Path) -> dict[str, Any]:
    return tinyedge.train(config, output=config.parent / "run")


def test_the_function_gives_what_the_command_prints(
    config: Path, trained: dict[str, Any], capsys: pytest.CaptureFixture[str]
) -> None:
    record = run_json(capsys, "train", config, "-o", trained["folder"], "--resume")
    assert as_printed(trained) == record
    with pytest.raises(UsageError, match="this run exists"):
        tinyedge.train(config, output=trained["folder"])


@pytest.mark.slow
def test_folds(config: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    given = tinyedge.train(config, output=tmp_path / "cv", cross_validate=True)
    written = (tmp_path / "cv" / "folds.json").read_bytes()
    command = ("train", config, "-o", tmp_path / "cv", "--cross-validate", "--resume")
    assert as_printed(given) == run_json(capsys, *command)
    assert (tmp_path / "cv" / "folds.json").read_bytes() == written
    assert len(given["runs"]) == 2


def test_quantize(
    trained: dict[str, Any], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    options = ("--precision", "int8", "--no-recalibrate", "-o", tmp_path / "command")
    record = run_json(capsys, "quantize", trained["folder"], *options)
    given = tinyedge.quantize(
        trained["folder"], output=tmp_path / "function", precision="int8", recalibrate=False
    )
    assert given.pop("folder") == str(tmp_path / "function")
    assert as_printed(given) | {"folder": str(tmp_path / "command")} == record
    with pytest.raises(UsageError, match="precision='float': one of int8, "):
        tinyedge.quantize(trained["folder"], output=tmp_path / "new", precision="float")
