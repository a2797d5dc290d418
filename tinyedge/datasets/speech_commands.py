"""Google Speech Commands v0.02 (Warden 2018, CC BY 4.0), 12 classes, as features."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from tinyedge.datasets import LabelledSamples
from tinyedge.datasets.folders import find_file
from tinyedge.errors import DataError
from tinyedge.files import read_arrays

FILE = "gsc12-testset-features.npz"
SOURCE = "Speech Commands v0.02, 12-class test set, MFCC with MLPerf Tiny's settings"


def load_test_set(folder: Path | None) -> LabelledSamples:
    """The 4,890 clips of the official test set, MFCC float32 (n, 49, 10, 1).

    16 kHz, windows of 30 ms every 20 ms, 10 coefficients.

    Args:
        folder: holds ``gsc12-testset-features.npz`` with ``mfcc``, ``y`` and ``classes``.

    Raises:
        DataError: the file is missing or damaged.
    """
    path = find_file(FILE, folder, f"put {FILE} into $TINYEDGE_DATA, or name its folder")
    try:
        arrays = read_arrays(path)
        features = arrays["mfcc"].astype(np.float32)[..., np.newaxis]
        labels = arrays["y"].astype(np.int64)
        classes = tuple(map(str, arrays["classes"]))
    except (KeyError, OSError, ValueError) as error:
        raise DataError(f"{path}: damaged, or of another layout ({error})") from error
    return LabelledSamples(features, labels, classes, SOURCE)
