"""Ctrl-C and SIGTERM while long commands run: one line, exit code 130 or 143, and nothing left."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from tests.conftest import require
from tinyedge import demo
from tinyedge.boards import load_board
from tinyedge.exporters.converted import ConvertedModel
from tinyedge.targets import available_emulators

pytestmark = pytest.mark.emulator

ROOT = Path(__file__).parents[2]
TIMEOUT_S = 300
RUN = """
[data]
name = "digits"
limit = 256

[model]
name = "stq"
width = 0.05

[training]
epochs = 200
batch = 64
"""
PROGRAM = """
import importlib, os, signal, sys

module, _, name = sys.argv.pop(1).partition(":")
*path, last = name.split(".")
holder = importlib.import_module(module)
for part in path:
    holder = getattr(holder, part)
real = getattr(holder, last)

def interrupted(*arguments, **named):
    os.kill(os.getpid(), signal.SIGINT)
    return real(*arguments, **named)

setattr(holder, last, interrupted)
from tinyedge.__main__ import entry_point
entry_point()
"""
"""Ctrl-C falls as the function is called that the first argument names."""

COMMANDS = {
    "convert": ("convert", demo.MODEL, "-o", "new"),
    "build": ("build", "out", "-b", "netduinoplus2", "-o", "new"),
    "run": ("run", "out", "--on", "emulator", "--data", "samples.npz"),
    "emulate": ("emulate", "out", "--link", "new"),
    "attack": ("attack", demo.MODEL, "--attacks", "square", "--data", "samples.npz", "-o", "new"),
    "train": ("train", "run.toml", "-o", "run"),
}


@pytest.fixture
def folder(demo_model: ConvertedModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    require(available_emulators(load_board("netduinoplus2")), "qemu")
    shutil.copytree(demo_model.folder, tmp_path / "out")
    clean = demo.clean_suite()
    np.savez(tmp_path / "samples.npz", x=clean.inputs[:10], y=clean.labels[:10])
    (tmp_path / "run.toml").write_text(RUN)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def alive(session: int) -> list[str]:
    """Commands of the processes of a session that still run."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                name, _, rest = (entry / "stat").read_text().rpartition(")")
            except OSError:
                continue
            state, _, _, its_session, *_ = rest.split()
            if int(its_session) == session and state not in "ZX":
                found.append(name)
    return found


def ended_by(name: str, command: str, moment: str) -> tuple[subprocess.Popen[str], str, str]:
    """Runs a command that gets a signal at a moment; gives the process and what it said."""
    program = PROGRAM.replace("SIGINT", name)
    process = subprocess.Popen(
        [sys.executable, "-c", program, moment, *map(str, COMMANDS[command])],
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    return process, *process.communicate(timeout=TIMEOUT_S)


@pytest.mark.parametrize(
    ("command", "moment", "code"),
    [
        ("convert", "tinyedge.importers:import_model", 130),
        pytest.param("convert", "tinyedge.importers.lowering:lower", 130, marks=pytest.mark.slow),
        ("convert", "tinyedge.exporters.converted:export_tflite", 130),
        ("build", "tinyedge.firmware.project:compile_firmware", 130),
        ("build", "tinyedge.firmware.project:_flash_image", 130),
        ("run", "tinyedge.targets.qemu:start_emulator", 130),
        ("run", "tinyedge.link.client:Client.hello", 130),
        ("run", "tinyedge.link.journal:Journal.record", 130),
        ("emulate", "tinyedge.targets:require_emulator", 130),
        ("emulate", "tinyedge.commands.emulate:Emulation.wait", 0),  # how it is meant to end
        pytest.param(
            "attack",
            "tinyedge.attacks.float_craft:FloatCrafter.craft",
            130,
            marks=pytest.mark.slow,
        ),
        pytest.param("attack", "tinyedge.attacks.judgement:judge", 130, marks=pytest.mark.slow),
        ("train", "tinyedge.training.trainer:Trainer.epoch", 130),
    ],
)
def test_interruption(command: str, moment: str, code: int, folder: Path) -> None:
    process, out, err = ended_by("SIGINT", command, moment)
    assert process.returncode == code, err
    assert "Traceback" not in err
    errors = [line for line in err.splitlines() if line.startswith(("error: ", "hint: "))]
    assert errors == ["error: interrupted"] * (code == 130)
    assert (out == "") == (code == 130)
    assert alive(process.pid) == []
    assert not (folder / "new").is_symlink()
    written = (folder / "new").is_file()  # the suites, which are saved before they are judged
    assert written == (moment.endswith(":judge"))
    assert not list(folder.rglob(".*")), "what was written aside is removed"


@pytest.mark.parametrize(
    ("command", "moment"),
    [
        ("build", "tinyedge.firmware.project:_flash_image"),
        ("run", "tinyedge.link.client:Client.hello"),
        ("emulate", "tinyedge.targets:require_emulator"),
        ("emulate", "tinyedge.commands.emulate:Emulation.wait"),
    ],
)
def test_termination(command: str, moment: str, folder: Path) -> None:
    """SIGTERM ends work as Ctrl-C does, with another code."""
    process, out, err = ended_by("SIGTERM", command, moment)
    assert process.returncode == 143, err
    assert "Traceback" not in err
    assert err.splitlines()[-1] == "error: terminated"
    assert ("--resume goes on" in err) == (command == "run")
    assert (out == "") == (not moment.endswith(":Emulation.wait"))
    assert alive(process.pid) == []
    assert not (folder / "new").exists()
    assert not list(folder.rglob(".*")), "what was written aside is removed"


def test_ctrl_c_inside_the_exec_of_a_library_is_no_death_by_a_signal(tmp_path: Path) -> None:
    (tmp_path / "sitecustomize.py").write_text(
        "import tinyedge.cli.main as program\n"
        "def main():\n"
        "    try:\n"
        "        exec('raise KeyboardInterrupt')\n"
        "    except KeyboardInterrupt:\n"
        "        return 130\n"
        "program.main = main\n"
    )
    environment = os.environ | {"PYTHONPATH": os.pathsep.join((str(tmp_path), str(ROOT)))}
    command = [sys.executable, "-m", "tinyedge", "doctor"]
    assert subprocess.run(command, env=environment, check=False).returncode == 130
