from __future__ import annotations

import pytest

import tinyedge
from tests.cli.commands import run_json
from tests.commands.options import options, parameters

OK = {"version": 1, "status": "ok"}


def test_the_function_gives_what_the_command_prints(capsys: pytest.CaptureFixture[str]) -> None:
    assert tinyedge.doctor() | OK == run_json(capsys, "doctor")
    assert tinyedge.doctor(udev_rules=True) | OK == run_json(capsys, "doctor", "--udev-rules")
    assert parameters(tinyedge.doctor) == options("doctor")
