"""What every importer gives."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from pathlib import Path

from tinyedge.graph.graph import Graph


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
class ImportResult:
    """An imported model.

    Attributes:
        graph: the integer graph.
        notes: what the user should know of the import, one sentence each.
        origins: of its tensors by name, where the importer tells them: of a QKeras model.
    """

    graph: Graph
    notes: tuple[str, ...]
    origins: dict[str, Origin] = field(default_factory=dict)


def file_hash(path: Path) -> str:
    """SHA-256 of a model file, or of all files of a SavedModel folder with their names."""
    if path.is_file():
        return hashlib.sha256(path.read_bytes()).hexdigest()
    digest = hashlib.sha256()
    for file in sorted(entry for entry in path.rglob("*") if entry.is_file()):
        digest.update(str(file.relative_to(path)).encode())
        digest.update(file.read_bytes())
    return digest.hexdigest()
