"""Arguments of any function that are of the wrong kind, and files that would replace each other."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import tinyedge
from tests.cli.commands import failure
from tests.graph.random_graphs import RandomGraph
from tinyedge.commands.arguments import KINDS, above_zero, check_outputs
from tinyedge.commands.builds import parse_size
from tinyedge.errors import FileError, TinyEdgeError, UsageError
from tinyedge.exporters.converted import ConvertedModel, write_converted

FUNCTIONS = [getattr(tinyedge, name) for name in tinyedge.__all__ if name.islower()]


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> ConvertedModel:
    return write_converted(RandomGraph(1).graph, tmp_path_factory.mktemp("m") / "m", "test")


@pytest.fixture
def samples(model: ConvertedModel, tmp_path: Path) -> Path:
    shape = model.graph.input_tensor.shape
    np.savez(tmp_path / "s.npz", x=np.zeros((3, *shape), np.float32), y=np.zeros(3, np.int64))
    return tmp_path / "s.npz"


WRONG: dict[str, Any] = {
    "AnyPath": [5, "", "a\0b", None, b"x", []],
    "AnyPath | Sequence[AnyPath]": [5, [5], [""]],
    "Paths": [5, [5], [""], iter(["a"])],
    "bool": ["", 1, None],
    "float": ["5", True],
    "int": [1.5, "5", True, np.int64(5)],
    "Mapping[str, float]": [5, [("a", 1)]],
    "Range": [5, "nosuch", (1,), ("a", "b"), [[1, 2]], [(1, 2), 3]],
    "str": [5, b"x"],
    "str | Sequence[str]": [5, [5]],
}


def test_every_kind_is_tried() -> None:
    assert WRONG.keys() == KINDS.keys()


def cases() -> list[tuple[Callable[..., Any], str, Any]]:
    found = []
    for function in FUNCTIONS:
        for name, parameter in inspect.signature(function).parameters.items():
            kind, optional, _ = str(parameter.annotation).partition(" | None")
            found += [
                (function, name, value)
                for value in WRONG.get(kind, ())
                if not (optional and value is None)
            ]
    return found


@pytest.mark.parametrize(("function", "name", "value"), cases())
def test_an_argument_of_the_wrong_kind_is_named(
    function: Callable[..., Any], name: str, value: Any
) -> None:
    """Before anything else is looked at: the other arguments name nothing that there is."""
    others = {
        each.name: "no-such-thing"
        for each in inspect.signature(function).parameters.values()
        if each.default is each.empty
        and each.kind in (each.POSITIONAL_OR_KEYWORD, each.KEYWORD_ONLY)
    }
    with pytest.raises(UsageError, match=rf"^{name}="):
        function(**others | {name: value})


def test_numbers_that_are_none_or_without_end_are_refused() -> None:
    for value in (0, -1, float("inf"), float("nan"), True):
        with pytest.raises(UsageError, match="a number above 0"):
            above_zero(timeout=value)


def test_errors_of_the_system_are_errors_of_files(model: ConvertedModel, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    for act in (
        lambda: (
            tinyedge.load(model.folder)
            .run((np.zeros((1, *model.graph.input_tensor.shape), np.float32), np.zeros(1, int)))
            .save(tmp_path)
        ),
        lambda: tinyedge.export(
            model.folder, format="cmake", output=tmp_path / "file" / "x", board="netduinoplus2"
        ),
    ):
        with pytest.raises(FileError) as failed:
            act()
        assert str(tmp_path) in str(failed.value)


@pytest.mark.parametrize("given", [None, 5, np.float32(3), [], [5]])
def test_samples_of_no_kind_are_refused(given: Any, model: ConvertedModel) -> None:
    with pytest.raises(TinyEdgeError):
        tinyedge.load(model.folder).run(given)


def test_suites_are_read_by_a_text_too(samples: Path) -> None:
    assert [suite.name for suite in tinyedge.load_suites(str(samples))] == ["clean"]


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--output", "s.npz"), "--output would replace --data"),
        (("--logits", "s.npz"), "--logits would replace --data"),
        (("--output", "a", "--logits", "./a"), "--logits would replace --output"),
        (("--output", "link"), "--output would replace --data"),
        (("--output", "m/model.json"), "--output would replace DIR's model.json"),
    ],
)
def test_a_run_replaces_nothing_that_it_reads_or_writes(
    options: tuple[str, ...],
    said: str,
    model: ConvertedModel,
    samples: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(samples.parent)
    Path("link").symlink_to("s.npz")
    Path("m").symlink_to(model.folder)
    before = samples.read_bytes()
    error = failure(capsys, 2, "run", "m", "--on", "numpy", "--data", "s.npz", *options)
    assert said in error["message"]
    assert samples.read_bytes() == before


@pytest.mark.keras
def test_a_journal_or_a_report_replaces_nothing(
    model: ConvertedModel,
    samples: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(samples.parent)
    attack = ("attack", model.folder, "--on", "numpy", "--attacks", "square", "--data", "s.npz")
    error = failure(capsys, 2, *attack, "-o", "o.npz", "--journal", "o.npz")
    assert "the journal would replace --output" in error["message"]
    assert "would replace --data" in failure(capsys, 2, *attack, "-o", "s.npz")["message"]
    tinyedge.attack(model.folder, "s.npz", "noise", on="numpy", output="n.npz")
    refine = (*attack[:4], "--attacks", "refine", "--data", "s.npz", "--start", "n.npz:noise")
    assert "would replace --start" in failure(capsys, 2, *refine, "-o", "n.npz")["message"]
    tinyedge.run(model.folder, on="numpy", data="s.npz", output="r.json")
    error = failure(capsys, 2, "report", "r.json", "--html", "r.json")
    assert "--html would replace a run" in error["message"]
    error = failure(capsys, 2, "report", "r.json", "--html", "p", "--markdown", "p")
    assert "--markdown would replace --html" in error["message"]


def test_a_device_takes_several_outputs() -> None:
    null = Path("/dev/null")
    check_outputs({"--output": null, "--logits": null}, [("--data", Path("/dev/zero"))])


@pytest.mark.parametrize(
    ("typed", "size"),
    [
        ("16K", 16384),
        ("16KiB", 16384),
        ("16kb", 16000),
        ("16KB", 16000),
        ("2M", 2**21),
        ("2MB", 2_000_000),
        ("512B", 512),
        ("0x100", 256),
        (7, 7),
    ],
)
def test_sizes_are_read_as_people_write_them(typed: object, size: int) -> None:
    assert parse_size(typed) == size


@pytest.mark.parametrize("typed", ["", "K", "16G", "1.5K", "-1", "0x"])
def test_what_is_no_size_is_refused_with_the_units(typed: str) -> None:
    with pytest.raises(UsageError, match="KiB are 1,024, KB is 1,000"):
        parse_size(typed)
