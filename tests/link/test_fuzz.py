"""The device's parser under garbage and damage, watched by sanitizers, and its coverage."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.conftest import require
from tests.draws import draws
from tests.link.native import SANITIZERS, compile_native, dense_model

pytestmark = pytest.mark.needs_tool

MAIN = Path(__file__).parent / "fuzz_frames.c"
EXECUTIONS = int(os.environ.get("TINYEDGE_FUZZ_EXECUTIONS", str(draws(10_000_000))))
"""All of them take some 20 seconds."""


@pytest.mark.parametrize("observe", [False, True])
def test_no_wrong_payload_is_accepted_and_nothing_is_undefined(
    tmp_path: Path, *, observe: bool
) -> None:
    program = compile_fuzz(tmp_path, *SANITIZERS, "-O2", observe=observe)
    command = [str(program), "1", str(EXECUTIONS)]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr
    assert result.stdout.startswith(f"{EXECUTIONS} executions")


def test_the_fuzzer_reaches_the_parser(tmp_path: Path) -> None:
    require([name for name in ("gcov",) if shutil.which(name)], "gcov")
    program = compile_fuzz(tmp_path, "-O0", "--coverage", observe=True)
    subprocess.run([str(program), "1", "20000"], cwd=program.parent, check=True, text=True)
    # The server's endless loop around what is fed here is never covered.
    for name, least in (("te_frame.c", 95), ("te_server.c", 94), ("te_observe.c", 100)):
        covered = coverage(program.parent, name)
        assert covered >= least, f"{name}: {covered} % of the lines"


def compile_fuzz(folder: Path, *flags: str, observe: bool) -> Path:
    model = dense_model(folder / "model", 40)
    return compile_native(
        model, folder / "fuzz", MAIN, flags=flags, without=("te_server.c",), observe=observe
    )


def coverage(folder: Path, name: str) -> float:
    """Percentage of a file's lines that were run."""
    for data in folder.glob("*.gcda"):
        command = ["gcov", "-n", str(data.name)]
        report = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=True)
        found = re.search(
            rf"File '(?:[^']*/)?{re.escape(name)}'\nLines executed:([\d.]+)%", report.stdout
        )
        if found:
            return float(found[1])
    raise AssertionError(f"no coverage of {name}")
