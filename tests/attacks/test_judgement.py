"""Planted faults are called by their names; networks without one by none."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tinyedge.attacks import AttackSettings, classifier
from tinyedge.attacks.classifier import FloatModel
from tinyedge.attacks.judgement import Attacked, judge, signs_of_masking
from tinyedge.attacks.settings import ATTACKS
from tinyedge.attacks.suites import craft_suites
from tinyedge.cli.output import Output
from tinyedge.evaluation.suites import Suite
from tinyedge.keras.environment import tensorflow as tf

pytestmark = pytest.mark.keras

QUIET = Output(verbosity=-1).progress
SHAPE, CLASSES, COUNT, EPSILON = (6, 6, 1), 4, 80, 0.14
NAMES = ("fgsm", "pgd", "apgd", "square", "noise")
BUDGETS: dict[str, Any] = {"autoattack_iterations": 20, "square_queries": 100}


def samples(count: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Noisy versions of a pattern a class."""
    patterns = np.random.default_rng(0).uniform(0.2, 0.8, (CLASSES, *SHAPE))
    random = np.random.default_rng(seed)
    labels = random.integers(0, CLASSES, count)
    x = patterns[labels] + random.normal(0, 0.12, (count, *SHAPE))
    return np.clip(x, 0, 1).astype(np.float32), labels


def rectified(x: Any) -> Any:
    return tf.nn.relu(x)


@tf.custom_gradient  # type: ignore[untyped-decorator]
def coarse(x: Any) -> Any:
    """Three levels, as a network of few bits has; its gradient passes straight through."""
    inside = tf.cast((x > 0) & (x < 1), tf.float32)
    return tf.round(tf.clip_by_value(x, 0.0, 1.0) * 2) / 2, lambda upstream: upstream * inside


class Trained(FloatModel):
    """A network of one hidden layer."""

    def __init__(self, activation: Callable[[Any], Any], *, adversarially: bool = False) -> None:
        self.shape, self.classes = SHAPE, CLASSES
        random = np.random.default_rng(1)
        self.weights = [
            tf.Variable(random.normal(0, scale, shape).astype(np.float32))
            for scale, shape in ((0.3, (36, 48)), (0.0, (48,)), (0.3, (48, CLASSES)))
        ]
        self._train(activation, adversarially=adversarially)
        self.use(lambda x: self.outputs_of(x, activation))

    def outputs_of(self, x: Any, activation: Callable[[Any], Any]) -> Any:
        inner, bias, outer = self.weights
        return activation(tf.reshape(x - 0.5, (-1, 36)) @ inner + bias) @ outer

    def use(self, function: Callable[[Any], Any]) -> None:
        """Has the model, and what attacks see of it, compute a function."""
        signature = [tf.TensorSpec((None, *SHAPE), tf.float32)]
        self.frozen = self._exact = tf.function(function, input_signature=signature)

    def _train(self, activation: Callable[[Any], Any], *, adversarially: bool) -> None:
        x, labels = (tf.constant(each) for each in samples(1000, 2))
        moments = [tf.Variable(tf.zeros_like(each)) for each in self.weights]

        def loss(at: Any) -> Any:
            logits = self.outputs_of(at, activation)
            return tf.reduce_mean(tf.nn.sparse_softmax_cross_entropy_with_logits(labels, logits))

        @tf.function  # type: ignore[untyped-decorator]
        def step() -> None:
            at = x
            if adversarially:
                at = x + tf.random.stateless_uniform(x.shape, (1, 2), -EPSILON, EPSILON)
                with tf.GradientTape() as tape:
                    tape.watch(at)
                    value = loss(at)
                at = at + EPSILON * tf.sign(tape.gradient(value, at))
                at = tf.clip_by_value(tf.clip_by_value(at, x - EPSILON, x + EPSILON), 0.0, 1.0)
            with tf.GradientTape() as tape:
                value = loss(at)
            for weight, moment, slope in zip(
                self.weights, moments, tape.gradient(value, self.weights), strict=True
            ):
                moment.assign(0.9 * moment + slope)
                weight.assign_sub(0.1 * moment)

        for _ in range(200):
            step()


@pytest.fixture(scope="module")
def honest() -> Trained:
    return Trained(rectified)


def findings(
    model: FloatModel, monkeypatch: pytest.MonkeyPatch, **settings: Any
) -> tuple[list[str], dict[str, float]]:
    """The findings of a model's judgement, and the accuracy that each suite leaves."""
    monkeypatch.setattr(classifier, "FloatModel", lambda _path: model)
    x, labels = samples(COUNT, 3)
    chosen = AttackSettings(EPSILON, **BUDGETS, **settings)
    suites = craft_suites(Path("m.h5"), Suite("clean", x, labels), NAMES, chosen, COUNT, QUIET)
    judged = judge(Path("m.h5"), suites, chosen)
    left = {record["name"]: record["accuracy"]["float"] for record in judged["suites"]}
    return judged["masking"]["findings"], left


def test_an_honest_network_is_called_nothing(
    honest: Trained, monkeypatch: pytest.MonkeyPatch
) -> None:
    found, left = findings(honest, monkeypatch)
    assert found == []
    assert left["clean"] > 0.9
    assert left["pgd"] < 0.6


def test_an_adversarially_trained_network_is_called_nothing(
    honest: Trained, monkeypatch: pytest.MonkeyPatch
) -> None:
    plain = findings(honest, monkeypatch)[1]["pgd"]
    found, left = findings(Trained(rectified, adversarially=True), monkeypatch)
    assert found == []
    assert left["pgd"] > plain + 0.2


def test_a_coarse_network_is_called_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    found, left = findings(Trained(coarse), monkeypatch)
    assert found == []
    assert left["clean"] > 0.9


def flattened(model: Trained, x: Any) -> Any:
    """The same values by steps so fine that none has a slope."""
    return model.outputs_of(tf.round(x * 4096) / 4096, rectified)


def cut_off(model: Trained, x: Any) -> Any:
    return model.outputs_of(tf.stop_gradient(x), rectified)


@pytest.mark.parametrize("fault", [flattened, cut_off])
def test_zeroed_gradients_are_named(
    fault: Callable[..., Any], honest: Trained, monkeypatch: pytest.MonkeyPatch
) -> None:
    planted = Trained.__new__(Trained)
    planted.__dict__.update(honest.__dict__)
    planted.use(lambda x: fault(honest, x))
    found, _left = findings(planted, monkeypatch)
    assert any("the gradient of the loss is zero" in each for each in found), found
    assert any("square is stronger than" in each for each in found), found


def test_noise_at_inference_is_named(honest: Trained, monkeypatch: pytest.MonkeyPatch) -> None:
    planted = Trained.__new__(Trained)
    planted.__dict__.update(honest.__dict__)
    planted.use(lambda x: honest.outputs_of(x + tf.random.normal(tf.shape(x), 0, 0.1), rectified))
    found, _left = findings(planted, monkeypatch)
    assert found[0].startswith("the model is random"), found


@pytest.mark.parametrize("step", [EPSILON, EPSILON / 4])
def test_an_attack_of_one_step_is_named(
    step: float, honest: Trained, monkeypatch: pytest.MonkeyPatch
) -> None:
    found, _left = findings(honest, monkeypatch, iterations=1, step=step)
    assert any(each.startswith("pgd is too weak: it takes 1 step") for each in found), found


def test_steps_that_find_too_little_are_named_by_what_others_find(
    honest: Trained, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Steps that add up to epsilon, and hardly reach it from where they start."""
    found, _left = findings(honest, monkeypatch, iterations=3, step=EPSILON / 3)
    assert any(each.startswith("pgd is too weak: PGD of 40 steps") for each in found), found


def test_an_ensemble_that_is_weaker_than_a_single_attack_is_named() -> None:
    clean = np.ones(200, dtype=bool)
    left = {
        "pgd": np.arange(200) < 60,
        "autoattack": np.arange(200) < 80,
        "apgd": np.arange(200) < 63,
    }
    attacked = [Attacked(name, ATTACKS[name], EPSILON, right) for name, right in left.items()]
    (sign,) = signs_of_masking(clean, attacked)
    assert (sign["rule"], sign["suites"]) == ("ensemble", ["autoattack", "pgd"])
    # Another random start makes a few samples of difference.
    assert signs_of_masking(clean, [attacked[0], attacked[2]]) == []
