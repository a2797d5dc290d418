"""Addition on every pair of int8 values, and pooling, against the reference."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.conftest import require
from tests.firmware.sanitizers import run_sanitized
from tinyedge.boards import load_board
from tinyedge.evaluation.session import emulated_device
from tinyedge.exporters.converted import write_converted
from tinyedge.firmware.twin import Twin
from tinyedge.graph import operators as ops
from tinyedge.graph import reference
from tinyedge.graph.graph import Graph
from tinyedge.graph.tensors import Quantization, Tensor
from tinyedge.targets import available_emulators
from tinyedge.toolchains.compilers import available_compilers

pytestmark = pytest.mark.emulator

VALUES = np.arange(-128, 128, dtype=np.int8)


def one_layer(operator: ops.Operator, *tensors: Tensor, **constants: np.ndarray) -> Graph:
    named = {tensor.name: tensor for tensor in tensors}
    return Graph("layer", named, (operator,), "in", "out", constants=constants)


def addition(kind: type[ops.Add], scales: tuple[float, ...], seed: int, count: int = 256) -> Graph:
    """Elements are all pairs of the first input's values and `count` of the second's."""
    random = np.random.default_rng(seed)
    zero_points = random.choice([-128, 127, 0, int(random.integers(-128, 128))], 3)
    second = np.repeat(VALUES[:: 256 // count], 256).reshape(count, 256, 1)
    clamp = ops.FULL_RANGE if seed % 3 else (-100, 50)
    operator = kind(name="sum", inputs=("in", "other"), output="out", clamp=clamp)
    tensors = (
        Tensor(name, second.shape, Quantization(scale, int(point)))
        for name, scale, point in zip(("in", "other", "out"), scales, zero_points, strict=True)
    )
    return one_layer(operator, *tensors, other=second)


def pairs_of(graph: Graph) -> np.ndarray:
    """Every value of the input with every one of the constant."""
    return np.broadcast_to(VALUES.reshape(1, 1, 256, 1), (1, *graph.input_tensor.shape)).copy()


SCALES = [
    (0.05, 0.03, 0.08),
    (0.03, 0.05, 0.08),
    (0.1, 0.1, 0.15),
    (1.0, 1e-4, 0.5),
    (1e-9, 1.0, 3.0),
    (0.7, 0.69999999, 1.0),
    (0.02, 0.5, 0.004),
    (1.0, 0.9, 1.91e-6),
    (0.5, 0.5, 1e6),
]


@pytest.mark.parametrize("kind", [ops.Add, ops.Sub])
@pytest.mark.parametrize("seed", range(len(SCALES) + 3))
def test_addition_of_all_pairs_is_bit_exact(seed: int, kind: type[ops.Add], tmp_path: Path) -> None:
    random = np.random.default_rng(seed)
    a, b = np.exp(random.uniform(-6, 0, 2))
    drawn = (float(a), float(b), float(max(a, b) * random.uniform(0.5, 3)))
    graph = addition(kind, SCALES[seed] if seed < len(SCALES) else drawn, seed)
    values = pairs_of(graph)
    model = write_converted(graph, tmp_path, "test")
    assert np.array_equal(Twin(model).run(values), reference.run(graph, values))


def test_addition_is_clean_under_sanitizers(tmp_path: Path) -> None:
    graph = addition(ops.Sub, (0.03, 0.05, 0.06), 1)
    values = pairs_of(graph)
    model = write_converted(graph, tmp_path / "model", "test")
    expected = reference.run(graph, values)
    assert np.array_equal(run_sanitized(model, values, tmp_path / "program"), expected)


POOLS: list[dict[str, Any]] = [
    {"shape": (8, 8, 8), "kernel": (2, 2), "stride": (2, 2)},
    {"shape": (7, 9, 7), "kernel": (3, 3), "stride": (2, 2), "padding": (1, 1, 1, 1)},
    {"shape": (6, 5, 13), "kernel": (2, 3), "stride": (1, 1), "clamp": (-90, 60)},
    {"shape": (25, 5, 4), "kernel": (25, 5), "stride": (25, 5)},
    {"shape": (20, 30, 5), "kernel": (20, 30), "stride": (1, 1)},
    {"shape": (19, 40, 4), "kernel": (18, 17), "stride": (1, 3)},
]


def pooling(kind: type[ops.Pool2D], case: dict[str, Any]) -> Graph:
    arguments = dict(case)
    source = Tensor("in", arguments.pop("shape"), Quantization(0.05, -7))
    operator = kind(name="pool", inputs=("in",), output="out", **arguments)
    output = Tensor("out", operator.output_shape([source.shape]), source.quantization)
    return one_layer(operator, source, output)


def mean(shape: tuple[int, int, int]) -> Graph:
    operator = ops.Mean(name="mean", inputs=("in",), output="out")
    source = Tensor("in", shape, Quantization(0.05, 3))
    return one_layer(operator, source, Tensor("out", (1, 1, shape[2]), Quantization(0.004, -20)))


def samples(graph: Graph) -> np.ndarray:
    values = np.random.default_rng(0).integers(-128, 128, (4, *graph.input_tensor.shape))
    values[0], values[1] = -128, 127
    return values.astype(np.int8)


GRAPHS = {
    **{
        f"{k.__name__}-{i}": pooling(k, c)
        for k in (ops.AveragePool2D, ops.MaxPool2D)
        for i, c in enumerate(POOLS)
    },
    **{f"Mean-{s}": mean(s) for s in ((8, 8, 12), (25, 5, 7), (1, 1, 3), (30, 40, 5))},
}


@pytest.mark.parametrize("name", GRAPHS)
def test_pooling_is_bit_exact_and_clean(name: str, tmp_path: Path) -> None:
    graph = GRAPHS[name]
    values = samples(graph)
    model = write_converted(graph, tmp_path / "model", "test")
    expected = reference.run(graph, values)
    assert np.array_equal(Twin(model).run(values), expected)
    assert np.array_equal(run_sanitized(model, values, tmp_path / "program"), expected)


@pytest.mark.parametrize(
    "graph",
    [
        addition(ops.Add, (0.05, 0.03, 0.08), 1, 32),
        addition(ops.Sub, (0.03, 0.05, 0.08), 2, 32),
        GRAPHS["AveragePool2D-1"],
        GRAPHS["AveragePool2D-4"],
        GRAPHS["MaxPool2D-1"],
        GRAPHS["MaxPool2D-2"],
        GRAPHS["Mean-(25, 5, 7)"],
    ],
)
def test_layers_are_bit_exact_on_an_emulated_board(graph: Graph, tmp_path: Path) -> None:
    board = load_board("netduinoplus2")
    require(available_compilers(), "gcc")
    require(available_emulators(board), "qemu")
    values = samples(graph)
    with emulated_device(write_converted(graph, tmp_path, "test"), board, "qemu", "gcc") as device:
        run = device.device.run(values)
    assert np.array_equal(run.logits, reference.run(graph, values))
