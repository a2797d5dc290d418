from __future__ import annotations

from pathlib import Path

import pytest

from tests.conftest import require
from tests.graph.random_graphs import RandomGraph
from tinyedge.boards import board_names, load_board
from tinyedge.boards.cores import CORES
from tinyedge.boards.families.mps2 import Mps2Board
from tinyedge.boards.families.nrf5 import Nrf51Board, Nrf52Board
from tinyedge.errors import BoardError
from tinyedge.exporters.converted import write_converted
from tinyedge.firmware.project import build_firmware
from tinyedge.names import COMPILERS, EMULATORS, CompilerName
from tinyedge.toolchains.compilers import available_compilers


@pytest.mark.parametrize("name", board_names())
def test_every_board_is_valid_and_named_after_its_file(name: str) -> None:
    board = load_board(name)
    assert board.name == name
    assert board.flash.size > 0 < board.ram.size
    assert board.instruction_set.gcc == board.core
    qemu = board.emulator.qemu
    assert not qemu or qemu.systick_hz == board.clock.sysclk_hz


@pytest.mark.parametrize(
    ("name", "ticks"),
    [("netduinoplus2", 1.344), ("mps2-an386", 1.6), ("mps3-an547", 2.048), ("microbit", 1.024)],
)
def test_ticks_that_an_instruction_takes_in_qemu(name: str, ticks: float) -> None:
    qemu = load_board(name).emulator.qemu
    assert qemu
    assert qemu.ticks_per_instruction == pytest.approx(ticks)


def test_every_core_has_a_board_that_is_emulated() -> None:
    boards = [load_board(name) for name in board_names()]
    emulated = [board for board in boards if board.emulator.qemu or board.emulator.simavr]
    assert {board.core for board in emulated} == set(CORES)


@pytest.mark.parametrize("name", board_names())
def test_every_board_has_an_emulator_of_its_own(name: str) -> None:
    """It runs the board's unchanged image: tests/targets do so with each of them."""
    board = load_board(name)
    assert [each for each in EMULATORS if getattr(board.emulator, each)]


def test_cores_include_each_other() -> None:
    for core in CORES.values():
        assert core.thumb2 or not core.dsp
        assert core.dsp or not core.mve
    assert [core.name for core in CORES.values() if not core.thumb2] == ["cortex-m0", "avr"]


def test_registers_of_the_serial_ports() -> None:
    mps2, microbit = load_board("mps2-an386"), load_board("microbit")
    assert isinstance(mps2, Mps2Board)
    assert mps2.uart.divider == 54  # 25 MHz / 460800
    assert isinstance(microbit, Nrf51Board)
    assert microbit.uart.baudrate == 0x01D7E000  # the reference manual's value for 115200
    assert (microbit.uart.tx_pin, microbit.uart.rx_pin) == (24, 25)
    nano = load_board("arduino-nano-33-ble")
    assert isinstance(nano, Nrf52Board)
    assert nano.uart.baudrate == 0x10000000  # the product specification's value for 1000000
    assert (nano.uart.tx_pin, nano.uart.rx_pin) == (32 + 3, 32 + 10)


def test_unknown_board_suggests_a_known_one() -> None:
    with pytest.raises(BoardError) as caught:
        load_board("netduinoplus")
    assert "netduinoplus2" in caught.value.hint


@pytest.mark.parametrize("compiler", COMPILERS)
def test_the_board_that_the_documentation_adds(compiler: CompilerName, tmp_path: Path) -> None:
    require(available_compilers(), compiler)
    text = (Path(__file__).parents[2] / "docs" / "boards.md").read_text()
    example = text.split("```toml\n")[1].split("```")[0]
    (tmp_path / "blackpill-f401cc.toml").write_text(example)
    board = load_board(str(tmp_path / "blackpill-f401cc.toml"))
    assert board.name not in board_names()
    model = write_converted(RandomGraph(1).graph, tmp_path / "m", "test")
    firmware = build_firmware(model, board, compiler)
    assert firmware.footprint.flash < board.flash.size


def test_the_documentation_lists_every_board() -> None:
    text = (Path(__file__).parents[2] / "docs" / "boards.md").read_text()
    table = [line for line in text.splitlines() if line.startswith("| `")][: len(board_names())]
    assert sorted(line.split("`")[1] for line in table) == board_names()
