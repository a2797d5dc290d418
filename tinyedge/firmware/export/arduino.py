"""A converted model as an Arduino library (Arduino's library specification, revision 1.5)."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from tinyedge.errors import UsageError
from tinyedge.exporters.c.export import c_array, c_identifiers
from tinyedge.exporters.converted import ConvertedModel
from tinyedge.files import check_writable, write_atomically
from tinyedge.firmware.export.folder import (
    archive_of,
    check_archive,
    with_manifest,
    write_folder,
)
from tinyedge.firmware.export.library import LONGEST_NAME, check_c_name, library_sources
from tinyedge.firmware.link_memory import LinkMemory
from tinyedge.firmware.project import arduino_harness
from tinyedge.graph import reference
from tinyedge.templates import data_folder, render_template

BAUD = 115200
"""Baud rate of the sketches' ``Serial``."""

_LINK = LinkMemory(ring=0)
"""The buffer of a core's ``Serial`` is not known: a request waits for the last answer."""
_TEMPLATES = {
    "library.properties": "library.properties.j2",
    "keywords.txt": "keywords.txt.j2",
    "README.md": "README.md.j2",
    "LICENSE.txt": "LICENSE.txt.j2",
    "examples/Classify/Classify.ino": "Classify.ino.j2",
}
_PREFIXES = ("te_", "tinyedge_arena_", "tinyedge_model_")
"""The prefixes of the runtime and of the model."""

_SYSTEM_HEADERS = re.compile(
    "arduino|assert|avr|binary|client|complex|ctype|errno|fenv|float|hardwareserial|inttypes|io|"
    "ipaddress|iso646|limits|locale|math|new|pgmspace|pins_arduino|print|printable|server|setjmp|"
    "signal|spi|stdalign|stdarg|stdatomic|stdbool|stddef|stdint|stdio|stdlib|stdnoreturn|stream|"
    "string|tgmath|threads|time|uchar|unistd|util|wchar|wctype|wire|wprogram|wstring"
)
"""Headers that a sketch's own of the same name would hide."""


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
        folder: see ``write_folder``.
        name: of the library and its header; ``tinyedge_`` and the model's name by default.
        sample: int8 of the model's input shape, which the example classifies; noise by default.
        archive: whether to write ``<folder>.zip`` too.

    Raises:
        UsageError: the name is none of a library, or means something else in its folder; or the
            sample is of another shape.
        FileError: the folder, or the .zip file, holds something of the user's; see
            ``write_folder``.
        OSError: something cannot be written.
    """
    identifier = c_identifiers([model.graph.name])[model.graph.name]
    chosen = f"tinyedge_{identifier}"[:LONGEST_NAME] if name is None else name
    _check_name(chosen)
    library = library_files(model, chosen, sample)
    facts = {"format": "arduino", "model": model.graph.name, "hash": _digest(library).hex()}
    files = with_manifest(library, facts)
    zipped = folder.with_name(f"{folder.name}.zip") if archive else None
    if zipped:
        check_writable(zipped)
        check_archive(zipped)
    write_folder(folder, files)
    if zipped:
        write_atomically(zipped, archive_of(files, chosen))
    return ArduinoLibrary(chosen, tuple(sorted(files)), zipped)


def _check_name(name: str) -> None:
    """Refuses a name that Arduino does not take, or that the library's C has a use for already."""
    templates = data_folder("firmware_templates")
    ours = [*(templates / "runtime").iterdir(), *arduino_harness()]
    files = {path.stem.lower() for path in ours} | {"model", "link_memory", "firmware_id"}
    check_c_name(name, _PREFIXES, _SYSTEM_HEADERS, files)


def library_files(
    model: ConvertedModel, name: str, sample: NDArray[np.int8] | None = None
) -> dict[str, str]:
    """The library's files by their path in it; see ``export_arduino``."""
    graph = model.graph
    if sample is None:
        shape = graph.input_tensor.shape
        sample = np.random.default_rng(0).integers(-128, 128, shape).astype(np.int8)
    elif sample.shape != graph.input_tensor.shape:
        raise UsageError(f"the sample's shape is {sample.shape}, not {graph.input_tensor.shape}")
    library, runtime = library_sources(model, name)
    context = {
        **library.context,
        "header": f"{name}.h",
        "baud": BAUD,
        "weight_bytes": model.weight_bytes,
        "arena_bytes": model.arena_bytes,
        "sample": c_array(sample.ravel()),
        "expected": c_array(reference.run(graph, sample[np.newaxis])[0].ravel()),
    }
    files = {f"src/{path}": text for path, text in {**runtime, **library.files}.items()}
    for path, template in _TEMPLATES.items():
        files[path] = render_template(f"arduino/library/{template}", context)
    harness = {path.name: path.read_text(encoding="utf-8") for path in arduino_harness()}
    harness = {path: text for path, text in harness.items() if path not in runtime}
    for path in ("model.c", "model.h"):
        harness[path] = render_template(f"arduino/{path}.j2", context)
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
