from __future__ import annotations

import dataclasses
from itertools import combinations
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.draws import examples
from tests.graph.random_graphs import RandomGraph
from tinyedge.errors import DataError, ModelError
from tinyedge.graph import operators as ops
from tinyedge.graph import reference
from tinyedge.graph.description import MAXIMUM_OPERATORS
from tinyedge.graph.graph import Graph
from tinyedge.graph.memory import plan_memory
from tinyedge.graph.tensors import Quantization, Tensor, Weights


def dense_graph(codes: np.ndarray, bits: int = 8, bias: int = 0, scale: float = 1.0) -> Graph:
    tensors = {
        "x": Tensor("x", (codes.shape[1],), Quantization(1.0, 0)),
        "y": Tensor("y", (codes.shape[0],), Quantization(scale, 0)),
    }
    layer = ops.FullyConnected(
        name="dense",
        inputs=("x",),
        output="y",
        weights=Weights(codes.astype(np.int8), bits, np.ones(len(codes), np.float32)),
        bias=np.full(len(codes), bias, np.int32),
    )
    return Graph("dense", tensors, (layer,), "x", "y")


@given(st.integers(0, 2**32 - 1))
@examples(60)
def test_saved_graph_loads_the_same(tmp_path_factory: pytest.TempPathFactory, seed: int) -> None:
    built = RandomGraph(seed)
    path = tmp_path_factory.mktemp("graph") / "graph.npz"
    built.graph.save(path)
    loaded = Graph.load(path)
    assert loaded.hash == built.graph.hash
    samples = built.inputs(4)
    assert np.array_equal(reference.run(loaded, samples), reference.run(built.graph, samples))
    first = path.read_bytes()
    loaded.save(path)
    assert path.read_bytes() == first


def test_hash_follows_every_weight() -> None:
    codes = np.zeros((2, 3))
    changed = codes.copy()
    changed[1, 2] = 1
    assert dense_graph(codes).hash != dense_graph(changed).hash
    assert dense_graph(codes).hash != dense_graph(codes, bias=1).hash
    renamed = dataclasses.replace(dense_graph(codes), name="other", source={"file": "x"})
    assert renamed.hash == dense_graph(codes).hash


@pytest.mark.parametrize("keep", [0, 10, 200, -30])
def test_damaged_graph_file_is_refused(tmp_path: Path, keep: int) -> None:
    path = tmp_path / "graph.npz"
    RandomGraph(1).graph.save(path)
    path.write_bytes(path.read_bytes()[:keep])
    with pytest.raises(ModelError, match=r"graph\.npz"):
        Graph.load(path)


def test_overflowing_accumulator_is_refused() -> None:
    codes = np.full((1, 70_000), 127)
    with pytest.raises(ModelError, match=r"'dense'.*overflow"):
        dense_graph(codes, bias=2**31 - 2**30)


def test_wrong_shapes_are_refused_by_name() -> None:
    graph = dense_graph(np.zeros((2, 3)))
    tensors = graph.tensors | {"y": dataclasses.replace(graph.tensors["y"], shape=(5,))}
    with pytest.raises(ModelError, match="'dense'"):
        Graph("g", tensors, graph.operators, "x", "y")


def test_zero_in_binary_weights_is_refused() -> None:
    with pytest.raises(ModelError, match="zero"):
        dense_graph(np.zeros((2, 3)), bits=1)


def test_float_samples_are_refused() -> None:
    graph = dense_graph(np.zeros((2, 3)))
    with pytest.raises(DataError, match="int8"):
        reference.run(graph, np.zeros((1, 3)))  # type: ignore[arg-type]


def test_large_sums_are_exact() -> None:
    """Sums above 2**24 need more than float32; the largest input and weights reach them."""
    codes = np.full((1, 3000), 127)
    codes[0, -1] = 126
    graph = dense_graph(codes, scale=127 * 127 * 3000 / 100)
    samples = np.full((1, 3000), 127, np.int8)
    total = 127 * 127 * 2999 + 126 * 127
    expected = round(total / graph.output_tensor.quantization.scale)
    assert reference.run(graph, samples)[0, 0] == expected


@given(st.integers(0, 2**32 - 1), st.sampled_from(["apart", "overlapping"]))
@examples(150)
def test_memory_plan_never_overlaps_what_lives_together(seed: int, kernels: str) -> None:
    """Unless the output's kernel allows it, and then only so far."""
    graph = RandomGraph(seed).graph
    scratch = {operator.name: 7 for operator in graph.operators}
    random = np.random.default_rng(seed)
    leads = {
        operator.name: [int(lead) for lead in random.integers(-40, 20, len(operator.inputs))]
        for operator in graph.operators
        if kernels == "overlapping"
    }
    plan = plan_memory(graph, scratch, leads)
    assert plan.lower_bound <= plan.size
    last_use = {graph.output: len(graph.operators)}
    for index, operator in enumerate(graph.operators):
        for name in operator.inputs:
            last_use[name] = max(last_use.get(name, 0), index)
    written = {graph.input: -1} | {op.output: i for i, op in enumerate(graph.operators)}
    for index, operator in enumerate(graph.operators):
        if isinstance(operator, ops.Reshape):
            assert plan.offsets[operator.output] == plan.offsets[operator.inputs[0]]
            continue
        regions = {
            name: (plan.offsets[name], graph.tensors[name].size)
            for name in plan.offsets
            if written[name] <= index <= last_use.get(name, -1) or name == operator.output
        }
        regions["its scratch"] = (plan.scratch[operator.name], 7)
        inputs = [name for name in operator.inputs if name not in graph.constants]
        for (name, (offset, size)), (other, (start, length)) in combinations(regions.items(), 2):
            assert offset % 4 == 0
            assert offset + size <= plan.size
            if offset + size <= start or start + length <= offset:
                continue
            assert kernels == "overlapping"
            source = other if name == operator.output else name
            assert operator.output in {name, other}
            # A Reshape shares its input's place, under another name.
            place = plan.offsets[source]
            limits = [
                lead
                for lead, at in zip(leads[operator.name], operator.inputs, strict=True)
                if at in inputs and plan.offsets[at] == place
            ]
            assert limits
            assert plan.offsets[operator.output] - place <= min(limits)


def test_a_graph_that_could_not_be_loaded_again_is_not_made() -> None:
    def chain(count: int) -> Graph:
        tensors = {str(at): Tensor(str(at), (1,), Quantization(1.0, 0)) for at in range(count + 1)}
        operators = tuple(
            ops.Requantize(name=f"step {at}", inputs=(str(at),), output=str(at + 1))
            for at in range(count)
        )
        return Graph("chain", tensors, operators, "0", str(count))

    assert len(chain(MAXIMUM_OPERATORS).operators) == MAXIMUM_OPERATORS
    with pytest.raises(ModelError, match="2,001 operators, allowed: up to 2,000"):
        chain(MAXIMUM_OPERATORS + 1)
