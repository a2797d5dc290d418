"""The allowed JSON of a graph's file: strict kinds and limits, before anything is made of it.

The file may come from a stranger, and its numbers and names go into C.
"""

from __future__ import annotations

import dataclasses
import json
import math
from collections.abc import Callable, Collection, Iterator, Mapping
from pathlib import Path
from typing import Any

from tinyedge.errors import ModelError
from tinyedge.graph import recurrent  # noqa: F401 - its operators register themselves
from tinyedge.graph.operators import OPERATORS
from tinyedge.naming import check_name

MAXIMUM_OPERATORS = 2000
"""Placing the buffers of more takes minutes."""
MAXIMUM_TENSORS = 2 * MAXIMUM_OPERATORS
MAXIMUM_AXES = 8
_HINT = "convert the model again"


def check_operator_count(count: int) -> None:
    """Refuses a graph, or a model that is to become one, of too many operators.

    Raises:
        ModelError: there are more than ``MAXIMUM_OPERATORS``.
    """
    if count > MAXIMUM_OPERATORS:
        raise ModelError(
            f"{count:,} operators, allowed: up to {MAXIMUM_OPERATORS:,}",
            hint="merge layers, or split the model into several",
        )


def check_description(description: Any, path: Path) -> None:
    """Refuses what no graph that was saved can hold.

    Args:
        description: the JSON of the file, of any kind.
        path: of the file, for messages.

    Raises:
        ModelError: names the file, the key, its value and what is allowed.
    """
    for key, kind, value in _values(description, path):
        allowed, right = _KINDS[kind]
        if not right(value):
            raise ModelError(f"{path}: {key} is {value!r:.80}, allowed: {allowed}", _HINT)
        if kind == "str":
            check_name(value, f"{path}: {key}", ModelError)


def _values(description: Any, path: Path) -> Iterator[tuple[str, str, Any]]:
    """Key, kind and value of all that is in a description."""
    yield "the whole", "section", description
    names: tuple[str, ...] = ("name", "input", "output")
    sections: tuple[str, ...] = ("source", "tensors", "constants", "operators")
    if isinstance(description, dict) and "states" in description:
        sections = (*sections, "states")
    _check_keys("", description, {"format", *names, *sections}, path)
    yield from ((key, "str", description[key]) for key in names)
    yield from ((key, key, description[key]) for key in sections)
    for index, state in enumerate(description.get("states", [])):
        _check_keys(f"states.{index}.", state, {"name", "next"}, path)
        yield from ((f"states.{index}.{key}", "str", state[key]) for key in ("name", "next"))
    for index, name in enumerate(description["constants"]):
        yield f"constants.{index}", "str", name
    for index, tensor in enumerate(description["tensors"]):
        at = f"tensors.{index}"
        yield at, "section", tensor
        _check_keys(f"{at}.", tensor, _TENSOR, path)
        yield from ((f"{at}.{key}", kind, tensor[key]) for key, kind in _TENSOR.items())
    for index, operator in enumerate(description["operators"]):
        at = f"operators.{index}"
        yield at, "operator", operator
        kinds = {
            field.name: str(field.type)
            for field in dataclasses.fields(OPERATORS[operator["kind"]])
            if "NDArray" not in str(field.type)
        }
        _check_keys(f"{at}.", operator, {"kind", *kinds}, path)
        yield from ((f"{at}.{key}", kind, operator[key]) for key, kind in kinds.items())


def _check_keys(at: str, section: Mapping[str, Any], known: Collection[str], path: Path) -> None:
    """Refuses a section that has other keys than these."""
    for key in sorted(set(known) ^ set(section)):
        wrong = "missing" if key in known else "unknown"
        raise ModelError(f"{path}: {at}{key:.80} is {wrong}; known: {', '.join(known)}", _HINT)


def _is_section(value: Any) -> bool:
    return isinstance(value, dict)


def _is_source(value: Any) -> bool:
    """Whether it is a section whose texts can be written: no character is half of a pair."""
    try:
        return isinstance(value, dict) and bool(json.dumps(value, ensure_ascii=False).encode())
    except UnicodeEncodeError:
        return False


def _is_operator(value: Any) -> bool:
    kind = value.get("kind") if isinstance(value, dict) else None
    return isinstance(kind, str) and kind in OPERATORS


def _is_text(value: Any) -> bool:
    return isinstance(value, str)


def _is_int(value: Any) -> bool:
    return type(value) is int and -(2**31) <= value < 2**31


def _is_int_or_null(value: Any) -> bool:
    return value is None or _is_int(value)


def _is_bool(value: Any) -> bool:
    return type(value) is bool


def _is_float(value: Any) -> bool:
    return _is_int(value) or (type(value) is float and math.isfinite(value))


def _is_weights(value: Any) -> bool:
    return isinstance(value, dict) and set(value) == {"bits"} and _is_int(value["bits"])


def _list_of(right: Callable[[Any], bool], least: int, most: int) -> Callable[[Any], bool]:
    def is_list(value: Any) -> bool:
        return isinstance(value, list) and least <= len(value) <= most and all(map(right, value))

    return is_list


def _are_states(value: Any) -> bool:
    if not _list_of(_is_section, 0, MAXIMUM_TENSORS)(value):
        return False
    names = [str(state.get("name")) for state in value]
    return len(set(names)) == len(names)


_TENSOR = {"name": "str", "shape": "Shape", "scale": "float", "zero_point": "int"}
_KINDS: Mapping[str, tuple[str, Callable[[Any], bool]]] = {
    "section": ("a section", _is_section),
    "source": ("a section of what can be written", _is_source),
    "tensors": (
        f"a list of up to {MAXIMUM_TENSORS} sections",
        _list_of(_is_section, 0, MAXIMUM_TENSORS),
    ),
    "constants": (
        f"a list of up to {MAXIMUM_TENSORS} names",
        _list_of(_is_text, 0, MAXIMUM_TENSORS),
    ),
    "states": (
        f"a list of up to {MAXIMUM_TENSORS} sections, none of them twice",
        _are_states,
    ),
    "operators": (
        f"a list of up to {MAXIMUM_OPERATORS} sections",
        _list_of(_is_section, 0, MAXIMUM_OPERATORS),
    ),
    "operator": (f"a section whose kind is one of {', '.join(OPERATORS)}", _is_operator),
    "str": ("a text", _is_text),
    "tuple[str, ...]": ("a list of names", _list_of(_is_text, 1, MAXIMUM_TENSORS)),
    "int": ("an integer of 32 bits", _is_int),
    "int | None": ("an integer of 32 bits, or null", _is_int_or_null),
    "bool": ("true or false", _is_bool),
    "float": ("a finite number", _is_float),
    "Pair": ("two integers", _list_of(_is_int, 2, 2)),
    "Padding": ("four integers", _list_of(_is_int, 4, 4)),
    "Shape": (f"up to {MAXIMUM_AXES} integers", _list_of(_is_int, 1, MAXIMUM_AXES)),
    "Weights": ("a section with bits, an integer", _is_weights),
}
"""The allowed values in words, and the test of them: by an operator attribute's annotation."""
