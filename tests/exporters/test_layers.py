"""Bytes that kernels store of every output channel."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from tinyedge.exporters.c import CodeOptions
from tinyedge.exporters.c.kernels.select import select_kernels
from tinyedge.exporters.converted import write_converted
from tinyedge.firmware.twin import Twin
from tinyedge.graph import operators as ops
from tinyedge.graph import reference
from tinyedge.graph.graph import Graph
from tinyedge.graph.tensors import Quantization, Tensor, Weights
from tinyedge.names import CoreName

CHANNELS = 8
SIZES = {"int32_t": 4, "int16_t": 2, "uint8_t": 1, "int8_t": 1}
NUMBERS = ("bias", "mantissa", "shift", "step")
CORES: list[CoreName] = ["cortex-m0", "cortex-m3", "cortex-m4"]


def convolution(scales: list[float], bits: int = 8, bias: int = 0, zero_point: int = -128) -> Graph:
    """Windows of one cell; the bias is that of the first channel."""
    random = np.random.default_rng(0)
    codes = random.integers(-1, 2, (CHANNELS, 1, 1, 16)) * (1 if bits == 2 else 100)
    operator = ops.Conv2D(
        name="layer",
        inputs=("in",),
        output="out",
        weights=Weights(codes.astype(np.int8), bits, np.array(scales, np.float32)),
        bias=np.array([bias] + [50] * (CHANNELS - 1), np.int32),
        clamp=(-128, 127),
        stride=(1, 1),
        padding=(0, 0, 0, 0),
    )
    source = Tensor("in", (3, 3, 16), Quantization(0.05, 3))
    output = Tensor("out", (3, 3, CHANNELS), Quantization(0.05, zero_point))
    return Graph("one layer", {"in": source, "out": output}, (operator,), "in", "out")


def stored(graph: Graph, core: CoreName) -> int:
    """Bytes of all that scales the sums."""
    kernel = select_kernels(graph, {"layer": "layer"}, CodeOptions(core))["layer"]
    arrays = [each for each in kernel.arrays if each.name in NUMBERS]
    assert {each.name for each in kernel.arrays} <= {*NUMBERS, "weights", "order"}
    return sum(each.values.size * SIZES[each.ctype] for each in arrays)


SEVERAL = [0.01 / (1 + channel) for channel in range(CHANNELS)]


@pytest.mark.parametrize("core", CORES)
@pytest.mark.parametrize("bits", [2, 8])
def test_a_channel_takes_nine_bytes(core: CoreName, bits: int) -> None:
    assert stored(convolution(SEVERAL, bits), core) == 9 * CHANNELS


@pytest.mark.parametrize("core", CORES)
def test_one_multiplier_is_stored_once(core: CoreName) -> None:
    assert stored(convolution([0.01] * CHANNELS), core) == 4 * CHANNELS + 5


# A channel so small that its shift does not fit, and what its bias makes of it.
NEAR = 2**31 - 200_000
VALUES = [(0, -128, 9), (NEAR, -128, 11), (NEAR, -5, 11), (-NEAR, 3, 11)]


@pytest.mark.parametrize(("bias", "zero_point", "size"), VALUES)
@pytest.mark.parametrize("bits", [2, 8])
def test_channels_of_one_value_are_exact(
    bias: int, zero_point: int, size: int, bits: int, tmp_path: Path
) -> None:
    """One that is the zero point for any input takes no more than the others."""
    graph = convolution([1e-9, *SEVERAL[1:]], bits, bias, zero_point)
    samples = np.random.default_rng(1).integers(-128, 128, (4, 3, 3, 16)).astype(np.int8)
    expected = reference.run(graph, samples)
    assert len(np.unique(expected[..., 0])) == 1
    assert stored(graph, "cortex-m4") == size * CHANNELS
    for core in CORES:
        model = write_converted(graph, tmp_path / core, "test", options=CodeOptions(core))
        assert np.array_equal(Twin(model).run(samples), expected)
