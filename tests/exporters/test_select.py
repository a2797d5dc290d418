"""Which kernels are chosen, by what their scratch makes of the arena."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest

from tests.draws import each_seed
from tests.graph.random_graphs import RandomGraph
from tinyedge.exporters.c import CodeOptions, export_c
from tinyedge.exporters.converted import write_converted
from tinyedge.exporters.tflite import export_tflite
from tinyedge.firmware.twin import Twin
from tinyedge.graph import operators as ops
from tinyedge.graph import reference
from tinyedge.graph.graph import Graph
from tinyedge.graph.tensors import Quantization, Tensor, Weights
from tinyedge.importers import import_model
from tinyedge.names import OBJECTIVES
from tinyedge.tflm.arena import measure_arena

SHARED_MODELS = Path(os.environ.get("TINYEDGE_DATA", "/nonexistent")).parent / "models"


def tall(height: int = 15, channels: int = 128) -> Graph:
    """A depthwise window as tall as its input, whose ring of rows takes much scratch."""
    random = np.random.default_rng(0)
    operator = ops.DepthwiseConv2D(
        name="tall",
        inputs=("x",),
        output="y",
        stride=(1, 1),
        weights=Weights(
            random.integers(-127, 128, (channels, height, 1)).astype(np.int8),
            8,
            random.uniform(0.001, 0.002, channels).astype(np.float32),
        ),
        bias=random.integers(-4000, 4000, channels).astype(np.int32),
    )
    tensors = {
        "x": Tensor("x", (height, 5, channels), Quantization(0.05, 3)),
        "y": Tensor("y", (1, 5, channels), Quantization(0.1, -3)),
    }
    return Graph("tall", tensors, (operator,), "x", "y")


def arena(graph: Graph, optimize: str) -> int:
    return export_c(graph, CodeOptions("cortex-m4", optimize)).plan.size  # type: ignore[arg-type]


def test_scratch_beyond_the_arena_of_tflite_micro_is_taken_only_if_asked_for(
    tmp_path: Path,
) -> None:
    graph = tall()
    (tmp_path / "tall.tflite").write_bytes(export_tflite(graph))
    theirs = measure_arena(tmp_path / "tall.tflite").total
    assert arena(graph, "speed") <= theirs < arena(graph, "fastest")
    assert arena(graph, "ram") <= arena(graph, "speed")


@pytest.mark.needs_tool
def test_every_choice_gives_the_same_bytes(tmp_path: Path) -> None:
    graph = tall()
    samples = np.random.default_rng(1).integers(-128, 128, (9, 15, 5, 128)).astype(np.int8)
    for optimize in OBJECTIVES:
        model = write_converted(
            graph, tmp_path / optimize, "test", options=CodeOptions("cortex-m4", optimize)
        )
        np.testing.assert_array_equal(Twin(model).run(samples), reference.run(graph, samples))


@each_seed(30)
def test_least_ram_is_never_more(seed: int) -> None:
    graph = RandomGraph(seed).graph
    sizes = {optimize: arena(graph, optimize) for optimize in OBJECTIVES}
    assert sizes["ram"] == min(sizes.values())


@pytest.mark.parametrize("name", ["str_ww_int8", "ad01_int8", "vww_96_int8"])
def test_models_of_mlperf_tiny(name: str) -> None:
    path = SHARED_MODELS / f"{name}.tflite"
    if not path.is_file():
        pytest.skip("the MLPerf Tiny models are looked for in $TINYEDGE_DATA/../models")
    assert arena(import_model(path).graph, "speed") <= measure_arena(path).total
