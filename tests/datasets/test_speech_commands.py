from __future__ import annotations

import os
import tarfile
import wave
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tinyedge.datasets import LabelledSamples, Split, load, load_test_set, speech_commands
from tinyedge.datasets.features import log_mel, mfcc
from tinyedge.datasets.speech_commands import CLASSES, FEATURES_FILE, WORDS
from tinyedge.errors import DataError
from tinyedge.names import Features

pytestmark = pytest.mark.keras

DATA = Path(os.environ.get("TINYEDGE_DATA", "/nonexistent"))
SPLITS: tuple[Split, ...] = ("train", "test")
OTHERS = ("bed", "cat", "tree")
CLIPS = {"train": 3, "validation": 1, "test": 2}
"""Clips of every word; ``down`` has one more to train on, so that the mean is not whole."""


def write_wave(path: Path, samples: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with wave.open(str(path), "wb") as file:
        file.setparams((1, 2, 16_000, 0, "NONE", ""))
        file.writeframes(samples.tobytes())


def tone(frequency: float, samples: int) -> np.ndarray:
    return (8000 * np.sin(2 * np.pi * frequency * np.arange(samples) / 16_000)).astype(np.int16)


Clips = dict[int, list[np.ndarray]]
"""Clips of every label."""


def write_clips(folder: Path) -> dict[str, Clips]:
    """Writes what is in the archive; returns the clips of each split, cut and padded."""
    lists: dict[str, list[str]] = {split: [] for split in CLIPS}
    clips: dict[str, Clips] = {split: {label: [] for label in range(12)} for split in CLIPS}
    frequency = 300
    for word in (*WORDS, *OTHERS):
        label = CLASSES.index(word if word in WORDS else "unknown")
        for split, count in CLIPS.items():
            for number in range(count + (word == "down" and split == "train")):
                frequency += 20
                clip = tone(frequency, 15_000 + 1000 * number)
                name = f"{word}/{split}_nohash_{number}.wav"
                write_wave(folder / name, clip)
                lists[split].append(name)
                clips[split][label].append(np.append(clip, np.zeros(1000, np.int16))[:16_000])
    for recording in ("a", "b"):
        noise = np.append(tone(100, 80_000), tone(3000, 20_000))
        write_wave(folder / f"_background_noise_/{recording}.wav", noise)
    (folder / "_background_noise_/README.md").write_text("noise")
    (folder / "testing_list.txt").write_text("\n".join(lists["test"]) + "\n")
    (folder / "validation_list.txt").write_text("\n".join(lists["validation"]) + "\n")
    return clips


def write_archive(folder: Path, archive: Path) -> None:
    with tarfile.open(archive, "w:gz") as tar:
        for path in sorted(folder.rglob("*"), reverse=True):
            if path.is_file():
                tar.add(path, f"./{path.relative_to(folder)}")


def write_features(folder: Path) -> np.ndarray:
    features = np.random.default_rng(0).normal(size=(3, 49, 10)).astype(np.float32)
    np.savez(
        folder / FEATURES_FILE,
        mfcc=features,
        logmel=np.zeros((3, 49, 40), dtype=np.float16),
        y=np.array([0, 1, 11], dtype=np.uint8),
        fold=np.array([0, 4, 2], dtype=np.uint8),
        classes=np.array(CLASSES),
    )
    return features


def loaded(split: Split, folder: Path | None, features: Features = "mfcc") -> LabelledSamples:
    samples = load("speech_commands", split, folder, features=features)
    assert samples
    return samples


def test_features_file(tmp_path: Path) -> None:
    features = write_features(tmp_path)
    data = load_test_set("speech_commands", tmp_path)
    np.testing.assert_array_equal(data.x[..., 0], features)
    assert data.y.tolist() == [0, 1, 11]
    assert data.y.dtype == np.int64
    assert data.folds is not None
    assert data.folds.tolist() == [0, 4, 2]
    assert data.classes == CLASSES
    assert "official" in data.source
    assert load("speech_commands", "train", tmp_path) is None
    logmel = loaded("test", tmp_path, "logmel")
    assert logmel.x.shape == (3, 49, 40, 1)
    assert logmel.x.dtype == np.float32


def test_official_test_set() -> None:
    if not (DATA / FEATURES_FILE).is_file():
        pytest.skip(f"{FEATURES_FILE} is looked for in $TINYEDGE_DATA")
    data = load_test_set("speech_commands", DATA)
    assert data.x.shape == (4890, 49, 10, 1)
    assert data.classes == CLASSES
    assert np.bincount(data.y).tolist()[10:] == [408, 408]
    assert data.folds is not None
    assert np.unique(data.folds).tolist() == [0, 1, 2, 3, 4]


@pytest.mark.parametrize("features", ["mfcc", "logmel"])
@pytest.mark.parametrize("split", SPLITS)
def test_extracted_archive(split: Split, features: Features, tmp_path: Path) -> None:
    clips = write_clips(tmp_path)[split]
    data = loaded(split, tmp_path, features)
    assert data.x.dtype == np.float32
    assert data.y.dtype == np.int64
    assert data.classes == CLASSES
    assert data.folds is None
    drawn = {"train": 4, "test": 2}[split]  # the words' mean is 3.1 and 2
    assert np.bincount(data.y).tolist() == [*(len(clips[word]) for word in range(10)), drawn, drawn]
    assert (np.diff(data.y) < 0).any()  # not in order
    for label in (*range(10), CLASSES.index("unknown")):
        spectra = log_mel(np.array(clips[label]))
        expected = spectra if features == "logmel" else mfcc(spectra)
        samples = data.x[data.y == label][..., 0]
        errors = np.abs(samples[:, np.newaxis] - expected).mean(axis=(2, 3))
        assert (errors.min(axis=1) < 1e-3).all()
        assert len(set(errors.argmin(axis=1))) == len(samples)


def test_silence_of_the_splits_is_from_other_parts_of_the_noise(tmp_path: Path) -> None:
    write_clips(tmp_path)
    for split in SPLITS:
        data = loaded(split, tmp_path, "logmel")
        loudest = data.x[data.y == CLASSES.index("silence")].mean(axis=1).argmax(axis=1)
        assert ((loudest < 5) == (split == "train")).all()  # 100 Hz, then 3 kHz


@pytest.mark.parametrize("split", SPLITS)
def test_archive_gives_what_its_folder_gives(
    split: Split, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data, folder = tmp_path / "data", tmp_path / "data/speech_commands_v0.02"
    write_clips(folder)
    write_archive(folder, tmp_path / "speech_commands_v0.02.tar.gz")
    write_features(tmp_path)
    from_archive = loaded(split, tmp_path)
    monkeypatch.setenv("TINYEDGE_DATA", str(data))
    from_folder = loaded(split, None)
    np.testing.assert_array_equal(from_archive.y, from_folder.y)
    np.testing.assert_allclose(from_archive.x, from_folder.x, atol=1e-3)


def test_computed_features_are_kept(
    tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_clips(tmp_path)
    first = loaded("test", tmp_path)
    assert len(list(cache.glob("speech_commands-*-test-mfcc.npz"))) == 1

    def fail(*_: Any) -> None:
        raise ValueError("computed again")

    monkeypatch.setattr(speech_commands, "log_mel", fail)
    second = loaded("test", tmp_path)
    np.testing.assert_array_equal(first.x, second.x)
    np.testing.assert_array_equal(first.y, second.y)
    write_wave(tmp_path / "up/test_nohash_0.wav", tone(440, 12_000))
    with pytest.raises(DataError, match="computed again"):
        loaded("test", tmp_path)


def test_missing_archive_is_named(tmp_path: Path) -> None:
    for folder in (None, tmp_path):
        with pytest.raises(DataError, match=r"speech_commands_v0\.02\.tar\.gz") as missing:
            loaded("train", folder)
        assert "TINYEDGE_DATA" in missing.value.hint


@pytest.mark.parametrize("damage", ["list", "rate", "header", "noise", "words"])
def test_damaged_clips_are_refused(damage: str, tmp_path: Path, cache: Path) -> None:
    write_clips(tmp_path)
    clip = tmp_path / "up/test_nohash_0.wav"
    if damage == "list":
        (tmp_path / "validation_list.txt").unlink()
    elif damage == "rate":
        content = bytearray(clip.read_bytes())
        content[24:28] = (8000).to_bytes(4, "little")
        clip.write_bytes(content)
    elif damage == "header":
        clip.write_bytes(b"RIFF")
    elif damage == "noise":
        write_wave(tmp_path / "_background_noise_/a.wav", tone(100, 30_000))
        write_wave(tmp_path / "_background_noise_/b.wav", tone(100, 30_000))
    else:
        (tmp_path / "testing_list.txt").write_text("")
    with pytest.raises(DataError, match=f"{tmp_path}: damaged"):
        loaded("test", tmp_path)
    assert not cache.exists()


@pytest.mark.parametrize("kept", [0.0, 0.5, 0.99])
def test_damaged_archives_are_refused(kept: float, tmp_path: Path) -> None:
    write_clips(tmp_path / "clips")
    archive = tmp_path / "speech_commands_v0.02.tar.gz"
    write_archive(tmp_path / "clips", archive)
    content = archive.read_bytes()
    archive.write_bytes(content[: int(kept * len(content))])
    with pytest.raises(DataError, match="damaged"):
        loaded("test", tmp_path)
