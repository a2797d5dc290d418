"""``tinyedge run``: what becomes of samples with and without labels."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from tests.cli.commands import failure, run_json
from tinyedge import demo
from tinyedge.evaluation.suites import Suite, save_suites
from tinyedge.exporters.converted import ConvertedModel
from tinyedge.graph import reference


@pytest.fixture
def files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Suite:
    """Six samples of the demonstration: without labels, with labels, and as two suites."""
    monkeypatch.chdir(tmp_path)
    clean = demo.clean_suite().first(6)
    np.save("x.npy", clean.inputs)
    np.savez("bare.npz", inputs=clean.inputs)
    np.savez("labelled.npz", x=clean.inputs, y=clean.labels)
    darker = Suite("darker", clean.inputs / 2, clean.labels)
    save_suites(Path("suites.npz"), [clean, darker], {})
    return clean


def host_logits(model: ConvertedModel, suite: Suite, factor: float = 1) -> np.ndarray:
    quantized = model.graph.input_tensor.quantization.quantize(suite.inputs * factor)
    return reference.run(model.graph, quantized)


@pytest.mark.parametrize("name", ["x.npy", "bare.npz"])
def test_samples_without_labels_give_logits(
    name: str, files: Suite, demo_model: ConvertedModel, capsys: pytest.CaptureFixture[str]
) -> None:
    run = ("run", demo_model.folder, "--on", "numpy", "--data", name)
    record = run_json(capsys, *run, "--logits", "y.npy")
    assert (record["samples"], record["logits"], record["outputs"]) == (6, "y.npy", "y.npy")
    assert "suites" not in record
    assert np.array_equal(np.load("y.npy"), host_logits(demo_model, files))


def test_logits_of_labelled_samples_are_kept_beside_the_comparison(
    files: Suite, demo_model: ConvertedModel, capsys: pytest.CaptureFixture[str]
) -> None:
    run = ("run", demo_model.folder, "--on", "numpy")
    one = run_json(capsys, *run, "--data", "labelled.npz", "--logits", "y.npy")
    assert (one["logits"], len(one["suites"])) == ("y.npy", 1)
    own = host_logits(demo_model, files)
    assert np.array_equal(np.load("y.npy"), own)
    several = ("--data", "suites.npz", "--data", "labelled.npz")
    all_of_them = run_json(capsys, *run, *several, "--logits", "y.npy", "-o", "run.json")
    assert len(all_of_them["suites"]) == 3
    darker = host_logits(demo_model, files, 0.5)
    assert np.array_equal(np.load("y.npy"), np.concatenate([own, darker, own]))
    assert Path("run.json").exists()
    assert "logits" not in run_json(capsys, *run, "--data", "labelled.npz")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ((), "--data or --dataset"),
        (("--data", "labelled.npz", "--dataset", "digits"), "--data or --dataset"),
        (("--data", "x.npy"), "holds x, and no labels y"),
        (("--data", "bare.npz"), "no labels y"),
        (("--data", "x.npy", "--logits", "y.npy", "-o", "run.json"), "no labels"),
        (("--data", "labelled.npz", "--data", "x.npy", "--logits", "y.npy"), "x.npy holds no"),
        (("--data", "x.npy", "--data", "bare.npz", "--logits", "y.npy"), "no labels"),
    ],
)
@pytest.mark.usefixtures("files")
def test_samples_that_do_not_go_together_are_refused_before_the_run(
    arguments: tuple[str, ...],
    said: str,
    demo_model: ConvertedModel,
    capsys: pytest.CaptureFixture[str],
) -> None:
    error = failure(capsys, 2, "run", demo_model.folder, "--on", "numpy", *arguments)
    assert said in error["message"]
    assert not Path("y.npy").exists()


@pytest.mark.usefixtures("files")
def test_other_commands_take_the_first_suite_of_a_file(
    demo_model: ConvertedModel, capsys: pytest.CaptureFixture[str]
) -> None:
    check = ("check", demo_model.folder, "--with", "twin", "--data")
    suites, plain = (run_json(capsys, *check, name) for name in ("suites.npz", "labelled.npz"))
    assert suites["samples"] == plain["samples"] == 6
    assert suites["tensors"] == plain["tensors"]
