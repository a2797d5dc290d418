"""Attacks on a converted model: numpy, twin and emulated board are one and the same oracle."""

from __future__ import annotations

import dataclasses
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.cli.commands import failure, run_cli, run_json
from tests.conftest import require
from tinyedge.attacks import ATTACKS, AttackSettings
from tinyedge.attacks.device import opened
from tinyedge.attacks.journal import QueryJournal
from tinyedge.attacks.judgement import judge_oracle
from tinyedge.attacks.margins import margins
from tinyedge.attacks.oracle import Oracle
from tinyedge.attacks.suites import Means, attack_names, craft_oracle_suites
from tinyedge.boards import load_board
from tinyedge.cli.output import Output
from tinyedge.errors import DataError, LinkError, UsageError
from tinyedge.evaluation import session
from tinyedge.evaluation.compare import Executor
from tinyedge.evaluation.executors import Int8, Progress, Run
from tinyedge.evaluation.metrics import verdicts
from tinyedge.evaluation.suites import Suite, load_suite_files, load_suites, save_suites
from tinyedge.exporters.converted import ConvertedModel, write_converted
from tinyedge.files import read_arrays
from tinyedge.firmware.project import build_firmware
from tinyedge.graph import operators as ops
from tinyedge.graph import reference
from tinyedge.graph.graph import Graph
from tinyedge.graph.tensors import Quantization, Tensor, Weights
from tinyedge.link.client import Client
from tinyedge.names import OraclePlace
from tinyedge.places import PlaceSpec
from tinyedge.record_file import RecordFile
from tinyedge.targets import available_emulators, open_emulator

pytestmark = pytest.mark.keras

QUIET = Output(verbosity=-1).progress
BOARD = load_board("netduinoplus2")
BUDGETS: dict[str, Any] = {
    "square_queries": 40,
    "boundary_iterations": 3,
    "zoo_iterations": 20,
    "hopskipjump_iterations": 2,
    "simba_iterations": 64,
}
SETTINGS = AttackSettings(epsilon=0.15, **BUDGETS)
ANSWERS = Means(gradients=False)


def test_square_needs_neither_tensorflow_nor_art(
    demo_model: ConvertedModel, tmp_path: Path
) -> None:
    """Which take longer to be loaded than the attack takes."""
    samples = tmp_path / "samples.npz"
    np.savez(samples, x=np.zeros((1, 28, 28, 1), np.float32), y=np.array([3]))
    arguments = ["attack", demo_model.folder, "--on", "numpy", "--attacks", "square", "-q"]
    arguments += ["--data", samples, "--square-queries", "3", "-o", tmp_path / "square.npz"]
    script = (
        "import sys\nfrom tinyedge.__main__ import entry_point\n"
        "try:\n    entry_point()\nexcept SystemExit as end:\n    assert not end.code\n"
        "sys.exit(f'{heavy}' if (heavy := {'tensorflow', 'art'} & set(sys.modules)) else 0)"
    )
    subprocess.run([sys.executable, "-c", script, *map(str, arguments)], check=True)


def linear_graph() -> Graph:
    """Images of 6x6 to 4 classes: random weights, and every class is frequent."""
    random = np.random.default_rng(5)
    tensors = {
        "x": Tensor("x", (6, 6, 1), Quantization.from_range(0.0, 1.0)),
        "flat": Tensor("flat", (36,), Quantization.from_range(0.0, 1.0)),
        "y": Tensor("y", (4,), Quantization(0.05, 3)),
    }
    codes = random.integers(-1, 2, (4, 36)).astype(np.int8)
    bias = np.rint(-0.5 * codes.sum(axis=1) * 255).astype(np.int32)
    weights = Weights(codes, 2, np.ones(4, np.float32))
    flat = ops.Reshape(name="flat", inputs=("x",), output="flat", shape=(36,))
    dense = ops.FullyConnected(
        name="dense", inputs=("flat",), output="y", weights=weights, bias=bias
    )
    return Graph("linear", tensors, (flat, dense), "x", "y")


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> ConvertedModel:
    return write_converted(linear_graph(), tmp_path_factory.mktemp("oracle") / "m", "test")


@pytest.fixture(scope="module")
def clean(model: ConvertedModel) -> Suite:
    """Samples that the model classifies as they are labelled, but for the last."""
    x = np.random.default_rng(8).random((6, 6, 6, 1)).astype(np.float32)
    quantized = model.graph.input_tensor.quantization.quantize(x)
    labels = reference.run(model.graph, quantized).argmax(axis=1)
    assert len(set(labels)) > 1
    labels[-1] = (labels[-1] + 1) % 4
    return Suite("clean", x, labels)


@pytest.fixture(scope="module")
def places(model: ConvertedModel) -> Iterator[dict[OraclePlace, Executor]]:
    """The same model on this machine, as its twin, emulated, and behind a board's port."""
    emulators = available_emulators(BOARD)
    require(emulators, emulators[0] if emulators else "an emulator")
    with (
        opened(model, PlaceSpec("numpy")) as (numpy, _),
        opened(model, PlaceSpec("twin")) as (twin, _),
        opened(model, PlaceSpec("emulator", BOARD)) as (emulator, _),
        open_emulator(BOARD, build_firmware(model, BOARD).elf) as target,
        opened(model, PlaceSpec("board", BOARD, (target.port,))) as (board, _),
    ):
        yield {"numpy": numpy, "twin": twin, "emulator": emulator, "board": board}


@pytest.fixture
def twin(model: ConvertedModel) -> Iterator[Executor]:
    with opened(model, PlaceSpec("twin")) as (execute, _):
        yield execute


class Interrupted:
    """An executor that breaks after so many calls."""

    def __init__(self, executor: Executor, calls: int) -> None:
        self.executor, self.calls = executor, calls

    def __call__(self, samples: Int8, progress: Progress | None = None) -> Run:
        self.calls -= 1
        if self.calls < 0:
            raise LinkError("the cable was pulled")
        return self.executor(samples, progress)


def craft(
    model: ConvertedModel,
    executor: Executor,
    clean: Suite,
    attacks: tuple[str, ...],
    settings: AttackSettings = SETTINGS,
    means: Means = ANSWERS,
    **rest: Any,
) -> tuple[list[Suite], Oracle]:
    oracle = Oracle(model.graph, executor, settings.clip, settings.temperature, **rest)
    return craft_oracle_suites(oracle, clean, attacks, settings, QUIET, means), oracle


def new_journal(path: Path, model_hash: str) -> QueryJournal:
    return QueryJournal.create(path, model_hash, discard=True)


def assert_same(first: list[Suite], second: list[Suite]) -> None:
    for one, other in zip(first, second, strict=True):
        assert one.inputs.tobytes() == other.inputs.tobytes()
        assert one.settings == other.settings  # queries of every sample among them


def fooled(model: ConvertedModel, suite: Suite) -> np.ndarray:
    """By the numpy reference, on the int8 inputs that a suite's file holds."""
    assert suite.input_quantization
    samples = suite.input_quantization.quantize(suite.inputs)
    wrong: np.ndarray = reference.run(model.graph, samples).argmax(axis=1) != suite.labels
    return wrong


def test_attacks_are_the_same_on_numpy_twin_and_board(
    model: ConvertedModel, clean: Suite, places: dict[OraclePlace, Executor]
) -> None:
    names = ("square", "boundary")
    crafted = {place: craft(model, run, clean, names)[0] for place, run in places.items()}
    assert_same(crafted["numpy"], crafted["twin"])
    assert_same(crafted["twin"], crafted["emulator"])
    assert_same(crafted["twin"], crafted["board"])
    for suite in crafted["emulator"][1:]:
        assert fooled(model, suite).mean() >= 0.6


@pytest.mark.parametrize("name", attack_names("all", ANSWERS))
def test_attacks_do_harm_and_say_what_they_asked(
    name: str, model: ConvertedModel, clean: Suite, twin: Executor
) -> None:
    suites, oracle = craft(model, twin, clean, (name,))
    suite, change = suites[1], suites[1].inputs - clean.inputs
    assert 0.0 <= suite.inputs.min() <= suite.inputs.max() <= 1.0
    if name == "noise":
        assert "queries" not in suite.settings
        return
    asked, sent = (suite.settings["queries_by_sample"][key] for key in ("asked", "sent"))
    assert suite.settings["queries"] == sum(asked)
    assert suite.settings["queries_sent"] == sum(sent) == oracle.computed
    assert all(0 < few <= many for few, many in zip(sent, asked, strict=True))
    assert suite.settings["oracle"]["model"] == model.graph.hash
    assert suite.settings["budget_reached"] == 0
    assert not change[-1].any()  # was misclassified before
    assert fooled(model, suite).mean() >= 0.6
    if ATTACKS[name].norm == "Linf":
        assert 0.149 < np.abs(change).max() <= 0.15 + 1e-6
    else:  # noise and other samples, where some start, are 2 away and more
        lengths = np.linalg.norm(change.reshape(6, -1), axis=1)
        assert np.median(lengths[fooled(model, suite)]) < 1.2


@pytest.mark.parametrize("logistic", [False, True])
@pytest.mark.parametrize("name", ["square", "boundary", "hopskipjump", "simba"])
def test_one_output_is_attacked_by_its_verdict(name: str, logistic: bool) -> None:  # noqa: FBT001
    """Keeps only the first class of the 6x6 models above, against all others."""
    graph = linear_graph()
    tensors = {**graph.tensors, "y": Tensor("y", (1,), Quantization(0.05, 3))}
    flat, dense = graph.operators
    assert isinstance(dense, ops.FullyConnected)
    assert dense.bias is not None
    weights = Weights(dense.weights.codes[:1], 2, np.ones(1, np.float32))
    operators = [flat, dataclasses.replace(dense, weights=weights, bias=dense.bias[:1])]
    if logistic:
        tensors["p"] = Tensor("p", (1,), Quantization(1 / 256, -128))
        operators.append(ops.Logistic(name="p", inputs=("y",), output="p"))
    one = Graph("one", tensors, tuple(operators), "x", operators[-1].output)

    def execute(samples: Int8, progress: Progress | None = None) -> Run:  # noqa: ARG001
        return Run(reference.run(one, samples))

    def found(x: np.ndarray) -> np.ndarray:
        samples = one.input_tensor.quantization.quantize(x)
        return verdicts(reference.run(one, samples), one.output_tensor.quantization)

    x = np.random.default_rng(8).random((8, 6, 6, 1)).astype(np.float32)
    suite = Suite("clean", x, found(x))
    assert set(suite.labels) == {0, 1}
    oracle = Oracle(one, execute, (0.0, 1.0), about={})
    crafted = craft_oracle_suites(oracle, suite, (name,), SETTINGS, QUIET, ANSWERS)[1]
    fooled = found(crafted.inputs) != suite.labels
    assert fooled.mean() >= 0.6
    judged = judge_oracle([suite, crafted], [oracle.logits(each) for each in (x, crafted.inputs)])
    assert judged["suites"][1]["accuracy"]["device"] == 1 - fooled.mean()


def test_a_sample_does_not_depend_on_the_others(
    model: ConvertedModel, clean: Suite, twin: Executor
) -> None:
    whole, few = (craft(model, twin, clean.first(count), ("square",))[0][1] for count in (6, 2))
    assert whole.inputs[:2].tobytes() == few.inputs.tobytes()
    other = craft(model, twin, clean, ("square",), dataclasses.replace(SETTINGS, seed=1))[0][1]
    assert whole.inputs.tobytes() != other.inputs.tobytes()


def test_a_budget_ends_an_attack_with_what_it_has(
    model: ConvertedModel, clean: Suite, twin: Executor
) -> None:
    names = ("square", "boundary", "zoo", "hopskipjump", "simba")
    settings = dataclasses.replace(SETTINGS, epsilon=0.02)
    for suite in craft(model, twin, clean, names, settings, budget=7)[0][1:]:
        asked = suite.settings["queries_by_sample"]["asked"]
        assert max(asked) == 7
        assert suite.settings["budget_reached"] >= 1
        change = suite.inputs - clean.inputs
        if suite.name == "boundary":
            # Its first candidates are adversarial, if far away; that is what it has.
            assert fooled(model, suite).all()
        if suite.name == "square":
            assert np.abs(change).max() <= 0.02 + 1e-6
            samples = model.graph.input_tensor.quantization.quantize
            output = model.graph.output_tensor.quantization
            left, before = (
                margins(output.dequantize(reference.run(model.graph, samples(x))), clean.labels)
                for x in (suite.inputs, clean.inputs)
            )
            assert (left <= before).all()
            assert (left < before).any()


def test_nothing_is_sent_twice_and_bytes_are_those_of_the_file(
    model: ConvertedModel, clean: Suite, twin: Executor, tmp_path: Path
) -> None:
    seen: list[bytes] = []

    def recording(samples: Int8, progress: Progress | None = None) -> Run:
        seen.extend(sample.tobytes() for sample in samples)
        return twin(samples, progress)

    suites, oracle = craft(model, recording, clean, ("square", "simba"))
    assert len(seen) == len(set(seen)) == oracle.computed
    save_suites(tmp_path / "s.npz", suites, {})
    arrays = read_arrays(tmp_path / "s.npz")
    for suite in suites[1:]:
        assert {sample.tobytes() for sample in arrays[f"{suite.name}/x_int8"]} <= set(seen)


def test_an_interrupted_attack_goes_on_where_it_stopped(
    model: ConvertedModel, clean: Suite, twin: Executor, tmp_path: Path
) -> None:
    names = ("square", "boundary", "hopskipjump")
    whole, oracle = craft(model, twin, clean, names)
    path = tmp_path / "journal"
    hash_ = model.graph.hash
    for calls in (0, 1, 60):
        with new_journal(path, hash_) as journal, pytest.raises(LinkError):
            craft(model, Interrupted(twin, calls), clean, names, journal=journal)
        with QueryJournal.resume(path, hash_) as journal:
            assert bool(journal.answers) == bool(calls)
            resumed, again = craft(model, twin, clean, names, journal=journal)
            assert again.computed == oracle.computed - len(journal.answers)
        assert_same(whole, resumed)
    # Now the journal is whole. Killed processes leave any part of it.
    content = path.read_bytes()
    first = content.index(b"\n") + 1
    for size in (first, first + 1, len(content) // 2, len(content) - 1, len(content)):
        path.write_bytes(content[:size])
        with QueryJournal.resume(path, hash_) as journal:
            resumed, again = craft(model, twin, clean, names, journal=journal)
        assert_same(whole, resumed)
        assert sorted(path.read_bytes().splitlines()) == sorted(content.splitlines())


def test_an_attack_at_two_epsilons_goes_on_where_it_stopped(
    model: ConvertedModel, clean: Suite, twin: Executor, tmp_path: Path
) -> None:
    names = ("square", "boundary", "noise")
    settings = AttackSettings.at((0.15, 0.05), **BUDGETS)
    counted = Interrupted(twin, 10_000)
    whole, oracle = craft(model, counted, clean, names, settings)
    assert [suite.name for suite in whole] == [
        *("clean", "square@0.05", "square@0.15", "boundary", "noise@0.05", "noise@0.15")
    ]
    for suite in whole[1:]:
        if suite.settings["norm"] == "Linf":
            change = np.abs(suite.inputs - clean.inputs).max()
            budget = suite.settings["epsilon"]
            assert 0.9 * budget < change <= budget + 1e-6
    save_suites(tmp_path / "whole.npz", whole, {})
    path, hash_ = tmp_path / "journal", model.graph.hash
    stops = np.linspace(0, 10_000 - counted.calls, 5, dtype=int)[:-1]
    for calls in stops:
        with new_journal(path, hash_) as journal, pytest.raises(LinkError):
            craft(model, Interrupted(twin, calls), clean, names, settings, journal=journal)
        with QueryJournal.resume(path, hash_) as journal:
            resumed, again = craft(model, twin, clean, names, settings, journal=journal)
        assert again.computed == oracle.computed - len(journal.answers)
        save_suites(tmp_path / "resumed.npz", resumed, {})
        assert (tmp_path / "resumed.npz").read_bytes() == (tmp_path / "whole.npz").read_bytes()


def test_a_journal_of_other_epsilons_changes_nothing(
    model: ConvertedModel, clean: Suite, twin: Executor, tmp_path: Path
) -> None:
    """An answer is kept by the input that it is to, whatever epsilon asked for it."""
    names = ("square", "noise")
    of_two = AttackSettings.at((0.05, 0.15), **BUDGETS)
    others = AttackSettings.at((0.1, 0.15), **BUDGETS)
    whole, oracle = craft(model, twin, clean, names, others)
    path, hash_ = tmp_path / "journal", model.graph.hash
    with new_journal(path, hash_) as journal:
        craft(model, twin, clean, names, of_two, journal=journal)
    with QueryJournal.resume(path, hash_) as journal:
        resumed, again = craft(model, twin, clean, names, others, journal=journal)
    assert_same(whole, resumed)
    assert 0 < again.computed < oracle.computed


def test_one_file_of_suites_is_a_curve(
    model: ConvertedModel, clean: Suite, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data, suites, run = (tmp_path / name for name in ("d.npz", "s.npz", "run.json"))
    np.savez(data, x=clean.inputs, y=clean.labels)
    attack = ("attack", model.folder, "--on", "numpy", "--data", data, "-o", suites)
    code, out, err = run_cli(
        capsys,
        *attack,
        *("--attacks", "square,simba", "--epsilon", "0.15, 8/255,0.06"),
        *("--square-queries", 20, "--simba-iterations", 10),
    )
    assert code == 0, err
    for epsilon in ("8/255", "0.06", "0.15"):
        assert f"square@{epsilon}" in out
    device = ("run", model.folder, "--on", "twin", "--data", suites, "-o", run)
    found = {suite["name"]: suite for suite in run_json(capsys, *device)["suites"]}
    assert [suite["change"] and suite["change"]["clean"] for suite in found.values()] == [
        None,
        *["clean"] * 4,
    ]
    asked = ("--min-accuracy", "square@0.0314=0")
    (report,) = run_json(capsys, "report", run, *asked)["runs"]
    (curve,) = [curve for curve in report["curves"] if curve["norm"] == "Linf"]
    assert [(point["epsilon"], point["accuracy"]) for point in curve["points"]] == [
        (epsilon, found[name]["accuracy"]["device"])
        for name, epsilon in (
            ("clean", 0.0),
            ("square@8/255", 8 / 255),
            ("square@0.06", 0.06),
            ("square@0.15", 0.15),
        )
    ]
    refine = ("--attacks", "refine", "--square-queries", 5, "-o", tmp_path / "r.npz")
    start = ("--start", f"{suites}:square@0.06")
    (_, refined) = run_json(capsys, *attack, *refine, *start)["suites"]
    assert refined["name"] == "refine"
    assert refined["settings"]["start"] == "square@0.06"


def test_the_line_to_a_board_is_as_the_options_say(
    model: ConvertedModel,
    clean: Suite,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    lines = []

    class Noted(Client):
        def __init__(self, port: str, baud: int, timeout_s: float, *rest: Any) -> None:
            lines.append((port, baud, timeout_s))
            super().__init__(port, baud, timeout_s, *rest)

    monkeypatch.setattr(session, "Client", Noted)
    data = tmp_path / "d.npz"
    np.savez(data, x=clean.inputs[:1], y=clean.labels[:1])
    attack = ("attack", model.folder, "--data", data, "-o", tmp_path / "s.npz")
    few = ("--square-queries", 2)
    line = ("--baud", 9600, "--timeout", 30)
    with open_emulator(BOARD, build_firmware(model, BOARD).elf) as target:
        on_board = (*attack, *few, "--on", "board", "-p", target.port)
        run_json(capsys, *on_board, *line)
        run_json(capsys, *on_board)
    default = (target.port, BOARD.uart.baud, session.inference_timeout_s(model))
    assert lines == [(target.port, 9600, 30), default]
    on_twin = (*attack, "--on", "twin")
    assert "--baud" in failure(capsys, 2, *on_twin, *line[:2])["message"]
    assert "--timeout" in failure(capsys, 2, *on_twin, *line[2:])["message"]


def test_a_torn_end_is_cut_off_and_other_damage_is_reported(tmp_path: Path) -> None:
    path = tmp_path / "records"
    with RecordFile.create(path, {"of": "test"}) as file:
        file.append(["one", "two"])
        file.append(["three"])
    content = path.read_bytes()
    ends = [at + 1 for at, byte in enumerate(content) if byte == ord("\n")]
    for size in range(ends[0], len(content) + 1):
        path.write_bytes(content[:size])
        with RecordFile.resume(path) as file:
            assert file.header == {"of": "test"}
            assert file.records == ["one", "two", "three"][: sum(end <= size for end in ends) - 1]
            file.append(["more"])
        with RecordFile.resume(path) as file:
            assert file.records[-1] == "more"
    damaged = bytearray(content)
    damaged[ends[1] + 10] ^= 1
    path.write_bytes(damaged)
    with pytest.raises(DataError, match="line 3 is damaged"):
        RecordFile.resume(path)
    for wrong in (b"", content[: ends[0] - 1], b"anything\n"):
        path.write_bytes(wrong)
        with pytest.raises(DataError, match="not a file of records"):
            RecordFile.resume(path)
        assert path.read_bytes() == wrong


def test_refining_keeps_what_fools_and_stays_within_epsilon(
    model: ConvertedModel, clean: Suite, twin: Executor
) -> None:
    random = np.random.default_rng(3)
    signs = random.choice([-0.1, 0.1], clean.inputs.shape)
    start = dataclasses.replace(
        clean, name="other", inputs=np.clip(clean.inputs + signs, 0, 1).astype(np.float32)
    )
    settings = dataclasses.replace(SETTINGS, epsilon=0.1, square_queries=100)
    means = Means(gradients=False, start=start)
    suite = craft(model, twin, clean, ("refine",), settings, means)[0][1]
    quantize = model.graph.input_tensor.quantization.quantize
    at_start = reference.run(model.graph, quantize(start.inputs)).argmax(axis=1) != clean.labels
    assert suite.inputs[at_start].tobytes() == start.inputs[at_start].tobytes()
    assert np.abs(suite.inputs - clean.inputs).max() <= 0.1 + 1e-6
    assert suite.settings["start"] == "other"
    assert suite.settings["fooled_at_start"] == at_start.sum()
    assert at_start.sum() < suite.settings["fooled"] == fooled(model, suite).sum()
    asked = np.array(suite.settings["queries_by_sample"]["asked"])
    assert (asked[at_start] == 1).all()
    assert (asked[~at_start] > 1).all()
    mixed = Means(gradients=False, start=dataclasses.replace(start, labels=start.labels[::-1]))
    with pytest.raises(DataError, match="no versions"):
        craft(model, twin, clean, ("refine",), settings, mixed)


def test_the_command_line(
    model: ConvertedModel, clean: Suite, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data, suites, journal = (tmp_path / name for name in ("d.npz", "s.npz", "s.npz.journal"))
    np.savez(data, x=clean.inputs, y=clean.labels)
    attack = ("attack", model.folder, "--data", data, "--epsilon", "0.15", "-o", suites)
    on_twin = (*attack, "--on", "twin", "--square-queries", "40")
    record = run_json(capsys, *on_twin, "--query-budget", "20")
    square = record["suites"][1]
    assert square["settings"]["query_budget"] == 20
    assert record["oracle"] == {"on": "twin", "model": model.graph.hash}
    assert record["answers"]["computed"] >= square["settings"]["queries_sent"]
    assert not journal.exists()
    compared = run_json(capsys, "run", model.folder, "--on", "numpy", "--data", suites)
    for ours, theirs in zip(record["suites"], compared["suites"], strict=True):
        assert ours["accuracy"]["device"] == theirs["accuracy"]["device"]
        assert theirs["accuracy"]["float"] is None
    code, out, err = run_cli(capsys, *on_twin, "--attacks", "square,simba", "--query-budget", "3")
    assert code == 0, err
    assert "reached the budget of 3 queries" in out

    refine = ("--attacks", "refine", "--start", f"{suites}:square")
    other = tmp_path / "r.npz"
    refined = run_json(capsys, *on_twin, *refine, "-o", other)["suites"][1]["settings"]
    assert refined["fooled"] >= refined["fooled_at_start"]
    both = run_json(capsys, "run", model.folder, "--on", "twin", "--data", suites, "--data", other)
    names = [suite["name"] for suite in both["suites"]]
    assert names == ["s:clean", "square", "simba", "r:clean", "refine"]
    assert (
        "twice"
        in failure(
            capsys, 3, "run", model.folder, "--on", "twin", "--data", other, "--data", other
        )["message"]
    )

    (tmp_path / "s.npz.journal").write_text("something else\n")
    assert "records" in failure(capsys, 3, *on_twin, "--resume")["message"]
    assert "no journal" in failure(capsys, 2, *on_twin)["message"]
    new_journal(journal, "0" * 64).__exit__(None, None, None)
    error = failure(capsys, 3, *on_twin, "--resume")
    assert "answers of model '000000000000'" in error["message"]
    code, _, err = run_cli(capsys, *on_twin)
    assert code == 0, err
    assert not journal.exists()
    code, _, err = run_cli(capsys, *on_twin, "--resume")
    assert code == 0, err
    assert "begins anew" in err

    assert (
        "gradients"
        in failure(capsys, 2, *attack, "--on", "board", "--attacks", "square,pgd")["message"]
    )
    assert "--on" in failure(capsys, 2, *attack)["hint"]
    float_model = ("attack", tmp_path / "m.h5", "-o", suites)
    assert "converted" in failure(capsys, 2, *float_model, "--on", "twin")["message"]
    assert "which suite" in failure(capsys, 2, *on_twin, "--start", data)["message"]
    assert failure(capsys, 6, *attack, "--on", "board")["code"] == "device"


def test_files_of_one_name_are_told_apart_by_their_path(clean: Suite, tmp_path: Path) -> None:
    paths = [tmp_path / folder / "s.npz" for folder in ("a", "b")]
    for path in paths:
        save_suites(path, [clean], {})
    assert [suite.name for suite in load_suite_files(paths)] == [f"{path}:clean" for path in paths]
    assert [suite.name for suite in load_suite_files(paths[:1])] == ["clean"]
    assert load_suites(paths[0])[0].inputs.tobytes() == clean.inputs.tobytes()


def test_attacks_without_their_means_are_refused(
    model: ConvertedModel, clean: Suite, twin: Executor
) -> None:
    for name in ("pgd", "transfer-pgd", "refine", "frobnicate"):
        with pytest.raises(UsageError, match=name):
            craft(model, twin, clean, (name,))
