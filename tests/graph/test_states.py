from __future__ import annotations

import dataclasses
import tracemalloc
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tflite

from tests.exporters.options import OPTIONS
from tests.graph.random_graphs import RandomGraph
from tests.graph.streaming import frames_of, streaming_graph
from tests.importers.test_blockers import edited, refusal
from tinyedge.errors import DataError, ModelError
from tinyedge.exporters.c import CodeOptions
from tinyedge.exporters.converted import load_converted, write_converted
from tinyedge.exporters.tflite import export_tflite
from tinyedge.firmware.twin import Twin
from tinyedge.graph import operators as ops
from tinyedge.graph import reference
from tinyedge.graph.graph import MAXIMUM_STATES, Graph, State
from tinyedge.graph.memory import plan_memory
from tinyedge.graph.simplify import simplify
from tinyedge.graph.tensors import Quantization, Tensor
from tinyedge.importers import import_model
from tinyedge.tflm.interpreter import Interpreter

pytestmark = pytest.mark.needs_tool


def keeping(rows: int, count: int) -> Graph:
    """A graph with so many states of four bytes a row, of which nothing is given out."""
    grid = Quantization(0.1, 3)
    operators, states = [ops.Relu(name="y", inputs=("x",), output="y")], {}
    tensors = {name: Tensor(name, (5,), grid) for name in ("x", "y")}
    for kept, following in ((f"kept{i}", f"next{i}") for i in range(count)):
        tensors |= {name: Tensor(name, (rows, 4), grid) for name in (kept, following)}
        operators.append(ops.Relu(name=following, inputs=(kept,), output=following))
        states[kept] = State(following, np.broadcast_to(np.int8(3), (rows, 4)))
    return Graph("keeping", tensors, tuple(operators), "x", "y", states=states)


def by_hand(graph: Graph, frames: np.ndarray) -> np.ndarray:
    """One frame after the other, with what each leaves."""
    kept = {name: state.initial[np.newaxis] for name, state in graph.states.items()}
    outputs = []
    for frame in frames:
        values = reference.computed(graph, frame[np.newaxis], kept)
        kept = {name: values[state.next] for name, state in graph.states.items()}
        outputs.append(values[graph.output][0])
    return np.stack(outputs)


def test_sequences_begin_anew_and_frames_follow_each_other() -> None:
    graph = streaming_graph()
    frames = frames_of(graph, 24).reshape(3, 8, 5)
    outputs = reference.run(graph, frames)
    np.testing.assert_array_equal(outputs, [by_hand(graph, each) for each in frames])
    assert np.any(reference.run(graph, frames.reshape(1, 24, 5)).reshape(3, 8, 3) != outputs)
    each = reference.run(graph, frames.reshape(24, 5))
    assert np.any(each.reshape(3, 8, 3) != outputs)
    np.testing.assert_array_equal(each.reshape(3, 8, 3)[:, 0], outputs[:, 0])
    seen: list[np.ndarray] = []

    def tap(name: str, value: np.ndarray) -> None:
        if name == "dense":
            seen.append(value)

    reference.run(graph, frames, tap=tap)
    np.testing.assert_array_equal(np.concatenate(seen), outputs.reshape(24, 3))
    with pytest.raises(DataError, match=r"int8 .n, 5. or .n, frames"):
        reference.run(graph, frames.reshape(1, 3, 8, 5))


@pytest.mark.parametrize("options", OPTIONS[:2])
def test_c_and_tflite_micro_give_the_same(options: CodeOptions, tmp_path: Path) -> None:
    graph = streaming_graph()
    frames = frames_of(graph, 600).reshape(3, 200, 5)
    expected = reference.run(graph, frames)
    model = write_converted(graph, tmp_path / "out", "tinyedge convert", options=options)
    twin = Twin(load_converted(model.folder))
    np.testing.assert_array_equal(twin.run(frames), expected)
    np.testing.assert_array_equal(twin.run(frames[1, :1]), expected[1, :1])
    micro = Interpreter(export_tflite(graph))
    np.testing.assert_array_equal(micro.run(frames, sequences=True)[0], expected)


def test_files_give_the_graph_back(tmp_path: Path) -> None:
    graph = simplify(streaming_graph())
    assert simplify(graph).hash == graph.hash
    graph.save(tmp_path / "graph.npz")
    assert Graph.load(tmp_path / "graph.npz").hash == graph.hash
    (tmp_path / "model.tflite").write_bytes(export_tflite(graph))
    imported = import_model(tmp_path / "model.tflite").graph
    assert imported.hash == graph.hash
    frames = frames_of(graph, 30).reshape(2, 15, 5)
    np.testing.assert_array_equal(reference.run(imported, frames), reference.run(graph, frames))


def test_graphs_without_states_keep_their_hash() -> None:
    """As it was before graphs could have any."""
    expected = "0cc8771756c8bfd8380ffb318e3a0f018daffb0307ea738aecb14282029ce539"
    assert RandomGraph(10).graph.hash == expected


def test_states_lie_apart_and_next_values_live_until_they_are_taken() -> None:
    graph = streaming_graph()
    plan = plan_memory(graph)
    assert plan.states == {"past": 0, "last": 12, "before": 12}
    assert plan.state_size == 16
    assert not set(plan.offsets) & set(plan.states)
    conv = next(buffer for buffer in plan.buffers if buffer.name == "conv")
    assert conv.last >= 6  # where the state's last reader runs


@pytest.mark.parametrize(
    ("states", "told"),
    [
        ({"past": State("input", np.zeros((2, 1, 5), np.int8))}, "no operator computes 'input'"),
        ({"past": State("gone", np.zeros((2, 1, 5), np.int8))}, "no operator computes 'gone'"),
        ({"past": State("conv", np.zeros((2, 1, 5), np.int8))}, "another shape or grid"),
        ({"past": State("rest", np.zeros((2, 5), np.int8))}, "initial value has to be int8"),
        ({"past": State("rest", np.zeros((2, 1, 5), np.int16))}, "initial value has to be int8"),
        ({"last": State("before", np.zeros((1, 1, 4), np.int8))}, "no operator computes 'before'"),
    ],
)
def test_faults_are_named(states: dict[str, State], told: str) -> None:
    graph = streaming_graph()
    with pytest.raises(ModelError, match=told):
        dataclasses.replace(graph, states={**graph.states, **states})


@pytest.mark.parametrize("count", [1, 4])
def test_states_have_a_largest_size(count: int) -> None:
    keeping(MAXIMUM_STATES // 4 // count, count)
    with pytest.raises(ModelError, match=r"states of 67,108,8.* bytes together, allowed: up to 67"):
        keeping(MAXIMUM_STATES // 4 // count + 1, count)


@pytest.mark.parametrize("count", [1, 4])
def test_a_small_file_gets_no_large_states(count: int, tmp_path: Path) -> None:
    """Variables that nothing gives a value begin with zeros, of which the file holds none."""

    def enlarge(tree: Any) -> None:
        codes = [code.builtinCode for code in tree.operatorCodes]
        [subgraph, _] = tree.subgraphs
        tree.subgraphs = [subgraph]
        subgraph.operators = [
            each
            for each in subgraph.operators
            if codes[each.opcodeIndex] != tflite.BuiltinOperator.CALL_ONCE
        ]
        for tensor in subgraph.tensors:
            if list(tensor.shape) == [1, 7, 4]:
                tensor.shape = [1, MAXIMUM_STATES // 4 // count + 1, 4]

    content = edited(keeping(7, count), enlarge)
    tracemalloc.start()
    error = refusal(content, tmp_path)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert "bytes together, allowed: up to 67,108,864" in str(error)
    assert peak < MAXIMUM_STATES // 8
