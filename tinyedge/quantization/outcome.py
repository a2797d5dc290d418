"""The outcome of a float model's quantization: accuracy, and the error of each layer."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tinyedge.graph import reference
from tinyedge.graph.graph import Graph
from tinyedge.importers.result import ImportResult
from tinyedge.quantization.float_model import Float32, FloatModel

_CHUNK = 32
_SHOWN = 3
_GROWTH = 0.02
"""Part of a value's size by which a layer's error has to exceed that before it, to be named."""


@dataclass(frozen=True)
class LayerError:
    """How far a layer's values are from those of the float model.

    Attributes:
        name: of the graph's tensor.
        kind: of the operator that writes it.
        error: root mean square of the difference, as a part of the root mean square of the float
            values; what went before is in it.
        added: by how much it exceeds the largest of what the layer takes.
    """

    name: str
    kind: str
    error: float
    added: float


@dataclass(frozen=True)
class Outcome:
    """Accuracy before and after.

    Attributes:
        samples: how many.
        agreement: share of them with the same verdict.
        before, after: share of right verdicts; None without labels.
    """

    samples: int
    agreement: float
    before: float | None
    after: float | None


def measure(
    model: FloatModel,
    graph: Graph,
    samples: Float32,
    labels: NDArray[np.int64] | None,
    progress: Callable[[int], None] | None = None,
) -> Outcome:
    """Compares the verdicts of the float model and of the integer graph.

    Args:
        model: the float model.
        graph: what became of it.
        samples: real inputs (n, *shape), n at least 1.
        labels: (n,), or None.
        progress: called with the number of samples finished since the last call.
    """
    given, after = graph.input_tensor.quantization.quantize(samples), []
    for start in range(0, len(samples), _CHUNK):
        found = reference.run(graph, given[start : start + _CHUNK])
        after.append(graph.output_tensor.quantization.dequantize(found).reshape(len(found), -1))
        if progress:
            progress(len(found))
    verdicts = [_verdicts(logits) for logits in (model.logits(samples), np.concatenate(after))]
    right = (
        [None, None]
        if labels is None
        else [float((verdict == labels).mean()) for verdict in verdicts]
    )
    return Outcome(len(samples), float((verdicts[0] == verdicts[1]).mean()), *right)


def _verdicts(logits: Float32) -> NDArray[np.int64]:
    """The class of each sample; a single logit tells two."""
    if logits.shape[1] == 1:
        return (logits[:, 0] > 0).astype(np.int64)
    return np.asarray(logits.argmax(axis=1), np.int64)


def layer_errors(model: FloatModel, imported: ImportResult, samples: Float32) -> list[LayerError]:
    """The error of every layer whose float values the model tells, in order.

    Args:
        model: the float model.
        imported: from what it gave as ``quantized``.
        samples: real inputs (n, *shape), n at least 1.
    """
    graph, expected = imported.graph, dict(model.values(imported, samples))
    found: dict[str, list[NDArray[np.int8]]] = {name: [] for name in expected}

    def tap(name: str, value: NDArray[np.int8]) -> None:
        if name in found:
            found[name].append(value)

    reference.run(graph, graph.input_tensor.quantization.quantize(samples), tap=tap)
    result: list[LayerError] = []
    errors: dict[str, float] = {}
    for operator in graph.operators:
        before = max((errors.get(name, 0.0) for name in operator.inputs), default=0.0)
        errors[operator.output] = before
        if operator.output not in expected:
            continue
        tensor = graph.tensors[operator.output]
        values = tensor.quantization.dequantize(np.concatenate(found[operator.output]))
        reals = expected[operator.output]
        distance = values.reshape(reals.shape) - reals
        size = float(np.sqrt(np.mean(np.square(reals, dtype=np.float64))))
        error = float(np.sqrt(np.mean(np.square(distance, dtype=np.float64)))) / (size or 1.0)
        errors[operator.output] = error
        result.append(
            LayerError(operator.output, type(operator).__name__, error, max(error - before, 0.0))
        )
    return result


def to_train(layers: list[LayerError]) -> list[str]:
    """The layers that add most of the error, the worst first: those to train with quantizers."""
    worst = sorted(layers, key=lambda layer: layer.added, reverse=True)[:_SHOWN]
    return [layer.name for layer in worst if layer.added > _GROWTH]
