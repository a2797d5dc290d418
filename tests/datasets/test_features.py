from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest

from tinyedge.datasets.features import log_mel, mfcc
from tinyedge.datasets.speech_commands import FEATURES_FILE

pytestmark = pytest.mark.keras

DATA = Path(os.environ.get("TINYEDGE_DATA", "/nonexistent"))


def expected_log_mel(wave: np.ndarray) -> np.ndarray:
    """The definition in double precision: (16000,) to (49, 40)."""
    hann = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(480) / 480)
    frames = np.lib.stride_tricks.sliding_window_view(wave / wave.max(), 480)[::320]
    magnitudes = np.abs(np.fft.rfft(frames * hann, 512))
    bins, low, high = (1127.0 * np.log1p(f / 700.0) for f in (np.arange(257) * 31.25, 20.0, 4000.0))
    edges = np.linspace(low, high, 42)
    rising = (bins[:, np.newaxis] - edges[:-2]) / (edges[1:-1] - edges[:-2])
    falling = (edges[2:] - bins[:, np.newaxis]) / (edges[2:] - edges[1:-1])
    bands = np.maximum(0.0, np.minimum(rising, falling))
    spectra: np.ndarray = np.log(magnitudes @ bands + 1e-6)
    return spectra


def test_log_mel_is_as_defined() -> None:
    waves = np.random.default_rng(0).normal(0.0, [[1.0], [1000.0], [0.001]], (3, 16_000))
    spectra = log_mel(waves)
    assert spectra.dtype == np.float32
    expected = [expected_log_mel(wave) for wave in waves]
    np.testing.assert_allclose(spectra, expected, atol=1e-3)


def test_clips_are_divided_by_their_maximum() -> None:
    clips = np.random.default_rng(0).integers(-1000, 500, size=(2, 16_000)).astype(np.int16)
    clips[:, :2] = [-1000, 500]
    spectra = log_mel(clips)
    np.testing.assert_allclose(log_mel(clips * 2), spectra, atol=1e-4)
    # Upside down, the maximum is twice as large.
    np.testing.assert_allclose(log_mel(-clips), spectra - np.log(2), atol=1e-3)


def test_silent_clips_have_finite_features() -> None:
    spectra = log_mel(np.zeros((1, 16_000), dtype=np.int16))
    np.testing.assert_allclose(spectra, np.full((1, 49, 40), np.log(1e-6)), rtol=1e-6)
    assert np.isfinite(mfcc(spectra)).all()


def test_mfcc_are_the_first_of_a_cosine_transform() -> None:
    spectra = np.random.default_rng(0).normal(size=(2, 49, 40)).astype(np.float32)
    angles = np.pi / 40 * np.outer(np.arange(40) + 0.5, np.arange(10))
    expected = spectra @ np.cos(angles) * 2 / np.sqrt(80)
    coefficients = mfcc(spectra)
    assert coefficients.dtype == np.float32
    np.testing.assert_allclose(coefficients, expected, atol=1e-5)


def test_mfcc_match_those_of_the_official_test_set() -> None:
    if not (DATA / FEATURES_FILE).is_file():
        pytest.skip(f"{FEATURES_FILE} is looked for in $TINYEDGE_DATA")
    stored = np.load(DATA / FEATURES_FILE)
    spectra = stored["logmel"]
    error = np.abs(mfcc(spectra.astype(np.float32)) - stored["mfcc"])
    # Every band was rounded by half a unit in the last place at most, and is weighted by a cosine.
    rounding = np.spacing(np.abs(spectra)).astype(np.float32) / 2
    bound = rounding.sum(axis=-1, keepdims=True) * 2 / np.sqrt(80)
    assert (error <= bound + 1e-3).all()
