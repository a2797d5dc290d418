"""The common parts of data sets of images."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

_LUMA = (0.299, 0.587, 0.114)


def grey(images: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Luma (ITU-R BT.601) of RGB images, uint8 (n, height, width, 1), rounded to nearest."""
    weighted = images.astype(np.float32) @ np.array(_LUMA, dtype=np.float32)
    return np.rint(weighted).astype(np.uint8)[..., np.newaxis]
