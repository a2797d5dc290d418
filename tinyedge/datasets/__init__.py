"""Data sets by name: one file each, loaded from a folder, else from where they are published."""

from __future__ import annotations

import importlib
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from tinyedge.names import Channels, DatasetName, Features

Split = Literal["train", "test"]
SPLITS: dict[Split, str] = {"train": "training set", "test": "test set"}
"""The name of a split in ``LabelledSamples.source``."""


@dataclass(frozen=True, eq=False)
class LabelledSamples:
    """Samples of a data set.

    Attributes:
        x: float32 (n, *shape), or uint8 (n, height, width, channels) for images.
        y: int64 (n,).
        classes: names, in the order of the labels.
        source: what exactly it is, to be said beside every figure made from it.
        settings: how samples were selected or computed.
        folds: int64 (n,), the data set's own division for cross-validation, if it has one.
    """

    x: NDArray[Any]
    y: NDArray[np.int64]
    classes: tuple[str, ...]
    source: str
    settings: dict[str, Any] = field(default_factory=dict)
    folds: NDArray[np.int64] | None = None

    def select(self, index: NDArray[np.int64], source: str) -> LabelledSamples:
        """Some of the samples, and what they are."""
        folds = None if self.folds is None else self.folds[index]
        return replace(self, x=self.x[index], y=self.y[index], folds=folds, source=source)


def load(
    name: DatasetName,
    split: Split,
    folder: Path | None = None,
    *,
    channels: Channels = "grey",
    features: Features = "mfcc",
) -> LabelledSamples | None:
    """Loads a split of a data set.

    Args:
        name: one of ``DATASETS``.
        split: ``train`` or ``test``.
        folder: where its files lie; without it ``$TINYEDGE_DATA``, then what was downloaded before,
            then the official source.
        channels: of images that have colours.
        features: of speech.

    Returns:
        The samples, or None for the training set of a data set that comes in one piece.

    Raises:
        DataError: its files are missing or damaged; says which to put where.
        MissingDependencyError: reading it takes a package that is not installed.
    """
    options: dict[str, dict[str, Any]] = {
        "cifar10": {"channels": channels},
        "speech_commands": {"features": features},
        "svhn": {"channels": channels},
    }
    module = importlib.import_module(f"tinyedge.datasets.{name}")
    samples: LabelledSamples | None = module.load(split, folder, **options.get(name, {}))
    return samples


def load_test_set(
    name: DatasetName, folder: Path | None = None, *, channels: Channels = "grey"
) -> LabelledSamples:
    """Loads what a data set is judged by: its test set, or all of it if it comes in one piece.

    Raises:
        DataError, MissingDependencyError: as ``load``.
    """
    samples = load(name, "test", folder, channels=channels)
    assert samples is not None
    return samples
