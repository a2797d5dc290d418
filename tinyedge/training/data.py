"""The samples of a run: a data set's own split, or folds of it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from tinyedge.datasets import LabelledSamples, load
from tinyedge.errors import UsageError
from tinyedge.training.config import DataConfig

_FOLD_SEED = 0


@dataclass(frozen=True)
class TrainAndTest:
    """The samples that a run is trained and tested on; no sample is in both."""

    train: LabelledSamples
    test: LabelledSamples


def load_data(config: DataConfig, folder: Path | None) -> TrainAndTest:
    """Loads and divides the samples of a run.

    Args:
        config: names data set and fold.
        folder: where the data set's files lie, if not where ``datasets`` looks for them.

    Raises:
        DataError, MissingDependencyError: as ``datasets.load``.
        UsageError: the data set has another number of folds of its own.
    """
    options = {"channels": config.channels, "features": config.features}
    train = load(config.name, "train", folder, **options)  # type: ignore[arg-type]
    if config.fold is None and train is not None:
        test = load(config.name, "test", folder, **options)  # type: ignore[arg-type]
        assert test
        return _limited(TrainAndTest(train, test), config)
    whole = train or load(config.name, "test", folder, **options)  # type: ignore[arg-type]
    assert whole
    folds, fold = _folds(whole, config), config.fold or 0
    kind = "speaker-disjoint " if whole.folds is not None else ""
    said = f"{kind}fold {fold} of {config.folds}"
    return _limited(
        TrainAndTest(
            whole.select(np.flatnonzero(folds != fold), f"{whole.source}, without {said}"),
            whole.select(np.flatnonzero(folds == fold), f"{whole.source}, {said}"),
        ),
        config,
    )


def _folds(samples: LabelledSamples, config: DataConfig) -> NDArray[np.int64]:
    """The fold of every sample: the data set's own, else stratified by class."""
    if samples.folds is not None:
        own = int(samples.folds.max()) + 1
        if own != config.folds:
            raise UsageError(f"{config.name} comes in {own} folds, not {config.folds}")
        return samples.folds
    from sklearn.model_selection import StratifiedKFold

    folds = np.zeros(len(samples.y), dtype=np.int64)
    division = StratifiedKFold(config.folds, shuffle=True, random_state=_FOLD_SEED)
    for fold, (_, test) in enumerate(division.split(samples.y, samples.y)):
        folds[test] = fold
    return folds


def _limited(data: TrainAndTest, config: DataConfig) -> TrainAndTest:
    if config.limit is None or config.limit >= len(data.train.y):
        return data
    first = np.arange(config.limit)
    train = data.train.select(first, f"{data.train.source}, first {config.limit}")
    return TrainAndTest(train, data.test)
