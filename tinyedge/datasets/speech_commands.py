"""Google Speech Commands v0.02 (Warden 2018, CC BY 4.0), 12 classes, as features."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from tinyedge.datasets import Features, LabelledSamples, Split
from tinyedge.datasets.folders import find, missing
from tinyedge.errors import DataError
from tinyedge.files import read_arrays

FILE = "gsc12-testset-features.npz"
TITLE = "Speech Commands v0.02"
SHAPES = {"mfcc": (49, 10), "logmel": (49, 40)}


def load(
    split: Split, folder: Path | None, features: Features = "mfcc"
) -> LabelledSamples | None:
    """The 4,890 clips of the official test set as the test split, float32 (n, 49, 10 or 40, 1).

    16 kHz, windows of 30 ms every 20 ms; 10 MFCC, or the logarithms of 40 mel bands. They come in
    one piece with five folds that no speaker has clips in two of.

    Args:
        split: ``test``; there is no training set.
        folder: holds ``gsc12-testset-features.npz`` with ``mfcc``, ``logmel``, ``y``, ``classes``
            and ``fold``.
        features: ``mfcc`` or ``logmel``.

    Raises:
        DataError: the file is missing or damaged.
    """
    if split == "train":
        return None
    path = find(TITLE, FILE, folder)
    if path is None:
        raise missing(TITLE, FILE, folder)
    try:
        arrays = read_arrays(path)
        values = arrays[features].astype(np.float32)[..., np.newaxis]
        labels = arrays["y"].astype(np.int64)
        classes = tuple(map(str, arrays["classes"]))
        folds = arrays["fold"].astype(np.int64) if "fold" in arrays else None
    except (KeyError, OSError, ValueError) as error:
        raise DataError(f"{path}: damaged, or of another layout ({error})") from error
    source = f"{TITLE}, 12-class test set, {features} with MLPerf Tiny's settings"
    return LabelledSamples(values, labels, classes, source, {"features": features}, folds)
