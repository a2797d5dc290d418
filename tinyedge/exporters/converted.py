"""What ``tinyedge convert`` writes: the folder that every later step starts from."""

from __future__ import annotations

import dataclasses
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tinyedge.errors import ModelError
from tinyedge.exporters.arena import arena_svg
from tinyedge.exporters.c import CModel, CodeOptions, export_c
from tinyedge.exporters.tflite import export_tflite
from tinyedge.files import folder_aside
from tinyedge.graph.graph import GRAPH_FILE, Graph

MANIFEST_FILE = "model.json"
TFLITE_FILE = "model.tflite"
ARENA_FILE = "arena.svg"
SOURCE_FILES = ("model.c", "model.h")
_VERSION = 1


@dataclass(frozen=True)
class ConvertedModel:
    """A folder that ``convert`` wrote.

    Attributes:
        folder: where it lies.
        graph: the integer graph.
        manifest: the content of ``model.json``, see ``docs/cli.md``.
    """

    folder: Path
    graph: Graph
    manifest: dict[str, Any]

    @property
    def sources(self) -> list[Path]:
        """``model.c`` and ``model.h``."""
        return [self.folder / name for name in SOURCE_FILES]

    @property
    def tflite(self) -> Path:
        """``model.tflite``: the same integers for TensorFlow Lite and TFLite-Micro."""
        return self.folder / TFLITE_FILE

    @property
    def runtime_sources(self) -> list[str]:
        """The runtime's ``.c`` files that the model calls."""
        return list(self.manifest["runtime_sources"])

    @property
    def facts(self) -> dict[str, Any]:
        """What a firmware's build keeps of the model: ``name``, ``hash``, ``layers``, ``arena``."""
        return {key: self.manifest[key] for key in ("name", "hash", "layers", "arena")}

    @property
    def weight_bytes(self) -> int:
        """Bytes of all packed weights."""
        return int(self.manifest["weight_bytes"])

    @property
    def arena_bytes(self) -> int:
        """Bytes of the arena."""
        return int(self.manifest["arena"]["bytes"])


def write_converted(
    graph: Graph,
    folder: Path,
    command: str,
    notes: tuple[str, ...] = (),
    options: CodeOptions | None = None,
) -> ConvertedModel:
    """Writes the folder: graph, C code, ``.tflite`` file, manifest and the arena's picture.

    All are written, or none.

    Args:
        graph: the graph.
        folder: made if needed; other files in it stay.
        command: the command line that made it. Where the graph's source tells of none yet, it
            becomes part of it, and so goes into the C and the ``.tflite`` file.
        notes: of the import.
        options: what the C code is made for; see ``CodeOptions``.
    """
    if "command" not in graph.source:
        graph = dataclasses.replace(graph, source={**graph.source, "command": command})
    exported = export_c(graph, options)
    tflite = export_tflite(graph)
    manifest = json.dumps(_manifest(graph, exported, command, notes), indent=2)
    with folder_aside(folder) as aside:
        graph.save(aside / GRAPH_FILE)
        for name, text in exported.files.items():
            (aside / name).write_text(text, encoding="utf-8")
        (aside / TFLITE_FILE).write_bytes(tflite)
        (aside / ARENA_FILE).write_text(arena_svg(graph, exported.plan), encoding="utf-8")
        (aside / MANIFEST_FILE).write_text(manifest + "\n", encoding="utf-8")
    return ConvertedModel(folder, graph, json.loads(manifest))


def _manifest(
    graph: Graph, exported: CModel, command: str, notes: tuple[str, ...]
) -> dict[str, Any]:
    return {
        "version": _VERSION,
        "name": graph.name,
        "hash": graph.hash,
        "command": command,
        "source": graph.source,
        "notes": list(notes),
        "parameters": graph.parameters,
        "macs": sum(layer.macs for layer in exported.layers),
        "weight_bytes": exported.weight_bytes,
        "core": exported.options.core,
        "optimize": exported.options.optimize,
        "arena": {
            "bytes": exported.plan.size,
            "lower_bound": exported.plan.lower_bound,
            "buffers": [dataclasses.asdict(buffer) for buffer in exported.plan.buffers],
        },
        "input": _tensor(graph, graph.input),
        "output": _tensor(graph, graph.output),
        "layers": [dataclasses.asdict(layer) for layer in exported.layers],
        "runtime_sources": list(exported.runtime_sources),
    }


def _tensor(graph: Graph, name: str) -> dict[str, Any]:
    tensor = graph.tensors[name]
    return {
        "shape": list(tensor.shape),
        "scale": tensor.quantization.scale,
        "zero_point": tensor.quantization.zero_point,
    }


def load_converted(folder: Path) -> ConvertedModel:
    """Reads a folder that ``convert`` wrote.

    Raises:
        ModelError: it is none, or a file of it is missing, damaged or of another conversion.
    """
    hint = "write it with 'tinyedge convert MODEL -o DIR'"
    if not folder.is_dir():
        raise ModelError(f"{folder}: no such folder", hint=hint)
    for name in (GRAPH_FILE, MANIFEST_FILE, TFLITE_FILE, *SOURCE_FILES):
        if not (folder / name).is_file():
            raise ModelError(f"{folder}: lacks {name}", hint=hint)
    graph = Graph.load(folder / GRAPH_FILE)
    try:
        manifest = json.loads((folder / MANIFEST_FILE).read_text(encoding="utf-8"))
        converted = ConvertedModel(folder, graph, manifest)
        if manifest["version"] != _VERSION or manifest["hash"] != graph.hash:
            raise ModelError(f"{folder}: {MANIFEST_FILE} belongs to another model", hint=hint)
        _ = converted.runtime_sources, converted.weight_bytes, converted.arena_bytes
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ModelError(f"{folder}: {MANIFEST_FILE} is damaged: {error}", hint=hint) from error
    return converted
