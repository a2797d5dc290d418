"""Fashion-MNIST (Xiao, Rasul and Vollgraf 2017, arXiv 1708.07747; MIT licence), from idx files."""

from __future__ import annotations

import gzip
import os
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from tinyedge.datasets import LabelledSamples
from tinyedge.errors import DataError

CLASSES = (
    "T-shirt/top",
    "Trouser",
    "Pullover",
    "Dress",
    "Coat",
    "Sandal",
    "Shirt",
    "Sneaker",
    "Bag",
    "Ankle boot",
)
_DEBIAN_FOLDER = Path("/usr/share/datasets/fashion-mnist")
_PREFIX = {"train": "train", "test": "t10k"}


def _folder(folder: Path | None) -> Path:
    candidates = [folder] if folder else []
    if not folder and (root := os.environ.get("TINYEDGE_DATA")):
        candidates.append(Path(root) / "fashion-mnist")
    if not folder:
        candidates.append(_DEBIAN_FOLDER)
    for candidate in candidates:
        if candidate and (candidate / "t10k-images-idx3-ubyte.gz").is_file():
            return candidate
    raise DataError(
        "Fashion-MNIST was not found in " + " or ".join(map(str, candidates)),
        hint="put the four *-ubyte.gz files into $TINYEDGE_DATA/fashion-mnist, "
        "or on Debian: apt-get install dataset-fashion-mnist",
    )


def _read_idx(path: Path, header_bytes: int) -> NDArray[np.uint8]:
    try:
        content = gzip.decompress(path.read_bytes())
    except (OSError, EOFError) as error:
        raise DataError(f"{path}: cannot be read: {error}") from error
    return np.frombuffer(content, dtype=np.uint8, offset=header_bytes)


def load(
    split: Literal["train", "test"], folder: Path | None = None
) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """Loads one split.

    Args:
        split: ``train`` (60,000 images) or ``test`` (10,000 images).
        folder: where the idx files lie; by default ``$TINYEDGE_DATA/fashion-mnist``, then the
            folder of Debian's package ``dataset-fashion-mnist``.

    Returns:
        Images ``(n, 28, 28, 1)`` float32 in [0, 1] (multiples of 1/255), labels ``(n,)`` int64.

    Raises:
        DataError: the files are missing or damaged.
    """
    root = _folder(folder)
    images = _read_idx(root / f"{_PREFIX[split]}-images-idx3-ubyte.gz", 16)
    labels = _read_idx(root / f"{_PREFIX[split]}-labels-idx1-ubyte.gz", 8)
    if images.size != labels.size * 28 * 28:
        raise DataError(f"{root}: {images.size} pixels do not fit {labels.size} labels")
    return (
        (images.reshape(-1, 28, 28, 1) / 255.0).astype(np.float32),
        labels.astype(np.int64),
    )


def load_test_set(folder: Path | None) -> LabelledSamples:
    """The 10,000 test images, as ``load`` gives them.

    Raises:
        DataError: the files are missing or damaged.
    """
    images, labels = load("test", folder)
    return LabelledSamples(images, labels, CLASSES, "Fashion-MNIST, test set")
