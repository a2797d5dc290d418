from __future__ import annotations

from pathlib import Path

import pytest

import tinyedge
from tests.cli.commands import failure, run_json
from tests.commands.options import options, parameters
from tinyedge.errors import BoardError

OK = {"version": 1, "status": "ok"}


def test_the_functions_give_what_the_commands_print(capsys: pytest.CaptureFixture[str]) -> None:
    assert tinyedge.list_boards() | OK == run_json(capsys, "boards", "list")
    shown = run_json(capsys, "boards", "show", "nucleo-f411re")
    assert tinyedge.show_board("nucleo-f411re") | OK == shown
    names = ["netduinoplus2", "nucleo-f411re"]
    assert tinyedge.validate_boards(names) | OK == run_json(capsys, "boards", "validate", *names)
    assert tinyedge.validate_boards("netduinoplus2") == {"valid": ["netduinoplus2"]}


def test_each_fault_is_named_by_both(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    wrong = tmp_path / "wrong.toml"
    wrong.write_text("name = 3\n")
    error = failure(capsys, 3, "boards", "validate", wrong, "nowhere")
    with pytest.raises(BoardError) as raised:
        tinyedge.validate_boards([wrong, "nowhere"])
    assert error["hint"] == raised.value.hint
    assert str(wrong) in error["message"]
    assert "nowhere" in error["message"]


def test_options_have_the_same_names() -> None:
    assert parameters(tinyedge.list_boards) == options("boards list")
    assert parameters(tinyedge.show_board) == options("boards show")
    assert parameters(tinyedge.validate_boards) == options("boards validate")
