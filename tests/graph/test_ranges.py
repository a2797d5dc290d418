from __future__ import annotations

import numpy as np
import pytest

from tests.draws import each_seed
from tests.graph.random_graphs import RandomGraph
from tinyedge.errors import ModelError
from tinyedge.exporters.c import export_c
from tinyedge.exporters.tflite import export_tflite
from tinyedge.graph import operators as ops
from tinyedge.graph import reference
from tinyedge.graph.graph import Graph
from tinyedge.graph.ranges import Range, output_range, ranges_of
from tinyedge.graph.tensors import Quantization, Tensor, Weights
from tinyedge.tflm.interpreter import Interpreter


@each_seed(120)
def test_no_value_leaves_its_range(seed: int) -> None:
    built = RandomGraph(seed, all_kinds=bool(seed % 2))
    found = ranges_of(built.graph)

    def tap(name: str, values: reference.Int8) -> None:
        rows = values.reshape(-1, values.shape[-1])
        assert np.all(found[name].low <= rows.min(axis=0))
        assert np.all(found[name].high >= rows.max(axis=0))

    reference.run(built.graph, built.inputs(20), tap=tap)


def behind_relu6(bias: int) -> Graph:
    """A layer whose bias, at the ends of int8, would overflow, but not for what a RELU6 leaves.

    Args:
        bias: of the only channel.
    """
    names, grid = ("x", "a", "b"), Quantization(1.0, -128)
    shapes = ((2, 2, 1), (2, 2, 1), (2, 2, 1))
    tensors = {name: Tensor(name, shape, grid) for name, shape in zip(names, shapes, strict=True)}
    weights = Weights(np.full((1, 1, 1, 1), 127, np.int8), 8, np.full(1, 2.0**12, np.float32))
    bound = ops.Requantize(name="a", inputs=("x",), output="a", clamp=(-128, -122))
    layer = ops.Conv2D(
        name="b",
        inputs=("a",),
        output="b",
        stride=(1, 1),
        weights=weights,
        bias=np.array([bias], np.int32),
    )
    return Graph("near", tensors, (bound, layer), "x", "b")


def test_overflow_is_judged_by_what_can_happen() -> None:
    """2**31 / 2**13 is the largest accumulator, 262,143; 261,000 leaves room for 1,143."""
    graph = behind_relu6(261_000)
    samples = np.arange(-128, 128, dtype=np.int16).astype(np.int8).reshape(-1, 2, 2, 1)
    assert np.all(reference.run(graph, samples) == 127)
    assert np.all(Interpreter(export_tflite(graph)).run(samples)[0] == 127)
    assert [layer.kernel for layer in export_c(graph).layers][1] == "te_conv2d_s8"
    with pytest.raises(ModelError, match="channel 0 can overflow 32 bits"):
        behind_relu6(261_900)


def test_an_output_that_overflows_before_its_clamp_is_refused() -> None:
    """The accumulator fits 32 bits; with the output's zero point it does not."""
    source, weight, target = 0.520308792591095, 0.5970137119293213, 0.31063148379325867
    assert 1 - 1e-9 < source * weight / target < 1 - 2**-32  # mantissa 2**31 - 1

    def dense(bias: int) -> Graph:
        tensors = {
            "x": Tensor("x", (1,), Quantization(source, 0)),
            "y": Tensor("y", (1,), Quantization(target, 127)),
        }
        layer = ops.FullyConnected(
            name="y",
            inputs=("x",),
            output="y",
            weights=Weights(np.zeros((1, 1), np.int8), 8, np.full(1, weight, np.float32)),
            bias=np.array([bias], np.int32),
        )
        return Graph("dense", tensors, (layer,), "x", "y")

    samples = np.zeros((1, 1), np.int8)
    assert reference.run(dense(2**31 - 1 - 127), samples) == 127
    with pytest.raises(ModelError, match="outputs of channel 0 can overflow 32 bits"):
        dense(2**31 - 1)


def test_a_window_whose_sum_overflows_is_refused() -> None:
    def mean(side: int) -> Graph:
        grid = Quantization(1.0, 0)
        tensors = {"x": Tensor("x", (side, side, 1), grid), "y": Tensor("y", (1, 1, 1), grid)}
        pool = ops.AveragePool2D(
            name="y", inputs=("x",), output="y", kernel=(side, side), stride=(1, 1)
        )
        return Graph("mean", tensors, (pool,), "x", "y")

    mean(4_000)
    with pytest.raises(ModelError, match="window of 16,810,000 cells can overflow 32 bits"):
        mean(4_100)


def test_many_channels_are_refused_before_they_take_memory() -> None:
    """A file of some hundred bytes may claim any shape."""
    quantization = Quantization(0.1, 0)
    wide = (2**22,)
    tensors = {name: Tensor(name, wide, quantization) for name in ("x", "y")}
    logistic = ops.Logistic(name="y", inputs=("x",), output="y")
    with pytest.raises(ModelError, match="8,388,608 channels together, allowed: up to 4,194,304"):
        Graph("wide", tensors, (logistic,), "x", "y")


def test_a_table_s_bounds_are_those_of_every_value_between() -> None:
    """HardSwish falls, then rises."""
    tensor = Tensor("x", (200,), Quantization(0.05, 10))
    function = ops.HardSwish(name="y", inputs=("x",), output="y")
    low, high = np.sort(np.random.default_rng(0).integers(-128, 128, (2, 200)), axis=0)
    found = output_range(function, [Range(low, high)], [tensor], tensor)
    table = function.table(tensor.quantization, tensor.quantization).astype(np.int64)
    reached = [table[first + 128 : last + 129] for first, last in zip(low, high, strict=True)]
    np.testing.assert_array_equal(found.low, [values.min() for values in reached])
    np.testing.assert_array_equal(found.high, [values.max() for values in reached])
