"""The effect of a line on single bytes, from the answers to frames with and without them.

The device refuses a message type that it does not know with a short ERROR, in which the request's
number stands again. So a number of the host's choice passes the line in both directions.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass

from tinyedge.link.frames import DELIMITER, Frame, FrameError, FrameReader
from tinyedge.link.line import Line
from tinyedge.link.protocol import ERROR_UNKNOWN_TYPE, Message

_ROUNDS = 6
"""In each the harmless frame has to come through, and the suspected one must not: at a fault in a
hundred bytes, bad luck looks like that once in 2,000 times."""
_ANSWER_S = 0.25
_QUIET_S = 0.1
_LONGEST_S = 2.0
_SESSION = 0x5A5A5A5A
"""A session without bytes that some lines treat in their own way."""


@dataclass(frozen=True)
class Treatment:
    """A line's treatment of some bytes.

    Attributes:
        told: what it does, as the end of a message.
        hint: what to do about it.
        suspects: the bytes, in the order in which they are sent.
    """

    told: str
    hint: str
    suspects: bytes


# XOFF first, so that a line that obeys goes on at the XON behind it.
FLOW_CONTROL = Treatment(
    "the line swallows the bytes 0x11 and 0x13: software flow control (XON/XOFF) is on",
    "turn it off in the adapter, serial server or bridge; of a Linux port: stty -F PORT -ixon "
    "-ixoff",
    b"\x13\x11",
)
NEWLINES = Treatment(
    "the line changes the bytes 0x0a and 0x0d: newline translation is on",
    "make it carry bytes as they are: binary or raw mode in the serial server or bridge; of a "
    "Linux port: stty -F PORT raw",
    b"\n\r",
)
_TREATMENTS = (FLOW_CONTROL, NEWLINES)
_SUSPECTS = frozenset(b"".join(each.suspects for each in _TREATMENTS))


def diagnose(line: Line) -> list[Treatment]:
    """Tells what a line does to single bytes; nothing where it carries them, or is merely bad.

    Takes at most two seconds or so. Changes nothing in the device.

    Args:
        line: to a device that waits for requests.

    Raises:
        OSError: the connection breaks.
    """
    end = time.monotonic() + _LONGEST_S
    while time.monotonic() < end and line.read(_QUIET_S):
        pass  # what earlier requests have left
    suspected = list(_TREATMENTS)
    harmless = _probes(b"")
    probes = {treatment.told: _probes(treatment.suspects) for treatment in _TREATMENTS}
    for _ in range(_ROUNDS):
        if not suspected or time.monotonic() > end or not _comes_through(line, next(harmless)):
            return []
        for treatment in list(suspected):
            if _comes_through(line, next(probes[treatment.told])):
                suspected.remove(treatment)
    return suspected


def _probes(suspects: bytes) -> Iterator[Frame]:
    """Requests that hold these of the suspected bytes, on their way there and back, and no other.

    A number below 2**24, as the zero byte in it keeps COBS from putting a 0x0a in front.
    """
    start = (suspects or b"ZZ") + b"\0\0"
    for third in range(256):
        sequence = int.from_bytes(start, "little") | third << 16
        request = Frame(Message.PROBE, _SESSION, sequence)
        held = [set(each.encode()) & _SUSPECTS for each in (request, _refusal(request))]
        if all(each == set(suspects) for each in held):
            yield request


def _refusal(request: Frame) -> Frame:
    code = ERROR_UNKNOWN_TYPE.to_bytes(4, "little")
    return Frame(Message.ERROR, request.session, request.sequence, code)


def _comes_through(line: Line, request: Frame) -> bool:
    """Whether a request is answered as it should be, before anything damaged comes."""
    line.write(DELIMITER + request.encode())
    reader, expected = FrameReader(), _refusal(request)
    end = time.monotonic() + _ANSWER_S
    while (left := end - time.monotonic()) > 0:
        for frame in reader.feed(line.read(left)):
            if isinstance(frame, FrameError) or frame.type == Message.DAMAGED:
                return False
            if frame == expected:
                return True
    return False
