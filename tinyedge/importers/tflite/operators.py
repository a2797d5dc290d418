"""From a ``.tflite`` file that has been read to the integer graph.

Each family of operators is a module; what it registers is looked up by the operator's name.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from tinyedge.errors import ModelError
from tinyedge.graph import operators as ops
from tinyedge.graph.graph import METADATA_NAME, Graph
from tinyedge.graph.pruning import CONSTANT_CHANNELS, without_constant_channels
from tinyedge.graph.simplify import simplify
from tinyedge.importers.result import ImportResult, file_hash
from tinyedge.importers.tflite import (  # noqa: F401 - their operators register themselves
    elementwise,
    moving,
    pooling,
    weighted,
)
from tinyedge.importers.tflite.blockers import SECTION, Blockers
from tinyedge.importers.tflite.builder import Builder
from tinyedge.importers.tflite.reader import (
    TfliteModel,
    TfliteOperator,
    TfliteTensor,
    reading,
)
from tinyedge.importers.tflite.recurrent import RECURRENT_OPERATORS
from tinyedge.importers.tflite.registry import HANDLERS
from tinyedge.importers.tflite.variables import VARIABLE_OPERATORS, Variables
from tinyedge.naming import clean_name

_INTEGER_TYPES = ("INT32", "INT64")


_SEVERAL_OUTPUTS = ("SPLIT", "SPLIT_V", "UNPACK")


def supported_operators() -> list[str]:
    """The names of all operators that can be imported."""
    return sorted((*HANDLERS, *VARIABLE_OPERATORS))


def build_graph(model: TfliteModel, path: Path, *, keep: bool = False) -> ImportResult:
    """Makes the integer graph of a file that has been read.

    Args:
        model: the file.
        path: of it.
        keep: whether channels stay that never change.

    Raises:
        ModelError: as ``import_tflite``; all that blocks the file, each kind once.
    """
    blockers = Blockers()
    for what, ends in (("inputs", model.inputs), ("outputs", model.outputs)):
        if not 1 <= len(ends) <= ops.MAXIMUM_CONCATENATED:
            told = f"supported: up to {ops.MAXIMUM_CONCATENATED}"
            blockers.add(ModelError(f"{len(ends)} {what}", hint=told))
    builder = Builder()
    variables = Variables(builder, model.others)
    for given in model.inputs:
        with blockers.collecting():
            builder.begin(given)
    _go_on(builder, blockers, [each for each in model.inputs if not builder.waiting(each)])
    results = {tensor.index for tensor in model.outputs}
    for operator in model.operators:
        if _only_shapes(operator, results):
            continue
        with blockers.collecting(operator):
            if operator.name in VARIABLE_OPERATORS:
                with reading(str(operator)):
                    variables.add(operator)
            else:
                _add(builder, operator, blockers)
        if operator.name != "VAR_HANDLE":
            _go_on(builder, blockers, operator.outputs)
    with blockers.collecting():
        variables.check_called()
    blockers.refuse()
    variables.finish()
    graph = simplify(builder.graph(path.stem, model.inputs, model.outputs, variables.result))
    if (ours := _exported(graph, model)) is not None:
        return ImportResult(ours, tuple(builder.notes))
    source = _source(model, path)
    if not keep:
        graph, removed = without_constant_channels(graph)
        source |= {CONSTANT_CHANNELS: " ".join(map(str, removed))} if any(removed) else {}
    return ImportResult(replace(graph, source=source), tuple(builder.notes))


def _go_on(builder: Builder, blockers: Blockers, tensors: Sequence[TfliteTensor]) -> None:
    """Has what reads tensors that a refused operator should have written judged all the same."""
    for tensor in tensors:
        if tensor.index not in builder.names:
            try:
                builder.names[tensor.index] = builder.tensor(tensor)
            except ModelError:
                blockers.lost.add(tensor.index)


def _only_shapes(operator: TfliteOperator, results: set[int]) -> bool:
    """Whether this computes shapes, all of which are known already, and no result of the model."""
    return bool(operator.outputs) and all(
        tensor.type in _INTEGER_TYPES and tensor.index not in results for tensor in operator.outputs
    )


def _add(builder: Builder, operator: TfliteOperator, blockers: Blockers) -> None:
    """Adds what an operator of the file becomes."""
    lost = any(tensor and tensor.index in blockers.lost for tensor in operator.inputs)
    if operator.name in ("QUANTIZE", "DEQUANTIZE") and (lost or builder.at_the_ends(operator)):
        return
    handler = HANDLERS.get(operator.name)
    if handler is None:
        raise ModelError(
            f"{operator}: this operator (version {operator.version}) is not supported",
            hint=f"supported: {', '.join(supported_operators())} ({SECTION})",
        )
    foreign = {"FLOAT32", "FLOAT16", "INT16", "UINT8"}
    if operator.name in RECURRENT_OPERATORS:
        foreign.remove("INT16")  # their states and weights, which they check themselves
    for tensor in (*operator.inputs, *operator.outputs):
        if tensor and tensor.type in foreign:
            raise ModelError(
                f"{operator}: {tensor}",
                hint="only fully int8 models can be imported: convert with full integer "
                f"quantization, int8 weights and activations ({SECTION})",
            )
    several = bool(operator.outputs) and operator.name in _SEVERAL_OUTPUTS
    if not operator.inputs or not (several or len(operator.outputs) == 1):
        raise ModelError(
            f"{operator}: {len(operator.inputs)} inputs, {len(operator.outputs)} outputs"
        )
    if not lost:
        with reading(str(operator)):
            handler(builder, operator)


def _exported(graph: Graph, model: TfliteModel) -> Graph | None:
    """The graph with the name and source of the one that it was exported from by tinyedge."""
    try:
        metadata = json.loads(model.metadata.get(METADATA_NAME, b"{}"))
        if metadata["graph_sha256"] == graph.hash:
            return replace(
                graph, name=clean_name(str(metadata["name"])), source=dict(metadata["source"])
            )
    except (ValueError, KeyError, TypeError, RecursionError):
        pass  # another producer's, or edited since
    return None


def _source(model: TfliteModel, path: Path) -> dict[str, Any]:
    """The source of a graph that another producer's file holds."""
    producer = model.description or "unknown"
    source = {"file": path.name, "sha256": file_hash(path), "producer": producer}
    kinds = ["uint8" if each.type == "UINT8" else "int8" for each in model.inputs]
    if "uint8" in kinds:
        source["input_type"] = " ".join(kinds)  # a byte of a sample is the input itself
    return source
