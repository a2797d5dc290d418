"""Reading TOML files by a schema, with every fault at once."""

from __future__ import annotations

import difflib
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, TypeAdapter, ValidationError

from tinyedge.errors import TinyEdgeError

Record = TypeVar("Record", bound=BaseModel)


def read_toml(path: Path, record: type[Record], error: type[TinyEdgeError]) -> Record:
    """Reads a TOML file.

    Args:
        path: of the file.
        record: what it has to look like.
        error: to raise.

    Raises:
        TinyEdgeError: of the class ``error``: the file is missing or wrong; the message names the
            file, and every fault with its key, its value and what is allowed.
    """
    try:
        content = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as unreadable:
        raise error(f"{path}: cannot be read as TOML: {unreadable}") from unreadable
    try:
        return TypeAdapter(record).validate_python(content)
    except ValidationError as invalid:
        faults = "; ".join(_fault(fault, record) for fault in invalid.errors())
        raise error(f"{path}: {faults}") from invalid


def _fault(fault: Mapping[str, Any], record: type[BaseModel]) -> str:
    place = fault["loc"]
    said = f"{'.'.join(map(str, place)) or 'the whole'}: {fault['msg']}"
    if fault["type"] == "extra_forbidden":
        known = _keys(record, place[:-1])
        close = difflib.get_close_matches(str(place[-1]), known, n=1)
        meant = f"did you mean '{close[0]}'?" if close else f"known: {', '.join(known)}"
        return f"{'.'.join(map(str, place))}: unknown key ({meant})"
    if place and not isinstance(fault.get("input"), dict):
        said += f", not {fault['input']!r}"
    return said


def _keys(record: type[BaseModel], place: tuple[Any, ...]) -> list[str]:
    """The keys that a section may have."""
    at: Any = record
    for part in place:
        annotation = at.model_fields[part].annotation
        candidates = [annotation, *getattr(annotation, "__args__", ())]
        at = next(c for c in candidates if isinstance(c, type) and issubclass(c, BaseModel))
    return list(at.model_fields)
