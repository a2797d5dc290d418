"""``.tflite`` files with several inputs: types, names, and what is refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tflite_micro.tensorflow.lite.micro.python import schema_py_generated as schema

from tests.importers.test_tflite_operators import GRID, File
from tinyedge.errors import ModelError
from tinyedge.graph import reference
from tinyedge.importers import import_model
from tinyedge.samples.scaling import ModelInput
from tinyedge.tflm.interpreter import Interpreter


def end(file: File, kind: str, grid: tuple[float, int], shape: tuple[int, ...]) -> int:
    """An input of a type, as int8 behind its QUANTIZE."""
    if kind == "INT8":
        given = file.tensor((1, *shape), grid)
        file.graph.inputs.append(given)
        return given
    outside = (grid[0], grid[1] + 128) if kind == "UINT8" else None
    given = file.tensor((1, *shape), outside)
    file.graph.tensors[given].type = getattr(schema.TensorType, kind)
    file.graph.inputs.append(given)
    (inside,) = file.add("QUANTIZE", [given], [(1, *shape)], schema.QuantizeOptionsT(), grid)
    return inside


def file_of(*kinds: str) -> tuple[File, int]:
    """Inputs of 3x2x4 values each, summed up."""
    file = File(3, 2, 4)
    file.graph.inputs = []
    grids = [GRID, (0.03, 12), (0.2, -100)]
    last = None
    for kind, grid in zip(kinds, grids, strict=False):
        here = end(file, kind, grid, (3, 2, 4))
        if last is None:
            last = here
            continue
        (last,) = file.add("ADD", [last, here], [(1, 3, 2, 4)], schema.AddOptionsT(), (0.1, 3))
    assert last is not None
    return file, last


@pytest.mark.parametrize(
    "kinds", [("INT8", "INT8"), ("UINT8", "UINT8", "UINT8"), ("FLOAT32", "INT8", "UINT8")]
)
def test_each_input_has_its_type(kinds: tuple[str, ...], tmp_path: Path) -> None:
    file, output = file_of(*kinds)
    content = file.bytes(output)
    (tmp_path / "model.tflite").write_bytes(content)
    graph = import_model(tmp_path / "model.tflite").graph
    assert len(graph.inputs) == len(kinds)
    rng = np.random.default_rng(0)
    samples = rng.integers(-128, 128, (9, graph.input_tensor.size)).astype(np.int8)
    found = reference.run(graph, samples)
    np.testing.assert_array_equal(Interpreter(content).run_graph(graph, samples), found)
    takes = ModelInput.of(graph)
    assert [part.takes_bytes for part in takes.parts] == [kind == "UINT8" for kind in kinds]
    assert takes.bytes_are_input == (set(kinds) == {"UINT8"})
    given: list[np.ndarray[Any, Any]] = [
        (part.view(np.uint8) ^ 128) if kind == "UINT8" else part
        for kind, part in zip(kinds, reference.split_inputs(graph, samples), strict=True)
    ]
    np.testing.assert_array_equal(takes.int8(takes.joined(given, "samples")), samples)


def test_inputs_that_are_nothing_are_refused(tmp_path: Path) -> None:
    file, output = file_of("INT8", "FLOAT32")
    unread = file.tensor((1, 3), None)
    file.graph.tensors[unread].type = schema.TensorType.FLOAT32
    many, last = file_of("INT8", "INT8")
    for _ in range(9):
        many.graph.inputs.append(many.tensor((1, 3), GRID))
    twice, same = file_of("INT8", "INT8")
    twice.graph.inputs.append(twice.graph.inputs[0])
    file.graph.inputs.append(unread)
    other, end_of_other = file_of("UINT8", "INT8")
    other.graph.tensors[other.graph.inputs[0]].shape = [1, 6, 4]
    for build, result, told in (
        (file, output, "never quantized to int8"),
        (many, last, "11 inputs"),
        (twice, same, "an input twice"),
        (other, end_of_other, "cannot become"),
    ):
        (tmp_path / "model.tflite").write_bytes(build.bytes(result))
        with pytest.raises(ModelError, match=told):
            import_model(tmp_path / "model.tflite")
