"""Texts of a board's description, which go into build files and commands."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest

from tinyedge.boards import board_names, load_board
from tinyedge.boards.loading import _called
from tinyedge.errors import BoardError
from tinyedge.templates import data_folder


@pytest.mark.parametrize(
    ("key", "text"),
    [
        ("title", "a board\\nexecute_process(COMMAND touch canary)"),
        ("mcu", "\\u001b[2J"),
        ("platformio.board", "x\\nextra_scripts = canary.py"),
        ("flash_tool.openocd.config", "board/x.cfg\\u0000"),
    ],
)
def test_a_text_with_what_is_not_seen_is_refused(key: str, text: str, tmp_path: Path) -> None:
    section, _, name = key.rpartition(".")
    lines = (data_folder("boards") / "nucleo-f446re.toml").read_text().splitlines()
    start = lines.index(f"[{section}]") if section else 0
    at = next(i for i in range(start, len(lines)) if lines[i].startswith(f"{name} ="))
    lines[at] = f'{name} = "{text}"'
    path = tmp_path / "nucleo-f446re.toml"
    path.write_text("\n".join(lines))
    with pytest.raises(BoardError, match=rf"nucleo-f446re\.toml: {key} is .*U\+00"):
        load_board(str(path))


@pytest.mark.parametrize(
    ("called", "name"),
    [
        ("uno", "arduino-uno"),
        ("arduino:avr:mega", "arduino-mega2560"),
        ("nucleo_f446re", "nucleo-f446re"),
        ("bluepill_f103c8", "bluepill-f103c8"),
        ("pico", "raspberry-pi-pico"),
        ("nucleo_h563zi", "nucleo-h563zi"),
        ("nucleo_u575zi_q", "nucleo-u575zi-q"),
        ("disco_b_u585i_iot02a", "b-u585i-iot02a"),
        ("unoq", "arduino-uno-q"),
        ("arduino:zephyr:unoq", "arduino-uno-q"),
        ("rpipico2", "raspberry-pi-pico-2"),
        ("rp2040:rp2040:rpipico2", "raspberry-pi-pico-2"),
    ],
)
def test_a_board_is_found_by_what_platformio_and_arduino_call_it(called: str, name: str) -> None:
    assert load_board(called).name == name


@pytest.mark.parametrize(
    ("wrong", "meant"),
    [
        ("nucleo_f446", "nucleo-f446re"),
        ("NUCLEO-F446RE", "nucleo-f446re"),
        ("arduino:avr:uni", "arduino-uno"),
        ("nucleo-g431", "nucleo-g431rb"),
        ("stm32f303", "nucleo-f303re"),
    ],
)
def test_a_name_that_is_nearly_one_is_answered_by_it(wrong: str, meant: str) -> None:
    with pytest.raises(BoardError, match=f"unknown board '{wrong}'") as caught:
        load_board(wrong)
    assert f"did you mean '{meant}'?" in caught.value.hint


def test_no_two_boards_are_called_the_same() -> None:
    names = [name for own in board_names() for name in {own} | _called(_described(own))]
    assert len(names) == len(set(names))


def _described(name: str) -> dict[str, object]:
    return tomllib.loads((data_folder("boards") / f"{name}.toml").read_text())
