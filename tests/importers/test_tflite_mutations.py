"""Mutated files of all newer kinds: an error of one line, or TFLite-Micro's bytes."""

from __future__ import annotations

import contextlib
import os
import random
import signal
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from functools import cache
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from tests.draws import draws
from tests.graph.random_graphs import RandomGraph
from tests.graph.streaming import streaming_graph
from tests.graph.test_inputs import with_inputs
from tests.graph.test_recurrent import lstm_graph, svdf_graph
from tests.graph.test_results import with_outputs
from tests.importers.test_tflite_inputs import file_of
from tests.importers.test_tflite_operators import FILES
from tests.importers.tflite_mutations import mutated
from tinyedge.errors import TinyEdgeError
from tinyedge.exporters.tflite import export_tflite
from tinyedge.graph import reference
from tinyedge.graph.graph import Graph
from tinyedge.graph.simplify import simplify
from tinyedge.importers import import_model
from tinyedge.tflm.interpreter import Interpreter

_LONGEST_S = 10
_AT_ONCE = 50
_VERDICTS = {"0": "same bytes", "2": "refused there", "3": "other bytes", "9": "failed"}
_MOST_COMPARED = 2**20
"""Values of a graph's tensors: larger ones are imported, and not run."""


@cache
def bases() -> dict[str, bytes]:
    """Files that are mutated, by their kind."""
    mixed, output = file_of("FLOAT32", "INT8", "UINT8")
    graphs = {
        "inputs": with_inputs(14),
        "outputs": with_outputs(simplify(RandomGraph(8).graph), 3),
        "streaming": streaming_graph(),
        "lstm": lstm_graph(1, 1, 3, 5, -15, 0),
        "lstm of steps": lstm_graph(2, 4, 3, 4, -9, 300),
        "svdf": svdf_graph(0, 10, 4, 2, 5),
        "narrow svdf": svdf_graph(4, 7, 3, 1, 4, -30),
    }
    files = {name: build() for name, build in FILES.items()}
    files["types of inputs"] = mixed.bytes(output)
    return files | {name: export_tflite(graph) for name, graph in graphs.items()}


def samples_of(graph: Graph) -> NDArray[np.int8]:
    rng = np.random.default_rng(3)
    shape = (2, *([4] if graph.states else []), *graph.input_tensor.shape)
    return rng.integers(-128, 128, shape).astype(np.int8)


def verdicts(cases: Sequence[tuple[Graph, bytes]]) -> list[str]:
    """Compares with TFLite-Micro, in a process of its own, which some of the files may end."""
    found: list[str] = []
    while len(found) < len(cases):
        reading, writing = os.pipe()
        child = os.fork()
        if not child:
            quiet = os.open(os.devnull, os.O_WRONLY)
            os.dup2(quiet, 1)
            os.dup2(quiet, 2)
            for graph, content in cases[len(found) :]:
                signal.alarm(_LONGEST_S)
                code = b"9"
                with contextlib.suppress(BaseException):
                    code = _compared(graph, content)
                os.write(writing, code)
            os._exit(0)
        os.close(writing)
        with os.fdopen(reading, "rb") as pipe:
            codes = pipe.read().decode()
        os.waitpid(child, 0)
        found += [_VERDICTS[code] for code in codes]
        if len(found) < len(cases):
            found.append("no verdict")
    return found


def _compared(graph: Graph, content: bytes) -> bytes:
    samples = samples_of(graph)
    expected = reference.run(graph, samples)
    try:
        found = Interpreter(content).run_graph(graph, samples)
    except TinyEdgeError:
        return b"2"
    return b"0" if np.array_equal(found, expected) else b"3"


def mutations(count: int, seed: int, folder: Path) -> Iterator[tuple[str, str, bytes]]:
    """So many mutated files: the kind, what became of it, and the file."""
    draw = random.Random(seed)  # noqa: S311
    path = folder / "mutated.tflite"
    names = list(bases())
    accepted: list[tuple[str, Graph, bytes]] = []
    for left in range(count, 0, -1):
        name = draw.choice(names)
        content = mutated(bases()[name], draw)
        while content is None:
            content = mutated(bases()[name], draw)
        path.write_bytes(content)
        graph, told = _imported(path)
        if graph is None:
            yield name, told, content
        elif sum(tensor.size for tensor in graph.tensors.values()) > _MOST_COMPARED:
            yield name, "large", content
        else:
            accepted.append((name, graph, content))
        if len(accepted) == _AT_ONCE or (left == 1 and accepted):
            judged = verdicts([(each, file) for _, each, file in accepted])
            for (kind, _, file), verdict in zip(accepted, judged, strict=True):
                yield kind, verdict, file
            accepted = []


def _imported(path: Path) -> tuple[Graph | None, str]:
    begun = time.perf_counter()
    try:
        return import_model(path).graph, ""
    except TinyEdgeError as error:
        return None, "two lines" if "\n" in str(error) else "refused"
    finally:
        assert time.perf_counter() - begun < _LONGEST_S


def _judged(count: int, seed: int, folder: Path) -> Counter[str]:
    found: Counter[str] = Counter()
    for name, told, content in mutations(count, seed, folder):
        found[told] += 1
        if told in ("other bytes", "two lines", "failed"):
            kept = folder / "other.tflite"
            kept.write_bytes(content)
            pytest.fail(f"{name}: {told}: {kept}")
    return found


@pytest.mark.drawn
def test_a_mutated_file_is_refused_or_exact(tmp_path: Path) -> None:
    count = draws(300)
    found = _judged(count, 0, tmp_path)
    assert found["refused"] > count / 3
    assert found["same bytes"] > count / 10


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(1, 11))
def test_twenty_thousand_mutated_files_are_refused_or_exact(seed: int, tmp_path: Path) -> None:
    """2,000 of each seed; where TFLite-Micro ends there is no verdict."""
    found = _judged(2_000, seed, tmp_path)
    assert found["same bytes"] > 200
    assert found["no verdict"] < 100
