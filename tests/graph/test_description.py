"""Graph files of strangers: refused before anything is made of them."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.graph.random_graphs import RandomGraph
from tinyedge.errors import ModelError
from tinyedge.graph.description import MAXIMUM_OPERATORS
from tinyedge.graph.graph import Graph

Change = Callable[[dict[str, Any]], object]


def changed(path: Path, change: Change) -> Path:
    """A graph's file with another description."""
    RandomGraph(278).graph.save(path)
    with np.load(path) as file:
        arrays = dict(file)
    description = json.loads(arrays.pop("graph").tobytes())
    change(description)
    encoded = np.frombuffer(json.dumps(description).encode(), np.uint8)
    np.savez(path, graph=encoded, **arrays)
    return path


def first(description: dict[str, Any], key: str) -> dict[str, Any]:
    """The first operator that has a key."""
    found: dict[str, Any] = next(each for each in description["operators"] if key in each)
    return found


def with_operator(**changes: object) -> Change:
    return lambda description: first(description, next(iter(changes))).update(changes)


def with_tensor(**changes: object) -> Change:
    return lambda description: description["tensors"][0].update(changes)


def with_value(**changes: object) -> Change:
    return lambda description: description.update(changes)


CHANGES: dict[str, Change] = {
    "clamp": with_operator(clamp=[True, 1.5]),
    "stride": with_operator(stride=[1, "1; system()"]),
    "padding": with_operator(padding=[0, 0, 0]),
    "bits": with_operator(weights={"bits": 2.0}),
    "unknown": with_operator(clamp=[0, 1], more=1),
    "missing": lambda description: first(description, "clamp").pop("clamp"),
    "kind": with_operator(kind=["Add"]),
    "zero_point": with_tensor(zero_point=True),
    "scale": with_tensor(scale=float("nan")),
    "shape": with_tensor(shape=[10**30]),
    "axes": with_tensor(shape=[1] * 9),
    "name of a tensor": with_tensor(name="a\x1b[2J"),
    "name": with_value(name="x\nexecute_process(COMMAND touch canary)\n#"),
    "NUL": with_value(name="a\0b"),
    "direction": with_value(name="a\u202eb"),
    "no text": with_value(name=1),
    "source": with_value(source=[]),
    "half of a pair": with_value(source={"file": "\ud800"}),
    "tensors": with_value(tensors={}),
    "operators": lambda description: description.update(
        operators=description["operators"][:1] * (MAXIMUM_OPERATORS + 1)
    ),
    "whole": lambda description: description.clear(),
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
def test_what_was_never_saved_is_refused(change: Change, tmp_path: Path) -> None:
    path = changed(tmp_path / "graph.npz", change)
    with pytest.raises(ModelError) as refused:
        Graph.load(path)
    message = str(refused.value)
    assert message.startswith(f"{path}: ")
    assert message.isprintable()
    assert len(message) < len(str(path)) + 600


def test_the_description_alone_is_accepted(tmp_path: Path) -> None:
    """The test above rests on this."""
    path = changed(tmp_path / "graph.npz", lambda _: None)
    assert Graph.load(path).hash == RandomGraph(278).graph.hash


@pytest.mark.parametrize("kind", ["float64", "int64"])
def test_arrays_of_another_type_are_refused(kind: str, tmp_path: Path) -> None:
    path = tmp_path / "graph.npz"
    RandomGraph(278).graph.save(path)
    with np.load(path) as file:
        arrays = dict(file)
    key = next(key for key in arrays if key.endswith("/bias"))
    arrays[key] = arrays[key].astype(kind)
    np.savez(path, **arrays)
    with pytest.raises(ModelError, match=f"{key} is {kind}, allowed: int32"):
        Graph.load(path)


def test_a_file_that_unpacks_to_much_is_refused_unread(tmp_path: Path) -> None:
    path = tmp_path / "graph.npz"
    np.savez_compressed(path, graph=np.zeros(2**28 + 1, np.uint8))
    with pytest.raises(ModelError, match="unpacks to"):
        Graph.load(path)
