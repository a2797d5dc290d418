from __future__ import annotations

import pytest

import tinyedge
from tests.cli.commands import run_json
from tests.commands.options import options, parameters
from tinyedge import errors
from tinyedge.exporters.converted import ConvertedModel


@pytest.mark.needs_tool
def test_the_function_gives_what_the_command_prints(
    demo_model: ConvertedModel, capsys: pytest.CaptureFixture[str]
) -> None:
    folder, board = demo_model.folder, "nucleo-f411re"
    how = ("--tool", "openocd", "--probe", "066B", "--dry-run")
    record = run_json(capsys, "flash", folder, "-b", board, *how)
    given = tinyedge.flash(folder, board=board, tool="openocd", probe="066B", dry_run=True)
    assert given | {"version": 1, "status": "ok"} == record
    assert (given["flashed"], given["verified"]) == (False, False)


def test_options_have_the_same_names(demo_model: ConvertedModel) -> None:
    assert parameters(tinyedge.flash) == options("flash")
    with pytest.raises(errors.UsageError, match="tool='hammer'"):
        tinyedge.flash(demo_model.folder, board="nucleo-f411re", tool="hammer")  # type: ignore[arg-type]
