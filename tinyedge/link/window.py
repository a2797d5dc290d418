"""Requests on their way: which may be sent, which are lost. Knows no wire and no clock."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass

from tinyedge.errors import LinkError
from tinyedge.link.frames import encoded_size
from tinyedge.link.protocol import Message

_FEWEST_ATTEMPTS = 24
_MOST_ATTEMPTS = 100
"""The limit of attempts; a line that takes more is of no use: it would send for hours."""
_TOLERATED_FAULTS = 1e-3
"""Faults a byte at which a request shall all but surely come through."""
_GIVEN_UP = 1e-10
"""The probability, at so many faults, with which a request is given up nevertheless."""
BAD_LINE_HINT = "a shorter cable, or fewer bits per second"
_LEAST_ARRIVING = 1 - _GIVEN_UP ** (1 / _MOST_ATTEMPTS)


class TooOftenError(LinkError):
    """A request was sent again and again, and never answered."""


@dataclass(eq=False)
class Request:
    """A request.

    Attributes:
        kind: of message.
        sequence: its number in the session.
        payload: of the message; of ``INFER``, the input.
        answer_size: bytes of the answer's payload.
        whole: whether the device has to get all of an input, and not only what is new in it.
        start: whether it is the first frame of a sequence.
        attempts: transmissions so far.
        sent_at: seconds, of the last transmission.
        size: bytes on the wire of the last transmission.
    """

    kind: Message
    sequence: int
    payload: bytes = b""
    answer_size: int = 0
    whole: bool = False
    start: bool = False
    attempts: int = 0
    sent_at: float = 0.0
    size: int = 0

    @property
    def largest_size(self) -> int:
        """The most bytes that it takes on the wire."""
        return encoded_size(len(self.payload))

    @property
    def attempts_allowed(self) -> int:
        """Transmissions after which it is given up.

        So many that a line with ``_TOLERATED_FAULTS`` a byte, at which a frame of n bytes arrives
        with a probability of exp(-n / 1000), fails once in ``1 / _GIVEN_UP`` requests; at most
        ``_MOST_ATTEMPTS``, which are enough for frames of 1,580 bytes.
        """
        size = self.largest_size + encoded_size(self.answer_size)
        arrives = max(math.exp(-_TOLERATED_FAULTS * size), _LEAST_ARRIVING)
        enough = math.ceil(math.log(_GIVEN_UP) / math.log1p(-arrives))
        return min(max(_FEWEST_ATTEMPTS, enough), _MOST_ATTEMPTS)


class Window:
    """Requests: one that the device works on, and the next one, sent ahead.

    The device answers in the order in which it hears: an answer also tells that what was sent
    before it is lost.

    Args:
        requests: taken as there is room for them.
        buffer: bytes that the device receives while it computes.
        remembered: answers that it remembers, one for each remainder of the numbers.
        ahead: whether to send one ahead.
    """

    def __init__(
        self,
        requests: Iterator[Request],
        buffer: int = 0,
        remembered: int = 1,
        *,
        ahead: bool = False,
    ) -> None:
        self._requests = requests
        self._buffer = buffer
        self._remembered = remembered
        self._at_once = 2 if ahead else 1
        self._fresh = next(requests, None)
        self._again: deque[Request] = deque()
        self._flying: dict[int, Request] = {}  # in the order of their transmission

    @property
    def done(self) -> bool:
        """Whether everything is answered."""
        return not (self._fresh or self._again or self._flying)

    @property
    def oldest(self) -> Request | None:
        """The request that the device, as far as one knows, answers next."""
        return next(iter(self._flying.values()), None)

    def next_to_send(self) -> Request | None:
        """Takes the next request to send now, if any; those that are lost come first.

        Raises:
            TooOftenError: it was sent too often.
        """
        request = self._again[0] if self._again else self._fresh
        if not request or not self._has_room(request):
            return None
        if self._again:
            self._again.popleft()
        else:
            self._fresh = next(self._requests, None)
        if request.attempts >= request.attempts_allowed:
            raise TooOftenError(
                f"no answer to {request.kind.name} {request.sequence} after {request.attempts} "
                "attempts: the line is too bad",
                hint=BAD_LINE_HINT,
            )
        return request

    def _has_room(self, request: Request) -> bool:
        if not self._flying:
            return True
        if len(self._flying) >= self._at_once:
            return False
        places = {number % self._remembered for number in self._flying}
        if request.sequence % self._remembered in places:
            return False  # its answer would displace one that may have to be repeated
        on_the_wire = sum(each.size for each in self._flying.values())
        return on_the_wire + request.largest_size <= self._buffer

    def sent(self, request: Request, size: int, now: float) -> None:
        """Takes note of a transmission."""
        request.attempts += 1
        request.size, request.sent_at = size, now
        self._flying[request.sequence] = request

    def on_its_way(self, sequence: int) -> Request | None:
        """The request of that number, if it waits for its answer."""
        return self._flying.get(sequence)

    def answered(self, request: Request) -> None:
        """Takes note of an answer; what was sent before it has to be sent again."""
        while (oldest := self.oldest) is not request:
            assert oldest
            self.lost(oldest)
        del self._flying[request.sequence]

    def lost(self, request: Request) -> None:
        """Has a request sent again."""
        self._again.append(self._flying.pop(request.sequence))

    def lost_all(self) -> None:
        """Has everything on its way sent again, as a whole: the device has forgotten it."""
        self._again.extend(self._flying.values())
        self._flying.clear()
        for request in self._again:
            request.whole = True
