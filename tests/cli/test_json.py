"""--json, on every command there is, where it succeeds and where it fails."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import click
import numpy as np
import pytest

from tests.cli.commands import run_cli
from tinyedge import demo
from tinyedge.cli.main import cli
from tinyedge.exporters.converted import ConvertedModel

pytestmark = pytest.mark.needs_tool

SUCCESSES = {
    "arena": ("out/model.tflite",),
    "boards fit": ("out", "-b", "netduinoplus2"),
    "boards list": (),
    "boards show": ("netduinoplus2",),
    "boards validate": ("netduinoplus2",),
    "build": ("out", "-b", "netduinoplus2"),
    "check": ("out", "--with", "twin", "--samples", "2"),
    "completion": ("bash",),
    "convert": ("out", "-o", "again"),
    "devices": (),
    "doctor": (),
    "export --format arduino": ("out", "-o", "library"),
    "export --format c": ("out", "-o", "library"),
    "flash": ("out", "-b", "netduinoplus2", "--dry-run"),
    "footprint": ("out", "-b", "netduinoplus2"),
    "run": ("out", "--on", "twin", "--data", "samples.npz"),
}
ELSEWHERE = {
    "attack",
    "bundle",
    "demo",
    "emulate",
    "gate",
    "monitor",
    "quantize",
    "report",
    "resources",
    "selftest",
    "sweep",
    "train",
    "verify",
}
"""Their success takes long, and is tested beside what they do."""


def commands(command: click.Command = cli, *before: str) -> Iterator[str]:
    if not isinstance(command, click.Group):
        yield " ".join(before)
        return
    context = click.Context(command)
    for name in command.list_commands(context):
        found = command.get_command(context, name)
        assert found
        yield from commands(found, *before, name)


def test_every_command_is_here() -> None:
    assert set(commands()) == {each.partition(" --")[0] for each in SUCCESSES} | ELSEWHERE


@pytest.mark.parametrize("command", commands())
@pytest.mark.parametrize("form", ["--json {} --no-such-option", "{} --no-such-option --json"])
def test_a_failure_is_one_object(
    command: str, form: str, capsys: pytest.CaptureFixture[str]
) -> None:
    code, out, err = run_cli(capsys, *form.format(command).split())
    record = json.loads(out)
    assert code == 2
    assert record.keys() == {"version", "status", "error"}
    assert (record["version"], record["status"]) == (1, "error")
    assert record["error"].keys() == {"code", "message", "hint"}
    assert record["error"]["code"] == "usage"
    assert err.startswith("error: ")


@pytest.mark.parametrize("command", SUCCESSES)
def test_a_success_is_one_object(
    command: str,
    demo_model: ConvertedModel,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    shutil.copytree(demo_model.folder, tmp_path / "out")
    clean = demo.clean_suite()
    np.savez(tmp_path / "samples.npz", x=clean.inputs[:2], y=clean.labels[:2])
    monkeypatch.chdir(tmp_path)
    code, out, err = run_cli(capsys, *command.split(), *SUCCESSES[command], "--json")
    assert code == 0, err
    record = json.loads(out)
    assert (record["version"], record["status"]) == (1, "ok")
    assert len(record) > 2
    assert "\x1b" not in out + err, "no colours where there is no terminal"
