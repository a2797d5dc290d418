"""Float models become int8 by the libraries for it, from a file to an emulated board."""

from __future__ import annotations

import importlib
import json
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest

import tinyedge
from tests.cli.commands import failure, run_cli, run_json
from tests.commands.options import options, parameters
from tests.commands.records import as_printed
from tests.conftest import require_packages
from tests.quantization import float_models as fm
from tinyedge.errors import DataError, ModelError, UsageError
from tinyedge.exporters.converted import load_converted
from tinyedge.importers import import_model

require_packages("onnxruntime", "sklearn")

LEAST = 0.88
"""Accuracy of the float classifier."""
LOST = 0.02
"""Most that int8 may take of it."""


@pytest.fixture(scope="module")
def float_onnx(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return fm.trained_onnx(tmp_path_factory.mktemp("onnx") / "digits.onnx")


def _held(record: dict[str, Any]) -> None:
    """Checks what both ways have to reach."""
    accuracy = record["accuracy"]
    assert accuracy["samples"] == len(fm.digits()[0]) - fm.TRAINED
    assert accuracy["before"] > LEAST
    assert abs(accuracy["before"] - accuracy["after"]) < LOST
    assert accuracy["agreement"] > 1 - LOST
    assert record["calibration_samples"] == fm.CALIBRATION
    kinds = [layer["kind"] for layer in record["layers"]]
    for kind in ("Conv2D", "DepthwiseConv2D", "Add", "FullyConnected"):
        assert kind in kinds
    assert all(0 < layer["error"] < 0.2 for layer in record["layers"])


@pytest.mark.emulator
@pytest.mark.needs_tool
def test_a_float_onnx_file_runs_on_an_emulated_board_after_two_commands(
    float_onnx: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    calibration, test = fm.files(tmp_path)
    out = tmp_path / "out"
    record = run_json(
        capsys, "quantize", float_onnx, "--calibration", calibration, "--data", test, "-o", out
    )
    _held(record)
    assert "onnxruntime" in record["quantizer"]
    ran = run_json(capsys, "run", out, "--on", "emulator", "--data", test)
    (suite,) = ran["suites"]
    assert suite["accuracy"]["device"] == record["accuracy"]["after"]
    assert suite["mismatched_logits"] == 0


@pytest.mark.keras
@pytest.mark.parametrize(("package", "name"), [("keras", "m.keras"), ("tf_keras", "m.h5")])
@pytest.mark.filterwarnings("ignore:.*HDF5")
def test_a_float_keras_model_becomes_a_converted_folder(
    package: str, name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KERAS_BACKEND", "tensorflow")
    monkeypatch.setenv("TF_USE_LEGACY_KERAS", "1")
    importlib.import_module("tinyedge.keras.environment")
    path = fm.trained_keras(importlib.import_module(package), tmp_path / name)
    calibration, test = fm.files(tmp_path)
    record = tinyedge.quantize(path, output=tmp_path / "out", calibration=calibration, data=test)
    _held(record)
    model, graph = tinyedge.load(tmp_path / "out"), load_converted(tmp_path / "out").graph
    assert graph.source["quantized_from"] == name
    assert model.run(test).record["suites"][0]["accuracy"]["host"] == record["accuracy"]["after"]
    kept = import_model(tmp_path / "out" / "quantized.tflite").graph
    assert kept.tensors == graph.tensors
    with pytest.raises(ModelError, match="float weights") as caught:
        import_model(path)
    assert "tinyedge quantize" in caught.value.hint


def test_the_function_gives_what_the_command_prints(
    float_onnx: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    calibration, test = fm.files(tmp_path)
    printed = run_json(
        capsys,
        "quantize",
        float_onnx,
        *("--calibration", calibration, "--data", test, "--samples", "40", "-o", tmp_path / "out"),
    )
    record = tinyedge.quantize(
        float_onnx, calibration=calibration, data=test, samples=40, output=tmp_path / "out"
    )
    assert as_printed(record) == printed
    assert printed["accuracy"]["samples"] == 40
    assert options("quantize") == parameters(tinyedge.quantize)
    json.dumps(record, allow_nan=False)


def test_labels_of_the_calibration_file_are_used_where_no_other_is_named(
    float_onnx: Path, tmp_path: Path
) -> None:
    calibration, test = fm.files(tmp_path)
    labelled = tinyedge.quantize(float_onnx, calibration=test, output=tmp_path / "a")
    assert labelled["accuracy"]["before"] > LEAST
    plain = tinyedge.quantize(float_onnx, calibration=calibration, output=tmp_path / "b")
    assert plain["accuracy"]["before"] is plain["accuracy"]["after"] is None
    assert plain["accuracy"]["samples"] == fm.CALIBRATION
    given = tinyedge.quantize(
        float_onnx, calibration=np.load(calibration)["x"], output=tmp_path / "c"
    )
    assert given["model"]["hash"] == plain["model"]["hash"]


def test_pixels_are_scaled_as_the_user_says(float_onnx: Path, tmp_path: Path) -> None:
    calibration, _ = fm.files(tmp_path)
    floats = np.load(calibration)["x"]
    pixels = np.rint(floats * 255).astype(np.uint8)
    a = tinyedge.quantize(float_onnx, calibration=pixels, output=tmp_path / "a")
    b = tinyedge.quantize(
        float_onnx, calibration=pixels, input_range=(-1.0, 1.0), output=tmp_path / "b"
    )
    assert a["model"]["input"]["scale"] == pytest.approx(1 / 255, rel=0.01)
    assert b["model"]["input"]["scale"] == pytest.approx(2 / 255, rel=0.01)


def test_a_final_softmax_is_left_out(float_onnx: Path, tmp_path: Path) -> None:
    calibration, _ = fm.files(tmp_path)
    tinyedge.quantize(float_onnx, calibration=calibration, output=tmp_path / "out")
    graph = load_converted(tmp_path / "out").graph
    assert "Softmax" not in [type(operator).__name__ for operator in graph.operators]


def test_channels_that_come_last_stay_so(float_onnx: Path, tmp_path: Path) -> None:
    """A file from TensorFlow transposes its input first."""
    model = onnx.load(float_onnx)
    model.graph.node.insert(
        0, onnx.helper.make_node("Transpose", ["nhwc"], ["image"], "first", perm=[0, 3, 1, 2])
    )
    given = model.graph.input[0]
    given.name = "nhwc"
    for axis, size in enumerate((8, 8, 1), 1):
        given.type.tensor_type.shape.dim[axis].dim_value = size
    onnx.save(model, tmp_path / "last.onnx")
    calibration, test = fm.files(tmp_path)
    first, last = (
        tinyedge.quantize(path, calibration=calibration, data=test, output=tmp_path / "out")
        for path in (float_onnx, tmp_path / "last.onnx")
    )
    assert first["accuracy"] == last["accuracy"]


def _in_a_row(path: Path, *, length: int, channels: int) -> Path:
    """A convolution along one axis, as PyTorch exports it: (batch, channels, length)."""
    random = np.random.default_rng(4)
    made = onnx.helper
    sizes = {"kernel": (5, channels, 3), "matrix": (5 * (length - 2), 4), "bias": (4,)}
    constants = [
        onnx.numpy_helper.from_array(random.normal(0, 1, size).astype(np.float32), name)
        for name, size in sizes.items()
    ]
    nodes = [
        made.make_node("Conv", ["x", "kernel"], ["c"], "conv", kernel_shape=[3]),
        made.make_node("Relu", ["c"], ["r"], "relu"),
        made.make_node("Flatten", ["r"], ["f"], "flatten"),
        made.make_node("Gemm", ["f", "matrix", "bias"], ["y"], "gemm"),
    ]
    ends = {"x": [1, channels, length], "y": [1, 4]}
    first, last = (
        made.make_tensor_value_info(name, onnx.TensorProto.FLOAT, shape)
        for name, shape in ends.items()
    )
    graph = made.make_graph(nodes, "row", [first], [last], constants)
    onnx.save(made.make_model(graph, opset_imports=[made.make_opsetid("", 13)], ir_version=8), path)
    return path


@pytest.mark.parametrize(("length", "channels"), [(16, 3), (8, 8)])
def test_rows_are_turned_as_images_are(length: int, channels: int, tmp_path: Path) -> None:
    path = _in_a_row(tmp_path / "row.onnx", length=length, channels=channels)
    x = np.random.default_rng(5).normal(0, 1, (60, length, channels)).astype(np.float32)
    record = tinyedge.quantize(path, calibration=x, output=tmp_path / "out")
    assert record["model"]["input"]["shape"] == [length, channels]
    assert record["accuracy"]["agreement"] > 0.9
    assert record["layers"]
    assert all(layer["error"] < 0.1 for layer in record["layers"])


def test_a_quantized_file_of_another_shape_is_refused(
    float_onnx: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = Path(__file__).parents[1] / "data" / "torch_qdq.onnx"
    monkeypatch.setattr("tinyedge.quantization.onnx.OnnxFloats.quantized", lambda *_: other)
    calibration, _ = fm.files(tmp_path)
    with pytest.raises(ModelError, match=r"takes samples of shape \(8, 8, 1\), but quantized"):
        tinyedge.quantize(float_onnx, calibration=calibration, output=tmp_path / "out")


def test_labels_of_other_classes_are_refused(float_onnx: Path, tmp_path: Path) -> None:
    x, y = fm.digits()
    np.savez(tmp_path / "c.npz", x=x[:40], y=y[:40] + 1)
    for data in (None, tmp_path / "c.npz"):
        with pytest.raises(DataError, match="labels are 1 to 10, allowed are 0 to 9"):
            tinyedge.quantize(
                float_onnx, calibration=tmp_path / "c.npz", data=data, output=tmp_path / "out"
            )


@pytest.mark.parametrize("shape", [(40,), (40, 10)])
def test_targets_in_the_calibration_file_are_no_labels(
    shape: tuple[int, ...], float_onnx: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    y = np.random.default_rng(6).normal(20, 9, shape).round(0 if len(shape) == 1 else 3)
    np.savez(tmp_path / "c.npz", x=fm.digits()[0][:40], y=y)
    named = ("quantize", float_onnx, "-o", tmp_path / "out", "--calibration", tmp_path / "c.npz")
    code, _, err = run_cli(capsys, *named)
    assert code == 0
    assert "y holds floats, so that no accuracy is measured" in " ".join(err.split())
    failure(capsys, 3, *named, "--data", tmp_path / "c.npz")


def test_many_calibration_samples_are_spread_and_few_compared(
    float_onnx: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The first 512 are dark, as in a file in the order of classes."""
    x = fm.digits()[0][:700].copy()
    x[:600] /= 100
    np.savez(tmp_path / "c.npz", x=x)
    named = ("quantize", float_onnx, "-o", tmp_path / "out", "--calibration", tmp_path / "c.npz")
    code, out, err = run_cli(capsys, *named, "--samples", "7", "--json")
    record = json.loads(out)
    assert code == 0
    assert "512 of 700 calibration samples" in " ".join(err.split())
    assert record["calibration_samples"] == 512
    assert record["accuracy"]["samples"] == 7
    assert record["model"]["input"]["scale"] == pytest.approx(1 / 255, rel=0.01)


def test_what_does_not_go_together_is_refused(
    float_onnx: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    calibration, test = fm.files(tmp_path)
    out = tmp_path / "out"
    named = ("quantize", float_onnx, "-o", out, "--calibration", calibration)
    assert "--calibration" in failure(capsys, 2, "quantize", float_onnx, "-o", out)["message"]
    assert "int8" in failure(capsys, 2, *named, "--precision", "ternary")["message"]
    assert "LOW" in failure(capsys, 2, *named, "--input-range", "1", "0")["message"]
    for ends in (("0", "inf"), ("nan", "1")):
        assert "finite" in failure(capsys, 2, *named, "--input-range", *ends)["message"]
    assert "labels" in failure(capsys, 3, *named, "--data", calibration)["message"]
    folder = ("quantize", tmp_path, "-o", out, "--calibration", calibration)
    assert "--calibration: goes with a float model" in failure(capsys, 2, *folder)["message"]
    with pytest.raises(UsageError, match="neither a run"):
        tinyedge.quantize(test, calibration=calibration, output=out)
    for x in (np.zeros((0, 8, 8, 1), np.float32), np.zeros((3, 8, 9, 1), np.float32)):
        with pytest.raises(DataError, match="calibration data"):
            tinyedge.quantize(float_onnx, calibration=x, output=out)
    with pytest.raises(ModelError, match="none"):
        tinyedge.quantize(tmp_path / "none.onnx", calibration=calibration, output=out)
    assert not out.exists()


def test_what_cannot_be_imported_is_told_of_the_file_that_was_named(
    float_onnx: Path, tmp_path: Path
) -> None:
    """It is the quantized file, in a temporary folder, that is refused."""
    model = onnx.load(float_onnx)
    turned = onnx.helper.make_node("Transpose", ["features"], ["turned"], "turn", perm=[0, 1, 3, 2])
    (at,) = (i for i, node in enumerate(model.graph.node) if "features" in node.input)
    last = model.graph.node[at]
    add = onnx.helper.make_node("Add", ["features", "turned"], ["both"], "both")
    last.input[0] = "both"
    model.graph.node.insert(at, turned)
    model.graph.node.insert(at + 1, add)
    onnx.save(model, tmp_path / "turned.onnx")
    calibration, _ = fm.files(tmp_path)
    with pytest.raises(ModelError, match=f"^{tmp_path}/turned.onnx: quantized to turned.onnx: "):
        tinyedge.quantize(
            tmp_path / "turned.onnx", calibration=calibration, output=tmp_path / "out"
        )
    assert not (tmp_path / "out").exists()


def test_what_is_quantized_already_is_told_so(tmp_path: Path) -> None:
    calibration, _ = fm.files(tmp_path)
    data = Path(__file__).parents[1] / "data"
    with pytest.raises(ModelError, match="is quantized already") as caught:
        tinyedge.quantize(data / "torch_qdq.onnx", calibration=calibration, output=tmp_path / "out")
    assert "tinyedge convert" in caught.value.hint


@pytest.mark.keras
def test_a_qkeras_model_is_told_to_be_quantized_already(tmp_path: Path) -> None:
    calibration, _ = fm.files(tmp_path)
    data = Path(__file__).parents[1] / "data"
    with pytest.raises(ModelError, match=r"layer 'stem' \(QConv2D\) is quantized already"):
        tinyedge.quantize(
            data / "qkeras_v3_demo.keras", calibration=calibration, output=tmp_path / "out"
        )


def test_float_models_are_told_how_to_become_int8(float_onnx: Path) -> None:
    with pytest.raises(ModelError, match="nothing in it is quantized") as caught:
        import_model(float_onnx)
    assert "tinyedge quantize" in caught.value.hint
