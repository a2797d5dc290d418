"""The output of the counting plugin of QEMU (``firmware_templates/qemu/te_count.c``)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

_HEADER_WORDS = 3
_ROW_WORDS = 4


class Counts(NamedTuple):
    """The counts at one address.

    Attributes:
        executed: how often the instruction ran, or was passed over by its condition.
        taken: how often what ran next did not lie behind it.
        accessed: accesses to memory: a load whose condition failed makes none.
    """

    executed: int
    taken: int = 0
    accessed: int = 0


@dataclass(frozen=True)
class Segment:
    """The code that ran between two marks.

    Attributes:
        begin: the mark that began it, an address.
        end: the mark that ended it, not run yet.
        counts: by address.
    """

    begin: int
    end: int
    counts: dict[int, Counts]

    @property
    def instructions(self) -> int:
        """All that were executed."""
        return sum(count.executed for count in self.counts.values())


def read_segments(content: bytes) -> Iterator[Segment]:
    """Gives the segments of a file that the plugin has written, in their order.

    Args:
        content: whole, or up to what is written so far: the last segment is left out if it is not
            complete.
    """
    words = np.frombuffer(content, np.uint32, len(content) // 4)
    at = 0
    while at + _HEADER_WORDS <= len(words):
        begin, end, rows = map(int, words[at : at + _HEADER_WORDS])
        at += _HEADER_WORDS
        stop = at + rows * _ROW_WORDS
        if stop > len(words):
            return
        table = words[at:stop].reshape(rows, _ROW_WORDS).tolist()
        yield Segment(begin, end, {row[0]: Counts(*row[1:]) for row in table})
        at = stop
