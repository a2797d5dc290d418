"""Opening what an attack asks."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

from tinyedge.evaluation.compare import Executor
from tinyedge.exporters.converted import ConvertedModel
from tinyedge.places import PlaceSpec, open_place

KEPT = ("on", "board", "emulator", "compiler")
"""The facts of the place that the suites of an attack keep."""


@contextlib.contextmanager
def opened(model: ConvertedModel, spec: PlaceSpec) -> Iterator[tuple[Executor, dict[str, Any]]]:
    """An executor that stays open for many small calls, and what a report says of it.

    Raises:
        TinyEdgeError: see ``open_place``.
    """
    with open_place(model, spec) as place:
        about = place.about
        yield place.execute, {key: about[key] for key in KEPT if about.get(key)}
