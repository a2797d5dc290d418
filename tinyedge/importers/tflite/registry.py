"""The handlers that turn operators of a ``.tflite`` file into the graph's, by operator name."""

from __future__ import annotations

from collections.abc import Callable

from tinyedge.importers.tflite.builder import Builder
from tinyedge.importers.tflite.reader import TfliteOperator

Handler = Callable[[Builder, TfliteOperator], None]
HANDLERS: dict[str, Handler] = {}
"""By the operator's name in the schema."""


def handles(*names: str) -> Callable[[Handler], Handler]:
    """Registers a handler of operators."""

    def register(handler: Handler) -> Handler:
        HANDLERS.update(dict.fromkeys(names, handler))
        return handler

    return register
