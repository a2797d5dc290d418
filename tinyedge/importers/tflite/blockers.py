"""All that keeps a ``.tflite`` file from being imported, told at once."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from tinyedge.errors import ModelError
from tinyedge.importers.tflite.reader import TfliteOperator

SECTION = "docs/models.md#tensorflow-lite-models"
"""Where the operators that can be imported are listed."""
_MOST_TOLD = 20
_OWN = re.compile(r"'[^']*'|\d+")
"""The parts that differ between two faults of one kind: names and numbers."""


@dataclass
class _Fault:
    error: ModelError
    count: int = 0


@dataclass
class Blockers:
    """Faults of a file, each kind of an operator, its version and what is wrong with it once.

    Attributes:
        lost: tensors that a refused operator would have written and that are not int8, by their
            index; what reads them is judged by itself only.
    """

    lost: set[int] = field(default_factory=set)
    _faults: dict[tuple[object, ...], _Fault] = field(default_factory=dict)

    def add(self, error: ModelError, operator: TfliteOperator | None = None) -> None:
        """Counts a fault, of the whole file or of an operator."""
        key: tuple[object, ...] = (str(error),)
        if operator is not None:
            text = str(error).replace(str(operator), "")
            key = (operator.name, operator.version, _OWN.sub("", text))
        self._faults.setdefault(key, _Fault(error)).count += 1

    @contextmanager
    def collecting(self, operator: TfliteOperator | None = None) -> Iterator[None]:
        """Counts the ModelError that is raised inside."""
        try:
            yield
        except ModelError as error:
            self.add(error, operator)

    def refuse(self) -> None:
        """Raises ModelError with all faults, if there are any."""
        if not self._faults:
            return
        faults = list(self._faults.values())
        told = [
            str(fault.error) + (f" ({fault.count} operators like it)" if fault.count > 1 else "")
            for fault in faults[:_MOST_TOLD]
        ]
        if len(faults) > _MOST_TOLD:
            told.append(f"{len(faults) - _MOST_TOLD} more")
        first = f"{len(faults)} things block it: " if len(faults) > 1 else ""
        hints = dict.fromkeys(fault.error.hint for fault in faults if fault.error.hint)
        raise ModelError(first + "; ".join(told), hint="; ".join(hints))
