from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import tinyedge
from tests.cli.commands import failure, run_json
from tests.commands.options import options, parameters
from tests.graph.random_graphs import RandomGraph
from tinyedge import demo, errors

OK = {"version": 1, "status": "ok"}


@pytest.fixture
def graph(tmp_path: Path) -> Path:
    RandomGraph(5).graph.save(tmp_path / "graph.npz")
    return tmp_path / "graph.npz"


@pytest.mark.parametrize(
    ("arguments", "given"),
    [
        ((), {}),
        (("--core", "cortex-m0", "--optimize", "size"), {"core": "cortex-m0", "optimize": "size"}),
        (("--board", "microbit"), {"board": "microbit"}),
    ],
)
def test_the_function_gives_what_the_command_prints(
    arguments: tuple[str, ...],
    given: dict[str, Any],
    graph: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    folder = tmp_path / "m"
    record = run_json(capsys, "convert", graph, "-o", folder, *arguments)
    said = record["model"]["command"]
    model = tinyedge.convert(graph, folder=folder, command=said, **given)
    assert model.record | OK == record
    assert tinyedge.load(folder).record | OK == record


def test_both_refuse_the_same(
    graph: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command = ("convert", graph, "-o", tmp_path / "m")
    np.save(tmp_path / "x.npy", np.zeros((1, 4), np.float32))
    cases: list[tuple[tuple[object, ...], dict[str, Any]]] = [
        (("--core", "cortex-m0", "-b", "microbit"), {"core": "cortex-m0", "board": "microbit"}),
        (("--input-range", "0", "1"), {"input_range": (0, 1)}),
        (("--input-range", "1", "0"), {"input_range": (1, 0)}),
        (("--calibration", tmp_path / "x.npy"), {"calibration": tmp_path / "x.npy"}),
    ]
    for arguments, given in cases:
        error = failure(capsys, 2, *command, *arguments)
        with pytest.raises(errors.UsageError) as raised:
            tinyedge.convert(graph, folder=tmp_path / "m", **given)
        assert str(raised.value) == error["message"]
    error = failure(capsys, 2, *command, "--to", "hls4ml", "--io", "stream")
    with pytest.raises(errors.UsageError) as raised:
        tinyedge.convert_to_hls4ml(graph, folder=tmp_path / "m", io="stream")
    assert str(raised.value) == error["message"]
    error = failure(capsys, 2, *command, "--io", "stream", "--reuse-factor", "2")
    assert "--io" in error["message"]
    assert "--reuse-factor" in error["message"]


@pytest.mark.parametrize(
    "given", [{"io": "x"}, {"backend": "x"}, {"arithmetic": "x"}, {"reuse_factor": 0}]
)
def test_unknown_names_are_refused(given: dict[str, Any], graph: Path, tmp_path: Path) -> None:
    with pytest.raises(errors.UsageError, match=next(iter(given))):
        tinyedge.convert_to_hls4ml(graph, folder=tmp_path / "m", **given)


def test_options_have_the_same_names() -> None:
    both = parameters(tinyedge.convert) | parameters(tinyedge.convert_to_hls4ml)
    assert both - {"folder", "command"} == options("convert") - {"output", "to"}


@pytest.mark.keras
def test_agreement_is_in_both_records(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    samples = demo.clean_suite().inputs[:8]
    np.save(tmp_path / "x.npy", samples)
    folder = tmp_path / "m"
    calibrated = ("--calibration", tmp_path / "x.npy", "--input-range", 0, 1)
    record = run_json(capsys, "convert", demo.MODEL, "-o", folder, *calibrated)
    said = record["model"]["command"]
    for given in (samples, str(tmp_path / "x.npy")):
        model = tinyedge.convert(demo.MODEL, given, input_range=(0, 1), folder=folder, command=said)
        assert model.record | OK == record
    assert model.agreement
    assert record["agreement"]["samples"] == model.agreement.samples == 8


def test_a_model_s_own_file_is_not_replaced(
    graph: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A converted folder holds a file that can be converted; its graph comes out as it was."""
    folder = tmp_path / "m"
    run_json(capsys, "convert", graph, "-o", folder)
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    error = failure(capsys, 2, "convert", folder / "model.tflite", "-o", folder)
    assert "--output's model.tflite would replace MODEL" in error["message"]
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before
    run_json(capsys, "convert", folder / "graph.npz", "-o", folder)
    assert (folder / "graph.npz").read_bytes() == before["graph.npz"]


def test_quantizing_does_not_replace_what_it_reads(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    np.save(tmp_path / "c.npy", np.zeros((1, 2), np.float32))
    model = tmp_path / "quantized.onnx"
    model.write_bytes(b"a float model")
    arguments = ("quantize", model, "--calibration", tmp_path / "c.npy", "-o", tmp_path)
    error = failure(capsys, 2, *arguments)
    assert "--output's quantized.onnx would replace MODEL" in error["message"]
    assert model.read_bytes() == b"a float model"
