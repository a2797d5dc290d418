from __future__ import annotations

from pathlib import Path

import pytest

from tinyedge.boards import board_names, load_board
from tinyedge.errors import BoardError
from tinyedge.templates import data_folder

GOOD = (data_folder("boards") / "netduinoplus2.toml").read_text()


@pytest.mark.parametrize("name", board_names())
def test_every_board_is_valid_and_named_after_its_file(name: str) -> None:
    board = load_board(name)
    assert board.name == name
    assert board.flash.size > 0 < board.ram.size
    assert board.clock.sysclk_hz <= 168_000_000


def test_qemu_tick_of_netduinoplus2() -> None:
    qemu = load_board("netduinoplus2").emulator.qemu
    assert qemu
    assert qemu.ticks_per_instruction == pytest.approx(1.344)


@pytest.mark.parametrize(
    ("old", "new", "key", "says"),
    [
        ("[clock]", "[klock]", "klock", "not permitted"),
        ('family = "stm32f4"', 'family = "avr"', "family", "stm32f4"),
        ("size = 1048576", 'size = "1 MB"', "memory.flash.size", "integer"),
        ("size = 1048576", "size = -1", "memory.flash.size", "greater than 0"),
        ("origin = 0x20000000", "origin = 0x08000000", "memory", "overlap"),
        ("pll_n = 336", "pll_n = 300", "clock", "not sysclk_hz"),
        ('tx = "PC6"', 'tx = "C6"', "uart.tx", "pattern"),
        ("schema = 1", "schema = 2", "schema", "1"),
        ("[uart]", "[uart", "TOML", "line"),
    ],
)
def test_faults_are_named_with_file_and_key(
    old: str, new: str, key: str, says: str, tmp_path: Path
) -> None:
    assert old in GOOD
    path = tmp_path / "board.toml"
    path.write_text(GOOD.replace(old, new))
    with pytest.raises(BoardError) as caught:
        load_board(str(path))
    message = str(caught.value)
    assert "board.toml" in message
    assert key in message
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
