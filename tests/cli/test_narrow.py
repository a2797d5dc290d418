"""On a narrow terminal nothing that people copy is cut or broken."""

from __future__ import annotations

import io
import os
import re
import struct
import subprocess
import sys

import pytest
from rich.console import Console, RenderableType
from rich.table import Table

from tinyedge.boards import board_names, load_board
from tinyedge.cli.narrow import Fitting
from tinyedge.cli.tables import memory_bars, place_text
from tinyedge.places import place_line

fcntl = pytest.importorskip("fcntl")
termios = pytest.importorskip("termios")

_STYLES = re.compile(r"\x1b\[[0-9;?]*[a-zA-Z]")


def on_terminal(columns: int, *arguments: str) -> str:
    """The text that a command prints on a real terminal, without its colours."""
    ours, theirs = os.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
    environment = {k: v for k, v in os.environ.items() if k not in ("COLUMNS", "LINES")}
    command = [sys.executable, "-m", "tinyedge", *arguments]
    printed = b""
    with subprocess.Popen(
        command, stdin=theirs, stdout=theirs, stderr=theirs, env=environment | {"TERM": "xterm"}
    ) as process:
        os.close(theirs)
        while True:
            try:
                chunk = os.read(ours, 65536)
            except OSError:  # the last of those that held the other end has gone
                break
            if not chunk:
                break
            printed += chunk
    os.close(ours)
    assert process.returncode == 0
    return _STYLES.sub("", printed.decode()).replace("\r\n", "\n")


@pytest.mark.parametrize("columns", [60, 80, 200])
def test_every_board_is_named_whole(columns: int) -> None:
    lines = on_terminal(columns, "boards", "list").splitlines()
    for name in board_names():
        board = load_board(name)
        for text in (name, board.title, board.mcu):
            assert any(text in line for line in lines), text
    assert any("│" in line for line in lines) is (columns == 200)


def printed(shown: RenderableType, columns: int) -> str:
    shown = Fitting(shown) if isinstance(shown, Table) else shown
    file = io.StringIO()
    Console(file=file, width=columns).print(shown, crop=False)
    return file.getvalue()


MEMORY = {
    "flash": {"total": 12345, "size": 1048576, "code": 6000, "weights": 6000, "other": 345},
    "ram": {"total": 9876, "size": 196608, "arena": 9000, "static": 76, "stack_peak": 800},
}
PLACE = {
    "board": "netduinoplus2",
    "emulator": "QEMU 7.2.17",
    "compiler": "gcc: arm-none-eabi-gcc (15:12.2.rel1-1) 12.2.1 20221205",
}


def test_bars_of_memory_go_on_below() -> None:
    wide = printed(memory_bars(MEMORY), 200).splitlines()
    assert [line.count("(") for line in wide] == [1, 1]
    narrow = printed(memory_bars(MEMORY), 80).splitlines()
    assert [line.strip()[0] for line in narrow] == ["F", "(", "R", "("]
    assert max(map(len, narrow)) <= 80
    assert " ".join(" ".join(narrow).split()) == " ".join(" ".join(wide).split())


def test_where_it_ran_goes_on_below() -> None:
    (place,) = place_text(PLACE)
    (line,) = printed(place, 200).splitlines()
    assert line == place_line(PLACE)
    narrow = printed(place, 80).splitlines()
    assert len(narrow) == 2
    assert max(map(len, narrow)) <= 80
    assert " ".join(part.strip() for part in narrow) == line
    assert place_text({"board": None, "emulator": None, "port": None}) == []


def test_a_row_becomes_a_block_with_its_headings() -> None:
    table = Table(title="A title", show_footer=True)
    table.add_column("layer", footer="total")
    table.add_column("bytes", justify="right", footer="9")
    table.add_column("kernel")
    name = "a_layer_with_a_name_longer_than_the_terminal_is_wide/conv2d"
    table.add_row(name, "4", "te_conv2d_lut_s8", style="bold red")
    table.add_row("second", "5", "")
    assert printed(table, 40).splitlines() == [
        "A title",
        name,
        "  bytes 4 | kernel te_conv2d_lut_s8",
        "second",
        "  bytes 5",
        "total",
        "  bytes 9",
    ]
    assert "│ second" in printed(table, 200)


def test_a_pipe_is_as_wide_as_columns_says() -> None:
    def widest(**columns: str) -> int:
        others = {name: value for name, value in os.environ.items() if name != "COLUMNS"}
        command = [sys.executable, "-m", "tinyedge", "boards", "list"]
        done = subprocess.run(
            command, env=others | columns, capture_output=True, text=True, check=True
        )
        assert "nucleo-f446re" in done.stdout
        return max(map(len, done.stdout.splitlines()))

    assert widest() > 80
    assert widest(COLUMNS="60") <= 60
