"""Arduino's AVR boards in simavr, with Arduino's real core."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest

from tests.cli.commands import run_json
from tests.conftest import require
from tests.graph.random_graphs import RandomGraph
from tests.link.native import dense_model, random_samples
from tinyedge.boards import load_board
from tinyedge.errors import ToolchainError
from tinyedge.evaluation.session import EmulatedDevice, emulated_device
from tinyedge.exporters.c import CodeOptions
from tinyedge.exporters.converted import ConvertedModel, write_converted
from tinyedge.graph import operators as ops
from tinyedge.graph import reference
from tinyedge.graph.graph import Graph
from tinyedge.names import OBJECTIVES, Objective
from tinyedge.targets import available_emulators, open_emulator
from tinyedge.toolchains.compilers import available_compilers

pytestmark = pytest.mark.emulator

UNO, MEGA = load_board("arduino-uno"), load_board("arduino-mega2560")
BOARDS = {"arduino-uno": UNO, "arduino-mega2560": MEGA}
DIGITS = Path(__file__).parents[1] / "data" / "digits_ternary.npz"
# Together they hold every operator and weights of every width.
SEEDS = (1, 2, 3, 5, 6, 9, 12, 18, 24, 29, 30, 32, 33, 36)


@contextmanager
def emulated(model: ConvertedModel, board: str) -> Iterator[EmulatedDevice]:
    require(available_compilers("avr"), "gcc")
    require(available_emulators(BOARDS[board]), "simavr")
    with emulated_device(model, BOARDS[board]) as opened:
        yield opened


def converted(graph: Graph, folder: Path, optimize: Objective = "size") -> ConvertedModel:
    return write_converted(graph, folder, "test", options=CodeOptions("avr", optimize))


def test_the_random_graphs_hold_every_operator() -> None:
    graphs = [RandomGraph(seed).graph for seed in SEEDS]
    kinds = {type(operator) for graph in graphs for operator in graph.operators}
    assert {ops.Conv2D, ops.DepthwiseConv2D, ops.FullyConnected, ops.Add, ops.Mul} <= kinds
    assert {ops.Concatenation, ops.AveragePool2D, ops.Mean, ops.Pad, ops.Softmax} <= kinds
    assert {ops.Requantize, ops.Tanh, ops.LeakyRelu} <= kinds
    weighted = [o for g in graphs for o in g.operators if isinstance(o, ops.Weighted)]
    assert {operator.weights.bits for operator in weighted} == {1, 2, 4, 8}


@pytest.mark.parametrize("seed", SEEDS)
def test_random_graphs_are_bit_exact(seed: int, tmp_path: Path) -> None:
    built = RandomGraph(seed)
    model = converted(built.graph, tmp_path, OBJECTIVES[seed % 2])
    samples = built.inputs(6)
    with emulated(model, "arduino-mega2560") as opened:
        run = opened.device.run(samples)
        stats = opened.device.stats()
    assert np.array_equal(run.logits, reference.run(built.graph, samples))
    assert 0 < stats.stack_peak < MEGA.minimum_stack


@pytest.mark.parametrize("board", BOARDS)
def test_ternary_digits_are_bit_exact(board: str, tmp_path: Path) -> None:
    """A trained network on real digits, over Arduino's Serial."""
    from tinyedge.datasets import load_test_set

    model = converted(Graph.load(DIGITS), tmp_path)
    digits = load_test_set("digits", None, channels="grey")
    samples = model.graph.input_tensor.quantization.quantize(digits.x[:40])
    with emulated(model, board) as opened:
        run = opened.device.run(samples)
        stats = opened.device.stats()
        footprint = opened.firmware.footprint
    assert np.array_equal(run.logits, reference.run(model.graph, samples))
    assert float((run.logits.argmax(axis=1) == digits.y[:40]).mean()) > 0.85
    assert 0 <= footprint.weights - model.weight_bytes < 32  # padding between layers
    assert footprint.arena == model.arena_bytes
    assert footprint.arena + footprint.static + stats.stack_size == BOARDS[board].ram.size
    assert 0 < stats.stack_peak < stats.stack_size
    assert run.seconds is not None
    assert run.instructions is None


def test_cycles_are_counted(tmp_path: Path) -> None:
    """An inference of one sample takes the same cycles each time, but for interrupts."""
    model = converted(dense_model(tmp_path / "dense", 64).graph, tmp_path / "avr")
    samples = np.repeat(random_samples(model, 1), 5, axis=0)
    with emulated(model, "arduino-uno") as opened:
        run = opened.device.run(samples)
        assert opened.device.hello.tick_hz == 16_000_000
    assert run.seconds is not None
    cycles = np.rint(run.seconds * 16_000_000)
    assert np.ptp(cycles) < 1000
    # 640 ternary products, and a few instructions more.
    assert 640 * 4 < cycles.min() < 640 * 200


@pytest.mark.parametrize("board", BOARDS)
def test_layers_are_watched(board: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Cycles of layers, which add up to an inference's, and their outputs."""
    require(available_compilers("avr"), "gcc")
    require(available_emulators(BOARDS[board]), "simavr")
    model = converted(RandomGraph(SEEDS[0]).graph, tmp_path / "m")
    place = ("--on", "emulator", "-b", board)
    record = run_json(capsys, "run", model.folder, *place, "--profile", "--trace", "--samples", 2)
    profile = record["profile"]
    assert (profile["unit"], profile["hz"]) == ("cycles", 16_000_000)
    assert profile["total"] == pytest.approx(profile["whole"], rel=0.02)
    assert record["trace"]["first_difference"] is None


def test_the_board_introduces_itself(tmp_path: Path) -> None:
    model = converted(dense_model(tmp_path / "dense", 64).graph, tmp_path / "avr")
    with emulated(model, "arduino-uno") as opened:
        assert opened.device.hello.boot_id % 2 == 1
        assert opened.device.hello.board == "arduino-uno"
        assert opened.device.hello.buffer == 255


@pytest.mark.parametrize(
    "content", [b"not an ELF", b"\x7fELF" + bytes(60)], ids=["text", "another machine"]
)
def test_a_program_that_is_not_one_is_refused(content: bytes, tmp_path: Path) -> None:
    require(available_emulators(UNO), "simavr")
    program = tmp_path / "firmware.elf"
    program.write_bytes(content)
    with pytest.raises(ToolchainError, match="not an AVR's ELF"), open_emulator(UNO, program):
        pass
