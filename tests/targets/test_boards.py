"""Every board's start-up, serial port and counter in QEMU, where that has the board."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
from elftools.elf.elffile import ELFFile

from tests.conftest import require
from tests.draws import some_of
from tests.graph.random_graphs import RandomGraph
from tests.targets import test_arduino
from tinyedge.boards import Board, board_names, load_board
from tinyedge.boards.emulators import Emulator
from tinyedge.errors import FirmwareFaultError, ToolchainError
from tinyedge.evaluation.session import emulated_device
from tinyedge.exporters.converted import write_converted
from tinyedge.firmware.project import build_firmware, build_project, harness_files
from tinyedge.graph import reference
from tinyedge.link.client import Client
from tinyedge.names import COMPILERS, CompilerName, EmulatorName
from tinyedge.targets import available_emulators, open_emulator, require_emulator
from tinyedge.toolchains.compilers import available_compilers, cross_compiler

pytestmark = pytest.mark.emulator

BOARDS = [name for name in board_names() if load_board(name).emulator.qemu]
IN_UNICORN = [
    name
    for name in board_names()
    if load_board(name).emulator.unicorn and name != "netduinoplus2"  # as below
]
# Arduino boards with an AVR are in test_arduino.py.
NOT_IN_QEMU = [
    name for name in board_names() if name not in BOARDS and load_board(name).core != "avr"
]
# netduinoplus2 runs many more graphs, in test_emulators.py.
NEW_BOARDS = [name for name in BOARDS if name != "netduinoplus2"]
# Depthwise and other convolutions, a dense layer; both fit the micro:bit's 16 KB of RAM.
SEEDS: dict[CompilerName, int] = {"gcc": 278, "zig": 155}

LOOP, UNALIGNED, DSP, MVE = range(4)


@pytest.mark.parametrize(("name", "compiler"), some_of(NEW_BOARDS, COMPILERS))
def test_a_random_graph_is_bit_exact(name: str, compiler: CompilerName, tmp_path: Path) -> None:
    board = load_board(name)
    require(available_compilers(), compiler)
    require(available_emulators(board), "qemu")
    built = RandomGraph(SEEDS[compiler])
    model = write_converted(built.graph, tmp_path, "test")
    samples = built.inputs(6)
    with emulated_device(model, board, "qemu", compiler) as emulated:
        run = emulated.device.run(samples)
        stats = emulated.device.stats()
    assert np.array_equal(run.logits, reference.run(built.graph, samples))
    assert run.instructions is not None
    assert run.instructions.min() > 0
    assert 0 < stats.stack_peak < 2048
    assert stats.damaged_frames == 0


@pytest.mark.parametrize(("name", "compiler"), some_of(NOT_IN_QEMU, COMPILERS))
def test_firmware_of_a_board_that_qemu_lacks_is_built(
    name: str, compiler: CompilerName, tmp_path: Path
) -> None:
    require(available_compilers(), compiler)
    model = write_converted(RandomGraph(SEEDS[compiler]).graph, tmp_path / "m", "test")
    firmware = build_firmware(model, load_board(name), compiler)
    board = firmware.board
    with firmware.elf.open("rb") as file:
        vectors = ELFFile(file).get_section_by_name(".isr_vector")
        assert vectors
        stack, reset = struct.unpack("<II", vectors.data()[:8])
        loaded = [part for part in ELFFile(file).iter_segments() if part["p_filesz"]]
    assert vectors["sh_addr"] == board.flash.origin + (256 if board.family == "rp2040" else 0)
    for part in loaded:  # nothing in front, where a boot loader may be
        assert board.flash.origin <= part["p_paddr"] < board.flash.end
    assert stack == board.ram.end
    assert board.flash.origin < reset < board.flash.origin + firmware.image.stat().st_size


@pytest.mark.parametrize(("name", "compiler"), some_of(IN_UNICORN, COMPILERS))
def test_a_random_graph_is_bit_exact_in_unicorn(
    name: str, compiler: CompilerName, tmp_path: Path
) -> None:
    board = load_board(name)
    require(available_compilers(), compiler)
    require(available_emulators(board), "unicorn")
    built = RandomGraph(SEEDS[compiler])
    model = write_converted(built.graph, tmp_path, "test")
    samples = built.inputs(6)
    with emulated_device(model, board, "unicorn", compiler) as emulated:
        logits = emulated.device.run(samples).logits
        stats = emulated.device.stats()
    assert np.array_equal(logits, reference.run(built.graph, samples))
    assert 0 < stats.stack_peak < 2048
    assert stats.damaged_frames == 0


def test_every_board_runs_its_own_image_on_an_emulator() -> None:
    """By the two tests above, and for netduinoplus2 and AVRs by those of their own.

    Up to four boards may be left out, where ``docs/boards.md`` says of each why.
    """
    run = {*NEW_BOARDS, *IN_UNICORN, "netduinoplus2", *test_arduino.BOARDS}
    assert run <= set(board_names())
    text = (Path(__file__).parents[2] / "docs" / "boards.md").read_text()
    reasons = text.partition("## Boards without an emulator\n")[2].partition("\n## ")[0]
    left_out = sorted(set(board_names()) - run)
    assert len(left_out) <= 4
    assert all(f"`{name}`: " in reasons for name in left_out), left_out


@pytest.mark.parametrize(
    ("name", "emulator", "said", "others"),
    [
        ("nucleo-f446re", "qemu", "qemu cannot", ": mps2-an386, netduinoplus2, stm32f4-"),
        ("portenta-h7", "qemu", "qemu cannot", "by qemu: mps2-an500"),
        ("microbit", "unicorn", "unicorn cannot", "by unicorn: arduino-nano-rp2040"),
        ("mps2-an505", "unicorn", "unicorn cannot", "by unicorn: arduino-uno-q, b-u585i-iot02a"),
        ("mps3-an547", "unicorn", "unicorn cannot", "by unicorn: none"),
    ],
)
def test_a_board_that_no_emulator_has_names_those_of_its_core(
    name: str, emulator: EmulatorName | None, said: str, others: str
) -> None:
    with pytest.raises(ToolchainError, match=f"{said} stand in for '{name}'") as caught:
        require_emulator(load_board(name), emulator)
    assert others in caught.value.hint


def test_a_board_without_any_emulator_names_those_of_its_core() -> None:
    board = load_board("nucleo-f446re").model_copy(update={"name": "mine", "emulator": Emulator()})
    with pytest.raises(ToolchainError, match="no emulator can stand in for 'mine'") as caught:
        require_emulator(board)
    assert ", mps2-an386, netduinoplus2, nucleo-f303re" in caught.value.hint


class Probe:
    """Instructions whose effect and number are known, in the place of a model."""

    def __init__(self, client: Client, ticks_per_instruction: float) -> None:
        self._client = client
        self._ticks_per_instruction = ticks_per_instruction

    def run(self, kind: int, count: int = 0) -> tuple[int, float]:
        """The result, and how many instructions it took."""
        answer = self._client.infer(np.frombuffer(struct.pack("<II", kind, count), np.int8))
        result: int = struct.unpack("<i", answer.logits.tobytes())[0]
        return result, answer.ticks / self._ticks_per_instruction


@contextmanager
def probe(board: Board, compiler: CompilerName, folder: Path) -> Iterator[Probe]:
    require(available_compilers(), compiler)
    require(available_emulators(board), "qemu")
    here = Path(__file__).parent
    model = {f"model.{end}": (here / f"probe_model.{end}").read_text() for end in "ch"}
    files = harness_files(board) | model
    firmware = build_project(files, board, cross_compiler(board.core, compiler), folder / "out")
    with (
        open_emulator(board, firmware.elf, "qemu") as target,
        Client(target.port, board.uart.baud, timeout_s=0.2) as client,
    ):
        client.hello()
        assert target.ticks_per_instruction
        yield Probe(client, target.ticks_per_instruction)


@pytest.mark.parametrize("name", BOARDS)
def test_instructions_are_counted_one_by_one(name: str, tmp_path: Path) -> None:
    with probe(load_board(name), "gcc", tmp_path) as opened:
        _, empty = opened.run(LOOP, 1)
        for count in (2, 100, 12_345, 1_000_000):
            # SysTick may wrap during one of them, which its interrupt takes some for.
            counted = min(opened.run(LOOP, count)[1] for _ in range(2))
            assert abs(counted - empty - 2 * (count - 1)) <= 2, count


@pytest.mark.parametrize("compiler", COMPILERS)
@pytest.mark.parametrize("name", ["mps2-an386", "mps2-an500", "mps2-an505", "mps3-an547"])
def test_code_is_compiled_for_the_instructions_that_the_core_has(
    name: str, compiler: CompilerName, tmp_path: Path
) -> None:
    board = load_board(name)
    assert board.instruction_set.dsp
    with probe(board, compiler, tmp_path) as opened:
        assert opened.run(DSP)[0] == 3 * 5 + 2 * 7 + 1
        assert opened.run(MVE)[0] == (16 * -3 * 5 if board.instruction_set.mve else 0)


@pytest.mark.parametrize("name", ["microbit", "mps2-an385-m0", "mps2-an385"])
def test_only_the_code_of_a_cortex_m0_faults_at_unaligned_accesses(
    name: str, tmp_path: Path
) -> None:
    board = load_board(name)
    with probe(board, "gcc", tmp_path) as opened:
        if board.core == "cortex-m0":
            with pytest.raises(FirmwareFaultError, match="HardFault"):
                opened.run(UNALIGNED)
        else:
            assert opened.run(UNALIGNED, 5)[0] == 5 << 24
