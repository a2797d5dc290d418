"""The wheel, away from the source tree."""

from __future__ import annotations

import json
import os
import shlex
import subprocess
import sys
import venv
import zipfile
from pathlib import Path

import numpy as np
import pytest

from tests.graph.random_graphs import RandomGraph
from tinyedge.graph import reference

pytestmark = pytest.mark.needs_tool

ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder that holds what the wheel installs."""
    folder = tmp_path_factory.mktemp("site")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(folder)
    return folder


def run(installed: Path, folder: Path, *arguments: str) -> str:
    environment = os.environ | {"PYTHONPATH": str(installed)}
    command = [sys.executable, "-m", "tinyedge", *arguments]
    result = subprocess.run(
        command, cwd=folder, env=environment, capture_output=True, text=True, check=False
    )
    assert result.returncode == 0, result.stderr
    return result.stdout


def test_wheel_brings_its_data_and_works_from_any_folder(installed: Path, tmp_path: Path) -> None:
    environment = os.environ | {"PYTHONPATH": str(installed)}
    where = subprocess.run(
        [sys.executable, "-c", "import tinyedge; print(tinyedge.__file__)"],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    assert where.startswith(str(installed))
    assert (installed / "tinyedge" / "_data" / "boards" / "netduinoplus2.toml").is_file()
    assert (installed / "tinyedge" / "demo" / "fashion_mnist_stq.h5").is_file()
    assert "netduinoplus2" in run(installed, tmp_path, "boards", "list")
    built = RandomGraph(5)
    built.graph.save(tmp_path / "graph.npz")
    samples = built.inputs(3)
    np.save(tmp_path / "x.npy", samples)
    run(installed, tmp_path, "convert", "graph.npz", "-o", "m")
    for place in ("twin", "emulator"):
        run(
            installed,
            tmp_path,
            "run",
            "m",
            "--on",
            place,
            "--data",
            "x.npy",
            "--logits",
            "y.npy",
        )
        assert np.array_equal(np.load(tmp_path / "y.npy"), reference.run(built.graph, samples))


def test_no_file_names_a_registry() -> None:
    """Dependencies are pinned by hashes, wherever they are fetched from."""
    result = subprocess.run(
        ["git", "grep", "-lE", r"(pypi|pythonhosted|registry\.npmjs|deb\.debian)\.(org|com)"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert [name for name in result.stdout.split() if name != "tests/test_wheel.py"] == []


def test_a_hint_followed_in_a_fresh_environment(tmp_path: Path, wheel: Path) -> None:
    """The command of a hint is run as it is printed, and the feature then works."""
    folder = tmp_path / "fresh"
    venv.create(folder, with_pip=True)
    python = folder / "bin" / "python"
    environment = {k: v for k, v in os.environ.items() if not k.startswith("PYTHON")}

    def run(*command: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False
        )

    installed = run(str(python), "-m", "pip", "install", "--quiet", str(wheel))
    assert installed.returncode == 0, installed.stderr
    doctor = run(str(python), "-m", "tinyedge", "doctor", "--json")
    assert doctor.returncode == 0, doctor.stderr
    checks = {check["name"]: check for check in json.loads(doctor.stdout)["checks"]}
    assert not checks["junitparser"]["found"]
    remedy = checks["junitparser"]["remedy"]
    assert remedy.endswith("'tinyedge-mcu[report]'")
    followed = run(*shlex.split(remedy))
    assert followed.returncode == 0, followed.stderr
    doctor = run(str(python), "-m", "tinyedge", "doctor", "--json")
    checks = {check["name"]: check for check in json.loads(doctor.stdout)["checks"]}
    assert checks["junitparser"]["found"]
