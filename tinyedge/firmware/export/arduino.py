"""A converted model as an Arduino library (Arduino's library specification, revision 1.5)."""

from __future__ import annotations

import hashlib
import io
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

import tinyedge
from tinyedge.boards.cores import CORES
from tinyedge.errors import UsageError
from tinyedge.exporters.c.export import c_array, c_identifiers
from tinyedge.exporters.converted import ConvertedModel
from tinyedge.files import folder_aside, write_atomically
from tinyedge.firmware.link_memory import LinkMemory
from tinyedge.firmware.project import arduino_harness
from tinyedge.graph import reference
from tinyedge.templates import data_folder, render_template

BAUD = 115200
"""Of the sketches' ``Serial``."""

_LINK = LinkMemory(ring=0)
"""What a core's ``Serial`` holds is not known: a request is sent when the last is answered."""
_TEMPLATES = {
    "library.properties": "library.properties.j2",
    "keywords.txt": "keywords.txt.j2",
    "README.md": "README.md.j2",
    "LICENSE.txt": "LICENSE.txt.j2",
    "examples/Classify/Classify.ino": "Classify.ino.j2",
}
_EPOCH = (1980, 1, 1, 0, 0, 0)
"""The earliest time that a .zip file knows: the same library is the same file."""


@dataclass(frozen=True)
class ArduinoLibrary:
    """A library that was written.

    Attributes:
        name: as Arduino shows it; sketches include ``<name>.h``.
        files: paths in its folder, sorted.
        archive: the same as a .zip file, or None.
    """

    name: str
    files: tuple[str, ...]
    archive: Path | None


def export_arduino(
    model: ConvertedModel,
    folder: Path,
    name: str | None = None,
    sample: NDArray[np.int8] | None = None,
    *,
    archive: bool = False,
) -> ArduinoLibrary:
    """Writes the library's folder, all of it or nothing.

    Args:
        model: what ``convert`` wrote.
        folder: to write; what is in it and not of the library stays.
        name: of the library, an identifier; the model's by default.
        sample: int8 of the model's input shape, which the example classifies; noise by default.
        archive: whether to write ``<folder>.zip`` too.

    Raises:
        UsageError: the name is no identifier, or the sample of another shape.
        OSError: something cannot be written.
    """
    chosen = name or f"tinyedge_{c_identifiers([model.graph.name])[model.graph.name]}"
    if not chosen.isidentifier() or not chosen.isascii():
        raise UsageError(f"{chosen!r} is no name of a library: letters, digits and _")
    files = library_files(model, chosen, sample)
    with folder_aside(folder) as aside:
        for path, text in files.items():
            (aside / path).parent.mkdir(parents=True, exist_ok=True)
            (aside / path).write_text(text, encoding="utf-8")
    zipped = folder.with_name(f"{folder.name}.zip") if archive else None
    if zipped:
        write_atomically(zipped, _zip(chosen, files))
    return ArduinoLibrary(chosen, tuple(sorted(files)), zipped)


def library_files(
    model: ConvertedModel, name: str, sample: NDArray[np.int8] | None = None
) -> dict[str, str]:
    """The library's files by their path in it; see ``export_arduino``."""
    graph, core = model.graph, str(model.manifest["core"])
    if sample is None:
        shape = graph.input_tensor.shape
        sample = np.random.default_rng(0).integers(-128, 128, shape).astype(np.int8)
    elif sample.shape != graph.input_tensor.shape:
        raise UsageError(f"the sample's shape is {sample.shape}, not {graph.input_tensor.shape}")
    context = {
        "name": name,
        "header": f"{name}.h",
        "graph": graph,
        "version": tinyedge.__version__,
        "source": graph.source,
        "core": core,
        "everywhere": CORES[core].flash_apart,
        "baud": BAUD,
        "weight_bytes": model.weight_bytes,
        "arena_bytes": model.arena_bytes,
        "sample": c_array(sample.ravel()),
        "expected": c_array(reference.run(graph, sample[np.newaxis])[0].ravel()),
    }
    runtime = data_folder("firmware_templates") / "runtime"
    sources = [runtime / source for source in model.runtime_sources]
    sources += [*runtime.glob("*.h"), *model.sources]
    files = {f"src/{path.name}": path.read_text(encoding="utf-8") for path in sources}
    files[f"src/{name}.h"] = render_template("arduino/library/library.h.j2", context)
    for path, template in _TEMPLATES.items():
        files[path] = render_template(f"arduino/library/{template}", context)
    harness = {path.name: path.read_text(encoding="utf-8") for path in arduino_harness()}
    harness["Harness.ino"] = render_template("arduino/Harness.ino.j2", context)
    harness["link_memory.h"] = render_template("harness/link_memory.h.j2", {"link": _LINK})
    files |= {f"examples/Harness/{path}": text for path, text in harness.items()}
    digest = _digest(files)
    files["examples/Harness/firmware_id.h"] = render_template(
        "harness/firmware_id.h.j2",
        {"board": {"name": "arduino"}, "hash_bytes": ", ".join(f"0x{b:02x}" for b in digest)},
    )
    return files


def _digest(files: Mapping[str, str]) -> bytes:
    digest = hashlib.sha256()
    for path in sorted(files):
        digest.update(f"{path}\0{files[path]}\0".encode())
    return digest.digest()


def _zip(name: str, files: Mapping[str, str]) -> bytes:
    """One folder in an archive, as 'Add .ZIP Library' takes it."""
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w", zipfile.ZIP_DEFLATED) as archive:
        for path in sorted(files):
            entry = zipfile.ZipInfo(f"{name}/{path}", _EPOCH)
            entry.compress_type = zipfile.ZIP_DEFLATED
            entry.external_attr = 0o644 << 16
            archive.writestr(entry, files[path])
    return content.getvalue()
