"""Devices that behave as no firmware of ours does."""

from __future__ import annotations

import contextlib
import math
import socket
import struct
import threading
import zlib
from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager

from tinyedge.link.frames import DELIMITER, Frame, FrameReader
from tinyedge.link.protocol import PROTOCOL_VERSION, Message

Behaviour = Callable[[Frame], Iterable[Frame]]
"""The bytes that a device sends for a request."""


def hello_payload(
    shape: tuple[int, ...] = (4, 4),
    output: int = 10,
    *,
    rank: int | None = None,
    size: int | None = None,
    tick_hz: int = 1_000_000,
    buffer: int = 0,
    answers: int = 1,
    model: bytes = bytes(32),
    board: bytes = b"board",
) -> bytes:
    """The payload of HELLO's answer; rank and size are those of the shape by default."""
    axes = (*shape, *(1,) * (4 - len(shape)))
    numbers = (
        *(PROTOCOL_VERSION, len(shape) if rank is None else rank, *axes, output),
        math.prod(shape) & 0xFFFFFFFF if size is None else size,
        *(tick_hz, 1, buffer, answers, 0),
    )
    return struct.pack("<13I32s32s24s", *numbers, model, bytes(32), board)


def answer(request: Frame, payload: bytes) -> Frame:
    """The function that answers a request."""
    return Frame(request.type | Message.ANSWER, request.session, request.sequence, payload)


def logits(request: Frame, values: bytes, ticks: int = 0) -> Frame:
    """The function that answers an INFER."""
    return answer(request, struct.pack("<IQ", zlib.crc32(request.payload), ticks) + values)


class FakeDevice(AbstractContextManager["FakeDevice"]):
    """Answers at a TCP port, one host after the other.

    Args:
        hello: the payload of HELLO's answer.
        behaviour: what it does for any other request.

    Attributes:
        port: for a client.
        requests: that came, HELLOs left out.
    """

    def __init__(self, hello: bytes, behaviour: Behaviour) -> None:
        self.requests = 0
        self._hello = hello
        self._behaviour = behaviour
        self._server = socket.create_server(("127.0.0.1", 0))
        self.port = f"socket://127.0.0.1:{self._server.getsockname()[1]}"
        threading.Thread(target=self._serve, daemon=True).start()

    def __exit__(self, *_: object) -> None:
        self._server.close()

    def _serve(self) -> None:
        while True:
            try:
                line, _ = self._server.accept()
            except OSError:
                return
            with line, contextlib.suppress(OSError):
                self._talk(line)

    def _talk(self, line: socket.socket) -> None:
        reader = FrameReader(2**25)
        while received := line.recv(2**20):
            for request in reader.feed(received):
                if not isinstance(request, Frame):
                    continue
                if request.type == Message.HELLO:
                    line.sendall(DELIMITER + answer(request, self._hello).encode())
                    continue
                self.requests += 1
                for frame in self._behaviour(request):
                    line.sendall(DELIMITER + frame.encode())
