"""Recurrent operators against TFLite-Micro, in sequences, on the reference and in C."""

from __future__ import annotations

import copy
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.firmware.sanitizers import run_sanitized
from tests.graph.streaming import streaming_graph
from tests.importers.test_blockers import edited, imported, refusal
from tinyedge.errors import ModelError
from tinyedge.exporters.converted import write_converted
from tinyedge.exporters.tflite import export_tflite
from tinyedge.firmware.twin import Twin
from tinyedge.graph import operators as ops
from tinyedge.graph import recurrent, reference
from tinyedge.graph.graph import Graph, State
from tinyedge.graph.simplify import simplify
from tinyedge.graph.tensors import Quantization, Tensor
from tinyedge.importers import import_model
from tinyedge.tflm.interpreter import Interpreter

pytestmark = pytest.mark.needs_tool


def part(name: str, source: str, begin: int, size: int) -> ops.Slice:
    return ops.Slice(
        name=name, inputs=(source,), output=name, begin=(begin,), size=(size,), stride=(1,)
    )


def lstm_graph(seed: int, steps: int, inputs: int, units: int, power: int, clip: int) -> Graph:
    """Gates that saturate now and then."""
    rng = np.random.default_rng(seed)
    grid = Quantization(float(rng.uniform(0.003, 0.012)), int(rng.integers(-40, 41)))
    lstm = recurrent.Lstm(
        name="x/all",
        inputs=("input", "last", "cells"),
        output="x/all",
        kernel=rng.integers(-127, 128, (4, units, inputs)).astype(np.int8),
        recurrent=rng.integers(-127, 128, (4, units, units)).astype(np.int8),
        bias=rng.integers(-9000, 9000, (4, units)).astype(np.int32),
        scales=rng.uniform(0.002, 0.02, (2, 4)).astype(np.float32),
        cell_power=power,
        cell_clip=clip,
    )
    size = steps * units
    operators = (
        lstm,
        part("x/all/last", "x/all", size - units, units),
        part("x/all/kept", "x/all", size, 2 * units),
        part("x/cells", "x/all", 0, size),
        ops.Reshape(name="x", inputs=("x/cells",), output="x", shape=(steps, units)),
    )
    tensors = {"input": Tensor("input", (steps, inputs), Quantization(0.03, int(seed % 9)))}
    shapes = {"last": (units,), "cells": (2 * units,), "x/all": (size + 2 * units,)}
    shapes |= {"x/all/last": (units,), "x/all/kept": (2 * units,), "x/cells": (size,)}
    tensors |= {name: Tensor(name, shape, grid) for name, shape in shapes.items()}
    tensors["x"] = Tensor("x", (steps, units), grid)
    states = {
        "last": State("x/all/last", np.full(units, grid.zero_point, np.int8)),
        "cells": State("x/all/kept", np.zeros(2 * units, np.int8)),
    }
    return simplify(Graph("lstm", tensors, operators, "input", "x", states=states))


def svdf_graph(
    seed: int, inputs: int, units: int, rank: int, length: int, zero: int | None = None
) -> Graph:
    """With cells of 16 bits, or of 8 with a zero point."""
    rng = np.random.default_rng(seed)
    filters, grid = units * rank, Quantization(0.05, int(rng.integers(-128, 128)))
    given: dict[str, Any] = {
        "name": "x/all",
        "inputs": ("input", "memory"),
        "output": "x/all",
        "feature": rng.integers(-127, 128, (filters, inputs)).astype(np.int8),
        "time": rng.integers(-9000, 9000, (filters, length)).astype(np.int16),
        "bias": rng.integers(-9000, 9000, units).astype(np.int32),
        "scales": np.array([0.01, 0.00003, rng.uniform(0.0003, 0.002)], np.float32),
    }
    if zero is None:
        svdf = recurrent.Svdf(**given)
    else:
        given["time"] = np.clip(given["time"] // 70, -127, 127)
        given["scales"] = np.array([0.01, 0.004, rng.uniform(0.05, 0.1)], np.float32)
        svdf = recurrent.SvdfNarrow(**given, memory_zero=zero)
    bytes_kept = svdf.memory_bytes
    operators = (
        svdf,
        part("x/all/kept", "x/all", units, bytes_kept),
        part("x", "x/all", 0, units),
    )
    shapes = {"memory": (bytes_kept,), "x/all": (units + bytes_kept,)}
    shapes |= {"x/all/kept": (bytes_kept,), "x": (units,)}
    tensors = {"input": Tensor("input", (inputs,), Quantization(0.03, -11))}
    tensors |= {name: Tensor(name, shape, grid) for name, shape in shapes.items()}
    states = {"memory": State("x/all/kept", np.full(bytes_kept, zero or 0, np.int8))}
    return Graph("svdf", tensors, operators, "input", "x", states=states)


GRAPHS = [
    lstm_graph(0, 5, 7, 6, -12, 0),
    lstm_graph(1, 1, 3, 5, -15, 0),
    lstm_graph(2, 4, 9, 8, -9, 300),
    lstm_graph(3, 3, 2, 2, -11, 900),
    svdf_graph(0, 10, 4, 2, 5),
    svdf_graph(1, 3, 1, 1, 2),
    svdf_graph(2, 16, 6, 1, 9),
    svdf_graph(3, 10, 4, 2, 5, 0),
    svdf_graph(4, 7, 3, 1, 4, -30),
    svdf_graph(5, 12, 2, 3, 6, 90),
]


@pytest.mark.parametrize("graph", GRAPHS, ids=lambda graph: f"{graph.name}-{graph.hash[:4]}")
def test_every_executor_gives_tflite_micros_bytes(graph: Graph, tmp_path: Path) -> None:
    shape = graph.input_tensor.shape
    rng = np.random.default_rng(5)
    sequences = rng.integers(-128, 128, (4, 30, *shape)).astype(np.int8)
    sequences[1] = np.clip(rng.normal(0, 9, sequences[1].shape), -128, 127)
    sequences[2], sequences[3] = 127, -128
    expected = Interpreter(export_tflite(graph)).run(sequences, sequences=True)[0]
    assert len(np.unique(expected)) > 10
    np.testing.assert_array_equal(reference.run(graph, sequences), expected)
    twin = Twin(write_converted(graph, tmp_path / "out", "test"))
    np.testing.assert_array_equal(twin.run(sequences), expected)


@pytest.mark.parametrize("graph", GRAPHS[::2], ids=lambda graph: f"{graph.name}-{graph.hash[:4]}")
def test_files_give_the_graph_back(graph: Graph, tmp_path: Path) -> None:
    graph.save(tmp_path / "graph.npz")
    assert Graph.load(tmp_path / "graph.npz").hash == graph.hash
    (tmp_path / "model.tflite").write_bytes(export_tflite(graph))
    assert import_model(tmp_path / "model.tflite").graph.hash == graph.hash


def test_a_use_that_a_file_cannot_say_is_refused() -> None:
    """The cells as the model's own output."""
    graph = GRAPHS[0]
    tensors = {**graph.tensors, "more": Tensor("more", (6,), graph.tensors["last"].quantization)}
    more = ops.Reshape(name="more", inputs=("x/all/last",), output="more", shape=(6,))
    shown = Graph("shown", tensors, (*graph.operators, more), "input", "more", states=graph.states)
    with pytest.raises(ModelError, match="has no operator that is used so"):
        export_tflite(shown)


def test_what_would_overflow_is_refused() -> None:
    graph = svdf_graph(0, 10, 4, 2, 5)
    svdf = graph.operators[0]
    assert isinstance(svdf, recurrent.Svdf)
    wide = recurrent.Svdf(**{**vars(svdf), "time": np.full(svdf.time.shape, 32767, np.int16)})
    with pytest.raises(ModelError, match="over time can overflow"):
        Graph(
            "wide", graph.tensors, (wide, *graph.operators[1:]), "input", "x", states=graph.states
        )


@pytest.mark.parametrize(
    ("edit", "told"),
    [
        (lambda tensors, _: setattr(tensors["constant"], "isVariable", True), "has values"),
        (lambda tensors, _: setattr(tensors["kernel"], "quantization", None), "not one scale"),
        (lambda _, operator: setattr(operator.builtinOptions, "timeMajor", True), "time before"),
        (lambda _, operator: operator.inputs.__setitem__(9, operator.inputs[5]), "peepholes"),
        (lambda _, operator: operator.inputs.__setitem__(19, operator.inputs[18]), "int16"),
        (lambda tensors, _: setattr(tensors["last"], "isVariable", False), "a variable of 6 int8"),
        (lambda tensors, _: setattr(tensors["cells"], "isVariable", False), "a variable of 6 int1"),
        (lambda tensors, _: setattr(tensors["x"], "isVariable", True), "operator's output"),
        (lambda _, operator: setattr(operator.builtinOptions, "cellClip", 1e-5), "clipped at 1e-0"),
    ],
)
def test_what_tflite_micro_would_compute_otherwise_is_refused(
    edit: Callable[[dict[str, Any], Any], None], told: str, tmp_path: Path
) -> None:
    def change(tree: Any) -> None:
        subgraph = tree.subgraphs[0]
        [operator] = subgraph.operators
        operator.inputs = list(operator.inputs)
        tensors = {
            "kernel": subgraph.tensors[operator.inputs[1]],
            "constant": subgraph.tensors[operator.inputs[12]],
            "last": subgraph.tensors[operator.inputs[18]],
            "cells": subgraph.tensors[operator.inputs[19]],
            "x": subgraph.tensors[operator.outputs[0]],
        }
        edit(tensors, operator)

    error = refusal(edited(GRAPHS[0], change), tmp_path)
    assert told in str(error)


@pytest.mark.parametrize("graph", [GRAPHS[0], GRAPHS[4]], ids=["lstm", "svdf"])
@pytest.mark.parametrize("shared", [False, True], ids=["own", "shared"])
def test_two_operators_share_no_state(*, graph: Graph, shared: bool, tmp_path: Path) -> None:
    def change(tree: Any) -> None:
        subgraph = tree.subgraphs[0]
        [first] = subgraph.operators
        second = copy.deepcopy(first)
        outside = [subgraph.outputs[0]]
        for position in () if shared else (18, 19) if graph is GRAPHS[0] else (4,):
            outside.append(second.inputs[position])
            second.inputs[position] = len(subgraph.tensors) + len(outside) - 1
        second.outputs = [len(subgraph.tensors)]
        for index in outside:
            subgraph.tensors.append(copy.deepcopy(subgraph.tensors[index]))
            subgraph.tensors[-1].name += b"2"
        subgraph.operators = [first, second]
        subgraph.outputs = [first.outputs[0], second.outputs[0]]

    content = edited(graph, change)
    if shared:
        assert "is a state of another operator already" in str(refusal(content, tmp_path))
        return
    frames = np.random.default_rng(3).integers(-128, 128, (1, 9, *graph.input_tensor.shape))
    sequences = frames.astype(np.int8)
    found = reference.run(imported(content, tmp_path), sequences)
    for part_of, expected in zip(
        np.split(found, 2, axis=-1),
        Interpreter(content).run(sequences, 2, sequences=True),
        strict=True,
    ):
        np.testing.assert_array_equal(part_of, expected.reshape(part_of.shape))


@pytest.mark.parametrize(
    ("variable", "told"), [(False, "has to be a variable"), (True, "an input of the model")]
)
def test_a_computed_tensor_is_no_state(*, variable: bool, told: str, tmp_path: Path) -> None:
    def change(tree: Any) -> None:
        subgraph = tree.subgraphs[0]
        [operator] = subgraph.operators
        operator.inputs = list(operator.inputs)
        given = subgraph.tensors[subgraph.inputs[0]]
        given.isVariable = variable
        given.quantization = subgraph.tensors[operator.inputs[18]].quantization
        operator.inputs[18] = subgraph.inputs[0]

    assert told in str(refusal(edited(lstm_graph(9, 1, 5, 5, -12, 0), change), tmp_path))


@pytest.mark.needs_tool
@pytest.mark.parametrize(
    "graph",
    [GRAPHS[2], GRAPHS[4], streaming_graph()],
    ids=["lstm", "svdf", "variables"],
)
def test_sanitizers_find_nothing(graph: Graph, tmp_path: Path) -> None:
    """The first sequence begins by itself."""
    rng = np.random.default_rng(2)
    frames = rng.integers(-128, 128, (60, *graph.input_tensor.shape)).astype(np.int8)
    frames[20:25], frames[30:40] = 127, -128
    model = write_converted(graph, tmp_path / "out", "test")
    found = run_sanitized(model, frames, tmp_path / "program")
    np.testing.assert_array_equal(found, reference.run(graph, frames[np.newaxis])[0])
