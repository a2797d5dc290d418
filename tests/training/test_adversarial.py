"""Training on crafted samples: where they lie, what is kept, and that it makes robust."""

from __future__ import annotations

import json
import tomllib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tinyedge.cli.output import Output
from tinyedge.commands.train import train as train_command
from tinyedge.errors import ConfigError, ModelError
from tinyedge.keras.environment import qkeras, tf_keras
from tinyedge.keras.environment import tensorflow as tf
from tinyedge.keras.load import load_keras_model
from tinyedge.records.training import load_training
from tinyedge.training import checkpoint, run, trainer
from tinyedge.training.adversarial import Ball, ball, margins, warmed_up
from tinyedge.training.config import AdversarialConfig, RunConfig, read_config, write_config
from tinyedge.training.data import TrainAndTest, load_data
from tinyedge.training.folder import holds_run
from tinyedge.training.held_out import Selection, best_epoch, hold_out, overfitted
from tinyedge.training.trainer import Epoch, Trainer

pytestmark = pytest.mark.keras

PROGRESS = Output(verbosity=-1).progress
TEXT = """
[data]
name = "digits"
limit = 256

[model]
name = "stq"
precision = "stq"
width = 0.05

[training]
epochs = 3
batch = 32
scheme = "sampling"
averaging = 0.9

[adversarial]
method = "fgsm"
epsilon = "8/255"
"""


def config(text: str = TEXT) -> RunConfig:
    return RunConfig.model_validate(tomllib.loads(text))


def tiny(config: RunConfig, *_: object) -> Any:
    """A network of two quantized layers, as compiling a large one's step takes long."""
    layers, filters = tf_keras.layers, round(160 * config.model.width)
    x = inputs = layers.Input((8, 8, 1))
    ternary = qkeras.stochastic_ternary(alpha="auto")
    x = qkeras.QConv2D(
        filters, 3, strides=2, kernel_quantizer=ternary, use_bias=False, name="conv"
    )(x)
    x = layers.BatchNormalization(momentum=0.9, name="bn")(x)
    x = layers.Flatten()(qkeras.QActivation("quantized_relu(8, 2)", name="relu")(x))
    x = qkeras.QDense(10, kernel_quantizer="quantized_bits(8, 0, 1, alpha='auto')", name="dense")(x)
    return tf_keras.Model(inputs, layers.Activation("softmax")(x))


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Small networks, and records with few figures."""
    monkeypatch.setattr(run, "build", tiny)
    monkeypatch.setattr(run, "PRECISIONS", ("stq",))
    monkeypatch.setattr(run, "_JACOBIAN_SAMPLES", 2)


@pytest.fixture(scope="module")
def data() -> TrainAndTest:
    return load_data(config().data, None)


@pytest.mark.parametrize("steps", [1, 4])
def test_crafted_samples_stay_in_the_ball_and_in_the_range(steps: int) -> None:
    x = tf.random.stateless_uniform((6, 5, 5, 1), [0, 1], -2.0, 3.0)
    around = Ball(0.5, 0.5 * 1.25, -2.0, 3.0)
    start = around.start(x, tf.constant([0, 2]))

    def loss(at: Any) -> Any:
        return tf.reduce_sum(tf.sin(3.0 * at), axis=(1, 2, 3))

    crafted = tf.function(lambda at: around.ascend(loss, at, steps, tf.constant([0, 2])))(x)
    for found in (start.numpy(), crafted.numpy()):
        assert np.abs(found - x.numpy()).max() <= 0.5 + 1e-6
        assert found.min() >= -2.0
        assert found.max() <= 3.0
    assert (loss(crafted) > loss(x)).numpy().mean() > 0.5
    assert np.abs(start.numpy() - x.numpy()).max() > 0.4
    assert np.std(start.numpy() - x.numpy()) > 0.2


def test_epsilon_grows_linearly_from_a_quarter() -> None:
    shares = [float(warmed_up(tf.constant(step), 200, 0.5)) for step in (0, 50, 100, 199)]
    np.testing.assert_allclose(shares, [0.25, 0.625, 1.0, 1.0])
    assert float(warmed_up(0, 200, 0.0)) == 1.0
    fgsm = AdversarialConfig(method="fgsm", epsilon=0.1)
    for share in (0.25, 1.0):
        around = ball(fgsm, (-1.0, 3.0), share)
        assert (around.low, around.high) == (-1.0, 3.0)
        assert around.epsilon == pytest.approx(0.4 * share)
        assert around.step == pytest.approx(0.5 * share)
    assert ball(AdversarialConfig(method="pgd", epsilon=0.1), (0.0, 1.0)).step == 0.025
    given = AdversarialConfig(method="trades", epsilon=0.1, step=0.02, steps=3, beta=5)
    assert ball(given, (0.0, 1.0)).step == 0.02
    assert (given.step_count, given.weight) == (3, 5)


def test_margins_are_those_of_the_largest_other_logit() -> None:
    logits = tf.constant([[3.0, -1.0, 2.5], [-9.0, -8.0, -7.0]])
    np.testing.assert_allclose(margins(tf.constant([0, 1]), logits), [-0.5, 1.0])


def trained(method: str | None, data: TrainAndTest) -> tuple[Trainer, Selection, list[Any]]:
    text = TEXT.replace("width = 0.05", "width = 0.2").replace("limit = 256", "")
    text = text.replace("epochs = 3", "epochs = 6\nlearning_rate = 0.01")
    text = text.replace("averaging = 0.9", "").replace("sampling", "deterministic")
    chosen = config(text.replace("8/255", "1/10").replace("fgsm", method or "fgsm"))
    around = ball(chosen.adversarial or AdversarialConfig(method="fgsm", epsilon=0.1), (0.0, 1.0))
    learned, held_out = hold_out(data.train)
    tf_keras.utils.set_random_seed(1)
    model = tiny(chosen)
    if method is None:
        chosen = chosen.model_copy(update={"adversarial": None})
    training = Trainer(model, chosen, learned)
    selection, epochs = Selection(training, held_out, around), []
    for number in range(6):
        epochs.append(vars(training.epoch(number)))
        selection.judge(epochs)
    return training, selection, epochs


def test_it_makes_robust_and_the_best_epoch_is_kept() -> None:
    whole = load_data(config(TEXT.replace("limit = 256", "")).data, None)
    plain = trained(None, whole)[2]
    training, selection, epochs = trained("fgsm", whole)
    best = epochs[best_epoch(epochs)]
    assert best["robust_accuracy"] > max(epoch["robust_accuracy"] for epoch in plain) + 0.1
    assert plain[-1]["held_out_accuracy"] > 0.8
    assert epochs[0]["epsilon"] < epochs[-1]["epsilon"] == pytest.approx(0.1)
    # The kept epoch, judged once more, is as good; a worse one does not replace it.
    for weights in training.model.weights:
        weights.assign(tf.zeros_like(weights))
    epochs.append({})
    selection.judge(epochs)
    assert epochs[-1]["robust_accuracy"] < best["robust_accuracy"] / 2
    assert selection.overfitted(epochs)
    assert selection.summary(epochs).stopped_after == len(epochs)
    selection.put_back()
    epochs.append({})
    selection.judge(epochs)
    assert epochs[-1]["robust_accuracy"] == best["robust_accuracy"]
    assert epochs[-1]["held_out_accuracy"] == best["held_out_accuracy"]


def test_held_out_samples_are_not_trained_on(data: TrainAndTest) -> None:
    learned, held_out = hold_out(data.train)
    assert (len(learned.y), len(held_out.y)) == (231, 25)
    together = np.concatenate([learned.x, held_out.x])
    assert sorted(x.tobytes() for x in together) == sorted(x.tobytes() for x in data.train.x)
    assert hold_out(data.train)[1].x.tobytes() == held_out.x.tobytes()


def judged(*shares: float) -> list[dict[str, Any]]:
    return [{"robust_accuracy": share, "held_out_accuracy": 0.9} for share in shares]


def test_only_a_clear_fall_is_overfitting() -> None:
    assert not overfitted(judged(0.1, 0.3, 0.4), 500)
    assert not overfitted(judged(0.4, 0.21), 500)
    assert overfitted(judged(0.4, 0.19), 500)
    assert not overfitted(judged(0.02, 0.008), 500), "a few samples, by chance"
    assert not overfitted(judged(0.0, 0.0), 500)
    assert best_epoch(judged(0.1, 0.4, 0.4, 0.2)) == 1


def test_overfitting_stops_the_training_and_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Heard(Output):
        said: list[str] = []  # noqa: RUF012

        def remark(self, *messages: str) -> None:
            self.said.extend(messages)

    shares = iter([0.4, 0.5, 0.0])
    marks = iter([1.0, 2.0, 3.0])

    def epoch(self: Trainer, *_: object) -> Epoch:
        self.model.weights[0].assign(tf.fill(self.model.weights[0].shape, next(marks)))
        return Epoch(1.0, 0.5, epsilon=0.03)

    monkeypatch.setattr(Trainer, "epoch", epoch)
    monkeypatch.setattr(Selection, "_withstood", lambda _: (0.9, next(shares)))
    path = tmp_path / "config.toml"
    path.write_text(TEXT.replace("averaging = 0.9", "").replace("epochs = 3", "epochs = 9"))
    (record,) = train_command(path, output=tmp_path / "run", listener=Heard(verbosity=-1))["runs"]
    assert (record["adversarial"]["best_epoch"], len(record["epochs"])) == (2, 3)
    assert record["adversarial"]["stopped_after"] == 3
    said = " ".join(Heard.said)
    assert "stopped after 3 of 9 epochs" in said
    assert "catastrophic overfitting" in said
    assert "weights of epoch 2 are kept" in said
    kept = load_keras_model(tmp_path / "run" / "model.h5").weights[0].numpy()
    assert (kept == 2.0).all()
    read = load_training(tmp_path / "run" / "run.json")
    assert read.adversarial
    assert read.adversarial.held_out == 25
    assert read.training_data.samples == 231
    assert read.epochs[1].robust_accuracy == 0.5


class Killed(Exception):  # noqa: N818
    """Ends a training in the midst of an epoch."""


def test_a_killed_run_resumes_to_the_same_weights(
    tmp_path: Path, data: TrainAndTest, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(trainer, "_STEPS_A_CALL", 3)
    monkeypatch.setattr(checkpoint, "OFTEN_ENOUGH", 0.0)
    chosen = config(TEXT.replace("epochs = 3", "epochs = 2"))
    record = run.train(chosen, data, tmp_path / "whole", resume=False, progress=PROGRESS)

    @contextmanager
    def killing(label: str, total: int) -> Iterator[Callable[[int], None]]:
        done = 0

        def counted(steps: int) -> None:
            nonlocal done
            done += steps
            if done > 11:
                raise Killed

        with PROGRESS(label, total):
            yield counted

    with pytest.raises(Killed):
        run.train(chosen, data, tmp_path / "killed", resume=False, progress=killing)
    with np.load(tmp_path / "killed" / "checkpoint.npz") as saved:
        assert json.loads(saved["begun"].tobytes())["steps"] == 3
    again = run.train(chosen, data, tmp_path / "killed", resume=True, progress=PROGRESS)
    one, other = (load_keras_model(tmp_path / name / "model.h5") for name in ("whole", "killed"))
    for first, second in zip(one.get_weights(), other.get_weights(), strict=True):
        np.testing.assert_array_equal(first, second)
    assert record["adversarial"] == again["adversarial"]
    keys = ("loss", "accuracy", "epsilon", "held_out_accuracy", "robust_accuracy")
    for key in keys:
        assert [e[key] for e in record["epochs"]] == [e[key] for e in again["epochs"]]
    # It is where the next one may begin, and one of another width may not.
    text = TEXT.replace("averaging = 0.9", f'initial = "{tmp_path / "whole"}"')
    with pytest.raises(ModelError, match="no such weights in both networks"):
        run.train(
            config(text.replace("0.05", "0.2")),
            data,
            tmp_path / "wide",
            resume=False,
            progress=PROGRESS,
        )
    monkeypatch.setattr(Trainer, "epoch", lambda *_: Epoch(1.0, 0.5, epsilon=0.03))
    run.train(config(text), data, tmp_path / "next", resume=False, progress=PROGRESS)
    begun = load_keras_model(tmp_path / "next" / "model.h5")
    for first, second in zip(one.get_weights(), begun.get_weights(), strict=True):
        np.testing.assert_array_equal(first, second)


def test_methods_pull_answers_to_crafted_samples(data: TrainAndTest) -> None:
    teacher = tiny(config())
    for method in ("pgd", "trades"):
        text = TEXT.replace("fgsm", method).replace("epsilon =", "steps = 2\nepsilon =")
        tf_keras.utils.set_random_seed(1)
        chosen = config(text)
        training = Trainer(tiny(chosen), chosen, data.train, lambda x: teacher(x, training=False))
        losses = [training.epoch(number).loss for number in range(2)]
        assert losses[-1] < losses[0]


def test_configurations_survive_their_file(tmp_path: Path) -> None:
    path = tmp_path / "run.toml"
    path.write_text(TEXT.replace("averaging = 0.9", 'initial = "other"'))
    found = read_config(path)
    assert found.adversarial
    assert found.adversarial.epsilon == 8 / 255
    assert found.adversarial.step_size == pytest.approx(10 / 255)
    assert (found.adversarial.step_count, found.training.initial) == (1, Path("other"))
    path.write_text(write_config(found))
    assert read_config(path) == found
    assert RunConfig.model_validate(found.model_dump(mode="json")) == found


def test_a_run_of_an_earlier_version_is_the_same_run(tmp_path: Path) -> None:
    chosen = config()
    lines = write_config(chosen).splitlines()
    (tmp_path / "run.toml").write_text(
        "\n".join(line for line in lines if not line.startswith("warmup"))
    )
    assert holds_run(tmp_path, chosen)


CHANGES = {
    "no fraction": ('"8/255"', '"eight"', r"adversarial.epsilon is 'eight', allowed: a number"),
    "by nothing": ('"8/255"', '"8/0"', r"adversarial.epsilon is '8/0', allowed: a number"),
    "too large": ('"8/255"', '"8/5"', r"adversarial.epsilon is 1.6, allowed: a number above 0"),
    "nothing": ('"8/255"', "0", r"adversarial.epsilon is 0, allowed: a number above 0 to 1"),
    "no number": ('"8/255"', "true", r"adversarial.epsilon is True, allowed: a number"),
    "endless": ('"8/255"', '"nan"', r"adversarial.epsilon is nan, allowed: a number"),
    "another method": ('"fgsm"', '"fsgm"', r"adversarial.method is 'fsgm', allowed: 'fgsm' or"),
    "steps of fgsm": ('"fgsm"', '"fgsm"\nsteps = 2', r"adversarial.steps is 2, allowed: 1 with"),
    "beta of fgsm": ('"fgsm"', '"fgsm"\nbeta = 2', r"adversarial.beta is 2.0, allowed: nothing"),
    "beta of pgd": ('"fgsm"', '"pgd"\nbeta = 2', r"adversarial.beta is 2.0, allowed: nothing"),
    "warm-up": ('"fgsm"', '"fgsm"\nwarmup = 2', r"adversarial.warmup is 2, allowed: a number"),
    "average": ("averaging = 0.9", "averaging = 1", r"training.averaging is 1, allowed: a number"),
    "initial": ("averaging = 0.9", "initial = 3", r"training.initial"),
}


@pytest.mark.parametrize("change", CHANGES)
def test_wrong_values_are_refused(change: str, tmp_path: Path) -> None:
    old, new, said = CHANGES[change]
    path = tmp_path / "run.toml"
    path.write_text(TEXT.replace(old, new))
    with pytest.raises(ConfigError, match=said):
        read_config(path)
