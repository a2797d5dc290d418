from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import tinyedge
from tests.cli.commands import failure, run_json
from tests.commands.options import options, parameters
from tests.commands.records import as_printed
from tests.graph.random_graphs import RandomGraph
from tinyedge import demo, errors
from tinyedge.attacks import AttackSettings
from tinyedge.evaluation.suites import load_suites
from tinyedge.exporters.converted import ConvertedModel, write_converted
from tinyedge.progress import NOBODY


@pytest.fixture
def model(tmp_path: Path) -> ConvertedModel:
    return write_converted(RandomGraph(5).graph, tmp_path / "model", "test")


@pytest.fixture
def samples(model: ConvertedModel) -> tuple[np.ndarray, np.ndarray]:
    tensor = model.graph.input_tensor
    x = tensor.quantization.dequantize(RandomGraph(5).inputs(4)).astype(np.float32)
    return x, np.arange(4, dtype=np.int64) % 2


def test_answers_of_a_converted_model_are_attacked_and_resumed_by_both(
    model: ConvertedModel,
    samples: tuple[np.ndarray, np.ndarray],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    np.savez(tmp_path / "data.npz", x=samples[0], y=samples[1])
    file, data = tmp_path / "suites.npz", tmp_path / "data.npz"
    budget = ("--attacks", "square,noise", "--query-budget", "3", "--samples", "3", "--seed", "2")
    where = ("--on", "numpy", "--epsilon", "1/2,0.25", "--data", data, "-o", file)
    record = run_json(capsys, "attack", model.folder, *budget, *where)
    given: dict[str, Any] = {"on": "numpy", "query_budget": 3, "count": 3, "seed": 2}
    given |= {"attacks": ["square", "noise"], "epsilon": ["1/2", 0.25]}
    found = tinyedge.attack(model.folder, data, output=file, **given)
    assert found.record is not None
    assert as_printed(found.record) == record
    loaded = load_suites(file)
    assert [suite.name for suite in found] == [suite.name for suite in loaded]
    journal = tmp_path / "own.journal"
    unsaved = tinyedge.attack(model.folder, samples, journal=journal, **given)
    assert unsaved.record is None
    for ours, theirs in zip(unsaved, loaded, strict=True):
        assert np.array_equal(ours.inputs, theirs.inputs)
    assert not journal.exists()


def test_samples_at_the_ends_of_the_input_s_range_are_attacked(tmp_path: Path) -> None:
    """The ends of a scale that is no power of two are other numbers in float32 than in float64."""
    graph = RandomGraph(5).graph
    grid = graph.input_tensor.quantization
    odd = replace(graph.input_tensor, quantization=replace(grid, scale=0.5847029, zero_point=83))
    graph = replace(graph, tensors={**graph.tensors, graph.input: odd})
    model = write_converted(graph, tmp_path / "odd", "test")
    x = np.stack([np.full(graph.input_tensor.shape, end, np.int8) for end in (-128, 127)])
    with pytest.warns(UserWarning, match="int8 values are the input itself"):
        found = tinyedge.attack(model.folder, (x, np.array([0, 1])), on="numpy", attacks=["noise"])
    assert len(list(found)) == 2


def test_an_interrupted_attack_goes_on(
    model: ConvertedModel, samples: tuple[np.ndarray, np.ndarray], tmp_path: Path
) -> None:
    class Stops:
        """Interrupts the second attack."""

        def __init__(self) -> None:
            self.said: list[str] = []

        def remark(self, *messages: str) -> None:
            self.said += messages

        step = staticmethod(NOBODY.step)

        def progress(self, label: str, total: int) -> Any:
            if "boundary" in label or "simba" in label:
                raise KeyboardInterrupt
            return NOBODY.progress(label, total)

    given: dict[str, Any] = {"on": "numpy", "attacks": "square,simba", "query_budget": 3}
    given |= {"journal": tmp_path / "j", "epsilon": 0.5}
    stops = Stops()
    with pytest.raises(KeyboardInterrupt):
        tinyedge.attack(model.folder, samples, listener=stops, **given)
    assert "--resume goes on" in stops.said[-1]
    with pytest.raises(errors.FileError):
        tinyedge.attack(model.folder, samples, **given)
    with pytest.warns(UserWarning, match="answers are in"):
        resumed = tinyedge.attack(model.folder, samples, resume=True, **given)
    anew = tinyedge.attack(model.folder, samples, **given)
    for ours, theirs in zip(resumed, anew, strict=True):
        assert np.array_equal(ours.inputs, theirs.inputs)


def test_both_refuse_the_same(
    model: ConvertedModel, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    output = tmp_path / "o.npz"
    cases: list[tuple[tuple[object, ...], dict[str, Any]]] = [
        ((), {}),
        (
            ("--on", "numpy", "--resume", "--discard"),
            {"on": "numpy", "resume": True, "discard": True},
        ),
        (("--on", "numpy", "-p", "p"), {"on": "numpy", "port": "p"}),
        (("--on", "emulator", "--attacks", "pgd"), {"on": "emulator", "attacks": "pgd"}),
        (("--on", "numpy", "--clip", "1", "0"), {"on": "numpy", "clip": (1, 0)}),
    ]
    for arguments, given in cases:
        error = failure(capsys, 2, "attack", model.folder, "-o", output, *arguments)
        with pytest.raises(errors.UsageError) as raised:
            tinyedge.attack(model.folder, output=output, **given)
        hint = raised.value.hint.replace("'tinyedge --help'", "'tinyedge attack --help'")
        assert (str(raised.value), hint) == (error["message"], error["hint"])
    with pytest.raises(errors.UsageError, match="--journal, or --output"):
        tinyedge.attack(model.folder, on="numpy", resume=True)


@pytest.mark.parametrize(
    "given",
    [{"on": "moon"}, {"compiler": "x"}, {"query_budget": 0}, {"count": 0}, {"epsilon": "2/0"}],
)
def test_what_is_unknown_is_refused(given: dict[str, Any], model: ConvertedModel) -> None:
    with pytest.raises(errors.UsageError, match=next(iter(given))):
        tinyedge.attack(model.folder, **{"on": "numpy", **given})


def test_options_have_the_same_names() -> None:
    ours = parameters(tinyedge.attack) - {"settings"} | set(AttackSettings.__dataclass_fields__)
    renamed = {"count", "epsilons", "batch"}  # --samples is the count, --data the samples
    assert ours - renamed == options("attack") - {"data"}


@pytest.mark.keras
def test_a_float_model_is_attacked_by_both(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "suites.npz"
    arguments = ("--attacks", "fgsm", "--samples", "5", "--epsilon", "2/10", "-o", file)
    record = run_json(capsys, "attack", demo.MODEL, *arguments)
    found = tinyedge.attack(demo.MODEL, attacks="fgsm", count=5, epsilon="2/10", output=file)
    assert found.record is not None
    assert as_printed(found.record) == record
    samples = (demo.clean_suite().inputs, demo.clean_suite().labels)
    with pytest.warns(UserWarning, match="epsilon 2 spans the whole range 0 to 1"):
        tinyedge.attack(demo.MODEL, samples, "fgsm", count=2, epsilon=2)


@pytest.mark.parametrize("name", ["m.tflite", "m.onnx", "graph.npz"])
def test_a_file_that_is_to_be_converted_first_is_named(
    name: str, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    (tmp_path / name).write_bytes(b"")
    error = failure(capsys, 2, "attack", tmp_path / name, "-o", tmp_path / "s.npz")
    assert "attacked as a converted model" in error["message"]
    assert "tinyedge convert" in error["hint"]
