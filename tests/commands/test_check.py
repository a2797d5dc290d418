from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import tinyedge
from tests.cli.commands import run_cli, run_json
from tests.commands.records import as_printed
from tests.graph.random_graphs import RandomGraph
from tinyedge.errors import ThresholdError, UsageError
from tinyedge.exporters.tflite import export_tflite

GRAPH = RandomGraph(5).graph


@pytest.fixture
def model(tmp_path: Path) -> Path:
    path = tmp_path / "model.tflite"
    path.write_bytes(export_tflite(GRAPH))
    return path


def test_the_function_gives_what_the_command_prints(
    model: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    record = run_json(capsys, "check", model, "--samples", 3, "--seed", 7, "--layers")
    assert as_printed(tinyedge.check(model, samples=3, seed=7, layers=True)) == record
    assert len(record["tensors"]) > 1


def test_samples_are_a_file_or_an_array(
    model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    x = np.ones((4, *GRAPH.input_tensor.shape), np.int8)
    np.save(tmp_path / "x.npy", x)
    record = run_json(capsys, "check", model, "--data", tmp_path / "x.npy")
    assert as_printed(tinyedge.check(model, data=tmp_path / "x.npy")) == record
    assert as_printed(tinyedge.check(model, data=x)) == record | {"inputs": "an array"}


def test_a_difference_is_raised_with_the_record(
    model: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def wrong(_: object, samples: list[np.ndarray], *__: object) -> list[np.ndarray]:
        return [np.full((len(samples[0]), *GRAPH.output_tensor.shape), 99, np.int8)]

    monkeypatch.setattr("tinyedge.tflm.interpreter.Interpreter.run", wrong)
    code, out, _ = run_cli(capsys, "check", model, "--samples", 2, "--json")
    assert code == 8
    printed = json.loads(out)
    assert printed.pop("error")["code"] == "threshold"
    with pytest.raises(ThresholdError, match="numpy and tflite-micro differ") as raised:
        tinyedge.check(model, samples=2)
    assert raised.value.record
    assert as_printed(raised.value.record) | {"status": "error"} == printed


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"with_": "tflite"}, "with_='tflite': one of twin, "),
        ({"dataset": "mnist"}, "dataset='mnist': one of cifar10, "),
        ({"samples": 0}, "samples=0: a whole number from 1 on"),
        ({"seed": -1}, "seed=-1: a whole number from 0 to 4294967295"),
        ({"with_": "twin", "layers": True}, "shows only its output"),
    ],
)
def test_arguments_are_checked_as_options_are(
    model: Path, given: dict[str, Any], message: str
) -> None:
    with pytest.raises(UsageError, match=message):
        tinyedge.check(model, **given)
