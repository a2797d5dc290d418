from __future__ import annotations

from pathlib import Path

import pytest

from tinyedge.boards import board_names, load_board
from tinyedge.boards.board import Mps2Board, Nrf51Board
from tinyedge.boards.cores import CORES
from tinyedge.errors import BoardError
from tinyedge.templates import data_folder


def toml_of(name: str) -> str:
    return (data_folder("boards") / f"{name}.toml").read_text()


GOOD = toml_of("netduinoplus2")


@pytest.mark.parametrize("name", board_names())
def test_every_board_is_valid_and_named_after_its_file(name: str) -> None:
    board = load_board(name)
    assert board.name == name
    assert board.flash.size > 0 < board.ram.size
    assert board.clock.sysclk_hz <= 168_000_000
    assert board.instruction_set.gcc == board.core
    qemu = board.emulator.qemu
    assert qemu
    assert qemu.systick_hz == board.clock.sysclk_hz


@pytest.mark.parametrize(
    ("name", "ticks"),
    [("netduinoplus2", 1.344), ("mps2-an386", 1.6), ("mps3-an547", 2.048), ("microbit", 1.024)],
)
def test_ticks_that_an_instruction_takes_in_qemu(name: str, ticks: float) -> None:
    qemu = load_board(name).emulator.qemu
    assert qemu
    assert qemu.ticks_per_instruction == pytest.approx(ticks)


def test_every_core_has_a_board() -> None:
    assert {load_board(name).core for name in board_names()} == set(CORES)


def test_cores_include_each_other() -> None:
    for core in CORES.values():
        assert core.thumb2 or not core.dsp
        assert core.dsp or not core.mve
    assert [core.name for core in CORES.values() if not core.thumb2] == ["cortex-m0"]


def test_registers_of_the_serial_ports() -> None:
    mps2, microbit = load_board("mps2-an386"), load_board("microbit")
    assert isinstance(mps2, Mps2Board)
    assert mps2.uart.divider == 54  # 25 MHz / 460800
    assert isinstance(microbit, Nrf51Board)
    assert microbit.uart.baudrate == 0x01D7E000  # the reference manual's value for 115200
    assert (microbit.uart.tx_pin, microbit.uart.rx_pin) == (24, 25)


@pytest.mark.parametrize(
    ("name", "old", "new", "key", "says"),
    [
        ("netduinoplus2", "[clock]", "[klock]", "klock", "not permitted"),
        ("netduinoplus2", 'family = "stm32f4"', 'family = "avr"', "family", "stm32f4"),
        ("netduinoplus2", "size = 1048576", 'size = "1 MB"', "memory.flash.size", "integer"),
        ("netduinoplus2", "size = 1048576", "size = -1", "memory.flash.size", "greater than 0"),
        ("netduinoplus2", "origin = 0x20000000", "origin = 0x08000000", "memory", "overlap"),
        ("netduinoplus2", "pll_n = 336", "pll_n = 300", "clock", "not sysclk_hz"),
        ("netduinoplus2", 'tx = "PC6"', 'tx = "C6"', "uart.tx", "pattern"),
        ("netduinoplus2", "schema = 1", "schema = 2", "schema", "1"),
        ("netduinoplus2", "[uart]", "[uart", "TOML", "line"),
        ("netduinoplus2", 'family = "stm32f4"\n', "", "family", "discriminator"),
        ("netduinoplus2", 'core = "cortex-m4"', 'core = "cortex-m7"', "core", "cortex-m4"),
        ("netduinoplus2", 'family = "stm32f4"', 'family = "mps2"', "clock.pll_m", "not permitted"),
        ("mps2-an386", 'core = "cortex-m4"', 'core = "cortex-m5"', "core", "cortex-m55"),
        ("mps2-an386", "[clock]", "[clock]\npll_m = 25", "clock.pll_m", "not permitted"),
        ("mps2-an386", "clock_hz = 25000000\n", "", "uart.clock_hz", "required"),
        ("mps2-an386", "baud = 460800", "baud = 3000000", "uart", "clock_hz / baud is 8"),
        ("mps2-an386", "base = 0x40004000", "base = 0x140004000", "uart.base", "less than"),
        ("mps2-an386", "icount_shift = 6", "icount_shift = 60", "emulator.qemu.icount", "10"),
        ("microbit", 'core = "cortex-m0"', 'core = "cortex-m4"', "core", "cortex-m0"),
        ("microbit", "sysclk_hz = 16000000", "sysclk_hz = 64000000", "clock.sysclk_hz", "16000000"),
        ("microbit", "base = 0x40002000", "base = 0x40004000", "uart.base", "1073750016"),
        ("microbit", 'tx = "P0.24"', 'tx = "P0.32"', "uart.tx", "pattern"),
        ("microbit", 'rx = "P0.25"', 'rx = "PA25"', "uart.rx", "pattern"),
    ],
)
def test_faults_are_named_with_file_and_key(
    name: str, old: str, new: str, key: str, says: str, tmp_path: Path
) -> None:
    good = toml_of(name)
    assert old in good
    path = tmp_path / "board.toml"
    path.write_text(good.replace(old, new))
    with pytest.raises(BoardError) as caught:
        load_board(str(path))
    message = str(caught.value)
    assert "board.toml" in message
    assert f" {key}" in message
    assert says in message


def test_all_faults_are_reported_at_once(tmp_path: Path) -> None:
    path = tmp_path / "board.toml"
    path.write_text(GOOD.replace("apb = 2", "apb = 3").replace("pll_q = 7", "pll_q = 99"))
    with pytest.raises(BoardError) as caught:
        load_board(str(path))
    assert "uart.apb" in str(caught.value)
    assert "clock.pll_q" in str(caught.value)


def test_unknown_board_suggests_a_known_one() -> None:
    with pytest.raises(BoardError) as caught:
        load_board("netduinoplus")
    assert "netduinoplus2" in caught.value.hint
