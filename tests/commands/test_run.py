from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import tinyedge
from tests.cli.commands import failure, run_cli, run_json
from tests.commands.options import options, parameters
from tests.graph.random_graphs import RandomGraph
from tinyedge import errors
from tinyedge.evaluation.suites import Suite, save_suites
from tinyedge.exporters.converted import ConvertedModel, write_converted

OK = {"version": 1, "status": "ok"}


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> ConvertedModel:
    graph = RandomGraph(5).graph
    return write_converted(graph, tmp_path_factory.mktemp("run") / "model", "test")


@pytest.fixture
def files(model: ConvertedModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Samples without labels, with labels, and two suites, in the working folder."""
    monkeypatch.chdir(tmp_path)
    x = RandomGraph(5).inputs(6)
    tensor = model.graph.input_tensor
    labels = np.arange(6, dtype=np.int64) % 2
    np.save("x.npy", x)
    np.savez("labelled.npz", x=x, y=labels)
    real = tensor.quantization.dequantize(x).astype(np.float32)
    save_suites(Path("suites.npz"), [Suite(name, real, labels) for name in ("one", "two")], {})


@pytest.mark.parametrize(
    ("arguments", "given"),
    [
        (("--data", "labelled.npz"), {"data": "labelled.npz"}),
        (
            ("--data", "suites.npz", "--data", "labelled.npz", "--samples", "3"),
            {"data": ["suites.npz", Path("labelled.npz")], "samples": 3},
        ),
        (("--data", "x.npy", "--logits", "y.npy"), {"data": "x.npy", "logits": "y.npy"}),
        (
            ("--data", "labelled.npz", "--logits", "y.npy", "-o", "run.json"),
            {"data": "labelled.npz", "logits": "y.npy", "output": "run.json"},
        ),
    ],
)
@pytest.mark.usefixtures("files")
def test_the_function_gives_what_the_command_prints(
    arguments: tuple[str, ...],
    given: dict[str, Any],
    model: ConvertedModel,
    capsys: pytest.CaptureFixture[str],
) -> None:
    record = run_json(capsys, "run", model.folder, "--on", "numpy", *arguments)
    for name in (given.get("logits"), given.get("output")):
        if name:
            Path(name).unlink()
    found = tinyedge.run(model.folder, on="numpy", **given)
    assert found | OK == record
    assert all(Path(given[key]).exists() for key in ("logits", "output") if key in given)


@pytest.mark.needs_tool
@pytest.mark.usefixtures("files")
def test_layers_are_watched_by_both(
    model: ConvertedModel, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ("run", model.folder, "--on", "twin", "--profile", "--trace", "-o", "run.json")
    record = run_json(capsys, *arguments)
    found = tinyedge.run(
        model.folder, on="twin", profile=True, trace=True, command=["own"], output="o"
    )
    assert found | OK == record
    assert json.loads(Path("o").read_text()) == {**json.loads(Path("run.json").read_text())} | {
        "command": ["own"]
    }


@pytest.mark.needs_tool
@pytest.mark.emulator
@pytest.mark.usefixtures("files")
def test_a_journal_is_kept_resumed_and_discarded_by_both(
    model: ConvertedModel, capsys: pytest.CaptureFixture[str]
) -> None:
    run = ("run", model.folder, "--on", "emulator", "--data", "labelled.npz", "--journal", "j")
    first = run_json(capsys, *run)
    with pytest.raises(errors.FileError):
        tinyedge.run(model.folder, on="emulator", data="labelled.npz", journal="j")
    resumed = tinyedge.run(
        model.folder, on="emulator", data="labelled.npz", journal="j", resume=True
    )
    assert resumed["link"]["from_journal"] == 6
    printed = run_json(capsys, *run, "--resume")
    assert printed["link"].pop("devices")  # each has a port and a boot of its own
    assert resumed["link"].pop("devices")
    assert resumed | OK == printed
    anew = tinyedge.run(model.folder, on="emulator", data="labelled.npz", journal="j", discard=True)
    assert anew["suites"][0]["accuracy"] == first["suites"][0]["accuracy"]
    assert anew["link"]["from_journal"] == 0


@pytest.mark.usefixtures("files")
def test_a_difference_is_raised_with_the_record(
    model: ConvertedModel, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    from tinyedge.graph import reference
    from tinyedge.places import opening

    def other(graph: Any, x: Any, done: Any = None) -> Any:
        return ~reference.run(graph, x, done)

    monkeypatch.setattr(opening, "reference", type("Other", (), {"run": staticmethod(other)}))
    code, out, _ = run_cli(
        capsys, "run", model.folder, "--on", "numpy", "--data", "labelled.npz", "--json"
    )
    printed = json.loads(out)
    with pytest.raises(errors.ThresholdError, match="host and numpy differ on 6") as raised:
        tinyedge.run(model.folder, on="numpy", data="labelled.npz")
    assert (code, printed["error"]["message"]) == (8, str(raised.value))
    found = raised.value.record
    assert found == {key: printed[key] for key in found or ()}


@pytest.mark.parametrize(
    ("arguments", "given"),
    [
        ((), {}),
        (("--data", "x.npy"), {"data": "x.npy"}),
        (("--data", "labelled.npz", "--resume"), {"data": "labelled.npz", "resume": True}),
        (("--data", "labelled.npz", "-p", "p"), {"data": "labelled.npz", "port": "p"}),
        (
            ("--data", "labelled.npz", "--runtime", "tflm"),
            {"data": "labelled.npz", "runtime": "tflm"},
        ),
        (
            ("--data", "labelled.npz", "--pixels", "1", "0"),
            {"data": "labelled.npz", "pixels": (1, 0)},
        ),
    ],
)
@pytest.mark.usefixtures("files")
def test_both_refuse_the_same(
    arguments: tuple[str, ...],
    given: dict[str, Any],
    model: ConvertedModel,
    capsys: pytest.CaptureFixture[str],
) -> None:
    error = failure(capsys, 2, "run", model.folder, "--on", "numpy", *arguments)
    with pytest.raises(errors.UsageError) as raised:
        tinyedge.run(model.folder, on="numpy", **given)
    hint = raised.value.hint.replace("'tinyedge --help'", "'tinyedge run --help'")
    assert (str(raised.value), hint) == (error["message"], error["hint"])


@pytest.mark.parametrize(
    "given", [{"on": "moon"}, {"compiler": "x"}, {"emulator": "x"}, {"dataset": "x"}, {"baud": 0}]
)
def test_unknown_names_are_refused(given: dict[str, Any], model: ConvertedModel) -> None:
    with pytest.raises(errors.UsageError, match=next(iter(given))):
        tinyedge.run(model.folder, **{"on": "numpy", **given})


def test_options_have_the_same_names() -> None:
    assert parameters(tinyedge.run) - {"command"} == options("run")
