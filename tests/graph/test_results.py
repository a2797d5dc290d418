"""Models with several outputs: their bytes behind each other, in every executor."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from tests.graph.random_graphs import RandomGraph
from tinyedge.commands.check import check
from tinyedge.commands.run import run
from tinyedge.errors import DataError, ModelError
from tinyedge.exporters.converted import ConvertedModel, write_converted
from tinyedge.exporters.tflite import export_tflite
from tinyedge.graph import operators as ops
from tinyedge.graph import reference
from tinyedge.graph.graph import Graph
from tinyedge.graph.simplify import simplify
from tinyedge.graph.tensors import Quantization, Tensor
from tinyedge.importers import import_model
from tinyedge.names import PlaceName
from tinyedge.tflm.interpreter import Interpreter

pytestmark = pytest.mark.needs_tool


def with_outputs(graph: Graph, count: int) -> Graph:
    """A graph that gives the last outputs of different quantization too."""
    names = [graph.output]
    for operator in reversed(graph.operators):
        if len(names) < count and operator.output not in names:
            names.append(operator.output)
    size = sum(graph.tensors[name].size for name in names)
    first = graph.tensors[names[0]].quantization
    join = ops.Join(name="outputs", inputs=tuple(names), output="outputs")
    tensors = {**graph.tensors, "outputs": Tensor("outputs", (size,), first)}
    return replace(graph, tensors=tensors, operators=(*graph.operators, join), output="outputs")


@pytest.fixture(scope="module", params=[8, 36])
def model(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> ConvertedModel:
    graph = with_outputs(simplify(RandomGraph(request.param).graph), 3)
    return write_converted(graph, tmp_path_factory.mktemp("several") / "out", "test")


def samples_of(model: ConvertedModel, count: int) -> np.ndarray:
    shape = model.graph.input_tensor.shape
    return np.random.default_rng(0).integers(-128, 128, (count, *shape)).astype(np.int8)


@pytest.mark.parametrize("place", ["numpy", "twin", "tflite-micro"])
def test_all_bytes_are_the_same_everywhere(
    model: ConvertedModel, tmp_path: Path, place: PlaceName
) -> None:
    graph, samples = model.graph, samples_of(model, 9)
    assert len(graph.results) == 3
    expected = reference.run(graph, samples)
    own = Interpreter(export_tflite(graph)).run(samples, 3)
    np.testing.assert_array_equal(
        np.concatenate([each.reshape(9, -1) for each in own], axis=1), expected
    )
    np.save(tmp_path / "x.npy", samples)
    for name in ("logits.npy", "logits.npz"):
        run(model.folder, on=place, data=tmp_path / "x.npy", logits=tmp_path / name)
    np.testing.assert_array_equal(np.load(tmp_path / "logits.npy"), expected)
    with np.load(tmp_path / "logits.npz") as parts:
        assert list(parts) == [tensor.name for tensor in graph.results]
        for tensor, found in zip(graph.results, own, strict=True):
            np.testing.assert_array_equal(parts[tensor.name], found)


def test_every_output_has_an_array_whatever_its_name(tmp_path: Path) -> None:
    """Names that a file may hold: numpy's own argument, a way out of the folder, one twice."""
    grid = Quantization(0.1, 0)
    names = ["file", "../up", "x/y", "twice", "twice"]
    operators: list[ops.Operator] = [
        ops.Relu(name=name, inputs=("input",), output=name) for name in dict.fromkeys(names)
    ]
    operators.append(ops.Join(name="outputs", inputs=tuple(names), output="outputs"))
    tensors = {name: Tensor(name, (3,), grid) for name in ("input", *names)}
    tensors["outputs"] = Tensor("outputs", (15,), grid)
    graph = Graph("named", tensors, tuple(operators), "input", "outputs")
    folder = write_converted(graph, tmp_path / "out", "test").folder
    samples = np.arange(-6, 6).astype(np.int8).reshape(4, 3)
    np.save(tmp_path / "x.npy", samples)
    run(folder, on="numpy", data=tmp_path / "x.npy", logits=tmp_path / "y.npz")
    with np.load(tmp_path / "y.npz") as parts:
        assert list(parts) == ["file", "_/up", "x/y", "twice", "twice_2"]
        for name in parts:
            np.testing.assert_array_equal(parts[name], np.maximum(samples, 0))


def test_files_give_the_graph_back_and_are_checked(model: ConvertedModel, tmp_path: Path) -> None:
    imported = import_model(model.tflite).graph
    samples = samples_of(model, 5)
    np.testing.assert_array_equal(
        reference.run(imported, samples), reference.run(model.graph, samples)
    )
    (tmp_path / "again.tflite").write_bytes(export_tflite(imported))
    assert import_model(tmp_path / "again.tflite").graph.hash == imported.hash
    for layers in (False, True):
        record = check(model.tflite, with_="tflite-micro", samples=20, layers=layers)
        assert record["fault"] is None
    outputs = model.manifest["outputs"]
    assert [each["name"] for each in outputs] == [each.name for each in model.graph.results]
    header = (model.folder / "model.h").read_text()
    assert f"TINYEDGE_MODEL_OUTPUT_1_OFFSET {model.graph.results[0].size}\n" in header


def test_labels_are_refused(model: ConvertedModel, tmp_path: Path) -> None:
    np.savez(tmp_path / "data.npz", x=samples_of(model, 3), y=np.zeros(3, np.int64))
    with pytest.raises(DataError, match="several outputs, and no accuracy"):
        run(model.folder, on="numpy", data=tmp_path / "data.npz")


def test_a_join_in_the_middle_is_refused(model: ConvertedModel) -> None:
    with pytest.raises(ModelError, match="a Join that is not the output"):
        replace(model.graph, output=model.graph.results[0].name)
