"""CIFAR-10 (Krizhevsky 2009), from one ``.npz`` file of JPEG images.

The images are a lossy copy: say so beside any figure made from them.
"""

from __future__ import annotations

import io
import itertools
import sys
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from tinyedge.datasets import LabelledSamples
from tinyedge.datasets.folders import find_file
from tinyedge.errors import DataError, MissingDependencyError
from tinyedge.files import read_arrays

FILE = "cifar10-jpeg.npz"
SOURCE = "CIFAR-10 (JPEG copy), test set"
_SHAPE = (32, 32, 3)


def load_test_set(folder: Path | None) -> LabelledSamples:
    """The 10,000 test images, uint8 (n, 32, 32, 3) in RGB.

    Args:
        folder: holds ``cifar10-jpeg.npz``: bytes ``jpg_test``, of which image i is
            ``[off_test[i], off_test[i + 1])``, labels ``y_test`` and names ``classes``.

    Raises:
        DataError: the file is missing or damaged.
        MissingDependencyError: Pillow is not installed.
    """
    path = find_file(FILE, folder, f"put {FILE} into $TINYEDGE_DATA, or name its folder")
    try:
        arrays = read_arrays(path)
        images = _decoded(arrays["jpg_test"], arrays["off_test"].astype(np.int64))
        labels = arrays["y_test"].astype(np.int64)
        classes = tuple(map(str, arrays["classes"]))
    except (KeyError, OSError, ValueError) as error:
        raise DataError(f"{path}: damaged, or of another layout ({error})") from error
    return LabelledSamples(images, labels, classes, SOURCE)


def _decoded(jpeg: NDArray[np.uint8], offsets: NDArray[np.int64]) -> NDArray[np.uint8]:
    try:
        from PIL import Image
    except ImportError as error:
        raise MissingDependencyError(
            "JPEG images are read by Pillow, which is not installed",
            hint=f"{sys.executable} -m pip install 'tinyedge[data]'",
        ) from error
    images = np.empty((len(offsets) - 1, *_SHAPE), dtype=np.uint8)
    for index, (start, end) in enumerate(itertools.pairwise(offsets)):
        with Image.open(io.BytesIO(jpeg[start:end].tobytes())) as image:
            images[index] = np.asarray(image.convert("RGB"))
    return images
