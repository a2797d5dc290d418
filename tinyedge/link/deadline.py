"""Time that a conversation may take."""

from __future__ import annotations

import time

LONGEST_STEP_S = 0.5
"""Counts of a pause, whatever it lasted: nobody who waits sleeps for longer at once."""


class Clock:
    """Seconds that were spent waiting: a program that is stopped does not wait.

    Attributes:
        now: seconds, as of the last tick.
    """

    def __init__(self) -> None:
        self.now = 0.0
        self._before = time.monotonic()

    def tick(self) -> float:
        """Moves on by the time that has passed, up to ``LONGEST_STEP_S``."""
        now = time.monotonic()
        self.now += min(now - self._before, LONGEST_STEP_S)
        self._before = now
        return self.now


class Deadline:
    """The time by which something has to have happened; progress sets it anew.

    Args:
        clock: that it goes by.
        seconds: from now, and from each progress.
    """

    def __init__(self, clock: Clock, seconds: float) -> None:
        self.seconds = seconds
        self._clock = clock
        self._since = clock.tick()

    def progress(self) -> None:
        """Begins anew."""
        self._since = self._clock.now

    def left_s(self, allowance_s: float = 0.0) -> float:
        """Seconds left, below 0 when it has passed; so many more are allowed for."""
        return self._since + self.seconds + allowance_s - self._clock.now
