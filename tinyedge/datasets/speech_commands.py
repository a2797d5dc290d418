"""Google Speech Commands v0.02 (Warden 2018, CC BY 4.0), 12 classes, as features.

From the author's archive, or from one ``.npz`` of the features of the official test set.
"""

from __future__ import annotations

import contextlib
import hashlib
import io
import itertools
import math
import tarfile
import wave
import zlib
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from tinyedge.datasets import SPLITS, LabelledSamples, Split
from tinyedge.datasets.features import SAMPLE_RATE, log_mel, mfcc
from tinyedge.datasets.folders import Published, cache, find, find_or_download
from tinyedge.errors import DataError
from tinyedge.files import read_arrays, write_atomically
from tinyedge.names import Features

FEATURES_FILE = "gsc12-testset-features.npz"
ARCHIVE = Published(
    "speech_commands_v0.02.tar.gz",
    "http://download.tensorflow.org/data/",
    "sha256:af14739ee7dc311471de98f5f9d2c9191b18aedfe957f4a6ff791c709868ff58",
)
TITLE = "Speech Commands v0.02"
WORDS = ("down", "go", "left", "no", "off", "on", "right", "stop", "up", "yes")
CLASSES = (*WORDS, "silence", "unknown")
_SILENCE, _UNKNOWN = CLASSES.index("silence"), CLASSES.index("unknown")

_LISTS = {"validation": "validation_list.txt", "test": "testing_list.txt"}
_NOISE = "_background_noise_"
_NOISE_TRAINED_ON = 0.8
"""Share of every recording of noise; the rest is tested on."""

_SEED = 0
_VERSION = 1
"""Version of the features; a new one leaves those that were kept before unused."""

_BATCH = 256


def load(split: Split, folder: Path | None, features: Features = "mfcc") -> LabelledSamples | None:
    """Clips of one second as MLPerf Tiny's features, float32 (n, 49, 10 or 40, 1).

    From the archive, the test split are the clips of ``testing_list.txt``, and the training split
    those in neither of its lists, in random order. Clips shorter than a second are continued by
    zeros. Of the words without a class of their own, as many clips are drawn into ``unknown`` as
    the ten words have on average, rounded up. As many seconds of ``silence`` are cut at random
    from the recordings of background noise: for training from the first 80 % of each, for testing
    from the rest. Their volume is not varied, as the features are those of a clip divided by its
    maximum. All draws have a fixed seed.

    The archive's features take minutes to compute and are kept beside the downloads.

    Where the archive lies nowhere, ``gsc12-testset-features.npz`` is the 4,890 clips of the
    official test set. They come in one piece with five folds that no speaker has clips in two of.

    Args:
        split: ``train`` or ``test``.
        folder: holds ``speech_commands_v0.02.tar.gz`` or what is in it, else
            ``gsc12-testset-features.npz`` with ``mfcc``, ``logmel``, ``y``, ``classes`` and
            ``fold``.
        features: ``mfcc`` or ``logmel``.

    Returns:
        The samples, or None for the training split of ``gsc12-testset-features.npz``.

    Raises:
        DataError: the file is missing or damaged.
        MissingDependencyError: TensorFlow, which computes the features, is not installed.
    """
    if extracted := find(_LISTS["test"], folder, (".", ARCHIVE.name.removesuffix(".tar.gz"))):
        return _from_archive(extracted.parent, split, features)
    path = find(FEATURES_FILE, folder)
    if path and not find(ARCHIVE.name, folder):
        return _from_features_file(path, features) if split == "test" else None
    return _from_archive(find_or_download(TITLE, ARCHIVE, folder), split, features)


def _source(part: str, features: Features) -> str:
    return f"{TITLE}, {part}, {features} with MLPerf Tiny's settings"


def _from_features_file(path: Path, features: Features) -> LabelledSamples:
    try:
        arrays = read_arrays(path)
        values = arrays[features].astype(np.float32)[..., np.newaxis]
        labels = arrays["y"].astype(np.int64)
        classes = tuple(map(str, arrays["classes"]))
        folds = arrays["fold"].astype(np.int64) if "fold" in arrays else None
    except (KeyError, OSError, ValueError) as error:
        raise DataError(f"{path}: damaged, or of another layout ({error})") from error
    source = _source("official 12-class test set", features)
    return LabelledSamples(values, labels, classes, source, {"features": features}, folds)


def _from_archive(archive: Path, split: Split, features: Features) -> LabelledSamples:
    """The samples of a split, from the archive or the folder that it was extracted into."""
    kept = cache() / f"speech_commands-{_fingerprint(archive)}-{split}-{features}.npz"
    path = kept if kept.is_file() else archive
    try:
        if path is kept:
            arrays = read_arrays(kept)
            values, labels = arrays["x"], arrays["y"]
        else:
            values, labels = _computed(archive, split, features)
    except (
        EOFError,
        KeyError,
        OSError,
        ValueError,
        tarfile.TarError,
        wave.Error,
        zlib.error,
    ) as error:
        raise DataError(f"{path}: damaged, or of another layout ({error})") from error
    if path is archive:
        content = io.BytesIO()
        np.savez(content, x=values, y=labels)
        write_atomically(kept, content.getvalue())
    source = _source(
        f"12-class {SPLITS[split]}, silence and unknown drawn with seed {_SEED}", features
    )
    settings = {"features": features, "seed": _SEED}
    return LabelledSamples(values[..., np.newaxis], labels, CLASSES, source, settings)


def _fingerprint(archive: Path) -> str:
    """Tells archives apart by their bytes; extracted ones by names, sizes and times of files."""
    if archive.is_dir():
        listed = [
            (path.relative_to(archive).as_posix(), path.stat().st_size, path.stat().st_mtime_ns)
            for path in sorted([*archive.glob("*.txt"), *archive.glob("*/*.wav")])
        ]
        digest = hashlib.sha256(repr(listed).encode())
    else:
        with archive.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256")
    return f"{digest.hexdigest()}-{_VERSION}"


def _computed(
    archive: Path, split: Split, features: Features
) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """Features (n, 49, 10 or 40) and labels."""
    random = np.random.default_rng(_SEED)
    with _opened(archive) as (stored, read):
        names = _drawn(stored, read, split, random)
        labels = [_label(name) for name in names]
        silence = _silence(stored, read, split, _mean_of_words(labels), random)
        clips = (_clip(_waveform(read(name))) for name in names)
        values = _features(itertools.chain(clips, silence), features)
    labels += [_SILENCE] * len(silence)
    # The same order from the archive as from a folder, and all classes among the first samples.
    by_name = np.append(np.argsort(names), np.arange(len(names), len(labels)))
    order = random.permutation(by_name)
    return values[order], np.array(labels)[order]


@contextlib.contextmanager
def _opened(archive: Path) -> Iterator[tuple[list[str], Callable[[str], bytes]]]:
    """The names of all files, in the order in which they are read fastest, and what reads one."""
    if archive.is_dir():
        paths = sorted(path for path in archive.rglob("*") if path.is_file())
        names = [path.relative_to(archive).as_posix() for path in paths]
        yield names, lambda name: (archive / name).read_bytes()
        return
    with tarfile.open(archive) as tar:
        members = {member.name.removeprefix("./"): member for member in tar if member.isfile()}

        def read(name: str) -> bytes:
            file = tar.extractfile(members[name])
            assert file
            return file.read()

        yield list(members), read


def _drawn(
    stored: Sequence[str], read: Callable[[str], bytes], split: Split, random: np.random.Generator
) -> list[str]:
    """The names of a split's words, and of as many others as are ``unknown``; in stored order."""
    listed = {kind: set(read(name).decode().split()) for kind, name in _LISTS.items()}
    clips = {name for name in stored if name.endswith(".wav") and not name.startswith(_NOISE)}
    if split == "test":
        clips &= listed["test"]
    else:
        clips -= listed["test"] | listed["validation"]
    others = sorted(name for name in clips if _label(name) == _UNKNOWN)
    count = _mean_of_words([_label(name) for name in clips])
    clips -= set(random.permutation(others)[count:].tolist())
    return [name for name in stored if name in clips]


def _label(name: str) -> int:
    word = name.partition("/")[0]
    return WORDS.index(word) if word in WORDS else _UNKNOWN


def _mean_of_words(labels: Sequence[int]) -> int:
    """How many clips a class of one word has on average, rounded up."""
    return math.ceil(sum(label < len(WORDS) for label in labels) / len(WORDS))


def _silence(
    stored: Sequence[str],
    read: Callable[[str], bytes],
    split: Split,
    count: int,
    random: np.random.Generator,
) -> list[NDArray[np.int16]]:
    """One-second cuts of the recordings of background noise, at random places of the split's part.

    Raises:
        ValueError: a recording is too short to be divided, or there is none.
    """
    noise = [name for name in stored if name.startswith(_NOISE) and name.endswith(".wav")]
    recordings = []
    for _, whole in sorted((name, _waveform(read(name))) for name in noise):
        border = int(_NOISE_TRAINED_ON * len(whole))
        recordings.append(whole[:border] if split == "train" else whole[border:])
    cuts = []
    for which in random.integers(len(recordings), size=count):
        start = random.integers(len(recordings[which]) - SAMPLE_RATE, endpoint=True)
        cuts.append(recordings[which][start : start + SAMPLE_RATE])
    return cuts


def _waveform(content: bytes) -> NDArray[np.int16]:
    with wave.open(io.BytesIO(content)) as file:
        layout = (file.getnchannels(), file.getsampwidth(), file.getframerate())
        if layout != (1, 2, SAMPLE_RATE):
            raise ValueError(f"channels, bytes and rate {layout}")
        return np.frombuffer(file.readframes(file.getnframes()), dtype="<i2")


def _clip(waveform: NDArray[np.int16]) -> NDArray[np.int16]:
    """Its first second, zeros after its end."""
    first = waveform[:SAMPLE_RATE]
    return np.pad(first, (0, SAMPLE_RATE - len(first)))


def _features(clips: Iterator[NDArray[np.int16]], features: Features) -> NDArray[np.float32]:
    """Features of clips, a batch at a time: the waveforms of all take more than a gigabyte."""
    parts = []
    while batch := list(itertools.islice(clips, _BATCH)):
        spectra = log_mel(np.stack(batch))
        parts.append(mfcc(spectra) if features == "mfcc" else spectra)
    return np.concatenate(parts)
