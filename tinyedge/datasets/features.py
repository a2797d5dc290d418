"""Features of speech as MLPerf Tiny's keyword spotting has them (Banbury et al. 2021).

The settings are those of the training code in mlcommons/tiny, ``training/keyword_spotting``.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

SAMPLE_RATE = 16_000
"""In Hz; a clip is one second."""

_WINDOW = 480
_STEP = 320
_MEL_BANDS = 40
_MEL_EDGES = (20.0, 4000.0)
_LOG_OFFSET = 1e-6
_COEFFICIENTS = 10


def log_mel(waveforms: NDArray[Any]) -> NDArray[np.float32]:
    """Logarithms of mel spectrograms, float32 (n, 49, 40).

    Magnitudes of Hann windows of 30 ms (480 samples, FFT of 512) every 20 ms, in 40 mel bands from
    20 to 4000 Hz; 1e-6 is added before the logarithm is taken.

    Args:
        waveforms: (n, 16000) at 16 kHz, of any scale: each is divided by its maximum. That is the
            largest value, not the largest magnitude, because MLPerf Tiny's training code and
            benchmark data have it so.

    Raises:
        MissingDependencyError: TensorFlow is not installed.
    """
    from tinyedge.keras.environment import tensorflow as tf

    waves = waveforms.astype(np.float32)
    peaks = waves.max(axis=1, keepdims=True)
    waves /= np.where(peaks > 0, peaks, 1)  # a clip may be all zeros
    magnitudes = tf.abs(tf.signal.stft(waves, _WINDOW, _STEP))
    bands = tf.signal.linear_to_mel_weight_matrix(
        _MEL_BANDS, magnitudes.shape[-1], SAMPLE_RATE, *_MEL_EDGES
    )
    spectra: NDArray[np.float32] = tf.math.log(magnitudes @ bands + _LOG_OFFSET).numpy()
    return spectra


def mfcc(log_mel: NDArray[np.float32]) -> NDArray[np.float32]:
    """The first 10 mel-frequency cepstral coefficients, float32 (n, 49, 10).

    Args:
        log_mel: float32 (n, 49, 40), from ``log_mel``.

    Raises:
        MissingDependencyError: TensorFlow is not installed.
    """
    from tinyedge.keras.environment import tensorflow as tf

    coefficients = tf.signal.mfccs_from_log_mel_spectrograms(log_mel)
    first: NDArray[np.float32] = coefficients[..., :_COEFFICIENTS].numpy()
    return first
