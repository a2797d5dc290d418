"""Whether two rows of verdicts on the same samples differ by more than chance."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Paired:
    """Two networks, or two attacks on one, compared sample by sample.

    Attributes:
        only_first: samples that the first alone has right.
        only_second: samples that the second alone has right.
    """

    only_first: int
    only_second: int

    @classmethod
    def of(cls, first: NDArray[np.bool_], second: NDArray[np.bool_]) -> Paired:
        """Compares verdicts, right or not, on the same samples (n,)."""
        return cls(int((first & ~second).sum()), int((~first & second).sum()))

    @property
    def p_value(self) -> float:
        """That of the exact test of McNemar, two-sided, in [0, 1] (Psychometrika 12:153, 1947).

        Samples on which both agree say nothing; of the others each would have either side with a
        chance of one half.
        """
        return min(1.0, 2 * self._tail(max(self.only_first, self.only_second)))

    @property
    def first_is_more(self) -> float:
        """The chance of so many for the first, or more, if neither were better (one-sided)."""
        return self._tail(self.only_first)

    def _tail(self, least: int) -> float:
        count = self.only_first + self.only_second
        term = total = 1
        # From all of them downwards, in whole numbers: counts of thousands are exact too.
        for there in range(count, least, -1):
            term = term * there // (count - there + 1)
            total += term
        share: float = total / (1 << count)
        return share
