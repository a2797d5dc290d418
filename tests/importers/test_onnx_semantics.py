"""Single operators of ONNX, beside ONNX Runtime or the value that the standard tells."""

from __future__ import annotations

import tracemalloc
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.conftest import require_packages

require_packages("onnx", "onnxruntime")

import onnx  # noqa: E402
import onnxruntime  # noqa: E402
from onnx import TensorProto, helper, numpy_helper  # noqa: E402

from tinyedge.errors import ModelError  # noqa: E402
from tinyedge.graph import operators as ops  # noqa: E402
from tinyedge.graph import reference  # noqa: E402
from tinyedge.importers import ImportResult, import_model  # noqa: E402

Node = tuple[str, str, str, dict[str, Any]]


def written(
    folder: Path,
    nodes: list[Node],
    constants: dict[str, Any],
    shape: list[int],
    *,
    kind: int = TensorProto.FLOAT,
    opset: int | None = 21,
) -> Path:
    """A file of nodes (operator, inputs, outputs, attributes), from ``x`` to ``y``."""
    graph = helper.make_graph(
        [helper.make_node(n, i.split(","), o.split(","), **rest) for n, i, o, rest in nodes],
        "network",
        [helper.make_tensor_value_info("x", kind, shape)],
        [onnx.ValueInfoProto(name="y")],
        [numpy_helper.from_array(np.asarray(value), name) for name, value in constants.items()],
    )
    opsets = [helper.make_opsetid("com.microsoft", 1)]
    opsets += [helper.make_opsetid("", opset)] if opset else []
    path = folder / "model.onnx"
    model = helper.make_model(graph, opset_imports=opsets, ir_version=10)
    path.write_bytes(model.SerializeToString())
    return path


def answer(result: ImportResult, sample: Any) -> Any:
    """The graph's, as real numbers."""
    graph = result.graph
    given = graph.input_tensor.quantization.quantize(np.asarray(sample))
    return graph.output_tensor.quantization.dequantize(reference.run(graph, given[None]))[0]


def runtime(path: Path, sample: Any) -> Any:
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    return session.run(None, {"x": np.asarray(sample)[None]})[0][0]


QUANTIZED: dict[str, Any] = {"s": np.float32(0.05), "z": np.uint8(128)}


@pytest.mark.parametrize("value", [None, 0, 128, 148])
@pytest.mark.parametrize("reshaped", [False, True])
def test_a_pad_of_bytes_adds_the_byte_that_the_file_tells(
    value: int | None, tmp_path: Path, *, reshaped: bool
) -> None:
    """A Relu behind it comes behind it."""
    pads = "q,p" if value is None else "q,p,v"
    shape = [1, 2, 1, 1] if reshaped else [1, 1, 1, 2]
    nodes: list[Node] = [
        ("QuantizeLinear", "x,s,z", "a", {}),
        ("Reshape", "a,shape", "q", {}),
        ("Pad", pads, "b", {}),
        ("DequantizeLinear", "b,s,z", "c", {}),
        ("Relu" if reshaped else "Identity", "c", "y", {}),
    ]
    constants = {
        **QUANTIZED,
        "p": np.array([0, 0, 0, 1, 0, 0, 0, 1]),
        "v": np.uint8(value or 0),
        "shape": np.array([1, 1, 1, 2]),
    }
    path = written(tmp_path, nodes, constants, shape)
    sample = np.array([1, 2], np.float32).reshape(shape[1:])
    expected = runtime(path, sample)
    edge = 0.0 if reshaped and not value else ((value or 0) - 128) * 0.05
    np.testing.assert_allclose(expected.ravel(), [edge, 1, 2, edge], atol=1e-5)
    found = answer(import_model(path), np.moveaxis(sample, 0, -1))
    np.testing.assert_allclose(found.ravel(), expected.ravel(), atol=1e-5)


def test_a_pad_outside_of_a_clip_is_refused(tmp_path: Path) -> None:
    nodes: list[Node] = [
        ("QuantizeLinear", "x,s,z", "a", {}),
        ("Clip", "a,low,high", "q", {}),
        ("Pad", "q,p", "b", {}),
        ("DequantizeLinear", "b,s,z", "y", {}),
    ]
    limits = {"low": np.uint8(100), "high": np.uint8(140)}
    constants = {**QUANTIZED, **limits, "p": np.array([0, 0, 0, 1, 0, 0, 0, 0])}
    path = written(tmp_path, nodes, constants, [1, 1, 1, 2])
    with pytest.raises(ModelError, match=r"pads with 0, allowed: its input's 100 to 140"):
        import_model(path)


def layer(folder: Path, nodes: list[Node], constants: dict[str, Any], **rest: Any) -> Path:
    """A Gemm whose weights ``w`` come of constants."""
    whole: list[Node] = [
        ("QuantizeLinear", "x,s,z", "a", {}),
        ("DequantizeLinear", "a,s,z", "b", {}),
        *nodes,
        ("Gemm", "b,w", "c", {"transB": 1}),
        ("QuantizeLinear", "c,s,z", "d", {}),
        ("DequantizeLinear", "d,s,z", "y", {}),
    ]
    return written(folder, whole, {**QUANTIZED, **constants}, [1, 2], **rest)


def assert_as_runtime(path: Path, sample: list[float]) -> None:
    given = np.asarray(sample, np.float32)
    found = answer(import_model(path), given)
    np.testing.assert_allclose(found, runtime(path, given), atol=1e-5)


WEIGHTS = np.array([[-1.0, 1.0], [0.5, -0.25]], np.float32)


@pytest.mark.parametrize("number", [TensorProto.INT8, TensorProto.UINT8, 0])
def test_constants_become_the_type_that_output_dtype_tells(number: int, tmp_path: Path) -> None:
    nodes: list[Node] = [
        ("QuantizeLinear", "f,t", "k", {"output_dtype": number}),
        ("DequantizeLinear", "k,t", "w", {}),
    ]
    path = layer(tmp_path, nodes, {"f": WEIGHTS, "t": np.float32(0.01)})
    assert_as_runtime(path, [1.0, 2.0])


@pytest.mark.parametrize("number", [TensorProto.INT16, TensorProto.UINT16])
def test_other_output_types_are_refused(number: int, tmp_path: Path) -> None:
    reason = rf"output_dtype {number}, allowed: 2 \(uint8\), 3 \(int8\)"
    constant: list[Node] = [
        ("QuantizeLinear", "f,t", "k", {"output_dtype": number}),
        ("DequantizeLinear", "k,t", "w", {}),
    ]
    with pytest.raises(ModelError, match=reason):
        import_model(layer(tmp_path, constant, {"f": WEIGHTS, "t": np.float32(0.01)}))
    computed: list[Node] = [
        ("QuantizeLinear", "x,s", "a", {"output_dtype": number}),
        ("DequantizeLinear", "a,s", "y", {}),
    ]
    with pytest.raises(ModelError, match=reason):
        import_model(written(tmp_path, computed, QUANTIZED, [1, 2]))


def test_a_folded_clip_of_old_heeds_its_attributes(tmp_path: Path) -> None:
    nodes: list[Node] = [
        ("Clip", "f", "g", {"min": -0.5, "max": 0.75}),
        ("QuantizeLinear", "g,t,tz", "k", {}),
        ("DequantizeLinear", "k,t,tz", "w", {}),
    ]
    constants = {"f": WEIGHTS, "t": np.float32(0.01), "tz": np.int8(0)}
    path = layer(tmp_path, nodes, constants, opset=10)
    (operator,) = import_model(path).graph.operators
    assert isinstance(operator, ops.Weighted)
    np.testing.assert_array_equal(operator.weights.codes, [[-50, 75], [50, -25]])


@pytest.mark.parametrize("zero", [0, 128])
def test_no_zero_point_is_the_zero_of_the_type(zero: int, tmp_path: Path) -> None:
    nodes: list[Node] = [
        ("QuantizeLinear", "x,s,z", "a", {}),
        ("DequantizeLinear", "a,s", "y", {}),
    ]
    path = written(tmp_path, nodes, {**QUANTIZED, "z": np.uint8(zero)}, [1, 2])
    if zero:
        with pytest.raises(ModelError, match=r"a zero point of 0, its input has 128"):
            import_model(path)
    else:
        assert_as_runtime(path, [1.0, 2.0])


@pytest.mark.parametrize("kind", ["Max", "Min"])
@pytest.mark.parametrize("inputs", ["f", "f,g", "f,g,h"])
def test_folded_extremes_take_any_number_of_inputs(kind: str, inputs: str, tmp_path: Path) -> None:
    nodes: list[Node] = [
        (kind, inputs, "e", {}),
        ("QuantizeLinear", "e,t,tz", "k", {}),
        ("DequantizeLinear", "k,t,tz", "w", {}),
    ]
    constants = {
        "f": WEIGHTS,
        "g": np.array([[0.1, -0.2]], np.float32),
        "h": np.array([[0.3], [-0.9]], np.float32),
        "t": np.float32(0.01),
        "tz": np.int8(0),
    }
    assert_as_runtime(layer(tmp_path, nodes, constants), [1.0, 2.0])


def test_operators_of_constants_only_are_named_all_at_once(tmp_path: Path) -> None:
    nodes: list[Node] = [
        ("QuantizeLinear", "x,s,z", "a", {}),
        ("DequantizeLinear", "a,s,z", "b", {}),
        ("Sqrt", "b", "c", {}),
        ("Max", "b,s", "d", {}),
        ("Add", "c,d", "y", {}),
    ]
    with pytest.raises(ModelError) as caught:
        import_model(written(tmp_path, nodes, QUANTIZED, [1, 2]))
    for kind in ("Sqrt", "Max"):
        assert f"({kind}): of a value that is computed: not supported" in str(caught.value)
    assert "damaged" not in str(caught.value)


def test_weights_that_are_only_dequantized_are_quantized(tmp_path: Path) -> None:
    nodes: list[Node] = [
        ("DequantizeLinear", "x,s,z", "a", {}),
        ("DequantizeLinear", "k,t", "w", {}),
        ("Gemm", "a,w", "y", {"transB": 1}),
    ]
    codes = np.array([[-100, 100], [50, -25]], np.int8)
    constants = {"s": np.float32(0.05), "z": np.int8(0), "k": codes, "t": np.float32(0.01)}
    path = written(tmp_path, nodes, constants, [1, 2], kind=TensorProto.INT8)
    result = import_model(path)
    expected = runtime(path, np.array([20, 40], np.int8))
    step = result.graph.output_tensor.quantization.scale
    np.testing.assert_allclose(answer(result, [1.0, 2.0]), expected, atol=step)


def test_a_file_without_an_opset_is_refused(tmp_path: Path) -> None:
    nodes: list[Node] = [("QuantizeLinear", "x,s,z", "a", {}), ("Strange", "a", "y", {})]
    path = written(tmp_path, nodes, QUANTIZED, [1, 2], opset=None)
    with pytest.raises(ModelError, match=r"no opset .*allowed: 7 to .*\(Strange\)"):
        import_model(path)


@pytest.mark.parametrize("kind", ["Add", "Sub", "Mul"])
@pytest.mark.parametrize(("wanted", "told"), [([1, 1, 3], r"\(1, 1, 3\)"), ([3, 1], r"\(3, 1\)")])
def test_values_of_several_shapes_are_told_with_both(
    kind: str, wanted: list[int], told: str, tmp_path: Path
) -> None:
    nodes: list[Node] = [
        ("QuantizeLinear", "x,s,z", "a", {}),
        ("DequantizeLinear", "a,s,z", "b", {}),
        ("Reshape", "b,shape", "c", {}),
        (kind, "b,c", "y", {}),
    ]
    path = written(tmp_path, nodes, {**QUANTIZED, "shape": np.array(wanted)}, [1, 3])
    with pytest.raises(ModelError, match=rf"shapes \(1, 3\) and {told}, allowed"):
        import_model(path)


def test_a_run_of_activations_becomes_one(tmp_path: Path) -> None:
    """All their limits are kept."""
    count = 600
    names = ["b", *(f"r{i}" for i in range(count)), "y"]
    limits: list[dict[str, Any]] = [{"min": -1.0}, {"max": 3.0}, {"min": -0.5}]
    nodes: list[Node] = [
        ("QuantizeLinear", "x,s,z", "a", {}),
        ("DequantizeLinear", "a,s,z", "b", {}),
    ]
    nodes += [
        ("Clip", source, name, limits[i % 3]) for i, (source, name) in enumerate(pairwise(names))
    ]
    path = written(tmp_path, nodes, QUANTIZED, [1, 3], opset=10)
    result = import_model(path)
    assert len(result.graph.operators) == 1
    found = answer(result, np.array([-2.0, 1.0, 5.0]))
    np.testing.assert_allclose(found, [-0.5, 1.0, 3.0], atol=1e-5)


def test_more_nodes_than_a_graph_could_take_are_refused(tmp_path: Path) -> None:
    nodes: list[Node] = [("Relu", f"r{i}" if i else "x", f"r{i + 1}", {}) for i in range(4001)]
    with pytest.raises(ModelError, match=r"4,001 nodes, allowed: up to 4,000"):
        import_model(written(tmp_path, nodes, {}, [1, 3]))


INPUT: list[Node] = [
    ("QuantizeLinear", "x,s,z", "a", {}),
    ("DequantizeLinear", "a,s,z", "b", {}),
    ("DequantizeLinear", "k,t", "w", {}),
]


def convolved(folder: Path, shape: list[int], weights: tuple[int, ...], **rest: Any) -> Path:
    """A convolution whose result the file does not quantize."""
    codes = np.random.default_rng(0).integers(-9, 10, weights).astype(np.int8)
    constants = {**QUANTIZED, "k": codes, "t": np.float32(0.01)}
    return written(folder, [*INPUT, ("Conv", "b,w", "y", rest)], constants, shape)


def test_more_products_than_can_be_estimated_are_refused(tmp_path: Path) -> None:
    same = {"pads": [2] * 4}
    path = convolved(tmp_path, [1, 64, 256, 256], (64, 64, 5, 5), **same)
    with pytest.raises(ModelError, match=r"'y' \(Conv\): 6,710,886,400 products, .*allowed: 1,073"):
        import_model(path)
    pool: Node = ("MaxPool", "b", "y", {"kernel_shape": [64, 64]})
    constants = {**QUANTIZED, "k": np.ones(1, np.int8), "t": np.float32(0.01)}
    path = written(tmp_path, [*INPUT, pool], constants, [1, 16, 256, 256])
    with pytest.raises(ModelError, match=r"'y' \(MaxPool\): 2,441,150,464 products"):
        import_model(path)


def test_the_products_of_all_layers_count_together(tmp_path: Path) -> None:
    nodes: list[Node] = [
        *INPUT,
        ("Conv", "b,w", "c", {"pads": [1] * 4}),
        ("Conv", "c,w", "y", {"pads": [1] * 4}),
    ]
    codes = np.ones((64, 64, 3, 3), np.int8)
    constants = {**QUANTIZED, "k": codes, "t": np.float32(0.01)}
    path = written(tmp_path, nodes, constants, [1, 64, 128, 128])
    with pytest.raises(ModelError, match=r"'y' \(Conv\): 603,979,776 .* together 1,207,959,552"):
        import_model(path)


@pytest.mark.parametrize(
    ("shape", "weights", "rest"),
    [
        ([1, 16, 1, 4096], (2, 16, 1, 255), {}),
        ([1, 4, 256, 256], (1024, 1, 3, 3), {"group": 4, "strides": [200, 200]}),
    ],
)
def test_windows_are_copied_in_parts(
    shape: list[int], weights: tuple[int, ...], rest: dict[str, Any], tmp_path: Path
) -> None:
    """A long row, and few of many channels of a large image."""
    path = convolved(tmp_path, shape, weights, **rest)
    tracemalloc.start()
    try:
        result = import_model(path)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 150 * 2**20
    sample = np.random.default_rng(1).random(shape[1:]).astype(np.float32)
    expected = runtime(path, sample)
    found = answer(result, np.moveaxis(sample, 0, -1))
    step = result.graph.output_tensor.quantization.scale
    np.testing.assert_allclose(np.moveaxis(found, -1, 0), expected, atol=1.01 * step)


@pytest.mark.parametrize(
    ("node", "reason"),
    [
        (("Shape", "s,b", "y", {}), r"\(Shape\): 2 inputs, allowed: one"),
        (("Identity", "", "y", {}), r"\(Identity\): no input"),
    ],
)
def test_an_input_that_is_left_out_is_told(node: Node, reason: str, tmp_path: Path) -> None:
    nodes: list[Node] = [
        ("QuantizeLinear", "x,s,z", "a", {}),
        ("DequantizeLinear", "a,s,z", "b", {}),
        node,
    ]
    with pytest.raises(ModelError, match=reason):
        import_model(written(tmp_path, nodes, QUANTIZED, [1, 3]))
