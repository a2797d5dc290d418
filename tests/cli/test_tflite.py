"""Commands on ``.tflite`` files, and beside TFLite-Micro."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from tests.cli.commands import failure, run_cli, run_json
from tests.conftest import require
from tests.importers import tflite_models as tm
from tinyedge import demo
from tinyedge.datasets import fashion_mnist
from tinyedge.errors import DataError
from tinyedge.evaluation.witnesses import random_inputs
from tinyedge.exporters.converted import ConvertedModel, load_converted
from tinyedge.tflm.interpreter import Interpreter

pytestmark = pytest.mark.keras


@pytest.fixture(scope="module")
def tflite_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path: Path = tmp_path_factory.mktemp("tflite") / "small.tflite"
    path.write_bytes(tm.converted("mobilenet_v1"))
    return path


def test_tflite_file_from_conversion_to_emulated_board(
    tflite_file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The bytes of TFLite-Micro everywhere; and what was exported converts to the same."""
    run_json(capsys, "convert", tflite_file, "-o", tmp_path / "m")
    graph = load_converted(tmp_path / "m").graph
    samples = random_inputs(graph, 20, seed=4)
    np.save(tmp_path / "x.npy", samples)
    expected = Interpreter(tflite_file.read_bytes()).run(samples)[0]
    for place in ("numpy", "twin", "tflite-micro", "emulator"):
        files = ("--data", tmp_path / "x.npy", "--logits", tmp_path / f"{place}.npy")
        run_json(capsys, "run", tmp_path / "m", "--on", place, *files)
        np.testing.assert_array_equal(np.load(tmp_path / f"{place}.npy"), expected)
    run_json(capsys, "convert", tmp_path / "m" / "model.tflite", "-o", tmp_path / "again")
    for name in ("model.c", "model.h", "model.tflite"):
        again = (tmp_path / "again" / name).read_bytes()
        assert again == (tmp_path / "m" / name).read_bytes()


@pytest.mark.parametrize("model", ["tflite", "folder", "qkeras"])
@pytest.mark.parametrize(
    ("witness", "layers"),
    [("twin", False), ("tflite-micro", False), ("tflite-micro", True), ("litert-reference", True)],
)
def test_check(
    model: str,
    witness: str,
    tflite_file: Path,
    demo_model: ConvertedModel,
    capsys: pytest.CaptureFixture[str],
    *,
    layers: bool,
) -> None:
    path = {"tflite": tflite_file, "folder": demo_model.folder, "qkeras": demo.MODEL}[model]
    arguments = ("check", path, "--with", witness, "--samples", "5", *["--layers"] * layers)
    record = run_json(capsys, *arguments)
    assert record["samples"] == 5
    assert (len(record["tensors"]) > 1) == layers
    if not witness.startswith("litert"):
        assert record["first_difference"] is None
        assert all(tensor["differing"] == 0 for tensor in record["tensors"])


def test_check_finds_a_difference(
    tflite_file: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        "tinyedge.tflm.interpreter.Interpreter.run",
        lambda _, samples, *__: [np.zeros((len(samples[0]), 10), np.int8)],
    )
    code, out, err = run_cli(capsys, "check", tflite_file, "--samples", "5", "--json")
    assert code == 8
    assert json.loads(out)["first_difference"] == "StatefulPartitionedCall:0"
    assert "differ" in err


def test_arena(tflite_file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    record = run_json(capsys, "arena", tflite_file)
    assert record["tinyedge"]["lower_bound"] <= record["tinyedge"]["bytes"]
    assert record["tflite_micro"]["smallest"] >= record["tflite_micro"]["head"]


def test_runtimes_side_by_side(
    demo_model: ConvertedModel, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Without a library the interpreter of this machine stands in, with logits and arena."""
    clean = demo.clean_suite()
    np.savez(tmp_path / "d.npz", x=clean.inputs[:10], y=clean.labels[:10])
    run = ("run", demo_model.folder, "--on", "emulator", "--data", tmp_path / "d.npz")
    record = run_json(capsys, *run, "--runtime", "tflm", "--samples", "5")
    ours, theirs = record["side_by_side"]
    assert (ours["runtime"], theirs["runtime"]) == ("tinyedge", "tflm")
    assert ours["samples"] == theirs["samples"] == 5
    assert ours["mismatched_logits"] == theirs["mismatched_logits"] == 0
    assert ours["flash"]["total"] > 0
    assert theirs["flash"] is None
    assert theirs["arena"]["smallest"] > ours["arena"]["smallest"]
    code, out, _ = run_cli(capsys, *run, "--runtime", "tflm", "--samples", "2")
    assert code == 0
    assert "Side by side" in out


def test_options_of_tflm_are_checked(
    demo_model: ConvertedModel, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    build = ("build", demo_model.folder, "-b", "netduinoplus2")
    assert "--tflm-lib" in failure(capsys, 2, *build, "--runtime", "tflm")["message"]
    assert "--runtime" in failure(capsys, 2, *build, "--tflm-arena", "4KiB")["message"]
    assert "64K" in failure(capsys, 2, *build, "--tflm-arena", "4X")["message"]
    library = ("--runtime", "tflm", "--tflm-lib", tmp_path / "none.a")
    assert "none.a" in failure(capsys, 5, *build, *library)["message"]
    run = ("run", demo_model.folder, "--on", "twin", "--dataset", "fashion_mnist")
    assert "emulator" in failure(capsys, 2, *run, "--runtime", "tflm")["message"]
    assert "LOW" in failure(capsys, 2, *run, "--pixels", "1", "0")["message"]


def test_data_set_by_name(demo_model: ConvertedModel, capsys: pytest.CaptureFixture[str]) -> None:
    try:
        fashion_mnist.load("test")
    except DataError:
        require([], "dataset-fashion-mnist")
    run = ("run", demo_model.folder, "--on", "twin", "--dataset", "fashion_mnist")
    record = run_json(capsys, *run, "--samples", "500")
    assert record["suites"][0]["samples"] == 500
    assert record["suites"][0]["accuracy"]["device"] > 0.88
    assert "Fashion-MNIST" in record["suites"][0]["settings"]["data"]


def test_bad_tflite_files(
    tflite_file: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    content = tflite_file.read_bytes()
    (tmp_path / "cut.tflite").write_bytes(content[:5000])
    (tmp_path / "text.tflite").write_text("hello")
    assert "cut.tflite" in failure(capsys, 3, "convert", "cut.tflite", "-o", "m")["message"]
    assert "not a .tflite" in failure(capsys, 3, "convert", "text.tflite", "-o", "m")["message"]
    assert "none" in failure(capsys, 3, "check", "none.tflite")["message"]
    np.save("empty.npy", np.zeros((0, 32, 32, 3), np.int8))
    empty = ("--data", "empty.npy")
    assert "no samples" in failure(capsys, 3, "check", tflite_file, *empty)["message"]
    calibrated = ("convert", tflite_file, "-o", "m", "--input-range", "0", "1")
    assert "QKeras" in failure(capsys, 2, *calibrated)["message"]
    left = sorted(path.name for path in tmp_path.iterdir())
    assert left == ["cut.tflite", "empty.npy", "text.tflite"]
