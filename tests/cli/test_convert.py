"""``convert`` for a board."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.cli.commands import failure, run_cli, run_json
from tests.link.native import dense_model


def test_a_board_s_core_chooses_the_kernels(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    graph = dense_model(tmp_path / "m", 24).folder / "graph.npz"
    convert = ("convert", graph, "-o", tmp_path / "n")
    of_board = run_json(capsys, *convert, "-b", "microbit")["model"]
    assert of_board["core"] == "cortex-m0"
    assert "--core cortex-m0" in of_board["command"]
    assert run_json(capsys, *convert)["model"]["core"] == "cortex-m4"
    both = failure(capsys, 2, *convert, "-b", "microbit", "--core", "cortex-m4")
    assert "--core and --board exclude each other" in both["message"]
    hls4ml = failure(capsys, 2, *convert, "-b", "netduinoplus2", "--to", "hls4ml")
    assert "--board" in hls4ml["message"]
    assert failure(capsys, 3, *convert, "-b", "nucleo")["code"] == "board"


@pytest.mark.needs_tool
def test_build_notes_kernels_of_another_core(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = dense_model(tmp_path / "m", 24).folder
    code, _, err = run_cli(capsys, "build", folder, "-b", "mps2-an385-m0")
    assert code == 0, err
    assert "kernels were made for cortex-m4; " in err
    code, _, err = run_cli(capsys, "build", folder, "-b", "mps2-an386")
    assert code == 0, err
    assert "kernels were made" not in err
