"""What every importer gives."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

from tinyedge.graph.graph import Graph


@dataclass(frozen=True)
class ImportResult:
    """An imported model.

    Attributes:
        graph: the integer graph.
        notes: what the user should know of the import, one sentence each.
    """

    graph: Graph
    notes: tuple[str, ...]


def file_hash(path: Path) -> str:
    """SHA-256 of a model file, or of all files of a SavedModel folder with their names."""
    if path.is_file():
        return hashlib.sha256(path.read_bytes()).hexdigest()
    digest = hashlib.sha256()
    for file in sorted(entry for entry in path.rglob("*") if entry.is_file()):
        digest.update(str(file.relative_to(path)).encode())
        digest.update(file.read_bytes())
    return digest.hexdigest()
