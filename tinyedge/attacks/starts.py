"""Where attacks start, and the generators that they draw from."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

Float32 = NDArray[np.float32]
Labels = NDArray[np.int64]

_TRIALS = 10
"""Trials with noise, and with other samples."""


def generators(seed: int, first: int, count: int) -> list[np.random.Generator]:
    """A generator for each of so many samples, which depends on the sample's number alone.

    Args:
        seed: of the attack.
        first: number of the first sample.
        count: of samples.
    """
    numbers = range(first, first + count)
    return [np.random.default_rng(np.random.SeedSequence([seed, number])) for number in numbers]


def starting_points(
    classify: Callable[[Float32], Labels],
    x: Float32,
    own: Labels,
    others: tuple[Float32, Labels],
    random: np.random.Generator,
    clip: tuple[float, float],
) -> tuple[Float32, NDArray[np.bool_]]:
    """A point of another class for every sample, and whether one was found.

    It is uniform noise, or another sample where noise is of one class only.

    Args:
        classify: gives the model's classes.
        x: samples, (n, *shape).
        own: their classes.
        others: samples to fall back on, and their labels.
        random: draws.
        clip: range of the noise.

    Returns:
        Points (n, *shape), the sample itself where none was found; and whether one was, (n,).
    """
    start, found = x.copy(), np.zeros(len(x), dtype=bool)
    for trial in range(2 * _TRIALS):
        pending = np.flatnonzero(~found)
        if not len(pending):
            break
        if trial < _TRIALS:
            tried = random.uniform(*clip, (len(pending), *x.shape[1:])).astype(np.float32)
        else:
            tried = np.stack([_other(own[at], others, random, x[at]) for at in pending])
        adversarial = classify(tried) != own[pending]
        start[pending[adversarial]] = tried[adversarial]
        found[pending[adversarial]] = True
    return start, found


def _other(
    label: np.int64, others: tuple[Float32, Labels], random: np.random.Generator, x: Float32
) -> Float32:
    """A sample that has another label, or the sample itself if there is none."""
    points, labels = others
    candidates = np.flatnonzero(labels != label)
    chosen: Float32 = points[random.choice(candidates)] if len(candidates) else x
    return chosen
