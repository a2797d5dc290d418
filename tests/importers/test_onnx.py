from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.conftest import require_packages

require_packages("onnx", "onnxruntime")

from tests.importers import onnx_models as om  # noqa: E402
from tinyedge.evaluation.witnesses import Comparison, Subject, compare, random_inputs  # noqa: E402
from tinyedge.evaluation.witnesses.onnxruntime import OnnxRuntimeWitness  # noqa: E402
from tinyedge.exporters.converted import write_converted  # noqa: E402
from tinyedge.exporters.tflite import export_tflite  # noqa: E402
from tinyedge.firmware.twin import Twin  # noqa: E402
from tinyedge.graph import operators as ops  # noqa: E402
from tinyedge.graph import reference  # noqa: E402
from tinyedge.importers import ImportResult, import_model  # noqa: E402
from tinyedge.tflm.interpreter import Interpreter  # noqa: E402

SAMPLES = 40


def imported(content: bytes, folder: Path) -> tuple[ImportResult, Path]:
    path = folder / "model.onnx"
    path.write_bytes(content)
    return import_model(path), path


def beside_runtime(result: ImportResult, path: Path, samples: Any) -> Comparison:
    subject = Subject(result.graph, origins=result.origins, onnx=path)
    return compare(OnnxRuntimeWitness(subject), samples, layers=True)


def assert_same_bytes(result: ImportResult, folder: Path, samples: Any) -> None:
    """The reference, the twin, and our export in TFLite-Micro."""
    expected = reference.run(result.graph, samples)
    assert np.unique(expected).size > 4
    model = write_converted(result.graph, folder / "converted", "test")
    np.testing.assert_array_equal(Twin(model).run(samples), expected)
    exported = Interpreter(export_tflite(result.graph)).run(samples)[0]
    np.testing.assert_array_equal(exported.reshape(expected.shape), expected)


def assert_runtime_agrees(found: Comparison, fewest_tensors: int) -> None:
    """No layer is by itself more than a step from ONNX Runtime, and few values are."""
    assert len(found.tensors) >= fewest_tensors
    assert found.fault is None
    for tensor in found.tensors:
        if tensor.own_differing is not None:
            assert tensor.own_differing <= 0.15 * tensor.values, tensor
    output = found.tensors[-1]
    assert output.agreement >= 0.9
    assert output.largest <= 8


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("residual", "int8"),
        ("residual", "uint8"),
        ("mobile", "uint8"),
        ("branches", "int8"),
        ("keyword", "uint8"),
        ("channels_last", "int8"),
    ],
)
def test_qdq_models(name: str, kind: str, tmp_path: Path) -> None:
    result, path = imported(om.qdq(name, kind, per_channel=kind == "int8"), tmp_path)
    samples = random_inputs(result.graph, SAMPLES, seed=1)
    assert_same_bytes(result, tmp_path, samples)
    assert_runtime_agrees(beside_runtime(result, path, samples), 2)


@pytest.mark.parametrize("kind", ["uint8", "int8"])
def test_operators_on_integers(kind: str, tmp_path: Path) -> None:
    result, path = imported(om.qoperators(kind), tmp_path)
    assert result.graph.source.get("input_type") == ("uint8" if kind == "uint8" else None)
    samples = random_inputs(result.graph, SAMPLES, seed=1)
    assert_same_bytes(result, tmp_path, samples)
    assert_runtime_agrees(beside_runtime(result, path, samples), 8)


@pytest.mark.parametrize("bits", [1, 2, 3, 4, 8])
def test_qonnx_models(bits: int, tmp_path: Path) -> None:
    """Weights of few bits are ours of few bits."""
    result, path = imported(om.qonnx(bits), tmp_path)
    found = {op.weights.bits for op in result.graph.operators if isinstance(op, ops.Weighted)}
    assert found == {{3: 4}.get(bits, bits)}
    samples = random_inputs(result.graph, SAMPLES, seed=1)
    assert_same_bytes(result, tmp_path, samples)
    assert_runtime_agrees(beside_runtime(result, path, samples), 5)
