"""The host half of the link: one request at a time, repeated until it is answered."""

from __future__ import annotations

import secrets
import time
import zlib
from contextlib import AbstractContextManager
from types import TracebackType
from typing import Any

import numpy as np
import serial
from numpy.typing import NDArray

from tinyedge.errors import DeviceError, LinkError
from tinyedge.link.frames import DELIMITER, Frame, FrameReader
from tinyedge.link.protocol import ERROR_NO_SESSION, ERRORS, Answer, Hello, Message, Stats

_OPEN_DEADLINE_S = 10.0
_HELLO_ATTEMPTS = 20
_HELLO_TIMEOUT_S = 0.25
"""Short, as a serial port drops what arrives before the firmware has set it up."""
_ATTEMPTS = 4


class Client(AbstractContextManager["Client"]):
    """A conversation with a device over a serial port.

    Args:
        port: a serial device (``/dev/ttyACM0``, ``COM3``) or a pyserial URL (``socket://``).
        baud: bits per second; of no meaning to emulators.
        timeout_s: how long one inference may take before the request is repeated.

    Raises:
        DeviceError: the port does not open.
    """

    def __init__(self, port: str, baud: int, timeout_s: float = 10.0) -> None:
        self.port = port
        self.timeout_s = timeout_s
        self.retransmissions = 0
        self._reader = FrameReader()
        self._session = secrets.randbits(32)
        self._sequence = 0
        self._serial: Any = _open(port, baud)

    def __exit__(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Closes the port."""
        self._serial.close()

    def hello(self) -> Hello:
        """Opens a session: clears the line and asks who is there, until somebody answers.

        Raises:
            LinkError: nobody answers, or in another protocol version.
        """
        payload = self._request(Message.HELLO, b"", _HELLO_ATTEMPTS, _HELLO_TIMEOUT_S)
        return Hello.parse(payload)

    def infer(self, sample: NDArray[np.int8]) -> Answer:
        """Computes one sample, int8 of the model's input shape, on the device.

        Raises:
            LinkError: the device does not answer, was reset, or answers for another input.
        """
        sent = sample.tobytes()
        answer = Answer.parse(self._request(Message.INFER, sent, _ATTEMPTS, self.timeout_s))
        if answer.input_crc != zlib.crc32(sent):
            raise LinkError("the device computed another input than the one sent")
        return answer

    def stats(self) -> Stats:
        """Reads the device's counters.

        Raises:
            LinkError: the device does not answer.
        """
        return Stats.parse(self._request(Message.STATS, b"", _ATTEMPTS, self.timeout_s))

    def _request(self, kind: Message, payload: bytes, attempts: int, timeout_s: float) -> bytes:
        """Sends a request and gives the payload of its answer."""
        self._sequence += 1
        encoded = Frame(kind, self._session, self._sequence, payload).encode()
        for attempt in range(attempts):
            try:
                self._serial.write(DELIMITER + encoded)
                answer = self._receive(kind, time.monotonic() + timeout_s)
            except (serial.SerialException, OSError) as error:
                raise LinkError(f"{self.port}: the connection broke: {error}") from error
            if answer is None:
                self.retransmissions += attempt + 1 < attempts
                continue
            if answer.type == Message.ERROR:
                code = int.from_bytes(answer.payload[:4], "little")
                raise LinkError(
                    f"the device refused a {kind.name}: {ERRORS.get(code, f'error {code}')}",
                    hint="it was reset, or another program speaks to it"
                    if code == ERROR_NO_SESSION
                    else "",
                )
            return answer.payload
        raise LinkError(
            f"{self.port}: no answer to {kind.name} after {attempts} attempts",
        )

    def _receive(self, kind: Message, deadline: float) -> Frame | None:
        """The next frame that answers the current request, or None when time is up."""
        types = (kind | Message.ANSWER, Message.ERROR)
        while (left := deadline - time.monotonic()) > 0:
            self._serial.timeout = left
            received = self._serial.read(max(1, self._serial.in_waiting))
            for frame in self._reader.feed(received):
                mine = frame.session == self._session and frame.sequence == self._sequence
                if mine and frame.type in types:
                    return frame
        return None


def _open(port: str, baud: int) -> Any:
    """Opens a serial port; an emulator's socket may take a moment to listen."""
    deadline = time.monotonic() + _OPEN_DEADLINE_S
    while True:
        try:
            return serial.serial_for_url(port, baudrate=baud, timeout=1.0, write_timeout=10.0)
        except (serial.SerialException, ValueError, OSError) as error:
            if not port.startswith("socket://") or time.monotonic() > deadline:
                raise DeviceError(
                    f"{port}: cannot be opened: {error}",
                ) from error
            time.sleep(0.01)
