"""The kernels for 8-bit weights of cores without the DSP extension, and the widest one with it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from tests.conftest import require
from tests.exporters.test_kernels_dsp import layer, random_codes, samples_for
from tests.firmware.sanitizers import run_sanitized
from tinyedge.boards import load_board
from tinyedge.evaluation.session import emulated_device
from tinyedge.exporters.c.kernels import CodeOptions
from tinyedge.exporters.converted import ConvertedModel, write_converted
from tinyedge.firmware.twin import Twin
from tinyedge.graph import operators as ops
from tinyedge.graph import reference
from tinyedge.graph.graph import Graph
from tinyedge.names import CoreName
from tinyedge.targets import available_emulators
from tinyedge.toolchains.compilers import available_compilers

pytestmark = pytest.mark.emulator

PATCH = "te_conv2d_patch_s8"
BOARDS: dict[CoreName, str] = {
    "cortex-m0": "mps2-an385-m0",
    "cortex-m3": "mps2-an385",
    "cortex-m4": "mps2-an386",
}


def dense(inputs: int, outputs: int, zero_point: int = -128) -> Graph:
    codes = random_codes(np.random.default_rng(inputs), (outputs, inputs), 8)
    return layer(ops.FullyConnected, (inputs,), codes, 8, zero_points=(zero_point, -5))


def conv(channels: int, outputs: int, zero_point: int = 13) -> Graph:
    codes = random_codes(np.random.default_rng(channels), (outputs, 3, 2, channels), 8)
    shape, zero_points = (5, 4, channels), (zero_point, 3)
    return layer(ops.Conv2D, shape, codes, 8, zero_points, padding=(1, 1, 0, 1))


LAYERS = {
    "one input": dense(1, 1),
    "odd": dense(7, 5, 127),
    "two pairs": dense(8, 4),
    "two pairs and one": dense(12, 6, 0),
    "long": dense(1030, 7),
    "thin convolution": conv(1, 3),
    "convolution": conv(3, 8),
    "wide convolution": conv(90, 5),
}


def write(graph: Graph, core: CoreName, folder: Path) -> ConvertedModel:
    return write_converted(graph, folder, "test", options=CodeOptions(core, "fastest"))


@pytest.mark.parametrize("name", LAYERS)
def test_twin_is_bit_exact(name: str, tmp_path: Path) -> None:
    graph = LAYERS[name]
    model = write(graph, "cortex-m3", tmp_path)
    assert [row["kernel"] for row in model.manifest["layers"]] == [PATCH]
    samples = samples_for(graph)
    assert np.array_equal(Twin(model).run(samples), reference.run(graph, samples))


@pytest.mark.parametrize("name", ["odd", "long", "wide convolution"])
def test_clean_under_sanitizers(name: str, tmp_path: Path) -> None:
    graph = LAYERS[name]
    samples = samples_for(graph)
    found = run_sanitized(write(graph, "cortex-m0", tmp_path / "m"), samples, tmp_path / "program")
    assert np.array_equal(found, reference.run(graph, samples))


@pytest.mark.parametrize("core", ["cortex-m0", "cortex-m3"])
@pytest.mark.parametrize("name", ["two pairs and one", "long", "convolution", "wide convolution"])
def test_assembly_is_bit_exact(name: str, core: CoreName, tmp_path: Path) -> None:
    check_on_emulator(LAYERS[name], core, PATCH, tmp_path)


@pytest.mark.parametrize("outputs", [8, 7])
def test_sums_of_two_pairs_are_taken_out_in_time(outputs: int, tmp_path: Path) -> None:
    """576 columns of 127 times -128 do not fit in the 24 bits of one sum."""
    codes = np.full((outputs, 3, 3, 64), 127)
    codes[1::2] = -127
    graph = layer(ops.Conv2D, (4, 5, 64), codes, 8, padding=(1, 1, 1, 1), extreme=True)
    check_on_emulator(graph, "cortex-m4", "te_conv2d_dsp_s8", tmp_path)
    samples = samples_for(graph)
    found = run_sanitized(write(graph, "cortex-m4", tmp_path / "m"), samples, tmp_path / "program")
    assert np.array_equal(found, reference.run(graph, samples))


def check_on_emulator(graph: Graph, core: CoreName, kernel: str, folder: Path) -> None:
    require(available_compilers(), "gcc")
    board = load_board(BOARDS[core])
    require(available_emulators(board), "qemu")
    model = write(graph, core, folder)
    assert [row["kernel"] for row in model.manifest["layers"]] == [kernel]
    samples = samples_for(graph)
    with emulated_device(model, board, "qemu", "gcc") as emulated:
        logits = emulated.device.run(samples).logits
    assert np.array_equal(logits, reference.run(graph, samples))
