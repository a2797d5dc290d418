"""Running commands in this process."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tinyedge.cli.main import main


def run_cli(capsys: pytest.CaptureFixture[str], *arguments: object) -> tuple[int, str, str]:
    code = main([str(argument) for argument in arguments])
    captured = capsys.readouterr()
    return code, captured.out, captured.err


def run_json(capsys: pytest.CaptureFixture[str], *arguments: object) -> dict[str, Any]:
    code, out, err = run_cli(capsys, *arguments, "--json")
    assert code == 0, err
    record = json.loads(out)
    assert record["version"] == 1
    assert record["status"] == "ok"
    return dict(record)


def failure(capsys: pytest.CaptureFixture[str], code: int, *arguments: object) -> dict[str, str]:
    """Runs a command that has to fail, plainly and with --json."""
    exit_code, out, err = run_cli(capsys, *arguments)
    assert exit_code == code, err
    assert out == ""
    lines = err.strip().splitlines()
    assert any(line.startswith("error: ") for line in lines), err
    assert "Traceback" not in err
    exit_code, out, _ = run_cli(capsys, *arguments, "--json")
    assert exit_code == code
    record = json.loads(out)
    assert record["status"] == "error"
    assert set(record["error"]) == {"code", "message", "hint"}
    assert record["error"]["hint"]
    return dict(record["error"])
