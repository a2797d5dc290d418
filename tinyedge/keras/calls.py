"""How the layers of a Keras file call each other, checked before Keras follows it.

Keras builds what it can, and begins anew as long as something is left: of a layer that takes a
value which no layer gives, it never ends.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from tinyedge.errors import ModelError

_MODELS = ("Functional", "Model", "Sequential")
_REFERENCE = 3
"""A layer's name, which of its calls, which of that call's results; more may follow."""


def check_calls(config: Any, file: str) -> None:
    """Checks that every call of a layer takes what other calls give, at whatever depth.

    Args:
        config: as JSON gives it, in the words of Keras 2.
        file: for messages.

    Raises:
        ModelError: a call never comes to its turn, with the layer.
    """
    pending = [config]
    while pending:
        value = pending.pop()
        if isinstance(value, dict):
            pending += value.values()
            if isinstance(value.get("layers"), list) and "output_layers" in value:
                _check(value["layers"], file)
        elif isinstance(value, list):
            pending += value


def first_call(entry: dict[str, Any]) -> int:
    """The number that Keras 2 gives to the first call of a layer, or of a model inside a model.

    A model that has an input was called already, when it was made.
    """
    config = entry.get("config")
    inner = config.get("layers") if isinstance(config, dict) else None
    begins = bool(inner) and isinstance(inner, list) and inner[0].get("class_name") == "InputLayer"
    return int(begins and entry.get("class_name") in _MODELS)


def _check(entries: list[dict[str, Any]], file: str) -> None:
    made = {str(entry.get("name")): first_call(entry) for entry in entries}
    inputs = {entry.get("name") for entry in entries if entry.get("class_name") == "InputLayer"}
    left = [
        (str(entry.get("name")), list(_references(call)))
        for entry in entries
        for call in entry.get("inbound_nodes") or []
    ]
    while left:
        waiting, stopped = [], set()
        for name, references in left:
            ready = all(layer in inputs or call < made.get(layer, 0) for layer, call in references)
            if ready and name not in stopped:
                made[name] += 1
            else:
                stopped.add(name)  # the calls of a layer are made in their order
                waiting.append((name, references))
        if len(waiting) == len(left):
            raise ModelError(
                f"{file}: layer {waiting[0][0][:80]!r}: is called with a value that no layer gives",
                hint="the file is damaged; save the model again",
            )
        left = waiting


def _references(call: Any) -> Iterator[tuple[str, int]]:
    """The calls whose values a call takes."""
    pending = [call]
    while pending:
        value = pending.pop()
        if isinstance(value, dict):
            pending += value.values()
        elif isinstance(value, list):
            name, number = (*value[:2], None, None)[:2]
            if len(value) >= _REFERENCE and isinstance(name, str) and isinstance(number, int):
                if number >= 0:  # below zero it is a constant
                    yield name, number
                pending += value[_REFERENCE:]
            else:
                pending += value
