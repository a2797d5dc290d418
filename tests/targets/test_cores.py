"""A ternary and an int8 model on every emulated Cortex-M, with the kernels chosen for it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from tests.conftest import require
from tests.draws import draws, some_of
from tests.firmware.test_vector_twin import models_at_hand
from tests.graph.random_graphs import graph_of, side_by_side
from tinyedge.boards import load_board
from tinyedge.boards.cores import CORES
from tinyedge.evaluation.session import emulated_device
from tinyedge.exporters.c import CodeOptions
from tinyedge.exporters.converted import write_converted
from tinyedge.graph import reference
from tinyedge.graph.graph import Graph
from tinyedge.graph.operators import Weighted
from tinyedge.importers import import_model
from tinyedge.models.benchmark import NetworkBuilder
from tinyedge.names import COMPILERS, CompilerName, EmulatorName
from tinyedge.targets import available_emulators
from tinyedge.toolchains.compilers import available_compilers

pytestmark = pytest.mark.emulator

PLACES: list[tuple[str, EmulatorName]] = [
    ("microbit", "qemu"),
    ("mps2-an385-m0", "qemu"),
    ("mps2-an385", "qemu"),
    ("mps2-an386", "qemu"),
    ("netduinoplus2", "qemu"),
    ("netduinoplus2", "unicorn"),
    ("mps2-an500", "qemu"),
    ("nucleo-f767zi", "unicorn"),
    ("stm32h735g-dk", "unicorn"),
    ("mps2-an505", "qemu"),
    ("mps3-an547", "qemu"),
]
BITS = {"ternary": 2, "int8": 8}
SAMPLES = 12
AT_ONCE = 10


def small_network(bits: int) -> Graph:
    """Convolutions of every kind, a residual and a dense layer, in the 16 KB of a micro:bit."""
    network = NetworkBuilder(f"small-{bits}", (12, 12, 3), seed=bits)
    first = network.conv("input", 8, (3, 3), bits, (2, 2))
    branch = network.conv(network.depthwise(first, (3, 3), bits), 8, (1, 1), bits, relu=False)
    joined = network.add(first, branch)
    last = network.depthwise(joined, (3, 3), bits, (2, 2))
    return network.graph(network.fully_connected(network.mean(last), 10, bits))


def test_every_core_is_among_them() -> None:
    arduino = {"avr"}  # in test_arduino.py
    assert {load_board(name).core for name, _ in PLACES} == set(CORES) - arduino


@pytest.mark.parametrize(("place", "kind", "compiler"), some_of(PLACES, BITS, COMPILERS))
def test_logits_are_those_of_the_reference(
    place: tuple[str, EmulatorName], kind: str, compiler: CompilerName, tmp_path: Path
) -> None:
    name, emulator = place
    board = load_board(name)
    require(available_compilers(), compiler)
    require(available_emulators(board), emulator)
    graph = small_network(BITS[kind])
    weighted = [layer for layer in graph.operators if isinstance(layer, Weighted)]
    assert {layer.weights.bits for layer in weighted} == {BITS[kind]}
    model = write_converted(graph, tmp_path, "test", options=CodeOptions(board.core))
    shape = (SAMPLES, *graph.input_tensor.shape)
    samples = np.random.default_rng(1).integers(-128, 128, shape).astype(np.int8)
    with emulated_device(model, board, emulator, compiler) as emulated:
        logits = emulated.device.run(samples).logits
    expected = reference.run(graph, samples)
    assert np.array_equal(logits, expected)
    assert len(np.unique(expected)) > SAMPLES  # they tell samples apart


@pytest.mark.slow  # tests/exporters/test_kernels_mve.py compares layers
@pytest.mark.parametrize("first", range(0, draws(500), AT_ONCE))
def test_random_graphs_on_vectors_are_those_of_the_reference(first: int, tmp_path: Path) -> None:
    """More channels than vectors have lanes, all tails, and operators without a vector kernel.

    Ten graphs share a firmware.
    """
    board = load_board("mps3-an547")
    require(available_compilers(board.core), "gcc")
    require(available_emulators(board), "qemu")
    built = [graph_of(seed) for seed in range(first, first + AT_ONCE)]
    graph = side_by_side([each.graph for each in built])
    model = write_converted(graph, tmp_path, "test", options=CodeOptions(board.core))
    samples = [each.inputs(5) for each in built]
    with emulated_device(model, board, "qemu", "gcc") as emulated:
        together = np.concatenate([part.reshape(5, -1) for part in samples], axis=1)
        found = emulated.device.run(together).logits
    at = 0
    for each, part in zip(built, samples, strict=True):
        expected = reference.run(each.graph, part).reshape(5, -1)
        own = found[:, at : at + expected.shape[1]]
        np.testing.assert_array_equal(own, expected, err_msg=each.graph.name)
        at += expected.shape[1]
    assert at == found.shape[1]


@pytest.mark.slow
@pytest.mark.parametrize("path", models_at_hand() or [None], ids=lambda p: p.stem if p else "none")
def test_models_of_others_on_vectors_are_those_of_the_reference(
    path: Path | None, tmp_path: Path
) -> None:
    """Sequences of frames, where a model has variables."""
    if path is None:
        pytest.skip("models are looked for in $TINYEDGE_DATA/../models")
    board = load_board("mps3-an547")
    require(available_compilers(board.core), "gcc")
    require(available_emulators(board), "qemu")
    graph = import_model(path).graph
    model = write_converted(graph, tmp_path, "test", options=CodeOptions(board.core))
    axes = (4, 9) if graph.states else (12,)
    random = np.random.default_rng(0)
    samples = random.integers(-128, 128, (*axes, *graph.input_tensor.shape)).astype(np.int8)
    samples[0], samples[1] = -128, 127
    with emulated_device(model, board, "qemu", "gcc") as emulated:
        found = emulated.device.run(samples).logits
    np.testing.assert_array_equal(found, reference.run(graph, samples))
