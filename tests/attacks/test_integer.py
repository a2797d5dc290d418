"""White-box attacks on a converted model: whole int8 steps, by the gradients of its integers."""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import tinyedge
from tests.attacks.test_oracle import linear_graph
from tests.cli.commands import failure, run_cli, run_json
from tests.conftest import require
from tests.graph.random_graphs import RandomGraph
from tinyedge import demo
from tinyedge.attacks import AttackSettings
from tinyedge.attacks.classifier import FloatModel, FrozenClassifier
from tinyedge.attacks.descent import Descent, checkpoints
from tinyedge.attacks.integer_model import IntegerModel
from tinyedge.attacks.losses import cross_entropy, logits_ratio, margin, targeted_ratio
from tinyedge.attacks.margins import margins
from tinyedge.attacks.oracle import Oracle
from tinyedge.attacks.settings import INTEGER_ATTACKS
from tinyedge.attacks.suites import Means, attack_names, craft_oracle_suites, craft_suites
from tinyedge.boards import load_board
from tinyedge.cli.output import Output
from tinyedge.errors import UsageError
from tinyedge.evaluation.executors import Progress, Run
from tinyedge.evaluation.metrics import verdicts
from tinyedge.evaluation.suites import Suite, load_suites
from tinyedge.exporters.converted import ConvertedModel, write_converted
from tinyedge.files import read_arrays
from tinyedge.graph import operators as ops
from tinyedge.graph import reference
from tinyedge.graph.gradients import outputs_and_gradient
from tinyedge.graph.graph import Graph
from tinyedge.graph.tensors import Quantization, Tensor, Weights
from tinyedge.targets import available_emulators

pytestmark = pytest.mark.keras

QUIET = Output(verbosity=-1).progress
WHITE = Means(gradients=True, integers=True)


def on_numpy(graph: Graph) -> Callable[..., Run]:
    def execute(samples: Any, progress: Progress | None = None) -> Run:  # noqa: ARG001
        return Run(reference.run(graph, samples))

    return execute


def craft(
    graph: Graph, clean: Suite, names: tuple[str, ...], settings: AttackSettings
) -> list[Suite]:
    oracle = Oracle(graph, on_numpy(graph), settings.clip, settings.temperature)
    return craft_oracle_suites(oracle, clean, names, settings, QUIET, WHITE)


def right(graph: Graph, suite: Suite) -> np.ndarray:
    """By the reference, on the int8 samples that the suite's file would hold."""
    samples = graph.input_tensor.quantization.quantize(suite.inputs)
    output = graph.output_tensor.quantization
    found: np.ndarray = verdicts(reference.run(graph, samples), output) == suite.labels
    return found


def clean_suite(graph: Graph, count: int, seed: int = 8) -> Suite:
    """Samples with the labels that the model gives them; reals that lie on no grid."""
    tensor = graph.input_tensor
    x = np.random.default_rng(seed).random((count, *tensor.shape)).astype(np.float32)
    found = reference.run(graph, tensor.quantization.quantize(x))
    return Suite("clean", x, verdicts(found, graph.output_tensor.quantization))


def tiny_network(seed: int, classes: int = 4) -> Graph:
    """Four values to hidden units, clamped, to classes: random weights."""
    random = np.random.default_rng(seed)
    tensors = {
        "x": Tensor("x", (4,), Quantization(1 / 16, -8)),
        "h": Tensor("h", (12,), Quantization(0.02, -128)),
        "y": Tensor("y", (classes,), Quantization(0.05, 0)),
    }

    def dense(
        name: str, source: str, output: str, shape: tuple[int, int], low: int
    ) -> ops.Operator:
        weights = Weights(
            random.integers(-127, 128, shape).astype(np.int8),
            8,
            random.uniform(0.005, 0.02, shape[0]).astype(np.float32),
        )
        bias = random.integers(-1500, 1500, shape[0]).astype(np.int32)
        return ops.FullyConnected(
            name=name, inputs=(source,), output=output, weights=weights, bias=bias, clamp=(low, 127)
        )

    hidden = dense("hidden", "x", "h", (12, 4), -128)
    return Graph("tiny", tensors, (hidden, dense("out", "h", "y", (classes, 12), -128)), "x", "y")


@pytest.mark.parametrize(
    ("epsilon", "steps"), [(8 / 255, 8), (0.0314, 8), (7.9 / 255, 7), (1 / 255, 1), (2.0, 255)]
)
def test_epsilon_is_rounded_down_to_whole_steps(epsilon: float, steps: int) -> None:
    graph = linear_graph()
    clean = clean_suite(graph, 20)
    (_, suite) = craft(graph, clean, ("pgd",), AttackSettings(epsilon=epsilon, iterations=5))
    assert suite.settings["epsilon_steps"] == steps
    assert suite.settings["epsilon"] == epsilon
    quantize = graph.input_tensor.quantization.quantize
    moved = quantize(suite.inputs).astype(int) - quantize(clean.inputs).astype(int)
    assert 0 < np.abs(moved).max() <= steps
    # The floats of the file have moved as far: on a border between two steps next to nothing more.
    assert np.abs(suite.inputs - clean.inputs).max() <= min(epsilon, 1) + 1e-5


def test_epsilon_below_one_step_is_refused() -> None:
    graph = linear_graph()
    clean = clean_suite(graph, 2)
    settings = AttackSettings.at((0.0031, 0.02))
    with pytest.raises(UsageError, match=r"epsilon 0.0031 is 0.79 of an int8 step") as raised:
        craft(graph, clean, ("square", "fgsm"), settings)
    assert raised.value.hint == "--epsilon 0.00393 is one step"
    enough = AttackSettings(epsilon=0.00393)
    assert craft(graph, clean, ("fgsm",), enough)[1].settings["epsilon_steps"] == 1


@pytest.mark.parametrize(
    ("loss", "classes"),
    [
        *itertools.product((cross_entropy, margin), (2, 3, 10)),
        *itertools.product((logits_ratio,), (3, 4, 10)),
        *itertools.product((targeted_ratio,), (4, 10)),
    ],
)
def test_gradients_of_losses_are_those_of_finite_differences(loss: Any, classes: int) -> None:
    random = np.random.default_rng(3)
    logits = random.normal(size=(20, classes))
    labels, along = random.integers(0, classes, 20), random.normal(size=logits.shape)
    targets = (labels + 1) % classes
    h = 1e-6
    ahead, behind = (loss(logits + sign * h * along, labels, targets)[0] for sign in (1, -1))
    gradient = loss(logits, labels, targets)[1]
    assert np.allclose((gradient * along).sum(axis=1), (ahead - behind) / (2 * h), atol=1e-6)


def test_certain_verdicts_still_have_a_gradient() -> None:
    for lead in (300.0, 1e5):
        logits = np.array([[lead, 0.0, -5.0]])
        labels = np.array([0])
        gradient = cross_entropy(logits, labels, labels)[1][0]
        assert gradient[0] < 0 < gradient[2] < gradient[1]


def test_checkpoints_are_those_of_the_paper() -> None:
    assert list(checkpoints(100)) == [22, 41, 57, 70, 80, 87, 93, 99, 105]
    assert sum(checkpoints(100).values()) == 105


@pytest.mark.parametrize("classes", [1, 2, 3, 4])
@pytest.mark.parametrize("seed", [0, 2, 3])
def test_autoattack_finds_what_trying_all_finds(seed: int, classes: int) -> None:
    """Two steps either way of four values: 625 neighbours of each sample.

    A network of one output tells two classes; that of one seed behind a logistic function.
    """
    graph = tiny_network(seed, classes)
    if classes == 1 and seed == 2:
        tensors = {**graph.tensors, "p": Tensor("p", (1,), ops.Logistic.output_quantization)}
        logistic = ops.Logistic(name="p", inputs=("y",), output="p")
        graph = Graph("one", tensors, (*graph.operators, logistic), "x", "p")
    clean = clean_suite(graph, 60)
    tensor = graph.input_tensor
    origin = tensor.quantization.quantize(clean.inputs).astype(int)
    moves = np.array(list(itertools.product(range(-2, 3), repeat=4)))
    low, high = tensor.quantization.quantize([0.0, 1.0]).astype(int)
    around = np.clip(origin[:, None] + moves, low, high).astype(np.int8)
    output = graph.output_tensor.quantization
    found = verdicts(reference.run(graph, around.reshape(-1, 4)), output).reshape(60, -1)
    possible = (found != clean.labels[:, None]).any(axis=1)
    settings = AttackSettings(
        epsilon=2 / 16, autoattack_iterations=30, autoattack_queries=50, iterations=20, restarts=3
    )
    for suite in craft(graph, clean, ("fgsm", "pgd", "apgd", "autoattack"), settings)[1:]:
        fooled = ~right(graph, suite)
        assert not (fooled & ~possible).any()
        missed = (possible & ~fooled).sum()
        assert missed <= (possible.sum() // 2 if suite.name == "fgsm" else 1), suite.name
    assert possible.any()


def test_auto_pgd_halves_its_step_and_goes_back_to_the_best() -> None:
    """On one value: the loss falls from the middle to both sides, and long steps jump over it."""
    seen: list[int] = []

    class Hill(IntegerModel):
        def __init__(self) -> None:
            self.classes = 2

        def margins(self, samples: Any, labels: Any) -> Any:  # noqa: ARG002
            return np.ones(len(samples), np.float32)

        def step(self, samples: Any, labels: Any, loss: Any, targets: Any = None) -> Any:  # noqa: ARG002
            from tinyedge.attacks.descent import Found

            seen.append(int(samples[0, 0]))
            away = samples.astype(np.float32) - 7
            return Found(np.ones(1, np.float32), -np.abs(away[:, 0]).astype(np.float64), -away)

    zeros = np.zeros((1, 1), np.int8)
    randoms = [np.random.default_rng(1)]
    Descent(Hill(), zeros, np.zeros(1, np.int64), 40, (-128, 127), randoms).apgd(margin, 60)
    assert len(seen) == 61  # the start, and as many steps
    assert abs(seen[2] - seen[1]) > 10
    assert all(abs(value - 7) <= 1 for value in seen[-10:])


def test_restarts_keep_any_success_and_the_ensemble_that_of_its_members() -> None:
    graph = tiny_network(11)
    clean = clean_suite(graph, 100)
    left = {}
    for restarts in (1, 4):
        settings = AttackSettings(epsilon=3 / 16, iterations=1, restarts=restarts)
        left[restarts] = right(graph, craft(graph, clean, ("pgd",), settings)[1])
    assert not (~left[1] & left[4]).any()
    assert left[4].sum() < left[1].sum()
    budgets: dict[str, Any] = {"autoattack_iterations": 10, "autoattack_queries": 20}
    apgd, ensemble = (
        right(graph, suite)
        for suite in craft(
            graph, clean, ("apgd", "autoattack"), AttackSettings(epsilon=1 / 16, **budgets)
        )[1:]
    )
    assert ensemble.sum() <= apgd.sum()


def test_a_sample_does_not_depend_on_the_others() -> None:
    graph = linear_graph()
    clean = clean_suite(graph, 9)
    for name in ("pgd", "apgd"):
        settings = AttackSettings(epsilon=0.03, batch=4, autoattack_iterations=10)
        whole = craft(graph, clean, (name,), settings)[1].inputs
        few = craft(graph, clean.first(6), (name,), dataclasses.replace(settings, batch=100))[1]
        assert whole[:6].tobytes() == few.inputs.tobytes()
        other = craft(graph, clean, (name,), dataclasses.replace(settings, seed=1))[1]
        assert other.inputs.tobytes() != whole.tobytes()


def test_random_graphs_are_attacked() -> None:
    """Attacks stay within the steps for any operators and grid, and never get worse."""
    for seed in range(12):
        built = RandomGraph(seed)
        graph, quantization = built.graph, built.graph.input_tensor.quantization
        low, high = (float(value) for value in quantization.dequantize([-128, 127]))
        samples = built.inputs(8)
        flat = reference.run(graph, samples).reshape(8, -1)
        output = graph.output_tensor.quantization
        labels = verdicts(flat, output)
        descent = Descent(
            IntegerModel(graph, on_numpy(graph)),
            samples,
            labels,
            5,
            (-100, 127),
            [np.random.default_rng(index) for index in range(8)],
        )
        before = descent.lead.copy()
        descent.pgd(cross_entropy, 1.5, 4)
        descent.apgd(margin, 6)
        assert (descent.lead <= before).all()
        moved = descent.best.astype(int) - samples
        assert np.abs(moved).max() <= 5 or (samples < -100).any()
        assert low < high


SMALL = AttackSettings(epsilon=0.05, iterations=5, autoattack_iterations=5, autoattack_queries=20)
FEW = (
    *("--iterations", 5, "--autoattack-iterations", 5),
    *("--autoattack-queries", 20, "--square-queries", 20),
)


@pytest.fixture
def model(tmp_path: Path) -> ConvertedModel:
    return write_converted(linear_graph(), tmp_path / "m", "test")


def test_what_is_found_is_what_the_emulated_board_receives(
    model: ConvertedModel, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    emulators = available_emulators(load_board("netduinoplus2"))
    require(emulators, emulators[0] if emulators else "an emulator")
    clean = clean_suite(model.graph, 6)
    data, file = tmp_path / "d.npz", tmp_path / "s.npz"
    np.savez(data, x=clean.inputs, y=clean.labels)
    names = ",".join(INTEGER_ATTACKS)
    attack = ("attack", model.folder, "--data", data, "--attacks", names, "--epsilon", 0.05, *FEW)
    record = run_json(capsys, *attack, "--on", "twin", "-o", file)
    arrays = read_arrays(file)
    suites = load_suites(file)
    found = {}
    for place in ("numpy", "twin", "emulator"):
        board = ("-b", "netduinoplus2") if place == "emulator" else ()
        logits = tmp_path / f"{place}.npy"
        ran = ("run", model.folder, "--on", place, *board, "--data", file, "-o", tmp_path / "r")
        run_json(capsys, *ran, "--logits", logits)
        found[place] = np.load(logits)
        assert len(found[place]) == 6 * len(suites)
    for index, (suite, judged) in enumerate(zip(suites, record["suites"], strict=True)):
        samples = arrays[f"{suite.name}/x_int8"]
        quantize = model.graph.input_tensor.quantization.quantize
        assert np.array_equal(samples, quantize(suite.inputs))
        expected = reference.run(model.graph, samples)
        for logits_there in found.values():
            assert np.array_equal(logits_there[6 * index : 6 * index + 6], expected)
        assert judged["accuracy"]["device"] == (expected.argmax(axis=1) == suite.labels).mean()
    assert record["suites"][-1]["accuracy"]["device"] < 1.0
    again = run_json(capsys, *attack, "--on", "numpy", "-o", tmp_path / "n.npz")
    for key, values in read_arrays(tmp_path / "n.npz").items():
        assert key == "suites" or np.array_equal(values, arrays[key])
    assert [suite["accuracy"] for suite in again["suites"]] == [
        suite["accuracy"] for suite in record["suites"]
    ]


def test_tables_and_settings_tell_the_steps(
    model: ConvertedModel, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    clean = clean_suite(model.graph, 3)
    data = tmp_path / "d.npz"
    np.savez(data, x=clean.inputs, y=clean.labels)
    attack = ("attack", model.folder, "--data", data, "-o", tmp_path / "s.npz", *FEW)
    epsilons = ("--attacks", "fgsm,square", "--epsilon", "1/255,0.05")
    code, out, err = run_cli(capsys, *attack, "--on", "numpy", *epsilons)
    assert code == 0, err
    assert "1/255, 1 step" in out
    assert "0.05, 12 steps" in out
    refused = failure(capsys, 2, *attack, "--on", "numpy", "--attacks", "pgd", "--epsilon", 0.003)
    assert "of an int8 step" in refused["message"]


@pytest.mark.parametrize("place", ["emulator", "board"])
def test_devices_answer_and_have_no_gradients(
    place: str, model: ConvertedModel, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    attack = ("attack", model.folder, "-o", tmp_path / "s.npz", "--on", place, "--attacks", "apgd")
    refused = failure(capsys, 2, *attack)
    assert "answers only" in refused["message"]
    assert "--on numpy or twin" in refused["hint"]


def test_an_attack_without_int8_steps_is_refused() -> None:
    with pytest.raises(UsageError, match="'cw' takes steps of any size"):
        attack_names("cw", WHITE)
    names = attack_names("all", WHITE)
    assert set(INTEGER_ATTACKS) < set(names)
    assert "cw" not in names


@pytest.fixture(scope="module")
def first() -> Suite:
    return demo.clean_suite().first(100)


def test_gradients_point_where_those_of_the_float_model_do(
    demo_model: ConvertedModel, first: Suite
) -> None:
    labels = np.eye(10, dtype=np.float32)[first.labels]
    classifier = FrozenClassifier(FloatModel(demo.MODEL), (0.0, 1.0))
    theirs = classifier.loss_gradient(first.inputs, labels).reshape(100, -1)
    graph = demo_model.graph
    samples = graph.input_tensor.quantization.quantize(first.inputs)

    def loss(logits: np.ndarray, part: slice) -> Any:
        own = first.labels[part]
        return cross_entropy(logits.astype(np.float64), own, own)[1].astype(np.float32)

    ours = outputs_and_gradient(graph, samples, loss)[1].reshape(100, -1)
    lengths = np.linalg.norm(ours, axis=1) * np.linalg.norm(theirs, axis=1)
    assert np.mean((ours * theirs).sum(axis=1) / lengths) >= 0.95


def test_int8_hides_nothing(demo_model: ConvertedModel, first: Suite) -> None:
    """Attacks through the integers are no weaker than those transferred from the float model."""
    graph = demo_model.graph
    settings = AttackSettings(epsilon=4 / 255, iterations=10)
    names = ("fgsm", "pgd")
    transferred = craft_suites(demo.MODEL, first, names, settings, 100, QUIET)
    ours = craft(graph, first, names, settings)
    fgsm, pgd = (right(graph, suite).mean() for suite in ours[1:])
    fgsm_of_float, pgd_of_float = (right(graph, suite).mean() for suite in transferred[1:])
    assert pgd <= pgd_of_float
    # One step has no second chance: a sample may go either way.
    assert fgsm <= fgsm_of_float + 0.01
    assert pgd < fgsm < right(graph, ours[0]).mean()


def test_margins_are_of_the_verdicts(demo_model: ConvertedModel, first: Suite) -> None:
    graph = demo_model.graph
    samples = graph.input_tensor.quantization.quantize(first.inputs)
    model = IntegerModel(graph, on_numpy(graph))
    found = model.step(samples, first.labels, margin)
    assert np.array_equal(found.margins, margins(model.logits(samples), first.labels))
    assert np.array_equal(found.margins > 0, right(graph, first))


def test_functions_attack_as_the_command_does(model: ConvertedModel, tmp_path: Path) -> None:
    clean = clean_suite(model.graph, 4)
    given: dict[str, Any] = {"on": "numpy", "attacks": "pgd", "epsilon": 0.05, "iterations": 5}
    found = tinyedge.attack(model.folder, (clean.inputs, clean.labels), **given)
    assert found[1].settings["epsilon_steps"] == 12
    expected = craft(model.graph, clean, ("pgd",), SMALL)[1]
    assert np.array_equal(found[1].inputs, expected.inputs)
    assert not (tmp_path / "s.npz").exists()


@pytest.mark.parametrize("attack", ["fgsm", "pgd", "apgd", "autoattack"])
def test_what_int8_saturates_keeps_the_budget_too(attack: str) -> None:
    """Samples reach 1, and int8 ends at 0.94: a value comes back by what lies beyond first."""
    weights = Weights(np.eye(2, 4, dtype=np.int8) * 100, 8, np.full(2, 0.01, np.float32))
    dense = ops.FullyConnected(
        name="y", inputs=("x",), output="y", weights=weights, bias=np.zeros(2, np.int32)
    )
    tensors = {
        "x": Tensor("x", (4,), Quantization(0.94 / 255, -128)),
        "y": Tensor("y", (2,), Quantization(0.02, 0)),
    }
    graph = Graph("saturating", tensors, (dense,), "x", "y")
    x = np.linspace(0.97, 1.0, 40, dtype=np.float32).reshape(10, 4)
    x[:, 1] = 0.85
    clean = Suite("clean", x, np.zeros(10, np.int64))
    settings = AttackSettings(
        epsilon=0.1, clip=(0.0, 1.0), autoattack_queries=20, autoattack_iterations=5, iterations=5
    )
    suite = craft(graph, clean, (attack,), settings)[1]
    change = np.abs(suite.inputs - x)
    assert 0.05 < change.max() <= 0.1 + 1e-6


def test_targets_are_the_likeliest_classes_behind_a_softmax() -> None:
    """int8 ties all classes that a softmax makes unlikely; the logits before it do not."""
    scales = np.full(12, 0.02, np.float32)
    codes = np.random.default_rng(0).integers(-127, 128, (12, 8)).astype(np.int8)
    dense = ops.FullyConnected(
        name="z", inputs=("x",), output="z", weights=Weights(codes, 8, scales),
        bias=np.zeros(12, np.int32),
    )  # fmt: skip
    softmax = ops.Softmax(name="y", inputs=("z",), output="y")
    tensors = {
        "x": Tensor("x", (8,), Quantization(1 / 255, -128)),
        "z": Tensor("z", (12,), Quantization(0.15, 0)),
        "y": Tensor("y", (12,), Quantization(1 / 256, -128)),
    }
    graph = Graph("twelve", tensors, (dense, softmax), "x", "y")
    model = IntegerModel(graph, on_numpy(graph))
    samples = np.random.default_rng(1).integers(-128, 128, (50, 8)).astype(np.int8)
    scores = model.scores(samples)
    labels = scores.argmax(axis=1)
    randoms = [np.random.default_rng(i) for i in range(50)]
    descent = Descent(model, samples, labels, 1, (-128, 127), randoms)
    expected = np.sort(scores, axis=1)[:, -2]
    found = scores[np.arange(50), descent.targets(np.arange(50), 0)]
    assert np.array_equal(found, expected)
    behind = model.logits(samples)
    behind[np.arange(50), labels] = -1
    tied = (behind == behind.max(axis=1, keepdims=True)).sum(axis=1)
    assert (tied > 1).any(), "the softmax ties some"


@pytest.mark.parametrize(("values", "radius"), [(64, 0.0157), (784, 0.02), (16, 1.0)])
def test_no_rounding_leads_out_of_an_l2_ball(values: int, radius: float) -> None:
    class Flat(IntegerModel):
        def __init__(self) -> None:
            self.classes = 2

        def margins(self, samples: Any, labels: Any) -> Any:  # noqa: ARG002
            return np.ones(len(samples), np.float32)

    random = np.random.default_rng(0)
    origin = random.random((200, values)).astype(np.float32)
    descent = Descent(
        Flat(), origin, np.zeros(200, np.int64), radius, (0.0, 1.0), [random] * 200, "L2"
    )
    moved = descent.within(np.arange(200), origin + random.normal(size=origin.shape))
    lengths = np.linalg.norm(moved.astype(np.float64) - origin.astype(np.float64), axis=1)
    assert 0.5 * radius < lengths.max() <= radius


def test_the_start_of_auto_pgd_counts_as_no_increase() -> None:
    from tinyedge.attacks.descent import Found, _Run

    class Ahead(Descent):
        def __init__(self) -> None:
            self.goes_on, self.norm = True, "Linf"

    run = _Run(np.arange(1), np.zeros((1, 1), np.float32), None, 2.0)
    for loss in (0.0, 1.0, 2.0, 1.0, 2.0):  # three increases in four steps
        run.take(
            Found(np.ones(1, np.float32), np.array([loss]), np.ones((1, 1), np.float32)), Ahead()
        )
    assert run._increases[0] == 3
