from __future__ import annotations

from pathlib import Path

import pytest

import tinyedge
from tests.cli.commands import failure, run_cli, run_json
from tests.commands.options import options, parameters
from tests.conftest import require
from tests.link.native import dense_model
from tinyedge.errors import BoardError
from tinyedge.toolchains.compilers import available_compilers

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
    assert parameters(tinyedge.fit_boards) == options("boards fit")
    assert parameters(tinyedge.validate_boards) == options("boards validate")


@pytest.mark.needs_tool
def test_boards_that_hold_a_model_are_found(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Each is built for with its own core's kernels; a board that is too small says by how much."""
    require(available_compilers(), "gcc")
    folder = tmp_path / "model"
    dense_model(folder, 20_000)
    asked = ("nucleo-f446re", "microbit")
    record = run_json(capsys, "boards", "fit", folder, *[o for n in asked for o in ("-b", n)])
    assert tinyedge.fit_boards(folder, board=asked) | OK == record
    large, small = record["boards"]
    assert large["fits"]
    built = run_json(capsys, "build", folder, "-b", "nucleo-f446re")
    assert large["flash"]["used"] == built["memory"]["flash"]["total"]
    assert large["ram"]["used"] == built["memory"]["ram"]["total"]
    assert not small["fits"]
    assert "more than the board's 16,384" in small["reason"]
    assert small["ram"] == {"used": None, "size": 16384}
    code, out, err = run_cli(capsys, "boards", "fit", folder, "-b", "microbit")
    assert code == 4
    assert "does not fit microbit" in err
    assert "more than the board's 16,384" in out
    dense_model(tmp_path / "tiny", 20)
    found = tinyedge.fit_boards(tmp_path / "tiny", board="arduino-mega2560", compiler="zig")
    (unbuilt,) = found["boards"]
    assert unbuilt["fits"] is None
    assert "zig" in unbuilt["reason"]
    zig = ("-b", "arduino-mega2560", "--compiler", "zig")
    assert run_cli(capsys, "boards", "fit", tmp_path / "tiny", *zig)[0] == 5
