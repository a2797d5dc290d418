from __future__ import annotations

import gzip
import io
import os
import pickle
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from scipy.io import savemat

from tinyedge.datasets import (
    LabelledSamples,
    Split,
    cifar10,
    fashion_mnist,
    load,
    load_test_set,
)
from tinyedge.errors import DataError
from tinyedge.evaluation.suites import suite_of
from tinyedge.graph.tensors import Quantization
from tinyedge.names import DATASETS, Channels, DatasetName
from tinyedge.samples.scaling import ModelInput, pixel_range

SPLITS: tuple[Split, ...] = ("train", "test")
CHANNELS: tuple[Channels, ...] = ("grey", "rgb")
COLOURS = np.array([[250, 10, 10], [10, 10, 250]], dtype=np.uint8)
LUMA = np.array([[82], [37]], dtype=np.uint8)
"""0.299 R + 0.587 G + 0.114 B of these, rounded."""

IMAGES = np.random.default_rng(0).integers(256, size=(10, 32, 32, 3), dtype=np.uint8)


def loaded(
    name: DatasetName, split: Split, folder: Path | None, channels: Channels = "grey"
) -> LabelledSamples:
    samples = load(name, split, folder, channels=channels)
    assert samples
    return samples


def assert_images(data: LabelledSamples, images: np.ndarray, channels: Channels) -> None:
    """Compares them; float32 may round a grey to its neighbour."""
    assert data.x.dtype == np.uint8
    assert data.y.dtype == np.int64
    assert data.settings == {"channels": channels}
    assert channels in data.source
    if channels == "rgb":
        np.testing.assert_array_equal(data.x, images)
    else:
        luma = np.rint(images @ np.array([0.299, 0.587, 0.114]))
        np.testing.assert_allclose(data.x, luma[..., np.newaxis], atol=1)


def write_cifar10_jpeg(folder: Path) -> None:
    """Two images of one colour each, which JPEG hardly changes."""
    files = []
    for colour in COLOURS:
        buffer = io.BytesIO()
        Image.fromarray(np.broadcast_to(colour, (32, 32, 3)).copy()).save(buffer, "JPEG")
        files.append(np.frombuffer(buffer.getvalue(), np.uint8))
    arrays = {"classes": np.array(["a", "b"])}
    for split, labels in (("train", [5, 3]), ("test", [3, 5])):
        arrays[f"jpg_{split}"] = np.concatenate(files)
        arrays[f"off_{split}"] = np.cumsum([0, *map(len, files)])
        arrays[f"y_{split}"] = np.array(labels)
    np.savez(folder / cifar10.JPEG_FILE, allow_pickle=False, **arrays)


def write_cifar10_archive(folder: Path, test_batch: Any = None) -> None:
    """Batches of two training images each, and a test batch of the first two."""
    batches = {f"data_batch_{number + 1}": slice(2 * number, 2 * number + 2) for number in range(5)}
    with tarfile.open(folder / cifar10.ARCHIVE.name, "w:gz") as archive:
        for name, part in {**batches, "test_batch": slice(2)}.items():
            rows = IMAGES[part].transpose(0, 3, 1, 2).reshape(2, -1)
            batch: Any = {b"data": rows, b"labels": [part.start or 0, 9]}
            if name == "test_batch" and test_batch is not None:
                batch = test_batch
            content = pickle.dumps(batch, protocol=2)
            member = tarfile.TarInfo(f"cifar-10-batches-py/{name}")
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))


def write_svhn(folder: Path) -> None:
    for split, count in (("train", 4), ("test", 3)):
        labels = np.array([1, 10, 9, 10])[:count, np.newaxis]
        content = {"X": IMAGES[:count].transpose(1, 2, 3, 0), "y": labels}
        savemat(folder / f"{split}_32x32.mat", content)


def write_fashion_mnist(folder: Path) -> None:
    for split, count in (("train", 3), ("test", 2)):
        pixels = IMAGES[:count, :28, :28, 0].tobytes()
        images, labels = fashion_mnist.FILES[split]
        (folder / images.name).write_bytes(gzip.compress(bytes(16) + pixels))
        (folder / labels.name).write_bytes(gzip.compress(bytes(8) + bytes(range(count))))


@pytest.mark.parametrize("split", SPLITS)
def test_cifar10_from_jpeg(split: Split, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_cifar10_jpeg(tmp_path)
    monkeypatch.setenv("TINYEDGE_DATA", str(tmp_path))
    for folder in (None, tmp_path):
        for channels, pixels in zip(CHANNELS, (LUMA, COLOURS), strict=True):
            data = loaded("cifar10", split, folder, channels)
            assert data.x.shape == (2, 32, 32, pixels.shape[1])
            assert data.x.dtype == np.uint8
            assert np.abs(data.x[:, 16, 16].astype(int) - pixels).max() < 8
            assert data.y.tolist() == ([5, 3] if split == "train" else [3, 5])
            assert data.classes == ("a", "b")
            assert "JPEG copy" in data.source


@pytest.mark.parametrize("channels", CHANNELS)
def test_cifar10_from_the_archive(channels: Channels, tmp_path: Path) -> None:
    write_cifar10_archive(tmp_path)
    write_cifar10_jpeg(tmp_path)  # the archive is not lossy, and goes first
    train = loaded("cifar10", "train", tmp_path, channels)
    assert_images(train, IMAGES, channels)
    assert train.y.tolist() == [0, 9, 2, 9, 4, 9, 6, 9, 8, 9]
    assert train.classes == cifar10.CLASSES
    assert "JPEG" not in train.source
    test = loaded("cifar10", "test", tmp_path, channels)
    assert_images(test, IMAGES[:2], channels)
    assert test.y.tolist() == [0, 9]


@pytest.mark.parametrize("channels", CHANNELS)
def test_svhn(channels: Channels, tmp_path: Path) -> None:
    write_svhn(tmp_path)
    train = loaded("svhn", "train", tmp_path, channels)
    assert_images(train, IMAGES[:4], channels)
    assert train.y.tolist() == [1, 0, 9, 0]
    test = loaded("svhn", "test", tmp_path, channels)
    assert_images(test, IMAGES[:3], channels)
    assert test.classes == tuple("0123456789")


@pytest.mark.parametrize(("split", "count"), [("train", 3), ("test", 2)])
def test_fashion_mnist(split: Split, count: int, tmp_path: Path) -> None:
    write_fashion_mnist(tmp_path)
    data = loaded("fashion_mnist", split, tmp_path)
    assert data.x.dtype == np.uint8
    np.testing.assert_array_equal(data.x, IMAGES[:count, :28, :28, :1])
    assert data.y.tolist() == list(range(count))
    assert len(data.classes) == 10


def test_digits() -> None:
    data = load_test_set("digits")
    assert data.x.shape == (1797, 8, 8, 1)
    assert data.x.dtype == np.float32
    assert (data.x.min(), data.x.max()) == (0.0, 1.0)
    assert data.y.dtype == np.int64
    assert np.bincount(data.y).min() > 170
    assert load("digits", "train") is None


def test_grey_is_luma(tmp_path: Path) -> None:
    write_cifar10_archive(tmp_path, {b"data": np.repeat(COLOURS, 1024, 1), b"labels": [0, 1]})
    data = load_test_set("cifar10", tmp_path)
    np.testing.assert_array_equal(data.x[:, 0, 0], LUMA)
    assert (
        load_test_set("cifar10", tmp_path, channels="rgb").x[:, 5, 7].tolist() == COLOURS.tolist()
    )


def test_selected_samples() -> None:
    folds = np.array([0, 1, 2])
    data = LabelledSamples(np.eye(3), np.array([5, 6, 7]), ("x",), "all", {"a": 1}, folds)
    part = data.select(np.array([2, 0]), "two of them")
    np.testing.assert_array_equal(part.x, np.eye(3)[[2, 0]])
    assert part.y.tolist() == [7, 5]
    assert part.folds is not None
    assert part.folds.tolist() == [2, 0]
    assert (part.source, part.classes, part.settings) == ("two of them", ("x",), {"a": 1})
    without = LabelledSamples(data.x, data.y, data.classes, "all")
    assert without.select(np.array([1]), "one").folds is None


@pytest.mark.parametrize("split", SPLITS)
@pytest.mark.parametrize("name", [name for name in DATASETS if name != "digits"])
def test_missing_files_are_named(name: DatasetName, split: Split, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=f"{tmp_path}/.*: no such file") as missing:
        load(name, split, tmp_path)
    assert "TINYEDGE_DATA" in missing.value.hint
    with pytest.raises(DataError, match="no network in tests") as missing:
        load(name, split)
    assert "TINYEDGE_DATA" in missing.value.hint


@pytest.mark.parametrize(
    ("name", "file"),
    [("cifar10", cifar10.JPEG_FILE), ("speech_commands", "gsc12-testset-features.npz")],
)
def test_files_of_another_layout_are_refused(name: DatasetName, file: str, tmp_path: Path) -> None:
    np.savez(tmp_path / file, other=np.zeros(3))
    with pytest.raises(DataError, match="damaged"):
        load_test_set(name, tmp_path)


@pytest.mark.parametrize("kept", [0.0, 0.01, 0.5, 0.99])
@pytest.mark.parametrize(
    ("name", "write"),
    [
        ("cifar10", write_cifar10_archive),
        ("cifar10", write_cifar10_jpeg),
        ("fashion_mnist", write_fashion_mnist),
        ("svhn", write_svhn),
    ],
)
def test_truncated_files_are_refused(
    name: DatasetName, write: Callable[[Path], None], kept: float, tmp_path: Path
) -> None:
    write(tmp_path)
    for path in tmp_path.iterdir():
        content = path.read_bytes()
        path.write_bytes(content[: int(kept * len(content))])
    with pytest.raises(DataError, match=str(tmp_path)):
        load_test_set(name, tmp_path)


@pytest.mark.parametrize("name", ["cifar10", "fashion_mnist"])
def test_overwritten_files_are_refused(name: DatasetName, tmp_path: Path) -> None:
    (write_cifar10_archive if name == "cifar10" else write_fashion_mnist)(tmp_path)
    for path in tmp_path.iterdir():
        content = bytearray(path.read_bytes())
        middle = len(content) // 2
        content[middle : middle + 8] = b"\xff" * 8
        path.write_bytes(content)
    with pytest.raises(DataError, match=str(tmp_path)):
        load_test_set(name, tmp_path)


class Harmful:
    def __reduce__(self) -> tuple[Callable[[str], int], tuple[str]]:
        return os.system, ("exit 1",)


@pytest.mark.parametrize("batch", [Harmful(), {b"data": Harmful()}, [1, 2], {b"data": 3}])
def test_other_pickles_are_refused(batch: object, tmp_path: Path) -> None:
    write_cifar10_archive(tmp_path, batch)
    with pytest.raises(DataError, match="damaged") as refused:
        load_test_set("cifar10", tmp_path)
    harmful = isinstance(batch, Harmful) or "Harmful" in repr(batch)
    assert ("system is not expected" in str(refused.value)) == harmful


def test_labels_that_do_not_fit_are_refused(tmp_path: Path) -> None:
    write_fashion_mnist(tmp_path)
    labels = tmp_path / fashion_mnist.FILES["test"][1].name
    labels.write_bytes(gzip.compress(bytes(8 + 5)))
    with pytest.raises(DataError, match="do not fit 5 labels"):
        load_test_set("fashion_mnist", tmp_path)


@pytest.mark.parametrize(
    ("quantization", "expected"),
    [
        (Quantization(1 / 255, -128), (0.0, 1.0)),
        (Quantization(0.0039, -126), (0.0, 1.0)),
        (Quantization(2 / 255, 0), (-1.0, 1.0)),
        (Quantization(1.0, -128), (0.0, 255.0)),
        (Quantization(1.0, 0), (-128.0, 127.0)),
    ],
)
def test_pixels_follow_the_input_range(
    quantization: Quantization, expected: tuple[float, float]
) -> None:
    assert pixel_range(quantization) == expected


def test_images_become_suites() -> None:
    images = np.arange(0, 256, 5, dtype=np.uint8).reshape(-1, 1, 1, 1)
    data = LabelledSamples(images, np.arange(len(images)), ("x",), "somewhere")
    raw = suite_of(data, "s", ModelInput(quantization=Quantization(1.0, -128)))
    np.testing.assert_array_equal(raw.inputs, images.astype(np.float32))
    signed = suite_of(data, "s", ModelInput(pixels=(-1.0, 1.0)), 3)
    np.testing.assert_allclose(signed.inputs.ravel(), [-1, -1 + 10 / 255, -1 + 20 / 255], rtol=1e-6)
    assert signed.settings == {"pixels": [-1.0, 1.0], "data": "somewhere"}
    assert len(signed.labels) == 3
