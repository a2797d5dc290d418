from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.cli.commands import failure, run_json
from tinyedge.cli.output import Output
from tinyedge.datasets import load
from tinyedge.errors import ConfigError, UsageError
from tinyedge.keras.environment import tensorflow as tf
from tinyedge.keras.load import load_keras_model, logits_model
from tinyedge.models.networks import build_network
from tinyedge.training import jacobian
from tinyedge.training.config import RunConfig, read_config, write_config
from tinyedge.training.data import load_data
from tinyedge.training.normalization import recalibrate_normalization
from tinyedge.training.run import train
from tinyedge.training.trainer import Trainer

pytestmark = pytest.mark.keras

PROGRESS = Output(verbosity=-1).progress
BASE = """
[data]
name = "digits"
limit = 512

[model]
name = "stq"
width = 0.1

[training]
epochs = 2
batch = 64
seed = 3

[augmentation]
shift = 1
mirror = true
mask_rows = 2
mixup = 0.4
"""
SECTIONS = {
    "sampling": BASE,
    "portion": BASE.replace("seed = 3", 'seed = 3\nscheme = "portion"'),
    "jacobian": BASE + "[jacobian]\nweight = 0.01\n",
    "sgd": BASE.replace("seed = 3", 'optimizer = "sgd"\nweight_decay = 1e-4\nlearning_rate = 0.05'),
}


def write(folder: Path, text: str) -> Path:
    path = folder / "config.toml"
    path.write_text(text, encoding="utf-8")
    return path


def weights(folder: Path) -> list[np.ndarray]:
    found: list[np.ndarray] = load_keras_model(folder / "model.h5").get_weights()
    return found


@pytest.mark.slow  # test_adversarial.py kills a run that samples, too
@pytest.mark.parametrize("section", ["sampling", "jacobian", "portion", "sgd"])
def test_a_killed_run_resumes_to_the_same_weights(section: str, tmp_path: Path) -> None:
    config = read_config(write(tmp_path, SECTIONS[section]))
    data = load_data(config.data, None)
    record = train(config, data, tmp_path / "whole", resume=False, progress=PROGRESS)
    train(config, data, tmp_path / "killed", resume=False, progress=PROGRESS, stop_after=1)
    assert not (tmp_path / "killed" / "model.h5").exists()
    resumed = train(config, data, tmp_path / "killed", resume=True, progress=PROGRESS)
    for one, other in zip(weights(tmp_path / "whole"), weights(tmp_path / "killed"), strict=True):
        np.testing.assert_array_equal(one, other)

    def losses(run: dict[str, Any]) -> list[float]:
        return [epoch["loss"] for epoch in run["epochs"]]

    assert losses(record) == losses(resumed)
    assert losses(record)[1] < losses(record)[0]


def test_training_learns_and_reports(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    text = BASE.replace("epochs = 2", "epochs = 6").replace("limit = 512\n", "")
    text = text.replace("width = 0.1", "width = 0.25").split("[augmentation]")[0]
    given = run_json(capsys, "train", write(tmp_path, text), "-o", tmp_path / "run")
    (run,) = given["runs"]
    assert run["test"]["accuracy"] > 0.9
    assert run["test"]["interval"][0] < run["test"]["accuracy"] < run["test"]["interval"][1]
    assert "fold 0 of 5" in run["test"]["source"]
    assert run["jacobian"]["frobenius_mean"] > 0
    assert sorted(path.name for path in (tmp_path / "run").iterdir()) == [
        "calibration.npz",
        "model.h5",
        "run.json",
        "run.toml",
    ]
    # The folder is claimed: neither another run nor the same one replaces it by mistake.
    again = ("train", tmp_path / "run" / "run.toml", "-o", tmp_path / "run")
    assert "--resume" in failure(capsys, 2, *again)["hint"]
    assert run_json(capsys, *again, "--resume")["runs"][0] == run
    other = write(tmp_path, text.replace("seed = 3", "seed = 4"))
    assert "other settings" in failure(capsys, 2, "train", other, "-o", tmp_path / "run")["message"]

    converted = ("convert", tmp_path / "run" / "model.h5", "-o", tmp_path / "out")
    run_json(capsys, *converted, "--calibration", tmp_path / "run" / "calibration.npz")
    tested = run_json(capsys, "run", tmp_path / "out", "--on", "twin", "--dataset", "digits")
    assert tested["suites"][0]["mismatched_logits"] == 0
    assert tested["suites"][0]["accuracy"]["device"] > 0.9

    attack = ("attack", tmp_path / "run", "--samples", 30, "-o", tmp_path / "suites.npz")
    judged = run_json(capsys, *attack, "--attacks", "fgsm,pgd,noise", "--iterations", 5)
    clean, fgsm, pgd, noise = judged["suites"]
    assert "fold 0 of 5" in clean["settings"]["data"]  # what the run was tested on
    assert clean["samples"] == pgd["samples"] == 30
    assert clean["accuracy"]["float"] >= fgsm["accuracy"]["float"] >= pgd["accuracy"]["float"]
    assert noise["largest_change"] <= 8 / 255 + 1e-6
    assert len(judged["masking"]["pgd_sweep"]) >= 4
    streamed = ("run", tmp_path / "out", "--on", "twin", "--data", tmp_path / "suites.npz")
    assert [s["mismatched_logits"] for s in run_json(capsys, *streamed)["suites"]] == [0] * 4


def test_portions_end_with_three_values_a_channel(tmp_path: Path) -> None:
    config = read_config(write(tmp_path, SECTIONS["portion"].replace("epochs = 2", "epochs = 4")))
    record = train(
        config, load_data(config.data, None), tmp_path / "run", resume=False, progress=PROGRESS
    )
    assert [epoch["portion"] for epoch in record["epochs"]] == [0.5, 0.75, 0.875, 1.0]
    model = load_keras_model(tmp_path / "run" / "model.h5")
    kernel = model.get_layer("c6").kernel.numpy()
    for channel in range(kernel.shape[-1]):
        assert len(np.unique(kernel[..., channel])) <= 3


@pytest.mark.slow
def test_folds_cover_every_sample_once(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    text = BASE.replace("limit = 512", "limit = 128\nfolds = 2").replace("epochs = 2", "epochs = 1")
    path = write(tmp_path, text)
    given = run_json(capsys, "train", path, "-o", tmp_path / "cv", "--cross-validate")
    assert [run["test"]["samples"] for run in given["runs"]] == [899, 898]
    assert given["mean_accuracy"] == np.mean([run["test"]["accuracy"] for run in given["runs"]])
    config = read_config(path).data
    parts = [load_data(config.model_copy(update={"fold": fold}), None) for fold in (0, 1)]
    tested = sorted(x.tobytes() for part in parts for x in part.test.x)
    everything = load("digits", "test")
    assert everything
    assert tested == sorted(x.tobytes() for x in everything.x)


def test_distillation_follows_the_teacher(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    plain = BASE.split("[augmentation]", maxsplit=1)[0].replace("limit = 512\n", "")
    teacher = plain.replace("width = 0.1", 'width = 0.25\nprecision = "float"\ntemperature = 50')
    teacher = teacher.replace("epochs = 2", "epochs = 5")
    run_json(capsys, "train", write(tmp_path, teacher), "-o", tmp_path / "teacher")
    student = plain.replace("width = 0.1", "width = 0.25\ntemperature = 50")
    student = student.replace("epochs = 2", "epochs = 5")
    student += f'[distillation]\nteacher = "{tmp_path / "teacher"}"\n'
    given = run_json(capsys, "train", write(tmp_path, student), "-o", tmp_path / "student")
    assert given["runs"][0]["test"]["accuracy"] > 0.85
    # At temperature 1 the student's softmax is nearly one-hot, as defensive distillation has it.
    model = load_keras_model(tmp_path / "student" / "model.h5")
    x = load_data(read_config(tmp_path / "student" / "run.toml").data, None).test.x
    assert np.median(model.predict(x, verbose=0).max(axis=1)) > 0.999
    wrong = student.replace(str(tmp_path / "teacher"), str(tmp_path / "none.h5"))
    missing = failure(capsys, 3, "train", write(tmp_path, wrong), "-o", tmp_path / "other")
    assert "none.h5" in missing["message"]


@pytest.mark.slow
def test_post_training_quantization_is_a_control(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    text = BASE.split("[augmentation]", maxsplit=1)[0].replace("limit = 512\n", "")
    text = text.replace("width = 0.1", 'width = 0.25\nprecision = "float"')
    text = text.replace("epochs = 2", "epochs = 5")
    trained = run_json(capsys, "train", write(tmp_path, text), "-o", tmp_path / "float")
    quantize = ("quantize", tmp_path / "float", "--precision")
    accuracies = {}
    for precision in ("int8", "stq"):
        folder = tmp_path / precision
        given = run_json(capsys, *quantize, precision, "-o", folder)["run"]
        assert given["post_training"] == {"from": "float", "recalibrated": True}
        assert given["config"]["model"]["precision"] == precision
        accuracies[precision] = given["test"]["accuracy"]
    assert accuracies["int8"] > trained["runs"][0]["test"]["accuracy"] - 0.03
    assert accuracies["stq"] < accuracies["int8"]
    assert "float one" in failure(capsys, 2, "quantize", tmp_path / "stq", "-o", "x")["hint"]


@pytest.mark.slow
def test_jacobian_estimate_is_unbiased() -> None:
    model = logits_model(build_network("stq", "float", (8, 8, 1), 10, width=0.1))
    x = tf.random.stateless_uniform((4, 8, 8, 1), [0, 1])

    def logits(inputs: Any) -> Any:
        return model(inputs, training=False)

    exact = np.square(jacobian.frobenius_norms(logits, x.numpy())).mean()
    estimates = [float(jacobian.penalty(logits, x, tf.constant([0, i]))[1]) for i in range(300)]
    error = np.std(estimates) / np.sqrt(len(estimates))
    assert abs(np.mean(estimates) - exact) < 4 * error


def test_jacobian_penalty_makes_the_norm_smaller() -> None:
    config = RunConfig.model_validate(
        {
            "data": {"name": "digits"},
            "model": {"name": "stq", "precision": "float", "width": 0.1},
            "training": {"epochs": 4, "batch": 64, "scheme": "deterministic"},
        }
    )
    data = load_data(config.data, None)
    norms = []
    for weight in (0.0, 1.0):
        tf.keras.utils.set_random_seed(0)
        model = build_network("stq", "float", (8, 8, 1), 10, width=0.1)
        penalized = config.model_copy(
            update={"jacobian": config.jacobian.model_copy(update={"weight": weight})}
        )
        trainer = Trainer(model, penalized, data.train)
        for epoch in range(4):
            trainer.epoch(epoch)
        logits = logits_model(model)

        def function(x: Any, logits: Any = logits) -> Any:
            return logits(x, training=False)

        norms.append(float(jacobian.frobenius_norms(function, data.test.x[:50]).mean()))
    assert norms[1] < 0.7 * norms[0]


def test_recalibrated_statistics_are_those_of_the_samples() -> None:
    model = build_network("stq", "stq", (8, 8, 1), 10, width=0.1)
    x = np.random.default_rng(0).random((500, 8, 8, 1)).astype(np.float32)
    recalibrate_normalization(model, x)
    first = model.get_layer("c1_bn")
    seen = tf.keras.Model(model.input, first.input)(x).numpy()
    np.testing.assert_allclose(first.moving_mean, seen.mean(axis=(0, 1, 2)), rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(first.moving_variance, seen.var(axis=(0, 1, 2)), rtol=2e-2)


def test_configurations_survive_their_file(tmp_path: Path) -> None:
    config = read_config(write(tmp_path, SECTIONS["jacobian"]))
    (tmp_path / "again.toml").write_text(write_config(config))
    assert read_config(tmp_path / "again.toml") == config
    assert json.loads(config.model_dump_json())["training"]["scheme"] == "sampling"


CHANGES: dict[str, tuple[Callable[[str], str], str]] = {
    "unknown key": (lambda t: t.replace("epochs", "epoch"), "did you mean 'epochs'"),
    "unknown section": (lambda t: t + "[jacobain]\nweight = 1\n", "did you mean 'jacobian'"),
    "wrong choice": (lambda t: t.replace('"stq"', '"stk"'), "'stk'"),
    "out of range": (lambda t: t.replace("width = 0.1", "width = -1"), "model.width"),
    "wrong type": (lambda t: t.replace("epochs = 2", 'epochs = "two"'), "training.epochs"),
    "text of a number": (lambda t: t.replace("epochs = 2", 'epochs = "1"'), "training.epochs"),
    "no such fold": (lambda t: t.replace("limit = 512", "fold = 5"), "fold 5 of 5"),
    "not TOML": (lambda t: t + "]", "TOML"),
    "portion of 8 bits": (
        lambda _: SECTIONS["portion"].replace("width = 0.1", 'precision = "int8"'),
        "portion",
    ),
}


@pytest.mark.parametrize("change", CHANGES)
def test_faults_of_a_configuration_are_named(change: str, tmp_path: Path) -> None:
    edit, said = CHANGES[change]
    path = write(tmp_path, edit(BASE))
    with pytest.raises(ConfigError, match=r"config\.toml") as wrong:
        read_config(path)
    assert said in str(wrong.value)


def test_folds_that_a_data_set_has_are_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    from tinyedge import datasets
    from tinyedge.training import data as training_data

    samples = datasets.LabelledSamples(
        np.zeros((6, 49, 10, 1), np.float32),
        np.zeros(6, np.int64),
        ("a", "b"),
        "clips",
        folds=np.array([0, 0, 1, 1, 2, 2]),
    )
    monkeypatch.setattr(
        training_data, "load", lambda _n, split, *_a, **_o: samples if split == "test" else None
    )
    config = RunConfig.model_validate(
        {
            "data": {"name": "speech_commands", "folds": 3, "fold": 1},
            "model": {"name": "stq"},
            "training": {"epochs": 1},
        }
    ).data
    found = load_data(config, None)
    assert (len(found.train.y), len(found.test.y)) == (4, 2)
    assert found.test.source == "clips, speaker-disjoint fold 1 of 3"
    with pytest.raises(UsageError, match="3 folds"):
        load_data(config.model_copy(update={"folds": 5}), None)
