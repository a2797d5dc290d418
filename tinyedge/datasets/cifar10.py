"""CIFAR-10 (Krizhevsky 2009), from the authors' archive, or from one ``.npz`` of JPEG images.

The JPEG images are a lossy copy: say so beside any figure made from them.
"""

from __future__ import annotations

import io
import itertools
import pickle
import tarfile
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tinyedge.datasets import SPLITS, LabelledSamples, Split
from tinyedge.datasets.folders import Published, find, find_or_download
from tinyedge.datasets.images import grey
from tinyedge.distribution import install_hint
from tinyedge.errors import DataError, MissingDependencyError
from tinyedge.files import read_arrays
from tinyedge.names import Channels

JPEG_FILE = "cifar10-jpeg.npz"
ARCHIVE = Published(
    "cifar-10-python.tar.gz",
    "https://www.cs.toronto.edu/~kriz/",
    "sha256:6d958be074577803d12ecdefd02955f39262c83c16fe9348329d7fe0b5c001ce",
)
CLASSES = (
    "airplane",
    "automobile",
    "bird",
    "cat",
    "deer",
    "dog",
    "frog",
    "horse",
    "ship",
    "truck",
)
_SHAPE = (32, 32, 3)


def load(split: Split, folder: Path | None, channels: Channels = "grey") -> LabelledSamples:
    """The 50,000 training or 10,000 test images, uint8 (n, 32, 32, 1 or 3).

    Args:
        split: ``train`` or ``test``.
        folder: holds the authors' ``cifar-10-python.tar.gz``, or ``cifar10-jpeg.npz``: bytes
            ``jpg_test``, of which image i is ``[off_test[i], off_test[i + 1])``, labels
            ``y_test``, the same for ``train``, and names ``classes``.
        channels: ``grey`` (ITU-R 601 luma) or ``rgb``.

    Raises:
        DataError: the file is missing or damaged.
        MissingDependencyError: Pillow is not installed.
    """
    copy = find(JPEG_FILE, folder)
    if copy and not find(ARCHIVE.name, folder):
        path, title = copy, "CIFAR-10 (JPEG copy)"
    else:
        path, title = find_or_download("CIFAR-10", ARCHIVE, folder), "CIFAR-10"
    try:
        images, labels, classes = (_from_jpeg if path is copy else _from_archive)(path, split)
    except MissingDependencyError:
        raise
    except Exception as error:  # unpickling raises whatever it meets
        raise DataError(f"{path}: damaged, or of another layout ({error})") from error
    if channels == "grey":
        images = grey(images)
    settings = {"channels": channels}
    return LabelledSamples(
        images, labels, classes, f"{title}, {SPLITS[split]}, {channels}", settings
    )


Part = tuple[NDArray[np.uint8], NDArray[np.int64], tuple[str, ...]]


def _from_jpeg(path: Path, split: Split) -> Part:
    arrays = read_arrays(path)
    images = _decoded(arrays[f"jpg_{split}"], arrays[f"off_{split}"].astype(np.int64))
    return images, arrays[f"y_{split}"].astype(np.int64), tuple(map(str, arrays["classes"]))


class _ArraysOnly(pickle.Unpickler):
    """Reads the archive's pickles, which hold lists, bytes and arrays, and refuses all else."""

    def find_class(self, module: str, name: str) -> Any:
        allowed = {"_reconstruct", "ndarray", "dtype", "encode", "scalar"}
        if name in allowed and module.split(".", maxsplit=1)[0] in {"numpy", "_codecs"}:
            return super().find_class(module, name)
        raise pickle.UnpicklingError(f"{module}.{name} is not expected in it")


def _from_archive(path: Path, split: Split) -> Part:
    names = [f"data_batch_{i}" for i in range(1, 6)] if split == "train" else ["test_batch"]
    images, labels = [], []
    with tarfile.open(path) as archive:
        for name in names:
            member = archive.extractfile(f"cifar-10-batches-py/{name}")
            assert member
            batch = _ArraysOnly(member, encoding="bytes").load()
            images.append(batch[b"data"].reshape(-1, 3, 32, 32).transpose(0, 2, 3, 1))
            labels.append(np.asarray(batch[b"labels"], dtype=np.int64))
    return np.concatenate(images), np.concatenate(labels), CLASSES


def _decoded(jpeg: NDArray[np.uint8], offsets: NDArray[np.int64]) -> NDArray[np.uint8]:
    try:
        from PIL import Image
    except ImportError as error:
        raise MissingDependencyError(
            "JPEG images are read by Pillow, which is not installed",
            hint=install_hint("data"),
        ) from error
    images = np.empty((len(offsets) - 1, *_SHAPE), dtype=np.uint8)
    for index, (start, end) in enumerate(itertools.pairwise(offsets)):
        with Image.open(io.BytesIO(jpeg[start:end].tobytes())) as image:
            images[index] = np.asarray(image.convert("RGB"))
    return images
