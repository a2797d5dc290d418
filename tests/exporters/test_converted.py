"""A converted folder that comes from a stranger: what is compiled follows from its graph."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.cli.commands import failure, run_json
from tests.graph.random_graphs import RandomGraph
from tinyedge.errors import ModelError
from tinyedge.exporters.c import CodeOptions
from tinyedge.exporters.converted import load_converted, write_converted

GRAPH = RandomGraph(278).graph


def changed_manifest(folder: Path, **changes: object) -> None:
    path = folder / "model.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | changes, indent=2) + "\n")


def test_what_was_written_is_read(tmp_path: Path) -> None:
    notes = ("a note", "<b>\x1b[31m")
    options = CodeOptions("avr", "size")
    written = write_converted(GRAPH, tmp_path / "m", "a command", notes, options)
    read = load_converted(tmp_path / "m")
    assert read.manifest == written.manifest
    assert read.graph.hash == written.graph.hash


@pytest.mark.parametrize("name", ["model.c", "model.h", "model.tflite", "arena.svg"])
@pytest.mark.parametrize("longer", [False, True])
def test_a_file_that_was_planted_is_refused(name: str, longer: bool, tmp_path: Path) -> None:  # noqa: FBT001 - of parametrize
    write_converted(GRAPH, tmp_path, "test")
    path = tmp_path / name
    content = path.read_bytes()
    path.write_bytes(content + b"\n" if longer else bytes([content[0] ^ 1]) + content[1:])
    with pytest.raises(ModelError, match=name) as refused:
        load_converted(tmp_path)
    assert "tinyedge convert" in refused.value.hint


@pytest.mark.parametrize("form", ["arduino", "cmake"])
def test_a_local_file_named_as_a_source_is_not_exported(
    form: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    model = write_converted(GRAPH, tmp_path / "m", "test")
    (tmp_path / "secret.c").write_text("canary")
    for secret in (str(tmp_path / "secret.c"), "te_softmax_s8.c"):
        changed_manifest(model.folder, runtime_sources=[*model.runtime_sources, secret])
        board = () if form == "arduino" else ("-b", "netduinoplus2")
        command = ("export", model.folder, "--format", form, *board, "-o", tmp_path / "e")
        fault = failure(capsys, 3, *command)
        assert "model.json" in fault["message"]
        assert "runtime_sources" in fault["message"]
        assert not (tmp_path / "e").exists()


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("version", 2),
        ("hash", None),
        ("command", ["x"]),
        ("core", "cortex-m99"),
        ("core", []),
        ("optimize", 1),
        ("notes", [1]),
        ("arena", {"bytes": -(10**9)}),
        ("layers", []),
        ("weight_bytes", 1),
        ("more", 1),
    ],
)
def test_a_manifest_that_says_otherwise_is_refused(key: str, value: Any, tmp_path: Path) -> None:
    write_converted(GRAPH, tmp_path, "test")
    changed_manifest(tmp_path, **{key: value})
    with pytest.raises(ModelError, match=rf"model.json: .*{key}") as refused:
        load_converted(tmp_path)
    assert "convert again" in refused.value.hint


def test_an_old_folder_is_converted_again(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    model = write_converted(GRAPH, tmp_path / "old", "test")
    header = model.folder / "model.h"
    header.write_text(header.read_text().replace("by tinyedge", "by tinyedge 0.0.1"))
    fault = failure(capsys, 3, "build", model.folder, "-b", "netduinoplus2")
    assert "version of tinyedge" in fault["message"]
    hint = fault["hint"].split()
    run_json(capsys, *hint[hint.index("convert", 2) : -1], tmp_path / "new")
    assert load_converted(tmp_path / "new").graph.hash == GRAPH.hash
