from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.draws import examples
from tests.graph.random_graphs import RandomGraph
from tinyedge.exporters.c import export_c
from tinyedge.exporters.tflite import export_tflite
from tinyedge.graph import operators as ops
from tinyedge.graph import reference
from tinyedge.graph.graph import Graph
from tinyedge.graph.simplify import simplify
from tinyedge.graph.tensors import Quantization, Tensor, Weights
from tinyedge.importers import import_model

GRID = Quantization(0.5, -3)


def graph_of(tensors: dict[str, tuple[int, ...]], *operators: ops.Operator) -> Graph:
    """The first tensor is the input, what the last operator writes the output."""
    made = {name: Tensor(name, shape, GRID) for name, shape in tensors.items()}
    return Graph("test", made, operators, next(iter(made)), operators[-1].output)


def to(kind: type[ops.Operator], output: str, *inputs: str, **rest: object) -> ops.Operator:
    return kind(name=output, inputs=inputs, output=output, **rest)


def kinds(graph: Graph) -> list[str]:
    return [type(operator).__name__ for operator in graph.operators]


def assert_same_results(first: Graph, second: Graph) -> None:
    rng = np.random.default_rng(0)
    samples = rng.integers(-128, 128, (5, *first.input_tensor.shape)).astype(np.int8)
    np.testing.assert_array_equal(
        reference.run(first, samples).reshape(5, -1), reference.run(second, samples).reshape(5, -1)
    )


@examples(300)
@given(seed=st.integers(0, 2**32 - 1))
def test_results_stay_and_a_second_time_changes_nothing(seed: int) -> None:
    graph = RandomGraph(seed).graph
    simplified = simplify(graph)
    assert_same_results(graph, simplified)
    assert simplify(simplified).hash == simplified.hash


@examples(300)
@given(seed=st.integers(0, 2**32 - 1))
def test_exported_files_come_back_as_they_were(
    seed: int, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """An importer makes of its own export the graph that it made before."""
    path: Path = tmp_path_factory.mktemp("round") / "model.tflite"

    def through_a_file(graph: Graph) -> Graph:
        path.write_bytes(export_tflite(graph))
        return import_model(path).graph

    graph = RandomGraph(seed).graph
    once = through_a_file(graph)
    assert_same_results(graph, once)
    twice = through_a_file(once)
    assert twice.hash == once.hash
    assert export_c(twice).files == export_c(once).files


def test_operators_that_move_take_their_tensors_along() -> None:
    """A clamp that joins its producer moves behind what stood between them."""
    graph = graph_of(
        {"x": (4,), "sum": (4,), "twice": (4,), "low": (4,), "end": (4,)},
        to(ops.Add, "sum", "x", "x"),
        to(ops.Add, "twice", "x", "x"),
        to(ops.Requantize, "low", "sum", clamp=(-5, 5)),
        to(ops.Add, "end", "low", "twice"),
    )
    simplified = simplify(graph)
    assert kinds(simplified) == ["Add", "Add", "Add"]
    assert list(simplified.tensors) == ["x", "twice", "low", "end"]
    assert_same_results(graph, simplified)


def test_reshapes_to_the_shape_that_is_there_are_dropped() -> None:
    """Also where their source is used twice, and at the end."""
    graph = graph_of(
        {"x": (2, 2, 1), "a": (2, 2, 1), "flat": (4,), "back": (2, 2, 1), "end": (2, 2, 1)},
        to(ops.MaxPool2D, "a", "x", kernel=(1, 1), stride=(1, 1)),
        to(ops.Reshape, "flat", "a", shape=(4,)),
        to(ops.Reshape, "back", "flat", shape=(2, 2, 1)),
        to(ops.Add, "end", "a", "back"),
    )
    assert kinds(simplify(graph)) == ["MaxPool2D", "Add"]
    assert_same_results(graph, simplify(graph))
    ending = replace(graph, operators=graph.operators[:3], output="back")
    simplified = simplify(ending)
    assert kinds(simplified) == ["MaxPool2D"]
    assert simplified.output in simplified.tensors
    assert_same_results(ending, simplified)


def test_clamps_one_behind_the_other() -> None:
    graph = graph_of(
        {"x": (256,), "a": (256,), "b": (256,), "c": (256,)},
        to(ops.Add, "a", "x", "x", clamp=(-100, -10)),
        to(ops.Requantize, "b", "a", clamp=(-50, 127)),
        to(ops.Requantize, "c", "b", clamp=(5, 20)),
    )
    (operator,) = simplify(graph).operators
    assert isinstance(operator, ops.Add)
    assert operator.clamp == (5, 5)
    assert_same_results(graph, simplify(graph))


@pytest.mark.parametrize(("value", "joined"), [(None, True), (-3, True), (7, False)])
def test_only_a_padding_of_zeros_joins_a_convolution(value: int | None, *, joined: bool) -> None:
    weights = Weights(np.ones((1, 3, 3, 1), np.int8), 1, np.ones(1, np.float32))
    graph = graph_of(
        {"x": (4, 4, 1), "padded": (6, 6, 1), "y": (4, 4, 1)},
        to(ops.Pad, "padded", "x", padding=(1, 1, 1, 1), value=value),
        to(ops.Conv2D, "y", "padded", stride=(1, 1), weights=weights, bias=np.zeros(1, np.int32)),
    )
    assert (kinds(simplify(graph)) == ["Conv2D"]) == joined
    assert_same_results(graph, simplify(graph))


def test_weights_are_stored_as_narrowly_as_they_allow() -> None:
    """Steps are used where they save more than they take."""
    rng = np.random.default_rng(0)
    ternary = rng.integers(-1, 2, (4, 100)).astype(np.int8)
    ternary[:, 0] = 1
    scales = np.ones(4, np.float32)
    spread = Weights.narrowest(
        (ternary * np.array([[127], [1], [20], [64]])).astype(np.int8), scales
    )
    assert spread.bits == 2
    assert spread.steps is not None
    np.testing.assert_array_equal(spread.codes, ternary)
    assert spread.steps.tolist() == [127, 1, 20, 64]
    plain = Weights.narrowest(ternary, scales)
    assert (plain.bits, plain.steps) == (2, None)
    single = Weights.narrowest(np.full((4, 1), -128, np.int8), scales)
    assert (single.bits, single.steps) == (8, None)
    binary = Weights.narrowest(np.full((4, 50), -128, np.int8), scales)
    assert binary.bits == 1
    np.testing.assert_array_equal(binary.integers, np.full((4, 50), -128))
