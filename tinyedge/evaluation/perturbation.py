"""The changes that an attack made to samples, and their effect: lengths, successes, the budget."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

Right = NDArray[np.bool_]
"""Whether the verdict on each sample is right, (n,)."""


@dataclass(frozen=True, eq=False)
class Perturbation:
    """The changes of samples.

    Attributes:
        change: float64 (n, values), in units of the float input.
    """

    change: NDArray[np.float64]

    @classmethod
    def between(cls, clean: NDArray[Any], attacked: NDArray[Any]) -> Perturbation:
        """The changes from the first samples of ``clean`` to as many attacked ones, both (n, …)."""
        count = len(attacked)
        before = clean[:count].reshape(count, -1).astype(np.float64)
        return cls(attacked.reshape(count, -1).astype(np.float64) - before)

    @cached_property
    def lengths(self) -> NDArray[np.float64]:
        """The L2 length of each sample's change, float64 (n,)."""
        found: NDArray[np.float64] = np.linalg.norm(self.change, axis=1)
        return found

    @cached_property
    def largest(self) -> NDArray[np.float64]:
        """The largest change of any value of each sample (Linf), float64 (n,)."""
        found: NDArray[np.float64] = np.abs(self.change).max(axis=1, initial=0.0)
        return found

    @property
    def samples_changed(self) -> int:
        """How many samples differ at all."""
        return int((self.lengths > 0).sum())

    def median_of_successes(self, before: Right, after: Right) -> float | None:
        """The median length of the changes that broke a right verdict; None where none did."""
        broken = successes(before, after)
        return float(np.median(self.lengths[broken])) if broken.any() else None


def successes(before: Right, after: Right) -> Right:
    """The samples that an attack broke: right before it, and wrong after it."""
    return before & ~after


def withstood(lengths: NDArray[Any], epsilon: float, before: Right, after: Right) -> Right:
    """The samples that withstand an attack where only changes up to a length count.

    A sample whose smallest adversarial change is longer than the budget has withstood it.

    Args:
        lengths: of the changes (n,).
        epsilon: the longest that counts.
        before: the verdicts before the attack.
        after: the verdicts after it.
    """
    return after | (before & (lengths > epsilon))
