from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from tests.draws import each_seed
from tests.graph.random_graphs import RandomGraph
from tinyedge.exporters.c import export_c
from tinyedge.exporters.converted import write_converted
from tinyedge.exporters.tflite import export_tflite
from tinyedge.firmware.twin import Twin
from tinyedge.graph import operators as ops
from tinyedge.graph import reference
from tinyedge.graph.graph import Graph
from tinyedge.graph.pruning import CONSTANT_CHANNELS, removed_channels, without_constant_channels
from tinyedge.graph.tensors import Quantization, Tensor, Weights
from tinyedge.importers import import_model
from tinyedge.tflm.interpreter import Interpreter

DEAD = (1, 2, 5)
"""Channels whose bias lies far below what any input can make up for."""
AROUND: dict[str, Any] = {"stride": (1, 1), "padding": (1, 1, 1, 1)}


def samples_of(graph: Graph) -> NDArray[np.int8]:
    samples = np.random.default_rng(3).integers(-128, 128, (30, *graph.input_tensor.shape))
    samples[0], samples[1] = -128, 127
    return samples.astype(np.int8)


class Network:
    """Layers one behind the other, in which the first one's channels ``DEAD`` never change.

    Args:
        dead_scale: of the weights of dead channels; a small one gives a large shift to the right.
        target: quantization of the first layer's output, below whose zero point it is clamped.
    """

    def __init__(self, dead_scale: float = 1e-10, target: Quantization | None = None) -> None:
        self.random = np.random.default_rng(1)
        self.tensors = {"x": Tensor("x", (7, 6, 3), Quantization(0.02, -5))}
        self.operators: list[ops.Operator] = []
        target = target or Quantization(0.05, -128)
        weights, bias = self.weights((8, 3, 3, 3))
        weights.scales[list(DEAD)] = dead_scale
        bias[list(DEAD)] = -(2**30)
        clamp = (target.zero_point, 127)
        self.add(ops.Conv2D, "a", target, weights=weights, bias=bias, clamp=clamp, **AROUND)

    def weights(self, shape: tuple[int, ...]) -> tuple[Weights, NDArray[np.int32]]:
        codes = self.random.integers(-90, 91, shape).astype(np.int8)
        scales = self.random.uniform(0.002, 0.004, shape[0]).astype(np.float32)
        bias = self.random.integers(-3000, 3000, shape[0]).astype(np.int32)
        return Weights(codes, 8, scales), bias

    def add(self, kind: type[ops.Operator], name: str, grid: Quantization, **rest: Any) -> None:
        inputs = (*rest.pop("also", ()), list(self.tensors)[-1])
        operator = kind(name=name, inputs=inputs, output=name, **rest)
        shape = operator.output_shape([self.tensors[each].shape for each in inputs])
        self.tensors[name] = Tensor(name, shape, grid)
        self.operators.append(operator)

    def layer(
        self, kind: type[ops.Weighted], name: str, shape: tuple[int, ...], **rest: Any
    ) -> None:
        weights, bias = self.weights(shape)
        self.add(kind, name, Quantization(0.1, 4), weights=weights, bias=bias, **rest)

    @property
    def graph(self) -> Graph:
        last = list(self.tensors)[-1]
        return Graph("network", self.tensors, tuple(self.operators), "x", last)


def conv(network: Network) -> None:
    network.layer(ops.Conv2D, "b", (4, 3, 3, 8), **AROUND)


def dense(network: Network) -> None:
    network.layer(ops.FullyConnected, "b", (4, 7 * 6 * 8))


def through_depthwise(network: Network) -> None:
    """The zero point is what padding adds, so that the sum is the bias, which is clamped away."""
    weights, bias = network.weights((8, 3, 3))
    bias[list(DEAD)] = -70_000_000
    grid = Quantization(0.1, -128)
    network.add(ops.DepthwiseConv2D, "b", grid, weights=weights, bias=bias, **AROUND)
    network.layer(ops.Conv2D, "c", (5, 1, 1, 8), stride=(1, 1))


def through_many(network: Network) -> None:
    grid = list(network.tensors.values())[-1].quantization
    network.add(ops.MaxPool2D, "b", grid, kernel=(2, 2), stride=(2, 2))
    network.add(ops.LeakyRelu, "c", Quantization(0.04, -60), alpha=0.2)
    network.add(ops.Requantize, "d", Quantization(0.05, -70))
    network.add(ops.Mean, "e", Quantization(0.03, -80))
    network.add(ops.Reshape, "f", Quantization(0.03, -80), shape=(8,))
    network.layer(ops.FullyConnected, "g", (3, 8))


def flattened(network: Network) -> None:
    grid = list(network.tensors.values())[-1].quantization
    network.add(ops.Reshape, "b", grid, shape=(7 * 6 * 8,))
    network.layer(ops.FullyConnected, "c", (3, 7 * 6 * 8))


SHAPES = {"conv": conv, "dense": dense, "through_depthwise": through_depthwise}
SHAPES |= {"through_many": through_many, "flattened": flattened}


@pytest.mark.parametrize("name", SHAPES)
def test_dead_channels_are_taken_out(name: str) -> None:
    network = Network()
    SHAPES[name](network)
    graph = network.graph
    pruned, removed = without_constant_channels(graph)
    assert removed[0] == len(DEAD)
    assert pruned.tensors["a"].shape[2] == 8 - len(DEAD)
    assert sum(map(pruned.macs_of, pruned.operators)) < sum(map(graph.macs_of, graph.operators))
    samples = samples_of(graph)
    expected = reference.run(graph, samples)
    assert np.unique(expected).size > 10
    np.testing.assert_array_equal(reference.run(pruned, samples), expected)
    assert without_constant_channels(pruned)[1] == (0,) * len(graph.operators)


@pytest.mark.parametrize("name", SHAPES)
def test_another_value_than_the_zero_point_stays_before_a_padding(name: str) -> None:
    """A border adds zero, and not the channel's value."""
    network = Network(target=Quantization(0.05, -100))
    operator = network.operators[0]
    assert isinstance(operator, ops.Conv2D)
    network.operators[0] = replace(operator, clamp=(-60, 127))
    SHAPES[name](network)
    pruned, removed = without_constant_channels(network.graph)
    assert removed[0] == (0 if name == "conv" else len(DEAD))
    samples = samples_of(network.graph)
    np.testing.assert_array_equal(
        reference.run(pruned, samples), reference.run(network.graph, samples)
    )


def test_a_sum_keeps_what_one_side_needs() -> None:
    network = Network()
    network.layer(ops.Conv2D, "b", (8, 3, 3, 8), **AROUND)
    network.add(ops.Add, "c", Quantization(0.2, 0), also=("a",))
    network.layer(ops.Conv2D, "d", (2, 1, 1, 8), stride=(1, 1))
    _, removed = without_constant_channels(network.graph)
    assert removed == (0, 0, 0, 0)


def test_a_tensor_keeps_one_channel() -> None:
    network = Network()
    operator = network.operators[0]
    assert isinstance(operator, ops.Conv2D)
    network.operators[0] = replace(operator, bias=np.full(8, -(2**30), np.int32))
    conv(network)
    pruned, removed = without_constant_channels(network.graph)
    assert removed[0] == 7
    samples = samples_of(network.graph)
    np.testing.assert_array_equal(
        reference.run(pruned, samples), reference.run(network.graph, samples)
    )


@each_seed(150)
def test_random_graphs_keep_their_results(seed: int) -> None:
    built = RandomGraph(seed, all_kinds=bool(seed % 2))
    pruned, _ = without_constant_channels(built.graph)
    samples = built.inputs(10)
    np.testing.assert_array_equal(
        reference.run(pruned, samples), reference.run(built.graph, samples)
    )


def foreign(graph: Graph, path: Path) -> bytes:
    """The graph as a file that does not tell of it."""
    content = export_tflite(graph)
    path.write_bytes(content.replace(b"graph_sha256", b"GRAPH_SHA256"))
    return content


@pytest.mark.parametrize("name", SHAPES)
def test_a_file_is_imported_without_them(name: str, tmp_path: Path) -> None:
    """TFLite-Micro gives the file's bytes for the export, too, and that is imported as it is."""
    network = Network()
    SHAPES[name](network)
    content = foreign(network.graph, tmp_path / "model.tflite")
    whole = import_model(tmp_path / "model.tflite", keep_constant_channels=True).graph
    graph = import_model(tmp_path / "model.tflite").graph
    assert removed_channels(whole) == [0] * len(whole.operators)
    assert CONSTANT_CHANNELS not in whole.source
    assert removed_channels(graph)[0] == export_c(graph).layers[0].removed == len(DEAD)
    samples = samples_of(graph)
    expected = Interpreter(content).run(samples)[0]
    for each in (graph, whole):
        exported = export_tflite(each)
        (tmp_path / "again.tflite").write_bytes(exported)
        again = import_model(tmp_path / "again.tflite").graph
        assert (again.hash, again.source) == (each.hash, each.source)
        np.testing.assert_array_equal(Interpreter(exported).run(samples)[0], expected)
        found = reference.run(each, samples).reshape(expected.shape)
        np.testing.assert_array_equal(found, expected)


@pytest.mark.needs_tool
@pytest.mark.parametrize("zero_point", [-128, 0])
def test_dead_channels_that_stay_do_not_cost_the_fast_kernel(
    zero_point: int, tmp_path: Path
) -> None:
    """Their shift to the right is too large for it, and so is their bias."""
    network = Network(target=Quantization(0.05, zero_point))
    kept = network.graph
    weights, bias = network.weights((8, 3, 3))
    bias[:2], weights.scales[:2] = -(2**30), 1e-10
    network.layer(ops.DepthwiseConv2D, "b", (8, 3, 3), **AROUND)
    depthwise = network.operators[-1]
    assert isinstance(depthwise, ops.DepthwiseConv2D)
    network.operators[-1] = replace(depthwise, weights=weights, bias=bias, clamp=(4, 127))
    for index, graph in enumerate((kept, network.graph)):
        model = write_converted(graph, tmp_path / str(index), "test")
        kernels = [layer["kernel"] for layer in model.manifest["layers"]]
        assert kernels[0] == "te_conv2d_dsp_s8"
        assert kernels[-1] in {"te_conv2d_dsp_s8", "te_depthwise_conv2d_dual_s8"}
        samples = samples_of(graph)
        np.testing.assert_array_equal(Twin(model).run(samples), reference.run(graph, samples))


@pytest.mark.parametrize(
    "text", [7, None, "1", "1 x", "-1 2", "1 ²", "1 99999999999", {"a": 1}, "1 2 3"]
)
def test_a_source_may_say_anything(text: object) -> None:
    network = Network()
    conv(network)
    graph = replace(network.graph, source={CONSTANT_CHANNELS: text})
    assert removed_channels(graph) == [0, 0]
