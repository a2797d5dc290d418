from __future__ import annotations

import contextlib
import os
import random
import resource
import time
import warnings
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import flatbuffers
import numpy as np
import pytest
from tflite_micro.tensorflow.lite.micro.python import schema_py_generated as schema

from tests.draws import draws, some_of
from tests.importers import keras_models as km
from tests.importers import tflite_models as tm
from tinyedge.errors import ModelError, TinyEdgeError
from tinyedge.evaluation.witnesses import Subject, compare, random_inputs, tflite
from tinyedge.evaluation.witnesses.tflite import LiteRTWitness, MicroWitness
from tinyedge.exporters.c import export_c
from tinyedge.exporters.converted import ConvertedModel, write_converted
from tinyedge.exporters.tflite import export_tflite
from tinyedge.firmware.twin import Twin
from tinyedge.graph import operators as ops
from tinyedge.graph import reference
from tinyedge.graph.graph import Graph
from tinyedge.importers import import_model
from tinyedge.samples.scaling import ModelInput
from tinyedge.tflm.interpreter import Interpreter

pytestmark = pytest.mark.keras

SAMPLES = 60


def imported(content: bytes, folder: Path, name: str = "model") -> Graph:
    path = folder / f"{name}.tflite"
    path.write_bytes(content)
    return import_model(path).graph


def edited(content: bytes, edit: Any) -> bytes:
    """The file after a change to its tree of objects."""
    tree = schema.ModelT.InitFromPackedBuf(content, 0)
    edit(tree)
    builder = flatbuffers.Builder()
    builder.Finish(tree.Pack(builder), b"TFL3")
    return bytes(builder.Output())


def assert_round_trip(graph: Graph, folder: Path) -> None:
    """An exported file gives the same graph, and the same C."""
    again = imported(export_tflite(graph), folder, "again")
    assert again.hash == graph.hash
    assert again.name == graph.name
    assert again.source == graph.source
    assert export_c(again).files == export_c(graph).files


@pytest.mark.parametrize("name", tm.BUILDERS)
def test_converted_models_are_reproduced(name: str, tmp_path: Path) -> None:
    """The file in TFLite-Micro, our reference, the twin, and our export in TFLite-Micro."""
    content = tm.converted(name)
    graph = imported(content, tmp_path)
    samples = random_inputs(graph, SAMPLES, seed=1)
    expected = Interpreter(content).run(samples)[0]
    assert np.unique(expected).size > 1
    found = reference.run(graph, samples).reshape(expected.shape)
    np.testing.assert_array_equal(found, expected)
    model = write_converted(graph, tmp_path / "converted", "test")
    np.testing.assert_array_equal(Twin(model).run(samples).reshape(expected.shape), expected)
    exported = Interpreter(model.tflite.read_bytes()).run(samples)[0]
    np.testing.assert_array_equal(exported.reshape(expected.shape), expected)
    tensors = compare(MicroWitness(Subject(graph)), samples, layers=True).tensors
    assert [tensor.name for tensor in tensors if tensor.differing] == []
    assert_round_trip(graph, tmp_path)


def test_one_scale_a_dense_layer(tmp_path: Path) -> None:
    content = tm.converted("autoencoder", per_channel_dense=False)
    graph = imported(content, tmp_path)
    samples = random_inputs(graph, SAMPLES, seed=1)
    found = reference.run(graph, samples)
    np.testing.assert_array_equal(found, Interpreter(content).run(samples)[0])


@pytest.mark.parametrize("ends", ["uint8", "float32"])
def test_other_ends_are_left_out(ends: str, tmp_path: Path) -> None:
    """The graph begins behind QUANTIZE and ends before DEQUANTIZE or the second QUANTIZE."""
    content = tm.converted("mobilenet_v1", ends)
    graph = imported(content, tmp_path)
    samples = random_inputs(graph, SAMPLES, seed=1)
    found = reference.run(graph, samples)
    assert graph.source.get("input_type") == ("uint8" if ends == "uint8" else None)
    if ends == "uint8":
        images = (samples.astype(np.int16) + 128).astype(np.uint8)
        expected = Interpreter(content).run(images)[0].astype(np.int16) - 128
        np.testing.assert_array_equal(found, expected)
        np.testing.assert_array_equal(ModelInput.of(graph).int8(images), samples)
    else:
        reals = graph.input_tensor.quantization.dequantize(samples)
        expected = Interpreter(content).run(reals)[0]
        np.testing.assert_array_equal(graph.output_tensor.quantization.dequantize(found), expected)


def test_ternary_weights_are_recognized(tmp_path: Path) -> None:
    """Spread over 8 bits by the converter, packed as what they are, with the same result."""
    graph = imported(tm.converted("ternary"), tmp_path)
    bits = [
        operator.weights.bits
        for operator in graph.operators
        if isinstance(operator, ops.Conv2D | ops.FullyConnected)
    ]
    assert bits == [2] * len(bits)


def test_ramifications_are_simplified(tmp_path: Path) -> None:
    """Paddings go into convolutions, limits into clamps, chains of reshapes away."""
    kinds = [type(op).__name__ for op in imported(tm.converted("wide_padding"), tmp_path).operators]
    assert kinds == ["Pad", "Conv2D", "Add", "Conv2D", "Reshape", "FullyConnected"]
    kinds = [
        type(op).__name__ for op in imported(tm.converted("keyword_conv1d"), tmp_path).operators
    ]
    assert "Pad" not in kinds


@pytest.mark.parametrize("name", some_of(km.EXACT_MODELS))
def test_qkeras_models_export(name: str, tmp_path: Path) -> None:
    """TFLite-Micro gives every tensor of every layer, and the file comes back as the same graph."""
    path = km.save(km.randomized(km.EXACT_MODELS[name]()), tmp_path / "model.h5")
    graph = import_model(path).graph
    samples = random_inputs(graph, 20, seed=2)
    tensors = compare(MicroWitness(Subject(graph)), samples, layers=True).tensors
    assert len(tensors) == len(graph.operators)
    assert [tensor.name for tensor in tensors if tensor.differing] == []
    assert_round_trip(graph, tmp_path)


def test_demo_exports(demo_model: ConvertedModel) -> None:
    graph = demo_model.graph
    samples = random_inputs(graph, 1000, seed=3)
    (output,) = compare(MicroWitness(Subject(graph)), samples).tensors
    assert (output.values, output.differing) == (10_000, 0)
    again = import_model(demo_model.tflite).graph
    assert again.hash == graph.hash
    assert export_c(again).files == export_c(graph).files


@pytest.mark.parametrize("kernels", ["litert-reference", "litert-optimized"])
def test_exports_load_in_litert(kernels: Any, demo_model: ConvertedModel) -> None:
    """Its kernels round otherwise now and then; most bytes are the same."""
    samples = random_inputs(demo_model.graph, 100, seed=3)
    (output,) = compare(LiteRTWitness(Subject(demo_model.graph), kernels), samples).tensors
    assert output.differing < output.values // 2
    assert output.largest < 8


def test_a_fault_is_found_in_its_layer(
    demo_model: ConvertedModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With the weights of one layer changed on one side, the first difference is that layer's."""
    graph = demo_model.graph
    position = next(i for i, op in enumerate(graph.operators) if i and isinstance(op, ops.Conv2D))
    operator = graph.operators[position]
    assert isinstance(operator, ops.Conv2D)
    codes = operator.weights.codes.copy()
    codes[0] = -codes[0]
    faulty = replace(operator, weights=replace(operator.weights, codes=codes))
    operators = (*graph.operators[:position], faulty, *graph.operators[position + 1 :])
    monkeypatch.setattr(
        tflite,
        "export_tflite",
        lambda given, outputs: export_tflite(replace(given, operators=operators), outputs),
    )
    samples = random_inputs(graph, 5, seed=0)
    tensors = compare(MicroWitness(Subject(graph)), samples, layers=True).tensors
    assert next(tensor.name for tensor in tensors if tensor.differing) == operator.output


def _deep_metadata(tree: Any) -> None:
    tree.buffers.append(schema.BufferT(data=list(b"[" * 200_000)))
    entry = schema.MetadataT(name="tinyedge", buffer=len(tree.buffers) - 1)
    tree.metadata = [entry]


def _depth_multiplier(tree: Any) -> None:
    tree.subgraphs[0].operators[1].builtinOptions.depthMultiplier = 2


def _dilation(tree: Any) -> None:
    tree.subgraphs[0].operators[0].builtinOptions.dilationHFactor = 2**30


def _no_zero_points(tree: Any) -> None:
    _input(tree).quantization.zeroPoint = []


def _input(tree: Any) -> Any:
    tree.subgraphs[0].inputs = list(tree.subgraphs[0].inputs)
    return tree.subgraphs[0].tensors[tree.subgraphs[0].inputs[0]]


def _retype(tree: Any, kind: int) -> None:
    graph = tree.subgraphs[0]
    graph.tensors[graph.operators[1].outputs[0]].type = kind


def _recode(tree: Any, code: int) -> None:
    tree.operatorCodes[0].builtinCode = code
    tree.operatorCodes[0].deprecatedBuiltinCode = min(code, 127)


def _reshape(tree: Any) -> None:
    tensor = _input(tree)
    tensor.shape = [2, *tensor.shape[1:]]


def _rescale(tree: Any, scale: list[float]) -> None:
    _input(tree).quantization.scale = scale


def _weights_zero_point(tree: Any) -> None:
    graph = tree.subgraphs[0]
    weights = graph.tensors[graph.operators[0].inputs[1]].quantization
    weights.zeroPoint = [1] * len(weights.zeroPoint)


REFUSED: dict[str, tuple[str, Callable[[Any], Any]]] = {
    "float": ("FLOAT32", lambda tree: _retype(tree, schema.TensorType.FLOAT32)),
    "int16": ("INT16", lambda tree: _retype(tree, schema.TensorType.INT16)),
    "unknown operator": ("CUMSUM", lambda tree: _recode(tree, schema.BuiltinOperator.CUMSUM)),
    "batch": ("the batch has to be one", _reshape),
    "scales": ("scale", lambda tree: _rescale(tree, [0.0])),
    "infinite scale": ("scale", lambda tree: _rescale(tree, [float("inf")])),
    "zero point": ("zero point", _weights_zero_point),
    "a constant as input": (
        "a constant that is an input",
        lambda tree: tree.subgraphs[0].inputs.append(3),
    ),
    "depth multiplier": ("depth multiplier 2", _depth_multiplier),
    "dilation": ("a window of", _dilation),
    "zero points": ("1 scales, 0 zero points", _no_zero_points),
    "version": ("schema version 2", lambda tree: setattr(tree, "version", 2)),
}


def test_metadata_of_others_does_no_harm(tmp_path: Path) -> None:
    content = tm.converted("mobilenet_v1")
    graph = imported(edited(content, _deep_metadata), tmp_path)
    assert graph.hash == imported(content, tmp_path).hash


@pytest.mark.parametrize("name", REFUSED)
def test_refusals_say_what_is_wrong(name: str, tmp_path: Path) -> None:
    message, edit = REFUSED[name]

    def prepared(tree: Any) -> None:
        _input(tree)
        edit(tree)

    with pytest.raises(ModelError, match=message):
        imported(edited(tm.converted("mobilenet_v1"), prepared), tmp_path)


OTHER_FILES = (b"", b"TFL3", b"\x00" * 64, b"\x10\x00\x00\x00TFL3" + b"\xff" * 64)


@pytest.mark.parametrize("content", OTHER_FILES)
def test_other_files_are_refused(content: bytes, tmp_path: Path) -> None:
    with pytest.raises(ModelError):
        imported(content, tmp_path)


def test_float_models_are_refused(tmp_path: Path) -> None:
    from tinyedge.keras.environment import tensorflow as tf

    model = tm.mobilenet_v1()
    for optimizations in ([], [tf.lite.Optimize.DEFAULT]):  # float, and hybrid
        converter = tf.lite.TFLiteConverter.from_keras_model(model)
        converter.optimizations = optimizations
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            content = bytes(converter.convert())
        with pytest.raises(ModelError, match=r"operator 0 \(CONV_2D\).*FLOAT32"):
            imported(content, tmp_path)


def test_truncated_files_are_refused(tmp_path: Path) -> None:
    content = tm.converted("wide_padding")
    graph = imported(content, tmp_path)
    for length in range(0, len(content), 37):
        try:
            assert imported(content[:length], tmp_path).hash != graph.hash
        except ModelError:
            continue


@pytest.mark.parametrize(
    "name", ["wide_padding", pytest.param("arithmetic", marks=pytest.mark.slow)]
)
def test_mutated_files_give_errors_only(name: str, tmp_path: Path) -> None:
    """5,000 mutations, or a share of them: an error, or a graph that checks."""
    content = tm.converted(name)
    generator = random.Random(name)  # noqa: S311
    path = tmp_path / "mutated.tflite"
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    refused = 0
    for _ in range(draws(5_000)):
        mutated = bytearray(content)
        for _ in range(generator.choice((1, 1, 2, 8))):
            # Most of a file is weights; what is not decides more.
            position = generator.randrange(len(mutated))
            match generator.randrange(4):
                case 0:
                    mutated[position] ^= 1 << generator.randrange(8)
                case 1:
                    mutated[position] = generator.choice((0, 1, 127, 128, 255))
                case 2:
                    value = generator.choice((0, 1, 2**31 - 1, 2**31, 2**32 - 1))
                    word = position & ~3
                    mutated[word : word + 4] = value.to_bytes(4, "little")
                case _:
                    length = generator.randrange(1, 64)
                    mutated[position : position + length] = mutated[:length]
        path.write_bytes(mutated)
        start = time.perf_counter()
        with contextlib.suppress(TinyEdgeError):
            import_model(path)
            refused -= 1
        refused += 1
        assert time.perf_counter() - start < 10
    assert refused > 500
    grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    assert grown < 512 * 1024  # KiB


SHARED_MODELS = Path(os.environ.get("TINYEDGE_DATA", "/nonexistent")).parent / "models"


@pytest.mark.parametrize("name", ["resnet8_int8", "ds_cnn_int8"])
def test_mlperf_tiny_models(name: str, tmp_path: Path) -> None:
    path = SHARED_MODELS / f"{name}.tflite"
    if not path.is_file():
        pytest.skip("the MLPerf Tiny models are looked for in $TINYEDGE_DATA/../models")
    graph = import_model(path).graph
    samples = random_inputs(graph, 1000, seed=0)
    expected = Interpreter(path.read_bytes()).run(samples)[0]
    np.testing.assert_array_equal(reference.run(graph, samples), expected)
    model = write_converted(graph, tmp_path / "model", "test")
    np.testing.assert_array_equal(Twin(model).run(samples), expected)
    assert_round_trip(graph, tmp_path)
