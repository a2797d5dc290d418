from __future__ import annotations

import json
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import tinyedge
from tests.conftest import require
from tinyedge.boards import load_board
from tinyedge.errors import ToolchainError
from tinyedge.exporters.converted import ConvertedModel
from tinyedge.targets import available_emulators
from tinyedge.toolchains.compilers import available_compilers

pytestmark = pytest.mark.emulator
BOARD = "netduinoplus2"


@pytest.fixture(autouse=True)
def _tools() -> None:
    require(available_compilers(), "gcc")
    require(available_emulators(load_board(BOARD)), "qemu")


def test_the_function_gives_what_the_command_prints(
    demo_model: ConvertedModel, tmp_path: Path
) -> None:
    link = tmp_path / "port"
    command = ["emulate", str(demo_model.folder), "-b", BOARD, "--link", str(link), "--json"]
    with subprocess.Popen(
        [sys.executable, "-m", "tinyedge", *command], stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout
        printed = json.loads(process.stdout.readline())
        process.send_signal(signal.SIGINT)
        assert process.wait(60) == 0
    assert not link.is_symlink()
    with tinyedge.emulate(demo_model.folder, board=BOARD, link=link) as emulation:
        assert link.readlink() == Path(emulation.port)
        apart = {"version": 1, "status": "ok", "port": emulation.port}
        assert emulation.record | apart == printed | apart
        samples = np.zeros((2, *demo_model.graph.input_tensor.shape), np.float32)
        found = tinyedge.load(demo_model.folder).build(BOARD).run(samples, "board", port=str(link))
        assert found.mismatches == 0
    assert not link.is_symlink()


def test_an_emulator_that_ends_is_named(demo_model: ConvertedModel) -> None:
    with tinyedge.emulate(demo_model.folder, board=BOARD) as emulation:
        emulation._line.shutdown(2)
        with pytest.raises(ToolchainError, match="qemu has ended"):
            emulation.wait()
