"""Models with several inputs: parts of one sample, in every executor."""

from __future__ import annotations

import dataclasses
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.graph.random_graphs import RandomGraph
from tinyedge.commands.attack_oracle import OracleOptions
from tinyedge.commands.check import check
from tinyedge.commands.run import run
from tinyedge.errors import DataError, ModelError, UsageError
from tinyedge.exporters.converted import ConvertedModel, write_converted
from tinyedge.exporters.tflite import export_tflite
from tinyedge.firmware.mlperf import Mlperf
from tinyedge.graph import operators as ops
from tinyedge.graph import reference
from tinyedge.graph.gradients import Pass
from tinyedge.graph.graph import Graph
from tinyedge.graph.memory import plan_memory
from tinyedge.graph.simplify import simplify
from tinyedge.graph.tensors import Quantization, Tensor
from tinyedge.importers import import_model
from tinyedge.names import PlaceName
from tinyedge.samples.scaling import ModelInput
from tinyedge.tflm.interpreter import Interpreter

pytestmark = pytest.mark.needs_tool

FIRST, SECOND, THIRD = "serving/one:0", "two", "three"


def with_inputs(seed: int) -> Graph:
    """A random graph, at whose end two more inputs are added; the second has an odd size."""
    graph = RandomGraph(seed).graph
    last = graph.output_tensor
    shape = last.shape
    grids = {SECOND: Quantization(0.03, -5), THIRD: Quantization(0.2, 17)}
    odd = (*shape[:-1], shape[-1] + 3) if last.size % 2 == 0 else (*shape[:-1], shape[-1] + 2)
    renamed = {graph.input: FIRST}
    tensors = {
        renamed.get(name, name): replace(tensor, name=renamed.get(name, name))
        for name, tensor in graph.tensors.items()
    }
    begin = {FIRST: 0, SECOND: graph.input_tensor.size}
    begin[THIRD] = begin[SECOND] + int(np.prod(odd))
    shapes = {FIRST: graph.input_tensor.shape, SECOND: odd, THIRD: shape}
    total = begin[THIRD] + last.size
    tensors["inputs"] = Tensor("inputs", (total,), graph.input_tensor.quantization)
    tensors |= {name: Tensor(name, shapes[name], grid) for name, grid in grids.items()}
    tensors["cut"] = Tensor("cut", shape, grids[SECOND])
    tensors["sum"] = Tensor("sum", shape, Quantization(0.3, 1))
    tensors["end"] = Tensor("end", shape, Quantization(0.4, -9))
    operators: list[ops.Operator] = [
        ops.Part(name=name, inputs=("inputs",), output=name, begin=begin[name], shape=shapes[name])
        for name in (FIRST, SECOND, THIRD)
    ]
    operators += [
        replace(each, inputs=tuple(renamed.get(name, name) for name in each.inputs))
        for each in graph.operators
    ]
    whole = {"begin": (0,) * len(shape), "size": shape, "stride": (1,) * len(shape)}
    operators += [
        ops.Slice(name="cut", inputs=(SECOND,), output="cut", **whole),
        ops.Add(name="sum", inputs=("cut", THIRD), output="sum"),
        ops.Mul(name="end", inputs=(graph.output, "sum"), output="end"),
    ]
    return simplify(
        Graph("inputs", tensors, tuple(operators), "inputs", "end", constants=graph.constants)
    )


@pytest.fixture(scope="module", params=[3, 14])
def model(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> ConvertedModel:
    graph = with_inputs(request.param)
    return write_converted(graph, tmp_path_factory.mktemp("inputs") / "out", "test")


def samples_of(model: ConvertedModel, count: int) -> np.ndarray:
    shape = model.graph.input_tensor.shape
    return np.random.default_rng(0).integers(-128, 128, (count, *shape)).astype(np.int8)


@pytest.mark.parametrize("place", ["numpy", "twin", "tflite-micro"])
def test_all_bytes_are_the_same_everywhere(
    model: ConvertedModel, tmp_path: Path, place: PlaceName
) -> None:
    """Named arrays, and their values behind each other."""
    graph, samples = model.graph, samples_of(model, 9)
    assert [tensor.name for tensor in graph.inputs] == [FIRST, SECOND, THIRD]
    expected = reference.run(graph, samples)
    parts = reference.split_inputs(graph, samples)
    own = Interpreter(export_tflite(graph)).run(parts)[0]
    np.testing.assert_array_equal(own.reshape(expected.shape), expected)
    names = [part.name for part in ModelInput.of(graph).parts]
    np.save(tmp_path / "x.npy", samples)
    np.savez(tmp_path / "named.npz", allow_pickle=False, **dict(zip(names, parts, strict=True)))
    for name in ("x.npy", "named.npz"):
        run(model.folder, on=place, data=tmp_path / name, logits=tmp_path / "logits.npy")
        np.testing.assert_array_equal(np.load(tmp_path / "logits.npy"), expected)


@pytest.mark.emulator
def test_an_emulated_board_gives_them_too(model: ConvertedModel, tmp_path: Path) -> None:
    samples = samples_of(model, 3)
    np.save(tmp_path / "x.npy", samples)
    run(model.folder, on="emulator", data=tmp_path / "x.npy", logits=tmp_path / "logits.npy")
    expected = reference.run(model.graph, samples)
    np.testing.assert_array_equal(np.load(tmp_path / "logits.npy"), expected)


def test_floats_are_quantized_by_the_grid_of_each_input(
    model: ConvertedModel, tmp_path: Path
) -> None:
    graph = model.graph
    takes = ModelInput.of(graph)
    rng = np.random.default_rng(1)
    reals = [rng.normal(0, 1, (4, *each.shape)).astype(np.float32) for each in graph.inputs]
    expected = [
        tensor.quantization.quantize(x).reshape(4, -1)
        for tensor, x in zip(graph.inputs, reals, strict=True)
    ]
    whole = takes.joined(reals, "samples")
    np.testing.assert_array_equal(takes.int8(whole), np.concatenate(expected, axis=1))
    mixed = takes.joined([reals[0], *reference.split_inputs(graph, takes.int8(whole))[1:]], "")
    np.testing.assert_array_equal(takes.int8(mixed), np.concatenate(expected, axis=1))
    names = [part.name for part in takes.parts]
    arrays = dict(zip(names, reals, strict=True)) | {"y": np.zeros(4, np.int64)}
    np.savez(tmp_path / "labelled.npz", allow_pickle=False, **arrays)
    record = run(model.folder, on="numpy", data=tmp_path / "labelled.npz")
    assert record["suites"][0]["samples"] == 4


def test_samples_that_do_not_fit_are_refused(model: ConvertedModel, tmp_path: Path) -> None:
    parts = reference.split_inputs(model.graph, samples_of(model, 4))
    names = [part.name for part in ModelInput.of(model.graph).parts]
    given = dict(zip(names, parts, strict=True))
    for wrong, told in (
        (given | {SECOND: parts[1][:3]}, "different numbers of samples"),
        (given | {SECOND: parts[1][:, :0]}, "two of shape"),
        ({name: given[name] for name in names[:2]}, "expected an array x"),
    ):
        np.savez(tmp_path / "x.npz", allow_pickle=False, **wrong)
        with pytest.raises(DataError, match=told):
            run(model.folder, on="numpy", data=tmp_path / "x.npz", logits=tmp_path / "y.npy")


def test_files_give_the_graph_back_and_are_checked(model: ConvertedModel, tmp_path: Path) -> None:
    imported = import_model(model.tflite).graph
    (tmp_path / "again.tflite").write_bytes(export_tflite(imported))
    assert import_model(tmp_path / "again.tflite").graph.hash == imported.hash
    samples = samples_of(model, 5)
    np.testing.assert_array_equal(
        reference.run(imported, samples), reference.run(model.graph, samples)
    )
    for layers in (False, True):
        record = check(model.tflite, with_="tflite-micro", samples=20, layers=layers)
        assert record["fault"] is None
    inputs = model.manifest["inputs"]
    assert [each["name"] for each in inputs] == [each.name for each in model.graph.inputs]
    header = (model.folder / "model.h").read_text()
    assert f"TINYEDGE_MODEL_INPUT_1_OFFSET {model.graph.inputs[0].size}\n" in header


def test_an_input_that_begins_on_a_word_is_not_copied(model: ConvertedModel) -> None:
    graph, kernels = (
        model.graph,
        {each["name"]: each["kernel"] for each in model.manifest["layers"]},
    )
    offsets = plan_memory(graph).offsets
    for part in graph.operators[:3]:
        assert isinstance(part, ops.Part)
        aligned = part.begin % 4 == 0
        assert (kernels[part.name] is None) == aligned
        if aligned:
            assert offsets[part.output] == offsets[graph.input] + part.begin


def test_gradients_reach_each_input(model: ConvertedModel) -> None:
    graph = model.graph
    cotangent = np.ones((2, *graph.output_tensor.shape), np.float32)
    found = Pass(graph, samples_of(model, 2)).gradient(cotangent)
    assert found.shape == (2, *graph.input_tensor.shape)
    assert all(np.any(part) for part in ModelInput.of(graph).split(found)[1:])


def test_what_changes_one_input_is_refused(model: ConvertedModel) -> None:
    nothing: dict[str, Any] = dict.fromkeys(
        field.name for field in dataclasses.fields(OracleOptions)
    )
    options = OracleOptions(**nothing | {"place": "twin", "resume": False, "discard": False})
    with pytest.raises(UsageError, match="has 3 inputs; attacks change one"):
        options.check(model)
    with pytest.raises(UsageError, match="sends one input"):
        Mlperf.of(model.graph)


@pytest.mark.parametrize("fault", ["gap", "order", "reader", "rest", "grid"])
def test_parts_that_are_not_the_whole_input_are_refused(model: ConvertedModel, fault: str) -> None:
    graph = model.graph
    first, second, *rest = graph.operators
    tensors = dict(graph.tensors)
    if fault == "gap":
        assert isinstance(second, ops.Part)
        second = replace(second, begin=0)
    elif fault == "order":
        first, second = second, first
    elif fault == "reader":
        extra = ops.Requantize(name="extra", inputs=("inputs",), output="extra")
        tensors["extra"] = replace(tensors["inputs"], name="extra")
        rest.append(extra)
    elif fault == "rest":
        size = graph.input_tensor.size + 1
        tensors["inputs"] = replace(tensors["inputs"], shape=(size,))
    else:
        other = Quantization(0.5, 3)
        tensors["inputs"] = replace(tensors["inputs"], quantization=other)
    with pytest.raises(ModelError, match=r"\(Part\)"):
        replace(graph, operators=(first, second, *rest), tensors=tensors)
