"""A cluster finds between two implementations what one process finds."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.cli.commands import failure, run_json
from tests.conftest import require_packages
from tests.graph.random_graphs import RandomGraph
from tinyedge.exporters.tflite import export_tflite

require_packages("distributed")

from tinyedge.cluster.checking import _merged  # noqa: E402 - needs Dask
from tinyedge.evaluation.witnesses import TensorComparison  # noqa: E402

GRAPH = RandomGraph(5).graph
SAMPLES = 300


@pytest.fixture
def model(tmp_path: Path) -> Path:
    path = tmp_path / "model.tflite"
    path.write_bytes(export_tflite(GRAPH))
    return path


@pytest.mark.parametrize("witness", ["tflite-micro", "litert-optimized"])
def test_records_are_the_same(
    witness: str, model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    check: list[Any] = ["check", model, "--with", witness, "--samples", SAMPLES, "--layers"]
    alone = run_json(capsys, *check)
    on = ("--cluster", "local:2", "--chunks", tmp_path / "chunks")
    shared = run_json(capsys, *check, *on)
    told = shared.pop("cluster")
    assert shared == alone
    assert told["chunks_computed"] == 3
    assert sum(worker["samples"] for worker in told["workers"]) == SAMPLES
    again = run_json(capsys, *check, *on)
    assert again["cluster"]["chunks_kept"] == 3
    # Another value of anything that a result depends on makes other chunks.
    other = run_json(capsys, *check, "--seed", 1, *on)
    assert other["cluster"]["chunks_kept"] == 0


def test_counts_are_added_and_what_is_unknown_of_a_part_is_unknown() -> None:
    name, size = GRAPH.output, GRAPH.output_tensor.size

    def part(rows: int, differing: int, same: int, own: int | None) -> TensorComparison:
        share = float((np.arange(rows) < same).mean())
        largest = None if own is None else own + 1
        return TensorComparison(name, "x", rows * size, differing, differing, share, own, largest)

    found = _merged(GRAPH, [part(128, 2, 127, 1), part(7, 5, 3, 0)])
    expected = TensorComparison(name, "x", 135 * size, 7, 5, 130 / 135, 1, 2)
    assert found == expected
    unknown = _merged(GRAPH, [part(128, 2, 127, 1), part(7, 5, 3, None)])
    assert (unknown.own_differing, unknown.own_largest) == (None, None)


def test_what_is_compiled_here_is_refused(model: Path, capsys: pytest.CaptureFixture[str]) -> None:
    told = failure(capsys, 2, "check", model, "--with", "hls4ml", "--cluster", "local:2")
    assert told["message"] == "--with hls4ml does not go with --cluster"
