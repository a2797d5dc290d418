"""The demonstration's network as QONNX, beside its QKeras file."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.conftest import require_packages

require_packages("onnx")

from tests.importers.onnx_models import Writer, quant  # noqa: E402
from tinyedge import demo  # noqa: E402
from tinyedge.graph import operators as ops  # noqa: E402
from tinyedge.importers import import_model  # noqa: E402
from tinyedge.importers import nodes as n  # noqa: E402
from tinyedge.importers.qkeras.layers import trace  # noqa: E402
from tinyedge.keras.load import load_keras_model  # noqa: E402
from tinyedge.samples.reading import read_calibration  # noqa: E402

pytestmark = pytest.mark.keras


def _linear(w: Writer, node: n.Linear, x: str) -> str:
    """A convolution or a matrix product, whose columns are in the order of channels first."""
    codes = node.codes
    if node.kind == "conv2d":
        codes = codes.transpose(0, 3, 1, 2)
    elif node.kind == "depthwise":
        codes = codes[:, np.newaxis]
    elif len(shape := _flattened(node).shape) == 3:
        codes = codes.reshape(-1, *shape).transpose(0, 3, 1, 2).reshape(codes.shape)
    scales = node.scales.reshape(-1, *[1] * (codes.ndim - 1)).astype(np.float32)
    weights = quant(w, w.constant((codes * scales).astype(np.float32)), 8, scales, signed=1)
    bias = w.constant(node.bias.astype(np.float32))
    if node.kind == "dense":
        return w.node("Gemm", x, weights, bias, transB=1)
    top, bottom, left, right = node.padding
    return w.node(
        "Conv",
        x,
        weights,
        bias,
        strides=list(node.stride),
        pads=[top, left, bottom, right],
        group=len(codes) if node.kind == "depthwise" else 1,
    )


def _written(w: Writer, node: n.Node, inputs: list[str]) -> str:
    """A node as Brevitas would export it, channels first."""
    match node:
        case n.Linear():
            return _linear(w, node, inputs[0])
        case n.Affine():
            # Variance and epsilon together are one, and the mean is zero.
            ones, zeros = np.ones(len(node.scale), "f"), np.zeros(len(node.scale), "f")
            numbers = [node.scale.astype("f"), node.offset.astype("f"), zeros, ones]
            given = [w.constant(values) for values in numbers]
            return w.node("BatchNormalization", inputs[0], *given, epsilon=0.0)
        case n.Activation() if node.grid:
            low, high = (end - node.grid.quantization.zero_point for end in node.grid.clamp)
            bits = int(np.log2(high + 1)) + int(low < 0)
            scale = node.grid.quantization.scale
            return quant(w, inputs[0], bits, scale, signed=int(low < 0), narrow=int(low % 2))
        case n.Activation():
            return w.node("Relu", inputs[0])
        case n.Add():
            return w.node("Add", *inputs)
        case n.Mean():
            return w.node("GlobalAveragePool", inputs[0])
        case n.Reshape():
            return w.node("Flatten", inputs[0])
        case n.Pool():
            kind = "MaxPool" if node.kind == "max" else "AveragePool"
            window: dict[str, Any] = {
                "kernel_shape": list(node.kernel),
                "strides": list(node.stride),
            }
            return w.node(kind, inputs[0], **window)
        case _:
            raise NotImplementedError(type(node).__name__)


def _flattened(node: n.Node) -> n.Node:
    """What a matrix product reads, before it became one row."""
    source = node.inputs[0]
    while isinstance(source, n.Reshape | n.Activation):
        source = source.inputs[0]
    return source


def test_the_same_network_gives_the_same_integers(tmp_path: Path) -> None:
    """Float32 in the file, where Keras' has float64 products: a bias may round otherwise."""
    calibration = read_calibration(demo.CALIBRATION)
    expected = import_model(demo.MODEL, calibration).graph
    w = Writer()
    names: dict[int, str] = {}
    nodes = trace(load_keras_model(demo.MODEL))
    for node in nodes:
        given = [names[id(source)] for source in node.inputs]
        names[id(node)] = "x" if isinstance(node, n.Input) else _written(w, node, given)
    path = tmp_path / "demo.onnx"
    path.write_bytes(w.model(names[id(nodes[-1])], ["n", 1, 28, 28]))
    found = import_model(path, calibration).graph
    assert [type(op) for op in found.operators] == [type(op) for op in expected.operators]
    different = 0
    for mine, theirs in zip(found.operators, expected.operators, strict=True):
        a, b = found.tensors[mine.output], expected.tensors[theirs.output]
        assert a.shape == b.shape
        assert a.quantization.zero_point == b.quantization.zero_point
        assert a.quantization.scale == pytest.approx(b.quantization.scale, rel=1e-5)
        if isinstance(mine, ops.Weighted):
            assert isinstance(theirs, ops.Weighted)
            assert mine.weights.bits == theirs.weights.bits
            assert mine.clamp == theirs.clamp
            np.testing.assert_array_equal(mine.weights.integers, theirs.weights.integers)
            np.testing.assert_allclose(mine.weights.scales, theirs.weights.scales, rtol=1e-6)
            apart = np.abs(mine.bias.astype(np.int64) - theirs.bias)
            assert apart.max(initial=0) <= 1
            different += int(np.count_nonzero(apart))
    assert different <= 10
