"""Graphs as ``.tflite`` files."""

from __future__ import annotations

from copy import copy
from dataclasses import replace
from pathlib import Path

import flatbuffers
import numpy as np
import pytest
from tflite_micro.tensorflow.lite.micro.python import schema_py_generated as schema

from tinyedge.errors import ModelError
from tinyedge.exporters.tflite import export_tflite
from tinyedge.graph import operators as ops
from tinyedge.graph import reference
from tinyedge.graph.graph import Graph
from tinyedge.graph.tensors import Quantization, Tensor, Weights
from tinyedge.importers.tflite import import_tflite
from tinyedge.tflm.interpreter import Interpreter


def dense(scales: np.ndarray, source: float, target: float) -> Graph:
    random = np.random.default_rng(1)
    codes = random.integers(-127, 128, (len(scales), 24)).astype(np.int8)
    operator = ops.FullyConnected(
        name="dense",
        inputs=("input",),
        output="dense",
        weights=Weights.narrowest(codes, scales.astype(np.float32)),
        bias=random.integers(-5000, 5000, len(scales)).astype(np.int32),
        clamp=(-128, 127),
    )
    tensors = {
        "input": Tensor("input", (24,), Quantization(source, -7)),
        "dense": Tensor("dense", (len(scales),), Quantization(target, 3)),
    }
    return Graph("model", tensors, (operator,), "input", "dense", {})


def written(graph: Graph) -> tuple[int, int]:
    """The version of a file's only operator, and how many scales its weights have."""
    content = export_tflite(graph)
    samples = np.random.default_rng(2).integers(-128, 128, (200, 24)).astype(np.int8)
    expected = reference.run(graph, samples)
    np.testing.assert_array_equal(Interpreter(content).run(samples)[0], expected)
    model = schema.ModelT.InitFromPackedBuf(content, 0)
    (operator,) = model.subgraphs[0].operators
    weights = model.subgraphs[0].tensors[operator.inputs[1]]
    return model.operatorCodes[operator.opcodeIndex].version, len(weights.quantization.scale)


@pytest.mark.parametrize("channels", [1, 10])
def test_equal_scales_of_a_dense_layer_are_one(channels: int) -> None:
    assert written(dense(np.full(channels, 2.0**-6), 2.0**-7, 2.0**-3)) == (4, 1)
    assert written(dense(np.full(channels, 0.013), 0.5, 0.3)) == (4, 1)


def test_different_scales_of_a_dense_layer_stay() -> None:
    assert written(dense(np.linspace(0.01, 0.02, 10), 2.0**-7, 2.0**-3)) == (12, 10)


def test_the_multiplier_of_one_scale_is_the_graph_s() -> None:
    """Biases beside the edges between results, where a multiplier of float32 shows."""
    source, scale, target, count = float(np.float32(0.0083)), 0.000128, 0.02, 4000
    graph = dense(np.full(count, scale), source, target)
    (operator,) = graph.operators
    assert isinstance(operator, ops.FullyConnected)
    unit = source * float(operator.weights.scales[0]) / target
    random = np.random.default_rng(3)
    bias = np.rint((np.arange(count) % 200 - 99.5) / unit) + random.integers(-3, 4, count)
    edges = replace(
        operator,
        weights=replace(operator.weights, codes=np.zeros_like(operator.weights.codes)),
        bias=bias.astype(np.int32),
    )
    assert written(replace(graph, operators=(edges,))) == (4, 1)


@pytest.mark.parametrize("count", [2001, 10_000])
def test_a_file_of_too_many_operators_is_refused_at_once(count: int, tmp_path: Path) -> None:
    """Each reads what the one before it wrote."""
    tree = schema.ModelT.InitFromPackedBuf(export_tflite(dense(np.full(24, 0.1), 0.1, 0.1)), 0)
    graph = tree.subgraphs[0]
    first, last = graph.operators[0], graph.tensors[graph.outputs[0]]
    for _ in range(count - 1):
        graph.tensors.append(copy(last))
        graph.tensors[-1].name = f"dense {len(graph.tensors)}".encode()
        operator = copy(graph.operators[-1])
        operator.inputs = [operator.outputs[0], *first.inputs[1:]]
        operator.outputs = [len(graph.tensors) - 1]
        graph.operators.append(operator)
    graph.outputs = graph.operators[-1].outputs
    builder = flatbuffers.Builder()
    builder.Finish(tree.Pack(builder), b"TFL3")
    path = tmp_path / "long.tflite"
    path.write_bytes(builder.Output())
    with pytest.raises(ModelError) as refused:
        import_tflite(path)
    assert str(refused.value) == f"{path}: {count:,} operators, allowed: up to 2,000"
