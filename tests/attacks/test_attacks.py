from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.importers.keras_models import randomized, save
from tinyedge import demo
from tinyedge.attacks import ATTACKS, AttackSettings, judgement
from tinyedge.attacks.classifier import FloatModel, FrozenClassifier
from tinyedge.attacks.float_craft import FloatCrafter
from tinyedge.attacks.judgement import judge
from tinyedge.attacks.settings import checked_epsilons
from tinyedge.attacks.suites import Means, attack_names, craft_suites
from tinyedge.cli.output import Output
from tinyedge.errors import DataError, ModelError, UsageError
from tinyedge.evaluation.compare import accuracy
from tinyedge.evaluation.metrics import verdicts
from tinyedge.evaluation.suites import Suite, load_suites, save_suites
from tinyedge.files import read_arrays
from tinyedge.importers.qkeras import logits_function
from tinyedge.keras.environment import tensorflow as tf
from tinyedge.keras.environment import tf_keras
from tinyedge.models.networks import build_network

pytestmark = pytest.mark.keras

QUIET = Output(verbosity=-1).progress
CLEAN = demo.clean_suite()
FIRST = CLEAN.first(40)
STRIPES = FIRST.inputs + np.random.default_rng(0).choice([-0.05, 0.05], (40, 1, 28, 1))
START = dataclasses.replace(FIRST, name="stripes", inputs=np.clip(STRIPES, 0, 1).astype(np.float32))
MEANS = Means(surrogate=demo.MODEL, start=START)
CHEAP = {
    "iterations": 10,
    "cw_iterations": 40,
    "cw_searches": 3,
    "square_queries": 100,
    "boundary_iterations": 15,
    "zoo_iterations": 50,
    "hopskipjump_iterations": 2,
    "simba_iterations": 100,
    "autoattack_iterations": 5,
    "autoattack_queries": 100,
    "pgd_l2_iterations": 10,
}


def craft(
    clean: Suite = FIRST, attacks: tuple[str, ...] = ("fgsm", "pgd"), **rest: Any
) -> list[Suite]:
    settings = AttackSettings(**{"epsilon": 0.05, **CHEAP, **rest})
    return craft_suites(demo.MODEL, clean, attacks, settings, 40, QUIET, MEANS)


@pytest.fixture(scope="module")
def every() -> dict[str, Suite]:
    """All attacks on 16 samples, with small budgets."""
    return {suite.name: suite for suite in craft(FIRST.first(16), tuple(ATTACKS))}


@pytest.mark.parametrize("name", ATTACKS)
def test_attacks_keep_their_budget_and_do_harm(name: str, every: dict[str, Suite]) -> None:
    clean, suite = every["clean"], every[name]
    change = suite.inputs - clean.inputs
    assert 0.0 <= suite.inputs.min() <= suite.inputs.max() <= 1.0
    if ATTACKS[name].norm == "Linf":
        assert 0.049 < np.abs(change).max() <= 0.05 + 1e-6
    if ATTACKS[name].kind == "black-box":
        assert suite.settings["queries"] > 0
    assert suite.settings["attack"] == name
    assert accuracy(clean.float_logits, clean.labels) >= 0.9  # type: ignore[arg-type]
    left = accuracy(suite.float_logits, suite.labels)  # type: ignore[arg-type]
    if name == "refine":  # from stripes, which no attack made
        assert suite.settings["fooled"] > suite.settings["fooled_at_start"]
    else:
        assert left >= 0.8 if name == "noise" else left <= 0.7


def test_smallest_changes_are_smaller_than_their_starting_points(every: dict[str, Suite]) -> None:
    for name in ("cw", "boundary", "zoo", "hopskipjump", "simba"):
        suite, clean = every[name], every["clean"]
        assert suite.float_logits is not None
        fooled = suite.float_logits.argmax(axis=1) != suite.labels
        lengths = np.linalg.norm((suite.inputs - clean.inputs).reshape(16, -1), axis=1)
        # Noise, where Boundary starts, is some 13 away.
        assert np.median(lengths[fooled]) < 5.0


@pytest.mark.slow
def test_same_seed_gives_the_same_samples() -> None:
    few = FIRST.first(8)
    names = ("pgd", "square", "boundary", "hopskipjump", "simba", "noise")
    budget = {"boundary_iterations": 4, "square_queries": 10, "iterations": 3}
    budget |= {"hopskipjump_iterations": 1, "simba_iterations": 10}
    _, *first = craft(few, names, seed=3, **budget)
    _, *again = craft(few, names, seed=3, **budget)
    _, *other = craft(few, names, seed=4, **budget)
    for suite, same, another in zip(first, again, other, strict=True):
        np.testing.assert_array_equal(suite.inputs, same.inputs, suite.name)
        assert not np.array_equal(suite.inputs, another.inputs), suite.name


def test_what_is_attacked_is_the_model_file() -> None:
    model = FloatModel(demo.MODEL)
    exact, shape, classes = logits_function(demo.MODEL)
    assert (model.shape, model.classes) == (shape, classes)
    np.testing.assert_array_equal(model.logits(FIRST.inputs), exact(FIRST.inputs))
    frozen = FrozenClassifier(model, (0.0, 1.0))
    found = frozen.predict(FIRST.inputs)
    # Logits lie on a grid of 1/16; float sums in another order move few of them by a step.
    assert np.abs(found - model.logits(FIRST.inputs)).max() <= 2 / 16
    assert (found == model.logits(FIRST.inputs)).mean() > 0.9

    x = tf.constant(FIRST.inputs)
    with tf.GradientTape() as tape:
        tape.watch(x)
        loss = tf.reduce_sum(tf.nn.sparse_softmax_cross_entropy_with_logits(FIRST.labels, exact(x)))
    expected = tape.gradient(loss, x).numpy().reshape(40, -1)
    gradient = frozen.loss_gradient(FIRST.inputs, np.eye(10)[FIRST.labels]).reshape(40, -1)
    cosines = (gradient * expected).sum(axis=1) / (
        np.linalg.norm(gradient, axis=1) * np.linalg.norm(expected, axis=1)
    )
    assert np.median(cosines) > 0.999


def test_suites_survive_their_file(tmp_path: Path) -> None:
    suites = craft(attacks=("fgsm",))
    save_suites(tmp_path / "suites.npz", suites, {"file": "m.h5"})
    for saved, loaded in zip(suites, load_suites(tmp_path / "suites.npz"), strict=True):
        assert saved.name == loaded.name
        assert saved.settings == loaded.settings
        assert saved.input_quantization == loaded.input_quantization
        assert np.array_equal(saved.inputs, loaded.inputs)
        assert np.array_equal(saved.labels, loaded.labels)
        assert np.array_equal(saved.float_logits, loaded.float_logits)  # type: ignore[arg-type]
    arrays = read_arrays(tmp_path / "suites.npz")
    quantized = np.floor(suites[1].inputs.astype(np.float64) * 255 + 0.5) - 128
    np.testing.assert_array_equal(arrays["fgsm/x_int8"], quantized.astype(np.int8))


@pytest.mark.parametrize(
    ("suite", "error", "message"),
    [
        (Suite("clean", FIRST.inputs[:, :27], FIRST.labels), DataError, "shape"),
        (Suite("clean", FIRST.inputs, FIRST.labels + 5), DataError, "labels"),
        (Suite("clean", FIRST.inputs * 255, FIRST.labels), DataError, "range"),
    ],
)
def test_unfit_samples_are_refused(suite: Suite, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        craft(suite)


def test_clean_and_attacked_samples_are_the_same() -> None:
    clean, attacked = craft_suites(demo.MODEL, FIRST, ("fgsm",), AttackSettings(0.1), 7, QUIET)
    assert len(clean.labels) == len(attacked.labels) == 7
    np.testing.assert_array_equal(clean.inputs, FIRST.inputs[:7])


def test_unknown_attacks_and_models_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="deepfool"):
        craft(attacks=("deepfool",))
    settings = AttackSettings(0.1)
    with pytest.raises(ModelError, match="no such file"):
        craft_suites(tmp_path / "m.h5", FIRST, ("fgsm",), settings, 5, QUIET)
    with pytest.raises(UsageError, match="transfer"):
        craft_suites(demo.MODEL, FIRST, ("transfer-pgd",), settings, 5, QUIET)
    other = save(build_network("stq", "float", (8, 8, 1), 10, width=0.1), tmp_path / "other.h5")
    means = Means(surrogate=other)
    with pytest.raises(UsageError, match=r"other\.h5"):
        craft_suites(demo.MODEL, FIRST, ("transfer-pgd",), settings, 5, QUIET, means)


@pytest.mark.parametrize("outputs", [1, 2, 4])
def test_inputs_need_not_be_images(outputs: int, tmp_path: Path) -> None:
    layers = tf_keras.layers
    inputs = layers.Input((12,))
    model = tf_keras.Model(inputs, layers.Dense(outputs)(layers.Dense(16, "relu")(inputs)))
    path = save(randomized(model), tmp_path / "vector.h5")
    x = np.random.default_rng(2).random((10, 12)).astype(np.float32)
    clean = Suite("clean", x, verdicts(FloatModel(path).outputs(x)))
    names = attack_names("all", Means())
    budget: dict[str, Any] = {"epsilon": 0.3, **CHEAP}
    settings = AttackSettings(**budget)
    for suite in craft_suites(path, clean, names, settings, 10, QUIET)[1:]:
        assert suite.float_logits is not None
        if suite.name in ("apgd", "autoattack"):
            ratio = [name for name in suite.settings["members"] if "ratio of logits" in name]
            assert bool(ratio) == (outputs > 2)
        assert suite.float_logits.shape == (10, outputs)
        assert suite.inputs.shape == x.shape
        left = accuracy(suite.float_logits, suite.labels)
        assert suite.name == "noise" or left < 1.0, suite.name


def test_names_of_attacks() -> None:
    assert attack_names("pgd, fgsm,pgd", Means()) == ["pgd", "fgsm"]
    assert attack_names("all", MEANS) == list(ATTACKS)
    assert {ATTACKS[n].kind for n in attack_names("all", Means())} >= {"white-box", "black-box"}
    assert not {"transfer-pgd", "refine"} & set(attack_names("all", Means()))
    for wrong in ("pgdd", "", ",", "transfer-pgd", "refine"):
        with pytest.raises(UsageError):
            attack_names(wrong, Means())
    answers = Means(gradients=False)
    assert {ATTACKS[n].kind for n in attack_names("all", answers)} == {"black-box", "control"}
    with pytest.raises(UsageError, match="gradients"):
        attack_names("square,pgd", answers)


def test_an_undefended_model_is_judged_believable(every: dict[str, Suite]) -> None:
    suites = [every[name] for name in ("clean", "fgsm", "pgd", "cw", "noise")]
    found = judge(demo.MODEL, suites, AttackSettings(epsilon=0.05, iterations=10))
    assert found["masking"]["believable"], found["masking"]["findings"]
    assert found["masking"]["zero_gradients"] == 0
    accuracies = [point["accuracy"] for point in found["masking"]["pgd_sweep"]]
    assert accuracies[-1] == 0
    records = {record["name"]: record for record in found["suites"]}
    assert records["clean"]["accuracy"]["input_quantized"] >= 0.9
    assert records["cw"]["accuracy"]["within_epsilon"] >= records["cw"]["accuracy"]["float"]
    assert records["pgd"]["largest_change"] == pytest.approx(0.05, abs=1e-6)
    assert records["pgd"]["samples"] == 16


SEVERAL = AttackSettings.at((0.08, 0.02), **CHEAP)
AT_SEVERAL = ("fgsm", "pgd", "square", "refine", "transfer-fgsm", "noise", "cw")


@pytest.fixture(scope="module")
def several() -> list[Suite]:
    """Attacks on 8 samples at two epsilons."""
    return craft_suites(demo.MODEL, FIRST, AT_SEVERAL, SEVERAL, 8, QUIET, MEANS)


def test_each_epsilon_has_its_suites(several: list[Suite]) -> None:
    assert [suite.name for suite in several] == [
        "clean",
        *(f"{name}@{epsilon}" for name in AT_SEVERAL[:-1] for epsilon in ("0.02", "0.08")),
        "cw",
    ]
    for suite in several[1:-1]:
        name, _, epsilon = suite.name.partition("@")
        budget = float(epsilon)
        change = np.abs(suite.inputs - FIRST.inputs[:8]).max()
        assert budget - 1e-3 < change <= budget + 1e-6
        assert suite.settings["epsilon"] == budget
        assert suite.settings["attack"] == name
    by_name = {suite.name: suite for suite in several}
    assert [by_name[f"pgd@{e}"].settings["step"] for e in ("0.02", "0.08")] == [0.005, 0.02]
    # START's changes of 0.05 are moved back to the smaller epsilon.
    small, large = (by_name[f"refine@{e}"].settings["fooled_at_start"] for e in ("0.02", "0.08"))
    assert small < large
    assert by_name["cw"].settings["epsilon"] == pytest.approx(0.5 * 0.08 * 28)


def test_what_an_epsilon_gives_does_not_depend_on_the_others(several: list[Suite]) -> None:
    names = ("pgd", "square", "refine")
    settings = AttackSettings.at([0.08], **CHEAP)
    alone = craft_suites(demo.MODEL, FIRST, names, settings, 8, QUIET, MEANS)
    assert [suite.name for suite in alone] == ["clean", *names]
    for suite in alone[1:]:
        (among,) = [each for each in several if each.name == f"{suite.name}@0.08"]
        assert among.inputs.tobytes() == suite.inputs.tobytes()
        assert among.settings == suite.settings


def test_suites_of_several_epsilons_are_judged(several: list[Suite]) -> None:
    found = judge(demo.MODEL, several, SEVERAL)
    records = {record["name"]: record for record in found["suites"]}
    assert list(records) == [suite.name for suite in several]
    within = [name for name, record in records.items() if "within_epsilon" in record["accuracy"]]
    assert within == ["cw"]
    # The multiples are of the largest.
    swept = [point["epsilon"] for point in found["masking"]["pgd_sweep"]]
    assert swept == pytest.approx([0.01, 0.02, 0.04, 0.08, 0.16, 0.32, 0.5])


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ((), "none is given"),
        ((0.1, 0.0), "epsilon is 0, allowed"),
        ((-0.1,), r"epsilon is -0\.1, allowed"),
        ((float("nan"),), "epsilon is nan, allowed"),
        ((0.1, float("inf")), "epsilon is inf, allowed"),
        ((8 / 255, 0.1, 0.0314), r"epsilon is 0\.0314 twice"),
    ],
)
def test_epsilons_that_are_none_are_refused(given: tuple[float, ...], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        checked_epsilons(given)


def test_large_logits_hide_nothing(tmp_path: Path) -> None:
    """Logits so large that their softmax has no gradient, as defensive distillation leaves them.

    Who does not know the temperature finds as much as who does.
    """
    layers = tf_keras.layers
    inputs = layers.Input((8, 8, 1))
    x = layers.Dense(4, name="logits")(layers.Flatten()(inputs))
    x = layers.Softmax()(layers.Rescaling(1e4)(x))
    path = save(randomized(tf_keras.Model(inputs, x)), tmp_path / "distilled.h5")
    images = np.random.default_rng(1).random((30, 8, 8, 1)).astype(np.float32)
    labels = FloatModel(path).logits(images).argmax(axis=1)
    clean = Suite("clean", images, labels)
    for temperature in (1.0, 1e4):
        settings = AttackSettings(epsilon=0.02, temperature=temperature, iterations=10)
        suites = craft_suites(path, clean, ("fgsm", "pgd"), settings, 30, QUIET)
        judged = judge(path, suites, settings)
        assert judged["masking"]["believable"], judged["masking"]["findings"]
        assert judged["masking"]["zero_gradients"] == 0
        found = [record["accuracy"]["float"] for record in judged["suites"]]
        # The model is linear: one step finds what there is.
        assert found[0] == 1.0 > found[1] == found[2] > 0


@pytest.mark.parametrize("broken", ["weights", "gradients"])
def test_gradients_that_are_not_finite_are_a_sign(broken: str, tmp_path: Path) -> None:
    layers = tf_keras.layers
    inputs = layers.Input((4,))
    x = layers.Dense(3, name="logits")(inputs)
    if broken == "gradients":
        # The root's slope at 0 is infinite, and 0 times that is NaN; all logits are finite.
        x = layers.Lambda(lambda values: tf.sqrt(tf.nn.relu(values)))(x)
    model = randomized(tf_keras.Model(inputs, x))
    if broken == "weights":
        model.set_weights([np.full_like(weights, np.nan) for weights in model.get_weights()])
    images = np.random.default_rng(1).random((8, 4)).astype(np.float32)

    class Loaded(FloatModel):
        def __init__(self, _path: Path) -> None:
            self.shape, self.classes = (4,), 3
            self.frozen = self._exact = tf.function(
                lambda x: model(x, training=False),
                input_signature=[tf.TensorSpec((None, 4), tf.float32)],
            )

    loaded = Loaded(tmp_path)
    logits = loaded.logits(images)
    clean = Suite("clean", images, logits.argmax(axis=1), logits)
    settings = AttackSettings(epsilon=0.1, iterations=2)
    zero, share = judgement._gradients(loaded, clean, settings)
    assert zero == 0
    assert share > 0.5
    crafted = FloatCrafter(loaded, settings).craft("pgd", images, clean.labels).inputs
    assert np.isfinite(crafted).all()
    masking = judgement._masking(loaded, [clean], settings)
    assert not masking["believable"]
    assert "NaN or infinite" in masking["findings"][0]
