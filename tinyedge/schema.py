"""Reading TOML files by a schema, with every fault at once."""

from __future__ import annotations

import difflib
import reprlib
import tomllib
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError
from pydantic_core import PydanticCustomError

from tinyedge.errors import TinyEdgeError

Record = TypeVar("Record", bound=BaseModel)

_KINDS = {
    "array": "a list",
    "boolean": "true or false",
    "integer": "an integer",
    "number": "a number",
    "string": "a text",
}
_SHORTENED = reprlib.Repr()
_SHORTENED.maxstring = _SHORTENED.maxother = 80


class Section(BaseModel):
    """A section of a file that has no other keys, and no values of another kind than said.

    A number is never NaN or infinite.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False)


class Fault(NamedTuple):
    """A fault that a validator finds.

    Attributes:
        key: below what is validated, with dots; empty for itself.
        value: that it has.
        allowed: in words, after "allowed: ".
    """

    key: str
    value: object
    allowed: str


def below(key: str, faults: Iterable[Fault]) -> Iterator[Fault]:
    """Faults of what is at a key, as its holder reports them."""
    for fault in faults:
        yield fault._replace(key=f"{key}.{fault.key}")


def refuse(faults: Iterable[Fault]) -> None:
    """Ends a validator: raises what ``validate`` reports, if there is any fault."""
    if found := list(faults):
        raise PydanticCustomError("faults", "several faults", {"faults": found})


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
    return validate(load_toml(path, error), path, record, error)


def load_toml(path: Path, error: type[TinyEdgeError]) -> dict[str, Any]:
    """Reads a TOML file; raises as ``read_toml``."""
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except RecursionError as deep:
        raise error(f"{path}: cannot be read as TOML: nested too deeply") from deep
    except (OSError, ValueError) as unreadable:
        raise error(f"{path}: cannot be read as TOML: {unreadable}") from unreadable


def validate(
    content: Mapping[str, Any], path: Path | str, record: type[Record], error: type[TinyEdgeError]
) -> Record:
    """Checks what a TOML file holds; raises as ``read_toml``.

    Validators find the file's path in their context.
    """
    try:
        return record.model_validate(content, context={"path": path})
    except ValidationError as invalid:
        raise error(f"{path}: {told(invalid, record.model_json_schema())}") from invalid


def told(invalid: ValidationError, schema: Mapping[str, Any]) -> str:
    """Every fault that a validation found, with its key; with what is allowed by the schema."""
    return "; ".join(text for fault in invalid.errors() for text in _texts(fault, schema))


def _texts(fault: Mapping[str, Any], schema: Mapping[str, Any]) -> Iterator[str]:
    place = fault["loc"]
    key = ".".join(map(_printed, place)) or "the whole"
    if fault["type"] == "faults":
        for found in fault["ctx"]["faults"]:
            inner = ".".join(filter(None, [*map(str, place), found.key]))
            yield f"{inner} is {_SHORTENED.repr(found.value)}, allowed: {found.allowed}"
    elif fault["type"] == "extra_forbidden":
        known = list(_node(schema, place[:-1]).get("properties", ()))
        close = difflib.get_close_matches(str(place[-1]), known, n=1)
        meant = f"did you mean '{close[0]}'?" if close else f"known: {', '.join(known)}"
        yield f"{key}: unknown key ({meant})"
    elif allowed := fault["type"] != "value_error" and _allowed(schema, _node(schema, place)):
        value = "missing" if fault["type"] == "missing" else _SHORTENED.repr(fault["input"])
        finite = ", and finite" if fault["type"] == "finite_number" else ""
        yield f"{key} is {value}, allowed: {allowed}{finite}"
    else:
        value = (
            "" if isinstance(fault["input"], dict) else f", not {_SHORTENED.repr(fault['input'])}"
        )
        yield f"{key}: {fault['msg']}{value}"


def _printed(part: object) -> str:
    """A part of a key; as Python writes it where a terminal would obey it, or it is endless."""
    text = str(part)
    return (
        text if text.isprintable() and len(text) <= _SHORTENED.maxstring else _SHORTENED.repr(text)
    )


def _node(schema: Mapping[str, Any], place: tuple[Any, ...]) -> Mapping[str, Any]:
    """The part of a JSON schema that is about a key."""
    node = schema
    for part in place:
        node = _section(schema, node)
        keys = node.get("properties", {})
        node = node.get("items", {}) if isinstance(part, int) else keys.get(part, {})
    return _section(schema, node)


def _section(schema: Mapping[str, Any], node: Mapping[str, Any]) -> Mapping[str, Any]:
    """A node itself, or the section that it refers to."""
    for option in (node, *node.get("anyOf", ())):
        if "$ref" in option:
            found: Mapping[str, Any] = schema["$defs"][option["$ref"].rpartition("/")[2]]
            return found
    return node


def _allowed(schema: Mapping[str, Any], node: Mapping[str, Any]) -> str:
    """Describes the values allowed at a node; empty where the schema does not say."""
    if "properties" in node:
        return f"a section with {', '.join(node['properties'])}"
    if options := [option for option in node.get("anyOf", ()) if option.get("type") != "null"]:
        return " or ".join(_allowed(schema, option) for option in options)
    if choices := node.get("enum", [node["const"]] if "const" in node else []):
        return " or ".join(map(repr, choices))
    said = _KINDS.get(str(node.get("type")), "")
    for bound, words in (
        ("minimum", "from"),
        ("exclusiveMinimum", "above"),
        ("maximum", "to"),
        ("exclusiveMaximum", "to below"),
        ("minItems", "of at least"),
        ("pattern", "like"),
    ):
        said += f" {words} {node[bound]}" if bound in node else ""
    return said
