"""Handwritten digits of 8x8 cells (Alpaydin and Kaynak 1998), which scikit-learn brings along."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from tinyedge.datasets import LabelledSamples, Split
from tinyedge.distribution import install_hint
from tinyedge.errors import MissingDependencyError

SOURCE = "Optical digits 8x8 (test set of UCI's, as scikit-learn has it)"


def load(split: Split, folder: Path | None) -> LabelledSamples | None:  # noqa: ARG001 - no file
    """All 1,797 digits as the test split, float32 (n, 8, 8, 1) in [0, 1], in steps of 1/16.

    They come in one piece: without folds there is nothing to train on.

    Raises:
        MissingDependencyError: scikit-learn is not installed.
    """
    if split == "train":
        return None
    try:
        from sklearn.datasets import load_digits
    except ImportError as error:
        raise MissingDependencyError(
            "the digits come with scikit-learn, which is not installed",
            hint=install_hint("data"),
        ) from error
    digits = load_digits()
    images = (digits.images[..., np.newaxis] / 16.0).astype(np.float32)
    labels = digits.target.astype(np.int64)
    return LabelledSamples(images, labels, tuple(map(str, range(10))), SOURCE)
