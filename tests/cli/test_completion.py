"""Shells offer words behind Tab, and help teaches."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import click
import pytest
from click.shell_completion import ShellComplete

from tests.cli.commands import failure, run_cli, run_json
from tests.conftest import require
from tests.docs.parsing import check_arguments, check_options
from tinyedge.boards import board_names
from tinyedge.cli.completion import SHELLS, VARIABLE
from tinyedge.cli.examples import EXAMPLES
from tinyedge.cli.main import COMMANDS, cli


def offered(*words: str) -> list[str]:
    """The words that are offered for the last one."""
    completer = ShellComplete(cli, {}, "tinyedge", VARIABLE)
    return [item.value for item in completer.get_completions(list(words[:-1]), words[-1])]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in ("model.h5", "model.tflite", "notes.txt", "board.toml", "samples.npz", ".hidden"):
        (tmp_path / name).touch()
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "graph.npz").touch()
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.usefixtures("folder")
def test_commands_choices_boards_attacks_and_files_are_offered() -> None:
    assert offered("conv") == ["convert"]
    assert set(offered("")) == set(COMMANDS)
    assert offered("boards", "sh") == ["show"]
    assert offered("run", "out", "--on", "emu") == ["emulator"]
    assert offered("build", "out", "-b", "") == board_names()
    assert offered("build", "out", "-b", "b") == [
        "b-l475e-iot01a",
        "b-u585i-iot02a",
        "blackpill-f411ce",
        "bluepill-f103c8",
        "board.toml",
    ]
    assert offered("boards", "show", "netduino") == ["netduinoplus2"]
    assert offered("attack", "m", "--attacks", "fgsm,tr") == [
        "fgsm,transfer-fgsm",
        "fgsm,transfer-pgd",
    ]
    assert "fgsm,fgsm" not in offered("attack", "m", "--attacks", "fgsm,f")
    assert offered("run", "out", "--dataset", "ci") == ["cifar10"]
    assert offered("convert", "") == ["model.h5", "model.tflite", "out/", "samples.npz"]
    assert offered("convert", "out/") == ["out/graph.npz"]
    assert offered("run", "out", "--data", "s") == ["samples.npz"]
    assert "--calibration" in offered("convert", "--c")


def test_completion_is_quick() -> None:
    """Nothing heavy is imported while a user waits behind Tab."""
    script = (
        "import atexit, os, sys\n"
        "heavy = {'numpy', 'rich', 'tensorflow', 'pydantic', 'serial', 'jinja2'}\n"
        "def check():\n"
        "    if heavy & set(sys.modules): os._exit(7)\n"
        "atexit.register(check)\n"
        "from tinyedge.cli.main import main\n"
        "sys.exit(main([]))\n"
    )
    for words, expected in (
        ("tinyedge build out -b net", "netduinoplus2"),
        ("tinyedge attack m --attacks fg", "fgsm"),
    ):
        environment = os.environ | {
            VARIABLE: "bash_complete",
            "COMP_WORDS": words,
            "COMP_CWORD": str(words.count(" ")),
        }
        command = [sys.executable, "-c", script]
        result = subprocess.run(
            command, env=environment, capture_output=True, text=True, check=False
        )
        assert result.returncode == 0, result.stderr
        assert expected in result.stdout


def test_bash_completes(folder: Path) -> None:
    """The script in bash itself, as Tab calls it."""
    tool = folder / "bin" / "tinyedge"
    tool.parent.mkdir()
    tool.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m tinyedge "$@"\n')
    tool.chmod(0o755)
    script = """
eval "$(tinyedge completion bash)"
compopt() { echo "option $2"; }
ask() {
    COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); COMPREPLY=()
    _tinyedge_completion tinyedge; echo "${COMPREPLY[*]}"
}
complete -p tinyedge
ask tinyedge build out -b netd
ask tinyedge convert o
ask tinyedge run ''
"""
    root = Path(__file__).parents[2]
    environment = os.environ | {
        "PATH": f"{tool.parent}{os.pathsep}{os.environ['PATH']}",
        "PYTHONPATH": str(root),
    }
    result = subprocess.run(
        ["bash", "-euc", script], env=environment, capture_output=True, text=True, check=False
    )
    assert result.returncode == 0, result.stderr
    assert result.stdout.splitlines() == [
        "complete -o nosort -F _tinyedge_completion tinyedge",
        "netduinoplus2",
        "option nospace",
        "out/",
        "option dirnames",
        "",
    ]


@pytest.mark.parametrize("shell", SHELLS)
def test_every_shell_has_its_script(shell: str, capsys: pytest.CaptureFixture[str]) -> None:
    code, script, _ = run_cli(capsys, "completion", shell)
    assert code == 0
    assert f"{VARIABLE}={shell}_complete" in script
    assert run_json(capsys, "completion", shell)["script"].strip() == script.strip()
    if shell == "bash":
        require(["bash"], "bash")
        subprocess.run(["bash", "-n"], input=script, text=True, check=True)


def test_help_teaches(capsys: pytest.CaptureFixture[str]) -> None:
    assert set(EXAMPLES) == set(COMMANDS), "every command has an example, and the next step"
    for name, example in EXAMPLES.items():
        _, shown, _ = run_cli(capsys, name, "--help")
        for line in example.lines:
            assert f"    {line}\n" in shown
            if line.startswith("tinyedge "):
                check_arguments(line.partition(" > ")[0].split()[1:])
        assert f"Next:\n    {example.after}\n" in shown
        if example.after.startswith("tinyedge "):
            check_options(example.after.partition(", ")[0].split()[1:])
        command = cli.get_command(click.Context(cli), name)
        assert command
        purpose = (command.help or "").split("\n\n")[0]
        assert purpose.endswith(".")


def test_what_was_meant_is_said(capsys: pytest.CaptureFixture[str]) -> None:
    for arguments, meant in (
        (("biuld",), "build"),
        (("boards", "lst"), "list"),
        (("run", "out", "--on", "emulatr"), "emulator"),
        (("convert", "m", "-o", "o", "--optimize", "sped"), "speed"),
    ):
        assert f"did you mean '{meant}'?" in failure(capsys, 2, *arguments)["hint"]
    assert failure(capsys, 2, "frobnicate")["hint"].startswith("known: ")
