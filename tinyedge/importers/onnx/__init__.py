"""From a quantized ``.onnx`` file to the integer graph.

``reader`` reads the file; ``tracing`` follows its nodes, with the operators in ``layers`` (ONNX's
own), ``quantizers`` (ONNX's and QONNX's), ``qoperators`` (on integers) and ``folding`` (on
constants). Ranges, fusion and lowering are those of the other importers.

Importing this package does not import ``onnx``; calling it does. Neither TensorFlow nor PyTorch is
needed.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from tinyedge.errors import MissingDependencyError, ModelError
from tinyedge.graph.tensors import as_batch
from tinyedge.importers.result import Agreement, ImportResult, file_hash

if TYPE_CHECKING:
    from tinyedge.graph.graph import Graph
    from tinyedge.importers.onnx.reader import OnnxModel
    from tinyedge.importers.onnx.tracing import Trace

SUFFIX = ".onnx"
_QUANTIZED = re.compile(r"^(Quantize|Dequantize|QLinear|com\.microsoft\.Q|qonnx\.)")
"""Operators that only a quantized file has."""
_COMPARED_SAMPLES = 256


def import_onnx(
    path: Path,
    calibration: NDArray[Any] | None = None,
    input_range: tuple[float, float] | None = None,
) -> ImportResult:
    """Imports a quantized ``.onnx`` file with one input, one output and a batch of one.

    Weights, scales and zero points are the file's; the arithmetic is TFLite-Micro's. Images become
    NHWC. A final softmax of real numbers is left out: the output is the logits.

    Args:
        path: the file: QDQ, operators on integers (QOperator), or QONNX.
        calibration: real inputs (n, *input shape), NHWC, float32 or uint8 pixels, for the grids of
            values that the file does not quantize.
        input_range: smallest and largest input value, where the file does not quantize its input;
            by default that of ``calibration``, else (0, 1).

    Raises:
        ModelError: the file is missing or damaged, or holds what is not supported; names every
            node that stands in the way.
        MissingDependencyError: the package ``onnx`` is not installed.
    """
    try:
        return _import(path, calibration, input_range)[0]
    except ModelError as error:
        raise ModelError(f"{path}: {error}", error.hint) from error


def is_quantized(model: OnnxModel) -> bool:
    """Whether a file holds an operator that only quantized files have."""
    return any(_QUANTIZED.search(node.kind) for node in model.nodes)


def layouts(path: Path) -> dict[str, NDArray[np.int32]]:
    """Where the elements of the file's values lie in the graph's tensors, flat.

    Args:
        path: of a file that can be imported.

    Returns:
        By the value's name in the file, of its shape.
    """
    try:
        trace = _import(path, None, None)[1]
    except ModelError as error:
        raise ModelError(f"{path}: {error}", error.hint) from error
    return trace.places


def _import(
    path: Path, calibration: NDArray[Any] | None, input_range: tuple[float, float] | None
) -> tuple[ImportResult, Trace]:
    from tinyedge.importers.fusion import fuse, refine_averages
    from tinyedge.importers.lowering import lower
    from tinyedge.importers.onnx.layers import QUANTIZE
    from tinyedge.importers.onnx.operators import KNOWN
    from tinyedge.importers.onnx.reader import read_onnx, reading
    from tinyedge.importers.ranges import assign_grids

    model = read_onnx(path, KNOWN)
    if not is_quantized(model):
        raise ModelError("a model of floats: nothing in it is quantized", QUANTIZE)
    with reading("the file"):
        trace = _trace(model)
        nodes = refine_averages(fuse(trace.nodes))
        notes = [*trace.notes, *assign_grids(nodes, calibration, input_range)]
        source = {"file": path.name, "sha256": file_hash(path), "producer": model.producer}
        if trace.input_type == "UINT8":
            source["input_type"] = "uint8"  # a byte of a sample is the input itself
        graph, origins = lower(nodes, path.stem, source, notes)
    agreement = None
    output = origins[graph.output].value_of if graph.output in origins else None
    if calibration is not None and output:
        try:
            agreement = _agreement(path, trace, graph, output, calibration)
        except (MissingDependencyError, ModelError) as error:
            notes.append(f"agreement with ONNX Runtime is not measured: {error}; {error.hint}")
    return ImportResult(graph, tuple(notes), origins, agreement), trace


def _agreement(
    path: Path, trace: Trace, graph: Graph, output: str, calibration: NDArray[Any]
) -> Agreement:
    """How the graph and ONNX Runtime answer up to 256 of the calibration data."""
    from tinyedge.graph import reference
    from tinyedge.importers.onnx.runtime import Runtime
    from tinyedge.samples.scaling import ModelInput

    runtime = Runtime(path, trace.places)
    given = as_batch(calibration[:_COMPARED_SAMPLES], graph.input_tensor.shape, "calibration data")
    samples = ModelInput.of(graph).int8(given)
    quantization = graph.output_tensor.quantization
    (expected,) = runtime.run(samples, graph.input_tensor.quantization, [output])
    if expected.dtype == np.int8:
        expected = quantization.dequantize(expected)
    found = quantization.dequantize(reference.run(graph, samples)).reshape(expected.shape)
    return Agreement.of(found, expected, quantization.scale)


def _trace(model: OnnxModel) -> Trace:
    """Follows the nodes; the input lies with its channels last if that leaves no transpose."""
    from tinyedge.importers.onnx.tracing import Tracer

    tracer = Tracer(model)
    try:
        return tracer.trace()
    except ModelError:
        other = Tracer(model, channels_last=True)
        if not tracer.misplaced or len(model.input.shape) < 3:
            raise
        try:
            return other.trace()
        except ModelError:
            pass
        raise
