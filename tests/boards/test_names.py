"""Texts of a board's description, which go into build files and commands."""

from __future__ import annotations

from pathlib import Path

import pytest

from tinyedge.boards import load_board
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
