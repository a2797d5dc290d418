from __future__ import annotations

from pathlib import Path

import pytest

import tinyedge
from tests.cli.commands import run_json
from tests.graph.random_graphs import RandomGraph


def test_the_function_gives_what_the_command_prints(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    RandomGraph(5).graph.save(tmp_path / "graph.npz")
    record = run_json(capsys, "arena", tmp_path / "graph.npz")
    assert {**tinyedge.arena(tmp_path / "graph.npz"), "version": 1, "status": "ok"} == record
    assert record["tinyedge"]["bytes"] > 0
