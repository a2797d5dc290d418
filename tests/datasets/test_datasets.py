from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tinyedge.datasets import DATASETS, LabelledSamples, load_test_set
from tinyedge.errors import DataError
from tinyedge.evaluation.suites import pixel_range, suite_of
from tinyedge.graph.tensors import Quantization


def write_cifar10(folder: Path) -> np.ndarray:
    """Two images of one colour each, which JPEG hardly changes."""
    colours = np.array([[250, 10, 10], [10, 10, 250]], dtype=np.uint8)
    files = []
    for colour in colours:
        buffer = io.BytesIO()
        Image.fromarray(np.broadcast_to(colour, (32, 32, 3)).copy()).save(buffer, "JPEG")
        files.append(np.frombuffer(buffer.getvalue(), np.uint8))
    np.savez(
        folder / "cifar10-jpeg.npz",
        jpg_test=np.concatenate(files),
        off_test=np.cumsum([0, *map(len, files)]),
        y_test=np.array([3, 5]),
        classes=np.array(["a", "b"]),
    )
    return colours


def test_cifar10(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    colours = write_cifar10(tmp_path)
    monkeypatch.setenv("TINYEDGE_DATA", str(tmp_path))
    for data in (load_test_set("cifar10"), load_test_set("cifar10", tmp_path)):
        assert data.x.shape == (2, 32, 32, 3)
        assert np.abs(data.x[:, 16, 16].astype(int) - colours).max() < 8
        assert data.y.tolist() == [3, 5]


def test_speech_commands(tmp_path: Path) -> None:
    features = np.random.default_rng(0).normal(size=(3, 49, 10)).astype(np.float32)
    np.savez(
        tmp_path / "gsc12-testset-features.npz",
        mfcc=features,
        y=np.array([0, 1, 11]),
        classes=np.array(["down"] * 12),
    )
    data = load_test_set("speech_commands", tmp_path)
    np.testing.assert_array_equal(data.x[..., 0], features)
    assert data.y.tolist() == [0, 1, 11]


@pytest.mark.parametrize("name", DATASETS)
def test_missing_files_are_named(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("TINYEDGE_DATA", raising=False)
    with pytest.raises(DataError) as missing:
        load_test_set(name, tmp_path)
    assert str(tmp_path) in str(missing.value)
    assert "TINYEDGE_DATA" in missing.value.hint


@pytest.mark.parametrize("name", ["cifar10-jpeg", "gsc12-testset-features"])
def test_damaged_files_are_refused(name: str, tmp_path: Path) -> None:
    np.savez(tmp_path / f"{name}.npz", other=np.zeros(3))
    dataset = "cifar10" if name.startswith("cifar") else "speech_commands"
    with pytest.raises(DataError, match="damaged"):
        load_test_set(dataset, tmp_path)


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
    raw = suite_of(data, "s", Quantization(1.0, -128))
    np.testing.assert_array_equal(raw.inputs, images.astype(np.float32))
    signed = suite_of(data, "s", Quantization(1.0, -128), (-1.0, 1.0), 3)
    np.testing.assert_allclose(signed.inputs.ravel(), [-1, -1 + 10 / 255, -1 + 20 / 255], rtol=1e-6)
    assert signed.settings == {"pixels": [-1.0, 1.0], "data": "somewhere"}
    assert len(signed.labels) == 3
