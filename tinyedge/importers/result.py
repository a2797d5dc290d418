"""The result that every importer gives."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tinyedge.graph.graph import Graph

Reals = NDArray[np.floating[Any]]


@dataclass(frozen=True)
class Origin:
    """Where a tensor of the graph comes from.

    Attributes:
        layers: of the model, in order, whose work the tensor's operator does.
        value_of: the layer whose value the tensor has; None where the model has no such value.
    """

    layers: tuple[str, ...]
    value_of: str | None


@dataclass(frozen=True)
class Agreement:
    """How the graph and the model it was made from answer the same samples.

    Attributes:
        samples: how many.
        same: share of them with the same largest output; with one output, with the same sign.
        mean_error: mean distance of the outputs, in steps of the graph's output.
    """

    samples: int
    same: float
    mean_error: float

    @classmethod
    def of(cls, found: Reals, expected: Reals, step: float) -> Agreement:
        """Compares outputs.

        Args:
            found: real outputs of the graph, (n, outputs).
            expected: of the model.
            step: of the graph's output.
        """
        if expected.shape[1] > 1:
            same = expected.argmax(axis=1) == found.argmax(axis=1)
        else:
            same = (expected > 0)[:, 0] == (found > 0)[:, 0]
        error = np.abs(found - expected).mean() / step
        return cls(len(expected), float(same.mean()), float(error))


@dataclass(frozen=True)
class ImportResult:
    """An imported model.

    Attributes:
        graph: the integer graph.
        notes: what the user should know of the import, one sentence each.
        origins: of its tensors by name, where the importer tells them: of a QKeras or an ONNX
            model.
        agreement: with the model, of a QKeras or an ONNX model with calibration data.
    """

    graph: Graph
    notes: tuple[str, ...]
    origins: dict[str, Origin] = field(default_factory=dict)
    agreement: Agreement | None = None


def file_hash(path: Path) -> str:
    """SHA-256 of a model file, or of all files of a SavedModel folder with their names."""
    if path.is_file():
        return hashlib.sha256(path.read_bytes()).hexdigest()
    digest = hashlib.sha256()
    for file in sorted(entry for entry in path.rglob("*") if entry.is_file()):
        digest.update(str(file.relative_to(path)).encode())
        digest.update(file.read_bytes())
    return digest.hexdigest()
