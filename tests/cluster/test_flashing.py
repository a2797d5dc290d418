"""Firmware is built once, where the command runs, and written once, where the board is."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.cli.commands import run_json
from tests.cluster.processes import Processes
from tests.conftest import require, require_packages
from tests.link.native import BOARD, dense_model, random_samples
from tests.targets.lab import EmulatedBoard
from tinyedge.exporters.converted import ConvertedModel
from tinyedge.graph import reference
from tinyedge.targets import available_emulators

require_packages("distributed")
pytestmark = [pytest.mark.needs_tool, pytest.mark.emulator]

_DFU_UTIL = """#!{python}
import pathlib
import sys
import urllib.request

given = sys.argv[1:]
board = given[given.index("-S") + 1]  # named by the TCP port at which it is written and switched
flash = pathlib.Path({folder!r}, board)


def put(path, body):
    url = f"http://127.0.0.1:{{board}}{{path}}"
    urllib.request.urlopen(urllib.request.Request(url, body, method="PUT"), timeout=60).read()


if "-D" in given:
    image = given[given.index("-D") + 1]
    flash.write_bytes(pathlib.Path(image).read_bytes())
    put("/flash", image.encode())
else:
    back = pathlib.Path(given[given.index("-U") + 1])
    with back.open("xb") as file:
        file.write(flash.read_bytes())
    put("/power", b"0")
    put("/power", b"1")
"""


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> ConvertedModel:
    folder = tmp_path_factory.mktemp("flashing")
    model = dense_model(folder / "model", 16)
    x = random_samples(model, 24)
    np.savez(folder / "y.npz", x=x, y=reference.run(model.graph, x).argmax(axis=1))
    return model


@pytest.fixture(scope="module")
def boards() -> Iterator[list[EmulatedBoard]]:
    require(available_emulators(BOARD), "qemu")
    with EmulatedBoard(BOARD, "socket") as one, EmulatedBoard(BOARD, "socket") as other:
        yield [one, other]


@pytest.fixture(scope="module")
def processes(
    boards: list[EmulatedBoard], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Processes]:
    """A worker with both boards, and a tool that writes them."""
    folder = tmp_path_factory.mktemp("processes")
    tools, flash = folder / "bin", folder / "flash"
    tools.mkdir()
    flash.mkdir()
    (tools / "dfu-util").write_text(_DFU_UTIL.format(python=sys.executable, folder=str(flash)))
    (tools / "dfu-util").chmod(0o755)
    started = Processes(folder)
    declared = [f"socket://127.0.0.1:{each.serial}@{each.http}" for each in boards]
    path = f"{tools}{os.pathsep}{os.environ['PATH']}"
    started.start_worker_with(BOARD.name, declared, PATH=path)
    yield started
    started.stop()


def test_boards_are_written_by_their_worker_once(
    processes: Processes,
    boards: list[EmulatedBoard],
    model: ConvertedModel,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    data = ("--data", model.folder.parent / "y.npz")
    where = ("--on", "board", "-b", BOARD.name, "--flash", "--cluster", processes.address)

    def run(chunks: str) -> dict[str, Any]:
        return run_json(capsys, "run", model.folder, *where, *data, "--chunks", tmp_path / chunks)

    record = run("one")
    assert record["suites"][0]["mismatched_logits"] == 0
    assert [each.flashed for each in boards] == [1, 1]
    assert record["cluster"]["chunks_computed"] >= 24
    again = run("two")  # they hold it
    assert [each.flashed for each in boards] == [1, 1]
    assert again["firmware"] == record["firmware"]


@pytest.mark.keras  # ART loads it
@pytest.mark.slow
def test_an_attack_asks_boards_of_workers(
    processes: Processes,
    boards: list[EmulatedBoard],
    model: ConvertedModel,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    data = ("--data", model.folder.parent / "y.npz", "--samples", 12)
    attack = ("attack", model.folder, "--attacks", "square", "--square-queries", 3, *data)
    where = ("--on", "board", "-b", BOARD.name)
    there, here = tmp_path / "there" / "suites.npz", tmp_path / "here" / "suites.npz"
    for file in (there, here):
        file.parent.mkdir()
    on = ("--flash", "--cluster", processes.address, "--chunks", tmp_path / "chunks")
    theirs = run_json(capsys, *attack, *where, *on, "-o", there)
    flashed = [each.flashed for each in boards]
    port = f"socket://127.0.0.1:{boards[0].serial}"
    ours = run_json(capsys, *attack, *where, "-p", port, "-o", here)
    assert there.read_bytes() == here.read_bytes()
    assert theirs["suites"] == ours["suites"]
    assert [each.flashed for each in boards] == flashed
