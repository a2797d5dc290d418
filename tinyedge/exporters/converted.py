"""The folder that ``tinyedge convert`` writes, and that every later step starts from."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tinyedge.boards.cores import CORES
from tinyedge.errors import ModelError
from tinyedge.exporters.arena import arena_svg
from tinyedge.exporters.c import CModel, CodeOptions, export_c
from tinyedge.exporters.tflite import export_tflite
from tinyedge.files import folder_aside
from tinyedge.graph.graph import GRAPH_FILE, Graph
from tinyedge.names import OBJECTIVES

MANIFEST_FILE = "model.json"
TFLITE_FILE = "model.tflite"
ARENA_FILE = "arena.svg"
SOURCE_FILES = ("model.c", "model.h")
CONVERTED_FILES = (GRAPH_FILE, MANIFEST_FILE, TFLITE_FILE, *SOURCE_FILES, ARENA_FILE)
"""The contents of a converted folder."""
_VERSION = 1
_LARGEST_MANIFEST = 1 << 26
"""Bytes; that of a network of a thousand layers takes a hundredth."""


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
        """The model's entry in a firmware's build: ``name``, ``hash``, ``layers``, ``arena``."""
        return {key: self.manifest[key] for key in ("name", "hash", "layers", "arena")}

    @property
    def weight_bytes(self) -> int:
        """Bytes of all packed weights."""
        return int(self.manifest["weight_bytes"])

    @property
    def arena_bytes(self) -> int:
        """Bytes of the arena, and of what is kept from one inference to the next."""
        return int(self.manifest["arena"]["bytes"]) + int(
            self.manifest["arena"].get("state_bytes", 0)
        )


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
    files = _files(graph, command, notes, options or CodeOptions())
    with folder_aside(folder) as aside:
        graph.save(aside / GRAPH_FILE)
        for name, content in files.items():
            (aside / name).write_bytes(content)
    return ConvertedModel(folder, graph, json.loads(files[MANIFEST_FILE]))


def _files(
    graph: Graph, command: str, notes: tuple[str, ...], options: CodeOptions
) -> dict[str, bytes]:
    """The files beside the graph, by name: the same arguments give the same bytes."""
    exported = export_c(graph, options)
    texts = {
        **exported.files,
        ARENA_FILE: arena_svg(graph, exported.plan),
        MANIFEST_FILE: json.dumps(_manifest(graph, exported, command, notes), indent=2) + "\n",
    }
    return {TFLITE_FILE: export_tflite(graph)} | {
        name: text.encode() for name, text in texts.items()
    }


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
        }
        | ({"state_bytes": exported.plan.state_size} if graph.states else {}),
        "input": _tensor(graph, graph.input),
        "output": _tensor(graph, graph.output),
        **_several(graph),
        "layers": [dataclasses.asdict(layer) for layer in exported.layers],
        "runtime_sources": list(exported.runtime_sources),
    }


def _several(graph: Graph) -> dict[str, Any]:
    """The inputs and outputs of a model that has several, in the order of their bytes."""
    return {
        what: [{"name": each.name, **_tensor(graph, each.name)} for each in ends]
        for what, ends in (("inputs", graph.inputs), ("outputs", graph.results))
        if len(ends) > 1
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

    The folder may come from a stranger, and its C is compiled and run: all is made anew from the
    graph, and has to be the same, byte for byte.

    Raises:
        ModelError: it is none, or a file of it is missing, damaged, changed, of another conversion
            or of another version of tinyedge.
    """
    hint = "write it with 'tinyedge convert MODEL -o DIR'"
    if folder.is_file():
        hint = f"'tinyedge convert {folder} -o DIR' writes one; a float model: 'tinyedge quantize'"
        raise ModelError(f"{folder}: a file, not the folder of a converted model", hint=hint)
    if not folder.is_dir():
        raise ModelError(f"{folder}: no such folder", hint=hint)
    for name in CONVERTED_FILES:
        if not (folder / name).is_file():
            raise ModelError(f"{folder}: lacks {name}", hint=hint)
    graph = Graph.load(folder / GRAPH_FILE)
    again = f"convert again: tinyedge convert {folder / GRAPH_FILE} -o DIR"
    manifest = _read_manifest(folder / MANIFEST_FILE, again)
    if manifest["hash"] != graph.hash:
        raise ModelError(f"{folder}: {MANIFEST_FILE} belongs to another model", hint=again)
    options = CodeOptions(manifest["core"], manifest["optimize"])
    files = _files(graph, manifest["command"], tuple(manifest["notes"]), options)
    for name, content in files.items():
        path = folder / name
        if path.stat().st_size != len(content) or path.read_bytes() != content:
            raise ModelError(
                f"{path}: is not what this version of tinyedge makes of {GRAPH_FILE}"
                + (_difference(manifest, json.loads(content)) if name == MANIFEST_FILE else ""),
                hint=again,
            )
    return ConvertedModel(folder, graph, manifest)


def _read_manifest(path: Path, hint: str) -> dict[str, Any]:
    """The manifest; what it says of the conversion itself is of the right kind."""
    try:
        if path.stat().st_size > _LARGEST_MANIFEST:
            raise ValueError(f"more than {_LARGEST_MANIFEST} bytes")
        manifest = json.loads(path.read_text(encoding="utf-8"))
        if not isinstance(manifest, dict):
            raise ValueError("not an object")
    except (OSError, ValueError, RecursionError) as error:
        raise ModelError(f"{path}: is damaged: {error}", hint=hint) from error
    version, notes = manifest.get("version"), manifest.get("notes")
    if version != _VERSION:
        raise ModelError(
            f"{path}: version is {version!r}, allowed: {_VERSION}; another tinyedge wrote it",
            hint=hint,
        )
    for key, right, allowed in (
        ("hash", isinstance(manifest.get("hash"), str), "a text"),
        ("command", isinstance(manifest.get("command"), str), "a text"),
        ("core", _is_one_of(manifest.get("core"), CORES), ", ".join(CORES)),
        ("optimize", _is_one_of(manifest.get("optimize"), OBJECTIVES), ", ".join(OBJECTIVES)),
        (
            "notes",
            isinstance(notes, list) and all(isinstance(note, str) for note in notes),
            "a list of texts",
        ),
    ):
        if not right:
            raise ModelError(
                f"{path}: {key} is damaged: {manifest.get(key)!r:.80}, allowed: {allowed}",
                hint=hint,
            )
    return manifest


def _is_one_of(value: object, names: Iterable[str]) -> bool:
    return isinstance(value, str) and value in names


def _difference(found: dict[str, Any], right: dict[str, Any]) -> str:
    """Names the first key that differs."""
    keys = [key for key in (*right, *found) if found.get(key) != right.get(key)]
    return f": {keys[0]}" if keys else ""
