"""Refused files are explained, and unusual ones are read."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import flatbuffers
import numpy as np
import pytest
from tflite_micro.tensorflow.lite.micro.python import schema_py_generated as schema

from tests.graph.random_graphs import RandomGraph
from tinyedge.errors import ModelError
from tinyedge.exporters.tflite import export_tflite
from tinyedge.graph import operators as ops
from tinyedge.graph import reference
from tinyedge.graph.graph import Graph
from tinyedge.graph.tensors import Quantization, Tensor
from tinyedge.importers import import_model
from tinyedge.tflm.interpreter import Interpreter

GRID = Quantization(0.1, 3)


def chain(*kinds: type[ops.Operator]) -> Graph:
    """Operators of one input, one behind the other, on one grid."""
    names = [f"t{index}" for index in range(len(kinds) + 1)]
    operators = tuple(
        kind(name=f"o{index}", inputs=(names[index],), output=names[index + 1])
        for index, kind in enumerate(kinds)
    )
    tensors = {name: Tensor(name, (4, 4, 3), GRID) for name in names}
    return Graph("chain", tensors, operators, names[0], names[-1])


def edited(graph: Graph, edit: Callable[[Any], Any]) -> bytes:
    """The graph's file after a change to its tree of objects."""
    tree = schema.ModelT.InitFromPackedBuf(export_tflite(graph), 0)
    subgraph = tree.subgraphs[0]
    subgraph.inputs, subgraph.outputs = list(subgraph.inputs), list(subgraph.outputs)
    tree.metadata = []
    edit(tree)
    builder = flatbuffers.Builder()
    builder.Finish(tree.Pack(builder), b"TFL3")
    return bytes(builder.Output())


def imported(content: bytes, folder: Path) -> Graph:
    path = folder / "model.tflite"
    path.write_bytes(content)
    return import_model(path).graph


def refusal(content: bytes, folder: Path) -> ModelError:
    with pytest.raises(ModelError) as caught:
        imported(content, folder)
    return caught.value


def recode(tree: Any, index: int, code: int, custom: str | None = None) -> None:
    """Gives an operator a code of its own."""
    tree.operatorCodes.append(
        schema.OperatorCodeT(
            deprecatedBuiltinCode=min(code, 127), builtinCode=code, version=2, customCode=custom
        )
    )
    tree.subgraphs[0].operators[index].opcodeIndex = len(tree.operatorCodes) - 1


def test_all_that_blocks_a_file_is_told_at_once(tmp_path: Path) -> None:
    def edit(tree: Any) -> None:
        subgraph = tree.subgraphs[0]
        for index in (0, 2):
            recode(tree, index, schema.BuiltinOperator.CUMSUM)
        recode(tree, 3, schema.BuiltinOperator.BIDIRECTIONAL_SEQUENCE_LSTM)
        subgraph.tensors[subgraph.operators[5].outputs[0]].type = schema.TensorType.INT16
        subgraph.inputs = [
            *subgraph.inputs,
            *range(len(subgraph.tensors), len(subgraph.tensors) + 11),
        ]
        subgraph.tensors += [subgraph.tensors[subgraph.inputs[0]]] * 11

    error = refusal(edited(chain(*[ops.Relu] * 7), edit), tmp_path)
    text = str(error)
    assert text.startswith(f"{tmp_path / 'model.tflite'}: ")
    assert "12 inputs" in text
    assert text.count("CUMSUM") == text.count("SEQUENCE_LSTM") == 1
    assert "operator 0 (CUMSUM)" in text
    assert "(version 2) is not supported (2 operators like it)" in text
    assert "INT16" in text
    assert "\n" not in text
    assert "docs/models.md#tensorflow-lite-models" in error.hint


def test_an_operator_that_is_not_known_is_told_from_a_wrong_type(tmp_path: Path) -> None:
    def lstm(tree: Any) -> None:
        subgraph = tree.subgraphs[0]
        recode(tree, 0, schema.BuiltinOperator.BIDIRECTIONAL_SEQUENCE_LSTM)
        subgraph.tensors[subgraph.operators[0].outputs[0]].type = schema.TensorType.INT16

    def wide(tree: Any) -> None:
        subgraph = tree.subgraphs[0]
        subgraph.tensors[subgraph.operators[0].outputs[0]].type = schema.TensorType.INT16

    unknown = refusal(edited(chain(ops.Relu), lstm), tmp_path)
    assert "is not supported" in str(unknown)
    assert "full integer quantization" not in unknown.hint
    wrong = refusal(edited(chain(ops.Relu), wide), tmp_path)
    assert "INT16" in str(wrong)
    assert "is not supported" not in str(wrong)
    assert "full integer quantization" in wrong.hint


@pytest.mark.parametrize("name", ["ethos-u", "edgetpu-custom-op", "vela-op"])
def test_files_for_npus_are_no_damaged_ones(name: str, tmp_path: Path) -> None:
    def edit(tree: Any) -> None:
        recode(tree, 0, schema.BuiltinOperator.CUSTOM, name)
        tree.subgraphs[0].tensors[1].shape = [1] * 20

    error = refusal(edited(chain(ops.Relu), edit), tmp_path)
    assert f"compiled for an NPU: it holds the custom operator '{name}'" in str(error)
    assert "compiler" in error.hint


def test_other_custom_operators_are_named(tmp_path: Path) -> None:
    def edit(tree: Any) -> None:
        recode(tree, 0, schema.BuiltinOperator.CUSTOM, "mine")

    assert "custom 'mine'" in str(refusal(edited(chain(ops.Relu), edit), tmp_path))


@pytest.mark.parametrize("length", [1413, 100_000])
def test_long_names_are_no_damage(length: int, tmp_path: Path) -> None:
    """Names that differ behind what is kept of them stay apart."""
    graph = RandomGraph(7).graph

    def edit(tree: Any) -> None:
        for index, tensor in enumerate(tree.subgraphs[0].tensors):
            tensor.name = "n" * length + str(index)

    again = imported(edited(graph, edit), tmp_path)
    assert all(len(name) < 1100 for name in again.tensors)
    assert again.input[:1024] == "n" * 1024
    samples = np.zeros((2, *graph.input_tensor.shape), np.int8)
    np.testing.assert_array_equal(reference.run(again, samples), reference.run(graph, samples))


def _with_uint8_ends(scale: float, zero_point: int = GRID.zero_point) -> bytes:
    """A RELU between two QUANTIZEs of uint8, whose scale may be another than the int8 one's."""

    def edit(tree: Any) -> None:
        subgraph = tree.subgraphs[0]
        for index in (subgraph.inputs[0], subgraph.outputs[0]):
            tensor = subgraph.tensors[index]
            tensor.type = schema.TensorType.UINT8
            tensor.quantization.scale = [scale]
            tensor.quantization.zeroPoint = [zero_point + 128]
        for index in (0, 2):
            recode(tree, index, schema.BuiltinOperator.QUANTIZE)
            subgraph.operators[index].builtinOptions = None
            subgraph.operators[index].builtinOptionsType = 0

    return edited(chain(ops.Relu, ops.Relu, ops.Relu), edit)


@pytest.mark.parametrize("ulps", [-1, 0, 1, 40])
def test_uint8_ends_may_be_an_ulp_off(ulps: int, tmp_path: Path) -> None:
    """TFLite-Micro gives all 256 values as the graph does."""
    scale = np.array([GRID.scale], np.float32)
    scale = (scale.view(np.int32) + ulps).view(np.float32)
    content = _with_uint8_ends(float(scale[0]))
    graph = imported(content, tmp_path)
    images = np.arange(256).repeat(48).reshape(256, 4, 4, 3).astype(np.uint8)
    expected = Interpreter(content).run(images)[0].astype(np.int16) - 128
    found = reference.run(graph, (images.astype(np.int16) - 128).astype(np.int8))
    np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize(("scale", "zero_point"), [(0.101, 3), (0.1, 4), (0.2, 3), (1e9, 3)])
def test_other_uint8_ends_are_refused(scale: float, zero_point: int, tmp_path: Path) -> None:
    error = refusal(_with_uint8_ends(scale, zero_point), tmp_path)
    assert "plus 128" in str(error)


def test_sparse_weights_are_called_by_their_name(tmp_path: Path) -> None:
    """Instead of bytes that do not fill a shape: only what is not zero is in the file."""

    def sparse(tree: Any) -> None:
        tensor = tree.subgraphs[0].tensors[0]
        tensor.sparsity = schema.SparsityParametersT(traversalOrder=[0, 1, 2, 3])

    error = refusal(edited(chain(ops.Relu), sparse), tmp_path)
    assert "sparse" in str(error)
    assert "EXPERIMENTAL_SPARSITY" in error.hint


def test_the_larger_of_both_operator_codes_counts(tmp_path: Path) -> None:
    """As in TFLite: some tools leave the deprecated one at zero."""

    def without_deprecated(tree: Any) -> None:
        for code in tree.operatorCodes:
            assert code.builtinCode
            code.deprecatedBuiltinCode = 0

    graph = RandomGraph(4).graph
    content = edited(graph, without_deprecated)
    found = imported(content, tmp_path)
    assert [type(op) for op in found.operators] == [type(op) for op in graph.operators]
    inputs = RandomGraph(4).inputs(8)
    assert (reference.run(found, inputs) == Interpreter(content).run_graph(found, inputs)).all()
