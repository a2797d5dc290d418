"""Fashion-MNIST (Xiao, Rasul and Vollgraf 2017, arXiv 1708.07747; MIT licence), from idx files."""

from __future__ import annotations

import gzip
import zlib
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from tinyedge.datasets import SPLITS, LabelledSamples, Split
from tinyedge.datasets.folders import Published, find_or_download
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
_URL = "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/"
FILES = {
    "train": (
        Published("train-images-idx3-ubyte.gz", _URL, "md5:8d4fb7e6c68d591d4c3dfef9ec88bf0d"),
        Published("train-labels-idx1-ubyte.gz", _URL, "md5:25c81989df183df01b3e8a0aad5dffbe"),
    ),
    "test": (
        Published("t10k-images-idx3-ubyte.gz", _URL, "md5:bef4ecab320f06d8554ea6380940ec79"),
        Published("t10k-labels-idx1-ubyte.gz", _URL, "md5:bb300cfdad3c16e7a12a480ee83cd310"),
    ),
}
_PLACES = ("fashion-mnist", ".", Path("/usr/share/datasets/fashion-mnist"))
"""Below ``$TINYEDGE_DATA``; the last is where Debian's package ``dataset-fashion-mnist`` has it."""


def _read_idx(path: Path, header_bytes: int) -> NDArray[np.uint8]:
    try:
        content = gzip.decompress(path.read_bytes())
        return np.frombuffer(content, dtype=np.uint8, offset=header_bytes)
    except (EOFError, OSError, ValueError, zlib.error) as error:
        raise DataError(f"{path}: cannot be read: {error}") from error


def load(split: Split, folder: Path | None = None) -> LabelledSamples:
    """The 60,000 training or 10,000 test images, uint8 (n, 28, 28, 1).

    Args:
        split: ``train`` or ``test``.
        folder: where the idx files lie.

    Raises:
        DataError: the files are missing or damaged.
    """
    paths = [find_or_download("Fashion-MNIST", file, folder, _PLACES) for file in FILES[split]]
    images, labels = _read_idx(paths[0], 16), _read_idx(paths[1], 8)
    if images.size != labels.size * 28 * 28:
        raise DataError(f"{paths[0]}: {images.size} pixels do not fit {labels.size} labels")
    return LabelledSamples(
        images.reshape(-1, 28, 28, 1),
        labels.astype(np.int64),
        CLASSES,
        f"Fashion-MNIST, {SPLITS[split]}",
    )
