from __future__ import annotations

import pytest

import tinyedge
from tests.cli.commands import run_json
from tests.commands.options import options, parameters


def test_the_function_gives_what_the_command_prints(capsys: pytest.CaptureFixture[str]) -> None:
    record = run_json(capsys, "devices")
    assert tinyedge.devices() | {"version": 1, "status": "ok"} == record
    assert parameters(tinyedge.devices) == options("devices")
