from __future__ import annotations

import contextlib
import random
import resource
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.conftest import require, require_packages

require_packages("onnx", "onnxruntime")

import onnx  # noqa: E402

from tests.importers import onnx_models as om  # noqa: E402
from tinyedge import demo  # noqa: E402
from tinyedge.boards import load_board  # noqa: E402
from tinyedge.errors import ModelError, TinyEdgeError  # noqa: E402
from tinyedge.evaluation.session import emulated_device  # noqa: E402
from tinyedge.evaluation.witnesses import Comparison, Subject, compare, random_inputs  # noqa: E402
from tinyedge.evaluation.witnesses.onnxruntime import (  # noqa: E402
    OnnxRuntimeWitness,
    QonnxWitness,
)
from tinyedge.exporters.converted import write_converted  # noqa: E402
from tinyedge.exporters.tflite import export_tflite  # noqa: E402
from tinyedge.firmware.twin import Twin  # noqa: E402
from tinyedge.graph import operators as ops  # noqa: E402
from tinyedge.graph import reference  # noqa: E402
from tinyedge.graph.tensors import Quantization  # noqa: E402
from tinyedge.importers import ImportResult, import_model  # noqa: E402
from tinyedge.importers.onnx.operators import KNOWN  # noqa: E402
from tinyedge.samples.reading import read_calibration  # noqa: E402
from tinyedge.targets import available_emulators  # noqa: E402
from tinyedge.tflm.interpreter import Interpreter  # noqa: E402
from tinyedge.toolchains.compilers import available_compilers  # noqa: E402

SAMPLES = 40
BOARD = load_board("netduinoplus2")


def imported(content: bytes, folder: Path) -> tuple[ImportResult, Path]:
    path = folder / "model.onnx"
    path.write_bytes(content)
    return import_model(path), path


def beside_runtime(result: ImportResult, path: Path, samples: Any) -> Comparison:
    subject = Subject(result.graph, origins=result.origins, onnx=path)
    return compare(OnnxRuntimeWitness(subject), samples, layers=True)


def assert_same_bytes(result: ImportResult, folder: Path, samples: Any) -> None:
    """The reference, the twin, and our export in TFLite-Micro."""
    expected = reference.run(result.graph, samples)
    assert np.unique(expected).size > 4
    model = write_converted(result.graph, folder / "converted", "test")
    np.testing.assert_array_equal(Twin(model).run(samples), expected)
    exported = Interpreter(export_tflite(result.graph)).run(samples)[0]
    np.testing.assert_array_equal(exported.reshape(expected.shape), expected)


def assert_runtime_agrees(found: Comparison, fewest_tensors: int) -> None:
    """No layer is by itself more than a step from ONNX Runtime, and few values are."""
    assert len(found.tensors) >= fewest_tensors
    assert found.fault is None
    for tensor in found.tensors:
        if tensor.own_differing is not None:
            assert tensor.own_differing <= 0.15 * tensor.values, tensor
    output = found.tensors[-1]
    assert output.agreement >= 0.9
    assert output.largest <= 8


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("residual", "int8"),
        ("residual", "uint8"),
        ("mobile", "uint8"),
        ("branches", "int8"),
        ("keyword", "uint8"),
        ("channels_last", "int8"),
    ],
)
def test_qdq_models(name: str, kind: str, tmp_path: Path) -> None:
    result, path = imported(om.qdq(name, kind, per_channel=kind == "int8"), tmp_path)
    samples = random_inputs(result.graph, SAMPLES, seed=1)
    assert_same_bytes(result, tmp_path, samples)
    assert_runtime_agrees(beside_runtime(result, path, samples), 2)


@pytest.mark.parametrize("kind", ["uint8", "int8"])
def test_operators_on_integers(kind: str, tmp_path: Path) -> None:
    result, path = imported(om.qoperators(kind), tmp_path)
    assert result.graph.source.get("input_type") == ("uint8" if kind == "uint8" else None)
    samples = random_inputs(result.graph, SAMPLES, seed=1)
    assert_same_bytes(result, tmp_path, samples)
    assert_runtime_agrees(beside_runtime(result, path, samples), 8)


@pytest.mark.parametrize("bits", [1, 2, 3, 4, 8])
def test_qonnx_models(bits: int, tmp_path: Path) -> None:
    """Weights of few bits are ours of few bits."""
    result, path = imported(om.qonnx(bits), tmp_path)
    found = {op.weights.bits for op in result.graph.operators if isinstance(op, ops.Weighted)}
    assert found == {{3: 4}.get(bits, bits)}
    samples = random_inputs(result.graph, SAMPLES, seed=1)
    assert_same_bytes(result, tmp_path, samples)
    assert_runtime_agrees(beside_runtime(result, path, samples), 5)


def _proto(content: bytes) -> Any:
    return onnx.ModelProto.FromString(content)


def _node(model: Any, kind: str) -> Any:
    return next(node for node in model.graph.node if node.op_type == kind)


def _external(model: Any) -> None:
    tensor = model.graph.initializer[0]
    tensor.ClearField("raw_data")
    tensor.data_location = onnx.TensorProto.EXTERNAL
    entry = tensor.external_data.add()
    entry.key, entry.value = "location", "../secret.bin"


def _external_attribute(model: Any) -> None:
    node = model.graph.node.add()
    node.CopyFrom(onnx.helper.make_node("Constant", [], ["secret"], "reads_secret"))
    tensor = onnx.numpy_helper.from_array(np.zeros(4, np.float32))
    tensor.data_location = onnx.TensorProto.EXTERNAL
    node.attribute.append(onnx.helper.make_attribute("value", tensor))


def _newer(model: Any) -> None:
    model.opset_import[0].version = 99


def _open_height(model: Any) -> None:
    model.graph.input[0].type.tensor_type.shape.dim[2].dim_param = "height"


def _unknown(model: Any) -> None:
    _node(model, "MaxPool").op_type = "NonMaxSuppression"


def _custom(model: Any) -> None:
    _node(model, "Add").domain = "com.example"


def _unknown_and_custom(model: Any) -> None:
    _unknown(model)
    _custom(model)
    _newer(model)


def _two_gigabytes(model: Any) -> None:
    model.graph.initializer[0].dims[:] = [2**20, 2**11]


def _functions(model: Any) -> None:
    function = model.functions.add()
    function.name, function.domain = "Mine", "mine"


def _two_inputs(model: Any) -> None:
    second = model.graph.input.add()
    second.CopyFrom(model.graph.input[0])
    second.name = "second"


def _float_weights(model: Any) -> None:
    """Weights and biases of two layers as floats."""
    for node in model.graph.node:
        if node.op_type in ("Conv", "Gemm"):
            name = f"float_{node.name}"
            shape = (10, 12) if node.op_type == "Gemm" else (8, 3, 3, 3)
            tensor = onnx.numpy_helper.from_array(np.ones(shape, np.float32), name)
            model.graph.initializer.append(tensor)
            node.input[1] = name


def _wide(model: Any) -> None:
    """Weights whose distance from their zero point is more than 8 bits hold."""
    node = next(n for n in model.graph.node if n.op_type == "DequantizeLinear" and n.attribute)
    zero = next(t for t in model.graph.initializer if t.name == node.input[2])
    filled = np.full(onnx.numpy_helper.to_array(zero).shape, -100, np.int8)
    zero.CopyFrom(onnx.numpy_helper.from_array(filled, zero.name))


def _int16(model: Any) -> None:
    node = _node(model, "QuantizeLinear")
    zero = next(t for t in model.graph.initializer if t.name == node.input[2])
    zero.CopyFrom(onnx.numpy_helper.from_array(np.array(0, np.int16), zero.name))


def _loop(model: Any) -> None:
    _node(model, "Flatten").op_type = "Loop"


def _later(model: Any) -> None:
    """A node before what it needs."""
    nodes = list(model.graph.node)
    del model.graph.node[:]
    model.graph.node.extend(nodes[::-1])


def _huge_input(model: Any) -> None:
    dimensions = model.graph.input[0].type.tensor_type.shape.dim
    dimensions[2].dim_value = dimensions[3].dim_value = 60_000


REFUSED: dict[str, tuple[Callable[[Any], None], tuple[str, ...]]] = {
    "external": (_external, ("keeps its data in another file", "initializer 'scale")),
    "external attribute": (_external_attribute, ("reads_secret", "another file")),
    "newer": (_newer, ("opset 99, allowed: 7 to",)),
    "open height": (_open_height, ("input 'x': axis 2 is 'height'",)),
    "unknown": (_unknown, ("node 'maxpool_", "(NonMaxSuppression)")),
    "custom": (_custom, ("node 'add_", "(com.example.Add)", "custom domain")),
    "several": (_unknown_and_custom, ("NonMaxSuppression", "com.example.Add", "opset 99")),
    "two gigabytes": (_two_gigabytes, ("do not fill (1048576, 2048)",)),
    "functions": (_functions, ("functions of the file's own: 'Mine'",)),
    "two inputs": (_two_inputs, ("2 inputs", "'second'")),
    "float weights": (_float_weights, ("(Conv): its weights are not", "(Gemm): its weights are")),
    "wide": (_wide, ("DequantizeLinear", "around their zero point")),
    "int16": (_int16, ("QuantizeLinear", "activations of int16")),
    "loop": (_loop, ("node 'flatten_", "(Loop)")),
    "later": (_later, ("is not computed before it",)),
    "huge input": (_huge_input, ("an activation of 10,800,000,000 elements",)),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_cannot_be_imported_is_named(name: str, tmp_path: Path) -> None:
    """One line, which names every node that stands in the way."""
    edit, parts = REFUSED[name]
    model = _proto(om.qdq("residual"))
    edit(model)
    (tmp_path / "secret.bin").write_bytes(b"canary")
    with pytest.raises(ModelError) as caught:
        imported(model.SerializeToString(), tmp_path)
    message = str(caught.value)
    assert "\n" not in message
    for part in parts:
        assert part in message


def test_a_model_of_floats_is_told_the_way_out(tmp_path: Path) -> None:
    w = om.Writer()
    weights = w.constant(np.ones((4, 3, 1, 1), np.float32))
    content = w.model(w.node("Relu", w.node("Conv", "x", weights)), [1, 3, 4, 4])
    with pytest.raises(ModelError, match="a model of floats") as caught:
        imported(content, tmp_path)
    assert "tinyedge quantize" in caught.value.hint


def test_a_file_of_two_gigabytes_is_not_read(tmp_path: Path) -> None:
    path = tmp_path / "large.onnx"
    with path.open("wb") as file:
        file.truncate(2**31 + 10)
    with pytest.raises(ModelError, match="allowed: up to"):
        import_model(path)


def test_a_control_character_in_a_name_reaches_nobody(tmp_path: Path) -> None:
    model = _proto(om.qdq("residual"))
    _node(model, "Conv").name = "\x1b]0;canary\x07"
    result, _ = imported(model.SerializeToString(), tmp_path)
    assert not any("\x1b" in name for name in result.graph.tensors)
    _unknown(model)
    _node(model, "Conv").op_type = "Strange"
    with pytest.raises(ModelError) as caught:
        imported(model.SerializeToString(), tmp_path)
    assert "\x1b" not in str(caught.value)


VALUES = (0, 1, -1, 2, 7, 64, 2**15, 2**31 - 1, 2**31, 2**62, -(2**63))


def _mutated(model: Any, generator: random.Random) -> None:
    """Changes one thing of a model's structure."""
    graph = model.graph
    node = generator.choice(graph.node)
    value = generator.choice(VALUES)
    match generator.randrange(11):
        case 0:
            node.op_type = generator.choice(sorted(KNOWN)).removeprefix("com.microsoft.")
        case 1 if node.input:
            names = [name for each in graph.node for name in (*each.input, *each.output)]
            node.input[generator.randrange(len(node.input))] = generator.choice([*names, ""])
        case 2 if node.attribute:
            attribute = generator.choice(node.attribute)
            attribute.i = value
            attribute.ints[:] = [value] * generator.choice((0, 1, len(attribute.ints)))
        case 3 if node.attribute:
            generator.choice(node.attribute).type = generator.randrange(15)
        case 4:
            tensor = generator.choice(graph.initializer)
            tensor.dims[:] = [value, *tensor.dims[1:]]
        case 5:
            tensor = generator.choice(graph.initializer)
            data = bytearray(tensor.raw_data)
            for _ in range(generator.choice((1, 4))):
                data[generator.randrange(len(data))] = generator.randrange(256)
            tensor.raw_data = bytes(data)
        case 6:
            tensor = generator.choice(graph.initializer)
            tensor.data_type = generator.randrange(30)
        case 7:
            dimension = generator.choice(graph.input[0].type.tensor_type.shape.dim)
            dimension.dim_value = value
        case 8:
            node.output[0] = generator.choice([*(each.output[0] for each in graph.node), ""])
        case 9:
            graph.node.remove(node)
        case _:
            model.opset_import[0].version = generator.randrange(30)


def _mutations(count: int, seed: int, folder: Path) -> int:
    """Imports mutated files; gives how many are refused."""
    generator = random.Random(seed)  # noqa: S311
    contents = [om.qdq(name) for name in om.BUILDERS] + [om.qoperators(), om.qonnx(2)]
    path = folder / "mutated.onnx"
    refused = 0
    for _ in range(count):
        content = generator.choice(contents)
        if generator.random() < 0.2:
            damaged = bytearray(content)
            for _ in range(generator.choice((1, 2, 8))):
                damaged[generator.randrange(len(damaged))] = generator.randrange(256)
            path.write_bytes(damaged)
        else:
            model = _proto(content)
            for _ in range(generator.choice((1, 1, 2))):
                _mutated(model, generator)
            path.write_bytes(model.SerializeToString())
        start = time.perf_counter()
        refused += 1
        with contextlib.suppress(TinyEdgeError):
            import_model(path)
            refused -= 1
        assert time.perf_counter() - start < 20
    return refused


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_mutated_files_give_errors_only(tmp_path: Path) -> None:
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    assert _mutations(300, 0, tmp_path) > 100
    grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    assert grown < 2**20  # KiB


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_ten_thousand_mutated_files_give_errors_only(tmp_path: Path) -> None:
    assert _mutations(10_000, 1, tmp_path) > 3_000


def test_resnet8_is_converted_in_two_seconds_without_a_framework(tmp_path: Path) -> None:
    """Counted in CPU time, as others may be busy, once the command line has started."""
    (tmp_path / "resnet8.onnx").write_bytes(om.resnet8())
    program = (
        "import sys, time\n"
        "import tinyedge.api\n"
        "from tinyedge.cli.main import main\n"
        "start = time.process_time()\n"
        "try:\n"
        "    main(['convert', 'resnet8.onnx', '-o', 'out', '--json'])\n"
        "except SystemExit as ended:\n"
        "    assert not ended.code, ended.code\n"
        "loaded = {name.split('.')[0] for name in sys.modules}\n"
        "assert not loaded & {'tensorflow', 'tf_keras', 'keras', 'torch', 'onnxruntime'}\n"
        "print(time.process_time() - start, file=sys.stderr)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program],
        capture_output=True,
        text=True,
        cwd=tmp_path,
        env={"PYTHONPATH": str(Path(__file__).parents[2]), "OMP_NUM_THREADS": "1"},
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "out" / "model.c").is_file()
    assert float(done.stderr.splitlines()[-1]) < 2.0


@pytest.mark.parametrize("bits", [2, 8])
def test_qonnx_is_a_second_witness(bits: int, tmp_path: Path) -> None:
    """The quantizers' own code gives what ONNX's operators in their place give."""
    require_packages("qonnx")
    result, path = imported(om.qonnx(bits), tmp_path)
    samples = random_inputs(result.graph, 4, seed=1)
    subject = Subject(result.graph, origins=result.origins, onnx=path)
    theirs, runtime = QonnxWitness(subject), OnnxRuntimeWitness(subject)
    names = theirs.shows()
    assert names == runtime.shows()
    assert len(names) >= 4
    for found, other in zip(
        theirs.run(samples, names, None), runtime.run(samples, names, None), strict=True
    ):
        np.testing.assert_array_equal(found.values, other.values)
    assert compare(theirs, samples, layers=True).fault is None


def test_qonnx_is_given_files_of_qonnx_only(tmp_path: Path) -> None:
    require_packages("qonnx")
    result, path = imported(om.qdq("residual"), tmp_path)
    with pytest.raises(ModelError, match="none of QONNX's quantizers") as caught:
        QonnxWitness(Subject(result.graph, origins=result.origins, onnx=path))
    assert "--with onnxruntime" in caught.value.hint


@pytest.mark.parametrize("newer", [0, 1])
@pytest.mark.parametrize("mode", ["FLOOR", "ROUND"])
def test_bits_that_are_cut_off(newer: int, mode: str, tmp_path: Path) -> None:
    result, path = imported(om.truncated(newer, mode), tmp_path)
    samples = random_inputs(result.graph, SAMPLES, seed=1)
    found = beside_runtime(result, path, samples)
    assert found.fault is None
    cut = next(tensor for tensor in found.tensors if tensor.kind == "DepthwiseConv2D")
    # Halves, which a ROUND of sums meets often, are rounded otherwise.
    assert cut.own_differing is not None
    assert cut.own_differing <= (0 if mode == "FLOOR" else 0.1) * cut.values
    assert found.tensors[-1].agreement >= 0.9


def test_bytes_that_the_file_scales_itself(tmp_path: Path) -> None:
    result, path = imported(om.pixels(), tmp_path)
    graph = result.graph
    assert graph.source["input_type"] == "uint8"
    assert graph.input_tensor.quantization == Quantization(1.0, -128)
    assert "the final logistic is left out: the output is the logits" in result.notes
    samples = random_inputs(graph, SAMPLES, seed=1)
    assert_same_bytes(result, tmp_path, samples)
    found = beside_runtime(result, path, samples)
    assert found.fault is None
    assert found.tensors[-1].largest <= 2


def test_types_of_four_bits(tmp_path: Path) -> None:
    result, path = imported(om.four_bits(), tmp_path)
    convolution = result.graph.operators[0]
    assert isinstance(convolution, ops.Conv2D)
    assert convolution.weights.bits == 4
    found = beside_runtime(result, path, random_inputs(result.graph, SAMPLES, seed=1))
    assert found.fault is None
    assert found.tensors[-1].largest <= 2


def test_integers_and_scales_are_the_files(tmp_path: Path) -> None:
    """Codes, scales and biases of every layer, as they stand in the file."""
    content = om.qdq("residual", "int8")
    result, _ = imported(content, tmp_path)
    model = _proto(content)
    constants = {t.name: onnx.numpy_helper.to_array(t) for t in model.graph.initializer}
    writers = {node.output[0]: node for node in model.graph.node}
    layers = [node for node in model.graph.node if node.op_type in ("Conv", "Gemm")]
    weighted = [op for op in result.graph.operators if isinstance(op, ops.Weighted)]
    assert len(layers) == len(weighted)
    for node, operator in zip(layers, weighted, strict=True):
        weights, bias = (writers[name] for name in node.input[1:3])
        codes = constants[weights.input[0]]
        if codes.ndim == 4:
            codes = codes.transpose(0, 2, 3, 1)
        assert operator.weights.steps is None
        np.testing.assert_array_equal(
            operator.weights.codes, codes.reshape(operator.weights.codes.shape)
        )
        np.testing.assert_array_equal(operator.weights.scales, constants[weights.input[1]])
        np.testing.assert_array_equal(operator.bias, constants[bias.input[0]])


def test_a_fault_is_found_in_its_layer(tmp_path: Path) -> None:
    result, path = imported(om.qdq("residual"), tmp_path)
    position = 2
    operator = result.graph.operators[position]
    assert isinstance(operator, ops.Conv2D)
    codes = operator.weights.codes.copy()
    codes[0] = -codes[0]
    faulty = replace(operator, weights=replace(operator.weights, codes=codes))
    operators = list(result.graph.operators)
    operators[position] = faulty
    graph = replace(result.graph, operators=tuple(operators))
    samples = random_inputs(graph, 5, seed=0)
    subject = Subject(graph, origins=result.origins, onnx=path)
    assert compare(OnnxRuntimeWitness(subject), samples, layers=True).fault == operator.output


def test_calibration_tells_how_the_runtime_agrees(tmp_path: Path) -> None:
    path = tmp_path / "model.onnx"
    path.write_bytes(om.qonnx(4))
    calibration = np.random.default_rng(0).random((24, 12, 12, 3)).astype(np.float32)
    result = import_model(path, calibration)
    assert result.agreement
    assert result.agreement.samples == 24
    assert result.agreement.same >= 0.9
    assert not [note for note in result.notes if "estimated" in note]


DATA = Path(__file__).parents[1] / "data"
TRAINED = ("brevitas_qonnx", "runtime_mobilenet", "torch_qdq")
"""By tools/train_onnx_models.py."""


@pytest.mark.emulator
@pytest.mark.parametrize("name", TRAINED)
def test_trained_networks(name: str, tmp_path: Path) -> None:
    """1,000 images: right, as in ONNX Runtime, and the same bytes wherever they are computed."""
    path = DATA / f"{name}.onnx"
    suite = demo.clean_suite()
    result = import_model(path, read_calibration(demo.CALIBRATION))
    graph = result.graph
    samples = graph.input_tensor.quantization.quantize(suite.inputs)
    logits = reference.run(graph, samples)
    assert (logits.argmax(axis=1) == suite.labels).mean() >= 0.85
    found = beside_runtime(result, path, samples)
    assert found.fault is None
    assert found.tensors[-1].agreement >= 0.99
    model = write_converted(graph, tmp_path / "converted", "test")
    np.testing.assert_array_equal(Twin(model).run(samples), logits)
    require(available_compilers(), "gcc")
    require(available_emulators(BOARD), "unicorn")
    with emulated_device(model, BOARD, "unicorn", "gcc") as emulated:
        np.testing.assert_array_equal(emulated.device.run(samples[:8]).logits, logits[:8])


def test_a_long_run_of_products_by_constants_is_folded_in_time(tmp_path: Path) -> None:
    """As many nodes as a file may have; the time grows with their number, not with its square."""
    count = 3_900
    w = om.Writer("int8")
    x = w.conv(w.quantized("x", "unit"), 2, 1, 1)
    for position in range(count):
        factor = 2.0 if position % 2 else 0.5
        x = w.node("Mul", x, w.constant(np.float32(factor)))
    (tmp_path / "run.onnx").write_bytes(w.model(w.quantized(x, "plain"), (1, 1, 2, 2)))
    start = time.process_time()
    graph = import_model(tmp_path / "run.onnx").graph
    assert time.process_time() - start < 5.0
    assert [type(operator).__name__ for operator in graph.operators] == ["Conv2D"]
