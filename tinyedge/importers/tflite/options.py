"""The options of a ``.tflite`` file's operators."""

from __future__ import annotations

from typing import Any

import tflite

from tinyedge.errors import ModelError
from tinyedge.importers.tflite.reader import TfliteOperator


def options_of(operator: TfliteOperator, kind: str) -> Any:
    """The options of an operator, of the table that the schema calls so.

    Raises:
        ModelError: it has others, or none.
    """
    if operator.options_type != getattr(tflite.BuiltinOptions, kind) or not operator.options_table:
        raise ModelError(f"{operator}: its options are not {kind}")
    options = getattr(tflite, kind)()
    options.Init(operator.options_table.Bytes, operator.options_table.Pos)
    return options
