from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import tinyedge
from tests.cli.commands import run_json
from tests.commands.records import as_printed
from tests.graph.random_graphs import RandomGraph
from tinyedge.errors import DataError, UsageError
from tinyedge.exporters.converted import ConvertedModel, write_converted


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> ConvertedModel:
    return write_converted(RandomGraph(5).graph, tmp_path_factory.mktemp("m") / "model", "test")


def contents(folder: Path) -> dict[str, bytes]:
    files = (path for path in folder.rglob("*") if path.is_file())
    return {str(path.relative_to(folder)): path.read_bytes() for path in files}


@pytest.mark.parametrize("form", ["cmake", "platformio"])
def test_the_function_gives_what_the_command_prints(
    form: Any, model: ConvertedModel, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    target = tmp_path / "firmware"
    command = ("export", model.folder, "-b", "nucleo-f446re", "--format", form, "-o", target)
    record = run_json(capsys, *command)
    written = contents(target)
    given = tinyedge.export(model.folder, board="nucleo-f446re", format=form, output=target)
    assert as_printed(given) == record
    assert contents(target) == written


def test_a_library_of_an_array(
    model: ConvertedModel, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    target = tmp_path / "library"
    x = np.full((2, *model.graph.input_tensor.shape), 3, np.int8)
    np.save(tmp_path / "x.npy", x)
    command = ("export", model.folder, "--format", "arduino", "-o", target, "--zip")
    record = run_json(capsys, *command, "--name", "small", "--data", tmp_path / "x.npy")
    written = contents(tmp_path)
    given = tinyedge.export(
        model.folder, format="arduino", output=target, name="small", data=x, zip=True
    )
    assert as_printed(given) == record
    assert contents(tmp_path) == written


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"format": "make"}, "format='make': one of arduino, c, cmake, platformio"),
        ({"format": "cmake"}, "is for one board"),
        ({"format": "c", "board": "nucleo-f446re"}, "for any board"),
        ({"format": "c", "zip": True}, "--zip does not go with --format c"),
        ({"format": "arduino", "labels": "labels.txt"}, "--labels does not go with"),
        ({"format": "arduino", "board": "nucleo-f446re"}, "for any board"),
        ({"format": "cmake", "data": np.zeros(3)}, "--data does not go with --format cmake"),
    ],
)
def test_arguments_are_checked_as_options_are(
    given: dict[str, Any], message: str, model: ConvertedModel, tmp_path: Path
) -> None:
    with pytest.raises(UsageError, match=message):
        tinyedge.export(model.folder, output=tmp_path / "out", **given)


def test_a_c_library_gives_what_the_command_prints(
    model: ConvertedModel, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    target, labels = tmp_path / "library", tmp_path / "labels.txt"
    labels.write_text("x\n" * model.graph.output_tensor.size)
    command = ("export", model.folder, "--format", "c", "-o", target, "--labels", labels)
    record = run_json(capsys, *command)
    assert record["name"] == "random_5"
    written = contents(target)
    given = tinyedge.export(model.folder, format="c", output=target, labels=labels)
    assert as_printed(given) == record
    assert contents(target) == written


@pytest.mark.parametrize("content", [b"a\xff\n", b"a\x1bb\n", None])
def test_names_of_classes_that_cannot_be_read_are_refused(
    content: bytes | None, model: ConvertedModel, tmp_path: Path
) -> None:
    labels = tmp_path / "labels.txt"
    if content:
        labels.write_bytes(content)
    with pytest.raises(DataError, match=r"labels\.txt: "):
        tinyedge.export(model.folder, format="c", output=tmp_path / "out", labels=labels)
    assert not (tmp_path / "out").exists()
