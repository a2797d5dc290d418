"""Suites that a cluster crafts are those of one process, to the byte."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.attacks.test_oracle import linear_graph
from tests.cli.commands import failure, run_json
from tests.cluster.processes import ROOT
from tests.conftest import require_packages
from tinyedge import demo
from tinyedge.exporters.converted import ConvertedModel, write_converted
from tinyedge.graph import reference

require_packages("distributed")
pytestmark = pytest.mark.keras

SAMPLES = 120
WHO = {"answers", "cluster"}


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> ConvertedModel:
    folder = tmp_path_factory.mktemp("crafting")
    converted = write_converted(linear_graph(), folder / "model", "test")
    x = np.random.default_rng(8).random((SAMPLES, 6, 6, 1)).astype(np.float32)
    quantized = converted.graph.input_tensor.quantization.quantize(x)
    np.savez(folder / "data.npz", x=x, y=reference.run(converted.graph, quantized).argmax(axis=1))
    return converted


def attack(model: ConvertedModel, output: Path, *options: object) -> list[Any]:
    data = model.folder.parent / "data.npz"
    named = "pgd,square,noise"
    budgets = ["--iterations", 3, "--square-queries", 3, "--epsilon", "0.05,0.15"]
    arguments = ["attack", model.folder, "--on", "numpy", "--attacks", named, "--data", data]
    return [*arguments, *budgets, "-o", output, *options]


def test_suites_are_the_same_bytes(
    model: ConvertedModel, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    alone, shared = tmp_path / "alone" / "suites.npz", tmp_path / "shared" / "suites.npz"
    for file in (alone, shared):
        file.parent.mkdir()
    ours = run_json(capsys, *attack(model, alone))
    on = ("--cluster", "local:2", "--chunks", tmp_path / "chunks")
    theirs = run_json(capsys, *attack(model, shared, *on))
    assert shared.read_bytes() == alone.read_bytes()
    assert len(theirs["cluster"]["workers"]) == 2
    for record in (ours, theirs):
        record.pop("file")
    assert {key: value for key, value in theirs.items() if key not in WHO} == {
        key: value for key, value in ours.items() if key not in WHO
    }


def test_suites_of_a_float_model_are_the_same_bytes(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """White-box attacks in batches, one by queries as a whole; each way in processes of its own."""

    def command(name: str, *options: object) -> list[str]:
        (tmp_path / name).mkdir()
        budgets = ["--samples", 110, "--iterations", 2, "--square-queries", 3]
        named = ["--attacks", "fgsm,pgd,square", "-o", tmp_path / name / "suites.npz"]
        return [str(each) for each in ["attack", demo.MODEL, *named, *budgets, "--json", *options]]

    def printed(*arguments: str) -> dict[str, Any]:
        environment = os.environ | {"PYTHONPATH": str(ROOT)}
        program = [sys.executable, "-m", "tinyedge", *arguments]
        ended = subprocess.run(program, capture_output=True, check=False, env=environment)
        assert ended.returncode == 0, ended.stderr
        found: dict[str, Any] = json.loads(ended.stdout)
        found.pop("file")
        return found

    ours = printed(*command("alone"))
    on = ("--cluster", "local:2", "--chunks", tmp_path / "chunks")
    theirs = printed(*command("shared", *on))
    told = theirs.pop("cluster")
    assert (tmp_path / "shared/suites.npz").read_bytes() == (
        tmp_path / "alone/suites.npz"
    ).read_bytes()
    assert theirs == ours
    assert told["chunks_computed"] == 2 + 2 + 1
    given = ("attack", tmp_path, "-o", tmp_path / "s.npz", "--cluster", "local:2", "--resume")
    assert failure(capsys, 2, *given)["message"] == "--resume does not go with --cluster"
    ported = ("run", tmp_path, "--on", "board", "--cluster", "local:2", "-p", "/dev/ttyACM0")
    assert failure(capsys, 2, *ported)["message"] == "--port does not go with --cluster"
