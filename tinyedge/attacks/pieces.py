"""The state of a part of the samples under attack: the unit in which attacks are computed."""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

Float32 = NDArray[np.float32]
Int64 = NDArray[np.int64]


def _none() -> Int64:
    return np.zeros(0, np.int64)


@dataclass(frozen=True, eq=False)
class Piece:
    """Adversarial versions of some of the samples under attack, and what they have cost.

    Attributes:
        inputs: float32 (n, *shape).
        asked: queries, int64: of each sample (n,), or (1,) of all together; (0,) where the attack
            is not by queries.
        sent: those that had not been asked before in the attack on the sample, as ``asked``.
        exhausted: whether the budget ended the attack, 0 or 1 of each sample, as ``asked``.
    """

    inputs: Float32
    asked: Int64 = field(default_factory=_none)
    sent: Int64 = field(default_factory=_none)
    exhausted: Int64 = field(default_factory=_none)

    @classmethod
    def joined(cls, pieces: Sequence[Piece]) -> Piece:
        """The piece that several are parts of, in their order; at least one."""
        return cls(
            np.concatenate([each.inputs for each in pieces]),
            np.concatenate([each.asked for each in pieces]),
            np.concatenate([each.sent for each in pieces]),
            np.concatenate([each.exhausted for each in pieces]),
        )

    def to_bytes(self) -> bytes:
        """All of it: the same piece gives the same bytes."""
        buffer = io.BytesIO()
        np.savez(
            buffer,
            allow_pickle=False,
            inputs=self.inputs,
            asked=self.asked,
            sent=self.sent,
            exhausted=self.exhausted,
        )
        return buffer.getvalue()

    @classmethod
    def from_bytes(cls, content: bytes) -> Piece:
        """Restores the object that ``to_bytes`` wrote."""
        with np.load(io.BytesIO(content), allow_pickle=False) as arrays:
            return cls(*(arrays[name] for name in ("inputs", "asked", "sent", "exhausted")))
