"""The host half of the link: requests on their way, repeated until they are answered."""

from __future__ import annotations

import contextlib
import secrets
import time
import zlib
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from tinyedge.errors import DeviceError, FirmwareFaultError, LinkError
from tinyedge.link.changes import encode_changes
from tinyedge.link.deadline import LONGEST_STEP_S, Clock, Deadline
from tinyedge.link.diagnosis import diagnose
from tinyedge.link.faults import Fault
from tinyedge.link.frames import DELIMITER, Frame, FrameError, FrameReader, encoded_size
from tinyedge.link.line import Line, open_line
from tinyedge.link.protocol import (
    ERROR_NO_BASE,
    ERROR_NO_SESSION,
    ERROR_OUT_OF_SEQUENCE,
    ERROR_UNKNOWN_TYPE,
    ERRORS,
    Answer,
    Hello,
    Layers,
    Message,
    Output,
    Stats,
)
from tinyedge.link.window import BAD_LINE_HINT, Request, TooOftenError, Window

_HELLO_DEADLINE_S = 5.0
_HELLO_REPEAT_S = 0.25
"""Short, as a serial port drops what arrives before the firmware has set it up."""
_LONGEST_WAIT_S = LONGEST_STEP_S / 2
_SHORTEST_OVERDUE_S = 0.2
_LARGEST_BACKOFF = 8.0
_SHORTEST_PAUSE_S, _LONGEST_PAUSE_S = 0.02, 1.0
_MOST_RECOVERIES = 8
"""Recoveries of the port or the session without an answer in between."""
_BITS_A_BYTE = 10
_PIECES_A_SECOND = 5
_SMALLEST_PIECE, _LARGEST_PIECE = 256, 4096
"""Bytes handed to the port at once: time that passes in between is noticed."""
_OUTPUT_BYTES = 1024
"""Bytes of a layer's output in an answer: each takes an inference, long ones get lost easily."""
_FIRST_OWN_SEQUENCE = 0x4000_0000
"""First number of requests that the caller does not number."""
_OBSERVE_HINT = "a firmware that watches layers: 'tinyedge flash DIR -b BOARD --observe'"


def new_session() -> int:
    """A random number for a session; 0 is that of a device that was just reset."""
    return secrets.randbelow(2**32 - 1) + 1


def _check_input(crc: int, sample: bytes) -> None:
    if crc != zlib.crc32(sample):
        raise LinkError("the device computed another input than the one sent")


class _SilentError(LinkError):
    """The device has not answered for too long."""


@dataclass
class _Heard:
    """The damaged or foreign frames that have come since the last answer."""

    damaged: int = 0
    foreign: int = 0


class _SequenceLostError(LinkError):
    """The device is not at the frame that was sent: it was reset, or has spoken to another host."""


class _SessionLostError(Exception):
    """The device was reset, or another host has spoken to it."""


@dataclass
class LinkStatistics:
    """The statistics of a link.

    Attributes:
        requests: that were sent for the first time.
        retransmissions: requests that were sent again.
        damaged: frames from the device that could not be read.
        reconnections: how often the port was opened again.
        resets: how often the device had forgotten the session.
        changes: requests that were sent as changes to an earlier input.
        restarts: how often a sequence was begun again with its first frame.
        bytes_sent: on the wire.
    """

    requests: int = 0
    retransmissions: int = 0
    damaged: int = 0
    reconnections: int = 0
    resets: int = 0
    changes: int = 0
    restarts: int = 0
    bytes_sent: int = 0


class _ResponseTime:
    """When an answer is overdue: RFC 6298, on the time from a transmission to its answer."""

    def __init__(self, first_guess_s: float) -> None:
        self._guess = first_guess_s
        self._smoothed = 0.0
        self._variation = 0.0
        self.backoff = 1.0

    def measured(self, seconds: float) -> None:
        if self._smoothed:
            self._variation += (abs(seconds - self._smoothed) - self._variation) / 4
            self._smoothed += (seconds - self._smoothed) / 8
        else:
            self._smoothed, self._variation = seconds, seconds / 2

    def overdue_s(self) -> float:
        measured = self._smoothed + max(4 * self._variation, _SHORTEST_OVERDUE_S)
        return (measured if self._smoothed else self._guess) * self.backoff


class Client(AbstractContextManager["Client"]):
    """A conversation with a device over a serial port.

    What is lost is sent again, and answered from the device's memory if it was computed. A line
    that breaks is opened again; a device that was reset gets again what it had not answered.

    While the device computes a sample, the next one is sent. So a device that is reset loses the
    result that it was sending, and one more only where the line holds results back.

    Args:
        port: a serial device (``/dev/ttyACM0``, ``COM3``), or one of another machine
            (``rfc2217://HOST:PORT``, ``socket://HOST:PORT``).
        baud: bits per second; of no meaning to emulators.
        timeout_s: the longest that the device may be away, or take for an answer, in addition to
            the time that request and answer are on a wire of so many bits per second.
        session: one that goes on, with the same numbers for the same samples; a new one by default.
        locate: gives the function that an address of a firmware is in, by the firmware's hash; None
            where it does not know.

    Attributes:
        statistics: what has happened so far.

    Raises:
        DeviceError: the port does not open, or another program holds it.
    """

    def __init__(
        self,
        port: str,
        baud: int,
        timeout_s: float = 10.0,
        session: int | None = None,
        locate: Callable[[str, int], str | None] = lambda _hash, _address: None,
    ) -> None:
        self.port = port
        self.timeout_s = timeout_s
        self.statistics = LinkStatistics()
        self._locate = locate
        self._baud = baud
        self._session = session or new_session()
        self._sequence = _FIRST_OWN_SEQUENCE
        self._frames = 0
        self._hello: Hello | None = None
        self._base: bytes | None = None
        self._clock = Clock()
        self._piece = _SMALLEST_PIECE if baud else _LARGEST_PIECE
        self._piece = min(
            max(self._piece, baud // (_BITS_A_BYTE * _PIECES_A_SECOND)), _LARGEST_PIECE
        )
        self._reader = FrameReader()
        self._response_time = _ResponseTime(timeout_s / 8)
        self._line: Line = open_line(port, baud)

    def __exit__(self, *_: object) -> None:
        self.close()

    def through(self, put_between: Callable[[Line], Line]) -> None:
        """Puts something between this end and the line, until the line is opened again."""
        self._line = put_between(self._line)

    def close(self) -> None:
        """Closes the port."""
        self._line.close()

    def hello(self) -> Hello:
        """Opens the session: clears the line and asks who is there, until somebody answers.

        Raises:
            LinkError: nobody answers, or in another protocol version, or since the last time
                another firmware.
        """
        try:
            hello = self._greet()
        except OSError as error:
            hello = self._reconnect(error)
        self._hello = hello
        return hello

    def infer(self, sample: NDArray[np.int8]) -> Answer:
        """Computes one sample, int8 of the input's shape, on the device; of a model without states.

        Raises:
            LinkError: see ``stream``.
        """
        [(_, answer)] = self.stream([(self._next_sequence(), sample)])
        return answer

    def stream(
        self, samples: Iterable[tuple[int, NDArray[np.int8]]], *, ahead: bool = True
    ) -> Iterator[tuple[int, Answer]]:
        """Computes samples on the device; gives each sample's number and answer as they come.

        Args:
            samples: numbers below 2**30, each once in a session, and int8 of the model's input
                shape. Taken as there is room for them.
            ahead: whether the next sample is sent while the device computes.

        Raises:
            LinkError: the device is silent or away for too long, or holds another firmware when
                it comes back; it refuses a request, or computes another input than the one sent.
            FirmwareFaultError: its firmware has stopped with a fault.
        """
        hello = self._hello or self.hello()
        requests = (
            Request(Message.INFER, sequence, sample.tobytes(), hello.answer_size)
            for sequence, sample in samples
        )
        window = Window(requests, hello.buffer, hello.answers, ahead=ahead)
        for request, payload in self._persist(window):
            answer = Answer.parse(payload)
            _check_input(answer.input_crc, request.payload)
            # Ticks of a counter whose frequency is not known tell nothing.
            yield request.sequence, answer if hello.tick_hz else replace(answer, ticks=0)

    def sequence(self, frames: NDArray[np.int8]) -> Iterator[Answer]:
        """Computes the frames of a sequence in their order, each once; gives their answers.

        Lost frames and answers are repeated, and answered from the device's memory. A device that
        has lost its states, as it was reset, gets the sequence again from the first frame; what
        it answers then has to be what it has answered before.

        Args:
            frames: int8 (n, *input shape).

        Raises:
            LinkError: see ``stream``; or the device gives another answer to a repeated frame.
        """
        hello = self._hello or self.hello()
        done: list[bytes] = []
        at = restarts = 0
        while at < len(frames):
            self._frames += 1
            payload = frames[at].tobytes()
            request = Request(
                Message.INFER, self._frames, payload, hello.answer_size, start=at == 0
            )
            try:
                [(_, answered)] = self._persist(Window(iter([request])))
            except _SequenceLostError:
                self._count(restarts := restarts + 1, "the device lost its place in the sequence")
                self.statistics.restarts += 1
                at = 0
                continue
            answer = Answer.parse(answered)
            _check_input(answer.input_crc, payload)
            logits = answer.logits.tobytes()
            if at == len(done):
                done.append(logits)
                restarts = 0
                yield answer if hello.tick_hz else replace(answer, ticks=0)
            elif logits != done[at]:
                raise LinkError(f"{self.port}: frame {at} has other logits when it is repeated")
            at += 1

    def stats(self) -> Stats:
        """Reads the device's counters.

        Raises:
            LinkError: the device does not answer.
        """
        return Stats.parse(self._ask(Message.STATS))

    def layers(self, sample: NDArray[np.int8], count: int) -> Layers:
        """Computes a sample, int8 of the model's input shape, while each layer is watched.

        Args:
            sample: the input.
            count: how many layers the model has.

        Raises:
            LinkError: see ``stream``; or the firmware does not watch.
        """
        payload = self._ask(Message.LAYERS, sample.tobytes(), Layers.size(count))
        answer = Layers.parse(payload, count)
        _check_input(answer.input_crc, sample.tobytes())
        return answer

    def output(
        self,
        sample: NDArray[np.int8],
        layer: int,
        size: int,
        progress: Callable[[int], None] | None = None,
    ) -> NDArray[np.int8]:
        """The output of one layer for a sample, computed again for every 1,024 bytes of it.

        Ask ``layers`` first: firmware that does not watch takes this longer request for a damaged
        one.

        Args:
            sample: the input, int8 of the model's input shape.
            layer: its number among the layers.
            size: bytes of its output.
            progress: called with the number of bytes that came.

        Returns:
            int8 (size,).

        Raises:
            LinkError: see ``layers``; or the output is of another size.
        """
        parts = []
        for offset in range(0, size, _OUTPUT_BYTES):
            count = min(_OUTPUT_BYTES, size - offset)
            payload = Output.request(layer, offset, count) + sample.tobytes()
            answer = Output.parse(self._ask(Message.OUTPUT, payload, Output.overhead() + count))
            _check_input(answer.input_crc, sample.tobytes())
            if answer.size != size or len(answer.values) != count:
                raise LinkError(
                    f"layer {layer} of the device gives {answer.size} bytes, not {size}"
                )
            parts.append(answer.values)
            if progress:
                progress(count)
        return np.concatenate(parts)

    def _ask(self, kind: Message, payload: bytes = b"", answer_size: int = 0) -> bytes:
        """The payload of the answer to a single request."""
        request = Request(kind, self._next_sequence(), payload, answer_size)
        [(_, answer)] = self._persist(Window(iter([request])))
        return answer

    def _next_sequence(self) -> int:
        self._sequence += 1
        return self._sequence

    def _persist(self, window: Window) -> Iterator[tuple[Request, bytes]]:
        """Exchanges all of a window, through resets and interruptions."""
        recoveries = 0
        while not window.done:
            try:
                for answered in self._exchange(window, self.timeout_s):
                    recoveries = 0
                    yield answered
            except _SessionLostError:
                self._count(recoveries := recoveries + 1, "the device was reset")
                self.statistics.resets += 1
                self.hello()
            except OSError as error:
                self._count(recoveries := recoveries + 1, f"the connection broke ({error})")
                self._hello = self._reconnect(error)
            window.lost_all()

    def _count(self, recoveries: int, told: str) -> None:
        """Raises LinkError where there were too many in a row."""
        if recoveries > _MOST_RECOVERIES:
            raise LinkError(
                f"{self.port}: {told} {recoveries} times before it gave an answer",
                hint="a better supply of power, or cable; is another program on the same port?",
            )

    def _reconnect(self, cause: OSError) -> Hello:
        """Opens the port again, and the session.

        Raises:
            LinkError: it stays away for too long.
        """
        deadline = time.monotonic() + self.timeout_s
        pause = _SHORTEST_PAUSE_S
        while True:
            self._line.close()
            time.sleep(pause)
            pause = min(2 * pause, _LONGEST_PAUSE_S)
            try:
                self._line = open_line(self.port, self._baud, pause)
                self.statistics.reconnections += 1
                return self._greet()
            except (OSError, DeviceError, _SilentError) as error:
                if time.monotonic() > deadline:
                    raise LinkError(f"{self.port}: the connection broke: {cause}") from error

    def _greet(self) -> Hello:
        """Says hello; raises OSError if the connection breaks."""
        self._base = None
        self._reader = FrameReader()
        request = Request(Message.HELLO, self._next_sequence())
        [(_, payload)] = self._exchange(Window(iter([request])), _HELLO_DEADLINE_S)
        hello, before = Hello.parse(payload), self._hello
        if before and before.firmware_hash != hello.firmware_hash:
            raise LinkError(
                f"{self.port}: the device came back with another firmware: "
                f"{hello.firmware_hash[:12]} instead of {before.firmware_hash[:12]}"
            )
        return hello

    def _exchange(self, window: Window, timeout_s: float) -> Iterator[tuple[Request, bytes]]:
        """Sends what a window holds, and gives each request with its answer's payload.

        Raises:
            OSError: the connection breaks.
            LinkError: the device refuses a request, or does not answer for so long and the time
                that the oldest request takes on the wire.
            FirmwareFaultError: its firmware has stopped with a fault.
        """
        deadline = Deadline(self._clock, timeout_s)
        heard = _Heard()
        try:
            while not window.done:
                while request := window.next_to_send():
                    self._transmit(window, request)
                left = deadline.left_s(self._wire_s(window.oldest))
                if left < 0:
                    raise self._silent(heard, timeout_s)
                for frame in self._receive(window, left):
                    answered = self._taken(window, frame, heard)
                    if answered and frame:
                        deadline.progress()
                        heard = _Heard()
                        yield answered, frame.payload
        except (TooOftenError, _SilentError):
            if heard.damaged:
                self._name_what_the_line_does()
            raise

    def _taken(self, window: Window, frame: Frame | None, heard: _Heard) -> Request | None:
        """The request that a frame answers; None, too, where it only tells that one is lost."""
        oldest = window.oldest
        if frame and frame.type == Message.FAULT:  # whatever the session: it knows none any more
            raise self._stopped(Fault.parse(frame.payload))
        if frame and not frame.type & Message.ANSWER:
            return None  # an echo
        damaged = frame is None or frame.type == Message.DAMAGED
        greeting = oldest is not None and oldest.kind == Message.HELLO
        if frame and frame.session != self._session and not (damaged and greeting):
            heard.foreign += 1
            return None
        heard.damaged += damaged
        if frame and not damaged:
            return self._answered(window, frame)
        if oldest:
            window.lost(oldest)
        return None

    def _silent(self, heard: _Heard, timeout_s: float) -> _SilentError:
        if heard.damaged:
            told = f"{self.port}: no answer in {timeout_s:g} s, the line is too bad"
            return _SilentError(told, hint=BAD_LINE_HINT)
        if heard.foreign:
            told = f"{self.port}: no answer in {timeout_s:g} s, only frames of another session"
            return _SilentError(told, hint="end what else speaks to the device, and reset it")
        return _SilentError(f"{self.port}: no sign of the device in {timeout_s:g} s")

    def _name_what_the_line_does(self) -> None:
        """Raises LinkError where it damages frames in a way that has a name."""
        with contextlib.suppress(OSError):
            if found := diagnose(self._line):
                told = "; ".join(each.told for each in found)
                raise LinkError(f"{self.port}: {told}", hint="; ".join(each.hint for each in found))

    def _wire_s(self, request: Request | None) -> float:
        """Seconds that a request and its answer are on a wire."""
        if not request or not self._baud:
            return 0.0
        size = max(request.size, request.largest_size) + encoded_size(request.answer_size)
        return size * _BITS_A_BYTE / self._baud

    def _transmit(self, window: Window, request: Request) -> None:
        kind, payload = request.kind, request.payload
        if request.start:
            kind, self._base = Message.START, payload
        elif kind == Message.INFER and self._hello and self._hello.changes:
            kind, payload = self._as_changes(request)
        encoded = DELIMITER + Frame(kind, self._session, request.sequence, payload).encode()
        self.statistics.requests += request.attempts == 0
        self.statistics.retransmissions += request.attempts > 0
        self.statistics.bytes_sent += len(encoded)
        window.sent(request, len(encoded), self._clock.tick())
        for start in range(0, len(encoded), self._piece):
            self._line.write(encoded[start : start + self._piece])
            self._clock.tick()

    def _as_changes(self, request: Request) -> tuple[Message, bytes]:
        """A sample as changes to the last one that was sent as a whole, if they are small."""
        if self._base is not None and not request.whole:
            changes = encode_changes(self._base, request.payload, len(request.payload) // 2)
            if changes is not None:
                self.statistics.changes += request.attempts == 0
                crc = zlib.crc32(self._base).to_bytes(4, "little")
                return Message.CHANGES, crc + changes
        self._base = request.payload
        return Message.INFER, request.payload

    def _receive(self, window: Window, left_s: float) -> Iterator[Frame | None]:
        """Frames that have arrived, None for a damaged one; takes note of what is overdue."""
        oldest = window.oldest
        assert oldest
        overdue = oldest.sent_at + self._overdue_s(oldest)
        wait = min(overdue - self._clock.tick(), left_s)
        received = self._line.read(min(max(wait, 0.0), _LONGEST_WAIT_S))
        now = self._clock.tick()
        for frame in self._reader.feed(received):
            if isinstance(frame, FrameError):
                self.statistics.damaged += 1
                yield None
            else:
                yield frame
        if received:
            return
        if now > overdue:
            self._response_time.backoff = min(2 * self._response_time.backoff, _LARGEST_BACKOFF)
            window.lost(oldest)

    def _overdue_s(self, request: Request) -> float:
        if request.kind == Message.HELLO:
            return _HELLO_REPEAT_S
        wire = self._wire_s(request)
        overdue = max(self._response_time.overdue_s(), wire + _SHORTEST_OVERDUE_S)
        return min(overdue, self.timeout_s / 4 + wire)

    def _answered(self, window: Window, frame: Frame) -> Request | None:
        """The request that a frame answers, if it is one; takes what is refused back."""
        request = window.on_its_way(frame.sequence)
        if not request:
            return None
        if frame.type == Message.ERROR:
            self._refused(window, request, int.from_bytes(frame.payload[:4], "little"))
            return None
        if frame.type != request.kind | Message.ANSWER:
            return None
        if request.attempts == 1:  # else one cannot tell which transmission was answered
            self._response_time.measured(self._clock.now - request.sent_at)
        self._response_time.backoff = 1.0
        window.answered(request)
        return request

    def _stopped(self, fault: Fault) -> FirmwareFaultError:
        told = fault.describe(lambda address: self._locate(fault.firmware_hash, address))
        return FirmwareFaultError(f"{self.port}: the firmware has stopped: {told}")

    def _refused(self, window: Window, request: Request, code: int) -> None:
        if code == ERROR_NO_SESSION and request.kind != Message.HELLO:
            raise _SessionLostError
        if code == ERROR_OUT_OF_SEQUENCE:
            raise _SequenceLostError(f"{self.port}: {ERRORS[code]}")
        if code != ERROR_NO_BASE:
            watches = request.kind in (Message.LAYERS, Message.OUTPUT)
            raise LinkError(
                f"{self.port}: the device refused {request.kind.name} {request.sequence}: "
                f"{ERRORS.get(code, f'error {code}')}",
                hint=_OBSERVE_HINT if watches and code == ERROR_UNKNOWN_TYPE else "",
            )
        request.whole = True
        window.lost(request)
