"""An input as changes to another: adversarial neighbours of one image differ little."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

_LONGEST = 255


def encode_changes(base: bytes, changed: bytes, limit: int) -> bytes | None:
    """Pairs of ``skip u8, copy u8``, each followed by the bytes to copy.

    Args:
        base: what the device has.
        changed: what it is to have, of the same length.
        limit: gives None rather than more bytes than this.
    """
    old, new = np.frombuffer(base, np.uint8), np.frombuffer(changed, np.uint8)
    differs: NDArray[np.intp] = np.flatnonzero(old != new)
    if len(differs) > limit:
        return None
    # Two bytes that are the same cost no more to copy than to skip.
    runs = np.split(differs, np.flatnonzero(np.diff(differs) > 3) + 1) if len(differs) else []
    encoded, at = bytearray(), 0
    for run in runs:
        start, end = int(run[0]), int(run[-1]) + 1
        while start - at > _LONGEST:
            encoded += bytes((_LONGEST, 0))
            at += _LONGEST
        while at < end:
            copied = min(end - start, _LONGEST)
            encoded += bytes((start - at, copied)) + changed[start : start + copied]
            at = start = start + copied
        if len(encoded) > limit:
            return None
    return bytes(encoded)
