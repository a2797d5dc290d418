"""Models whose outputs are values and no classes: errors, and never an accuracy."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import tinyedge
from tests.cli.commands import failure, run_json
from tinyedge.errors import DataError
from tinyedge.evaluation.compare import reconstruction_error
from tinyedge.evaluation.suites import Suite, load_suites
from tinyedge.exporters.converted import ConvertedModel, write_converted
from tinyedge.graph import operators as ops
from tinyedge.graph import reference
from tinyedge.graph.graph import Graph
from tinyedge.graph.tensors import Quantization, Tensor, Weights
from tinyedge.samples.labels import checked_labels
from tinyedge.samples.scaling import ModelInput

VALUES = 24


def square(folder: Path, values: int) -> ConvertedModel:
    """One dense layer from so many values to as many: half of each, of another quantization."""
    tensors = {
        "x": Tensor("x", (values,), Quantization(1 / 255, -128)),
        "y": Tensor("y", (values,), Quantization(1 / 100, -100)),
    }
    weights = Weights(np.eye(values, dtype=np.int8), 2, np.full(values, 0.5, np.float32))
    bias = np.zeros(values, np.int32)
    dense = ops.FullyConnected(name="y", inputs=("x",), output="y", weights=weights, bias=bias)
    return write_converted(Graph("square", tensors, (dense,), "x", "y"), folder, "test")


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> ConvertedModel:
    return square(tmp_path_factory.mktemp("square") / "m", VALUES)


X = np.random.default_rng(0).random((7, VALUES)).astype(np.float32)


def test_labels_of_values_are_refused_everywhere(
    model: ConvertedModel, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path, y = tmp_path / "s.npz", np.zeros(7, np.int64)
    np.savez(path, x=X, y=y)
    takes = ModelInput.of(model.graph)
    with pytest.raises(DataError, match=r"s\.npz has labels, but the model gives 24 values") as of:
        load_suites(path, takes)
    assert "--data and --logits" in of.value.hint
    with pytest.raises(DataError, match="suite 'given' has labels"):
        Suite("given", X, y).fitted(takes)
    with pytest.raises(DataError, match="it has no accuracy"):
        tinyedge.load(model.folder).run((X, y), "numpy")
    folder = str(model.folder)
    said = failure(capsys, 3, "run", folder, "--on", "numpy", "--data", str(path))
    assert "no classes" in str(said)


def test_outputs_are_compared_with_inputs(
    model: ConvertedModel, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """All values but those that saturate are half of the input's."""
    graph = model.graph
    takes = ModelInput.of(graph)
    inputs = takes.int8(X)
    outputs = reference.run(graph, inputs)
    real = graph.input_tensor.quantization.dequantize(inputs)
    error = reconstruction_error(model, inputs, outputs)
    assert error
    assert error.mae == pytest.approx(np.abs(real / 2).mean(), abs=0.005)
    result = tinyedge.load(model.folder).run(X, "numpy")
    assert result.accuracy is None
    assert result.record["reconstruction"]["rmse"] == error.rmse

    np.save(tmp_path / "x.npy", X)
    files = ["--data", str(tmp_path / "x.npy"), "--logits", str(tmp_path / "y.npy")]
    record = run_json(capsys, "run", str(model.folder), "--on", "numpy", *files)
    assert record["reconstruction"]["rmse"] == error.rmse


def test_a_few_classes_may_be_as_many_as_features(tmp_path: Path) -> None:
    small = square(tmp_path / "m", 4)
    inputs = ModelInput.of(small.graph).int8(X[:, :4])
    assert reconstruction_error(small, inputs, inputs) is None
    result = tinyedge.load(small.folder).run((X[:, :4], np.arange(7) % 4), "numpy")
    assert result.accuracy is not None


def test_outputs_are_compared_with_targets(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The layer halves its inputs; the targets are a tenth beside that."""
    folder = square(tmp_path / "m", 4).folder
    x = X[:, :4]
    y = x / 2 + 0.1
    np.savez(tmp_path / "s.npz", x=x, y=y)
    arguments = ("run", str(folder), "--on", "numpy", "--data", str(tmp_path / "s.npz"))
    record = run_json(capsys, *arguments)
    assert record["targets"]["mae"] == pytest.approx(0.1, abs=0.01)
    assert record["logits"] is None
    assert "suites" not in record
    first = run_json(capsys, *arguments, "--samples", "3")
    assert (record["samples"], first["samples"]) == (7, 3)
    model = tinyedge.load(folder)
    result = model.run((x, y), "numpy")
    assert (result.record["targets"], result.accuracy) == (record["targets"], None)
    one = model.run((x, y.astype(np.float64).reshape(7, 2, 2)), "numpy")
    assert one.record["targets"] == record["targets"]


@pytest.mark.parametrize(
    ("y", "said"),
    [
        (np.full((6, 4), 0.5), "7 samples, but targets of 6"),
        (np.full((7, 3), 0.5), "3 targets a sample, but the model gives 4 values"),
        (np.full(7, 0.5), "1 targets a sample"),
        (np.where(np.eye(7, 4) > 0, np.nan, 0.5), "a target of sample 0 is nan"),
    ],
)
def test_targets_that_do_not_fit_are_refused(
    y: np.ndarray, said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder, path = square(tmp_path / "m", 4).folder, tmp_path / "s.npz"
    np.savez(path, x=X[:, :4], y=y)
    error = failure(capsys, 3, "run", str(folder), "--on", "numpy", "--data", str(path))
    assert said in error["message"]
    with pytest.raises(DataError, match=said):
        tinyedge.load(folder).run((X[:, :4], y), "numpy")


@pytest.mark.parametrize("y", [np.full(7, 0.5), np.full((7, 3), 0.25)])
def test_targets_of_a_regression_are_named(y: np.ndarray) -> None:
    with pytest.raises(DataError, match="one integer a sample") as refused:
        checked_labels("s.npz: y", y, 7)
    assert "targets of a regression" in refused.value.hint
