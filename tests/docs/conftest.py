"""The folder in which a page's commands run, and its files."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest

from tests.docs.pages import ROOT
from tinyedge import demo
from tinyedge.attacks import AttackSettings
from tinyedge.attacks.suites import craft_suites
from tinyedge.cli.output import Output
from tinyedge.evaluation.suites import Suite, save_suites
from tinyedge.exporters.converted import ConvertedModel

RUN = """
[data]
name = "digits"
limit = 256

[model]
name = "stq"
width = 0.05

[training]
epochs = 1
batch = 64
"""


@pytest.fixture(scope="session")
def prepared(tmp_path_factory: pytest.TempPathFactory, demo_model: ConvertedModel) -> Path:
    """The files that pages take as given; ``docs/architecture.md`` lists them."""
    folder = tmp_path_factory.mktemp("docs")
    clean = demo.clean_suite()
    shutil.copy(demo.MODEL, folder / "model.h5")
    shutil.copytree(demo_model.folder, folder / "out")
    shutil.copy(demo_model.tflite, folder / "model_int8.tflite")
    data = folder / "tests" / "data"
    data.mkdir(parents=True)
    for name in ("digits_ternary.npz", "runtime_mobilenet.onnx"):
        shutil.copy(ROOT / "tests" / "data" / name, data)
    shutil.copy(ROOT / "tests" / "data" / "brevitas_qonnx.onnx", folder)
    keywords = Path("experiments") / "speech_commands" / "stq"
    (folder / keywords).mkdir(parents=True)
    shutil.copy(ROOT / keywords / "model.h5", folder / keywords)
    np.savez(folder / "samples.npz", x=clean.inputs[:5], y=clean.labels[:5])
    np.save(folder / "x.npy", clean.inputs[:20])
    quiet = Output(verbosity=-1).progress
    few = Suite("clean", clean.inputs[:5], clean.labels[:5])
    settings = AttackSettings(epsilon=8 / 255)
    crafted = craft_suites(demo.MODEL, few, ("fgsm", "pgd"), settings, 5, quiet)
    save_suites(folder / "suites.npz", crafted, {"file": "model.h5"})
    (folder / "run.toml").write_text(RUN)
    return folder


@pytest.fixture
def workplace(prepared: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working directory that holds a copy of them."""
    shutil.copytree(prepared, tmp_path, dirs_exist_ok=True)
    monkeypatch.chdir(tmp_path)
    return tmp_path
