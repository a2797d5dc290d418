"""Data sets by name: one file each, loaded from a folder, never downloaded behind one's back."""

from __future__ import annotations

import importlib
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

DATASETS = ("cifar10", "fashion_mnist", "speech_commands")
"""Names of all data sets; each is a module with a function ``load_test_set``."""


@dataclass(frozen=True, eq=False)
class LabelledSamples:
    """The samples that a data set is judged by.

    Attributes:
        x: float32 (n, *shape), or uint8 (n, height, width, channels) for images.
        y: int64 (n,).
        classes: names, in the order of the labels.
        source: what exactly it is, to be said beside every figure made from it.
        settings: how samples were selected or computed.
    """

    x: NDArray[Any]
    y: NDArray[np.int64]
    classes: tuple[str, ...]
    source: str
    settings: dict[str, Any] = field(default_factory=dict)


def load_test_set(name: str, folder: Path | None = None) -> LabelledSamples:
    """Loads the test set of a data set.

    Args:
        name: one of ``DATASETS``.
        folder: where its files lie; ``$TINYEDGE_DATA`` by default.

    Raises:
        DataError: its files are missing or damaged; says which to put where.
        MissingDependencyError: reading it takes a package that is not installed.
    """
    test_set: LabelledSamples = importlib.import_module(f"tinyedge.datasets.{name}").load_test_set(
        folder
    )
    return test_set
