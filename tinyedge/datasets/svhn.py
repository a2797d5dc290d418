"""Street View House Numbers, cropped digits (Netzer et al. 2011), from the authors' .mat files."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from tinyedge.datasets import SPLITS, LabelledSamples, Split
from tinyedge.datasets.folders import Published, find_or_download
from tinyedge.datasets.images import grey
from tinyedge.distribution import install_hint
from tinyedge.errors import DataError, MissingDependencyError
from tinyedge.names import Channels

_URL = "http://ufldl.stanford.edu/housenumbers/"
FILES = {
    "train": Published("train_32x32.mat", _URL, "md5:e26dedcc434d2e4c54c9b2d4a06d8373"),
    "test": Published("test_32x32.mat", _URL, "md5:eb5a983be6a315427106f1b164d9cef3"),
}
CLASSES = tuple(map(str, range(10)))


def load(split: Split, folder: Path | None, channels: Channels = "grey") -> LabelledSamples:
    """The 73,257 training or 26,032 test images, uint8 (n, 32, 32, 1 or 3).

    Args:
        split: ``train`` or ``test``.
        folder: holds ``train_32x32.mat`` and ``test_32x32.mat``.
        channels: ``grey`` or ``rgb``.

    Raises:
        DataError: the file is missing or damaged.
        MissingDependencyError: SciPy, which reads the files, is not installed.
    """
    try:
        from scipy.io import loadmat
    except ImportError as error:
        raise MissingDependencyError(
            "SVHN's files are read by SciPy, which is not installed",
            hint=install_hint("data"),
        ) from error
    path = find_or_download("SVHN", FILES[split], folder, (".", "svhn"))
    try:
        content = loadmat(path)
        images = np.ascontiguousarray(content["X"].transpose(3, 0, 1, 2)).astype(np.uint8)
        labels = content["y"].ravel().astype(np.int64) % 10  # the authors call a zero 10
        if images.shape[1:] != (32, 32, 3) or len(images) != len(labels):
            raise ValueError(f"images {images.shape}, labels {labels.shape}")
    except Exception as error:  # loadmat raises whatever its readers meet
        raise DataError(f"{path}: damaged, or of another layout ({error})") from error
    if channels == "grey":
        images = grey(images)
    settings = {"channels": channels}
    return LabelledSamples(images, labels, CLASSES, f"SVHN, {SPLITS[split]}, {channels}", settings)
