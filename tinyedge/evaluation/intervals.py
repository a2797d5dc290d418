"""Confidence intervals of shares."""

from __future__ import annotations

import math

_Z95 = 1.959963984540054
"""The 97.5 % quantile of the normal distribution."""


def wilson_interval(share: float, count: int) -> tuple[float, float]:
    """The 95 % score interval of a share among so many samples (Wilson 1927, JASA 22:209).

    Args:
        share: in [0, 1].
        count: of samples, at least 1.

    Returns:
        Its ends, in [0, 1].
    """
    spread = _Z95**2 / count
    middle = (share + spread / 2) / (1 + spread)
    half = _Z95 * math.sqrt(share * (1 - share) / count + spread / (4 * count)) / (1 + spread)
    return max(0.0, middle - half), min(1.0, middle + half)
