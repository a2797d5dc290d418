"""A line between host and device that damages what it carries, or carries it at a baud rate.

For tests and measurements: it stands between a client and the TCP port of an emulator.
"""

from __future__ import annotations

import contextlib
import selectors
import socket
import threading
import time
from collections import deque
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from urllib.parse import urlsplit

import numpy as np

from tinyedge.link.line import Line

_BITS_A_BYTE = 10
_POLL_S = 0.05
_PIECE = 16
"""Bytes that come out together, where there is a baud rate."""
FAULTS = ("flip", "drop", "duplicate", "truncate", "burst", "garbage")
"""A flipped bit; a byte lost or doubled; up to 64 bytes lost, overwritten, or put in between."""


def _nothing() -> None:
    pass


@dataclass
class Faults:
    """Damages a stream of bytes.

    Args:
        rate: faults a byte, of every kind in ``FAULTS`` equally often.
        seed: of the faults.

    Attributes:
        injected: so far, by kind.
    """

    rate: float
    seed: int
    injected: dict[str, int] = field(default_factory=lambda: dict.fromkeys(FAULTS, 0))

    def __post_init__(self) -> None:
        """Seeds the generator."""
        self._random = np.random.default_rng(self.seed)
        self._lost = 0

    def damaged(self, data: bytes) -> bytes:
        """Gives the bytes that come out at the other end."""
        result, at = bytearray(), 0
        for hit in np.flatnonzero(self._random.random(len(data)) < self.rate):
            result += self._kept(data[at:hit])
            result += self._fault(self._kept(data[hit : hit + 1]))
            at = int(hit) + 1
        return bytes(result + self._kept(data[at:]))

    def _kept(self, data: bytes) -> bytes:
        lost = min(self._lost, len(data))
        self._lost -= lost
        return data[lost:]

    def _fault(self, byte: bytes) -> bytes:
        kind = FAULTS[self._random.integers(len(FAULTS))]
        self.injected[kind] += 1
        noise = self._random.integers(0, 256, self._random.integers(1, 65)).astype(np.uint8)
        match kind:
            case "flip":
                return bytes(each ^ 1 << int(self._random.integers(8)) for each in byte)
            case "drop":
                return b""
            case "duplicate":
                return byte * 2
            case "truncate":
                self._lost = len(noise)
                return b""
            case "burst":
                self._lost = len(noise) - 1
                return noise.tobytes()
        return byte + noise.tobytes()


@dataclass(frozen=True)
class Treated:
    """Replaces bytes wherever they stand, as lines with settings for text do.

    Args:
        changes: what becomes of them, nothing where they are swallowed.
    """

    changes: dict[bytes, bytes]

    def damaged(self, data: bytes) -> bytes:
        """Gives the bytes that come out at the other end."""
        for old, new in self.changes.items():
            data = data.replace(old, new)
        return data


@dataclass(frozen=True)
class DamagedLine:
    """A line to a device, of an attached board too, that damages what it carries.

    Args:
        line: the undamaged one.
        to_device: what becomes of what is sent.
        to_host: what becomes of what arrives.
    """

    line: Line
    to_device: Faults
    to_host: Faults

    def read(self, timeout_s: float) -> bytes:
        """See ``Line``."""
        return self.to_host.damaged(self.line.read(timeout_s))

    def write(self, data: bytes) -> None:
        """See ``Line``."""
        self.line.write(self.to_device.damaged(data))

    def close(self) -> None:
        """See ``Line``."""
        self.line.close()


@dataclass
class _Direction:
    """One way through the proxy.

    Attributes:
        faults: that it suffers, if any.
        baud: bits per second, 10 of them a byte; as fast as it goes by default.
        carried: bytes that went in.
    """

    faults: Faults | Treated | None
    baud: int | None
    carried: int = 0
    _queue: deque[tuple[float, bytes]] = field(default_factory=deque)
    _free_at: float = 0.0

    def put(self, data: bytes) -> None:
        """Takes bytes that arrive now."""
        self.carried += len(data)
        if self.faults:
            data = self.faults.damaged(data)
        if not data:
            return
        if not self.baud:
            self._queue.append((0.0, data))
            return
        self._free_at = max(time.monotonic(), self._free_at)
        for start in range(0, len(data), _PIECE):
            piece = data[start : start + _PIECE]
            self._free_at += len(piece) * _BITS_A_BYTE / self.baud
            self._queue.append((self._free_at, piece))

    def take(self) -> bytes:
        """Takes the bytes that are due to come out by now."""
        now, due = time.monotonic(), bytearray()
        while self._queue and self._queue[0][0] <= now:
            due += self._queue.popleft()[1]
        return bytes(due)

    def due_in_s(self) -> float:
        """Seconds until something more comes out."""
        return max(self._queue[0][0] - time.monotonic(), 0.0) if self._queue else _POLL_S

    def clear(self) -> None:
        """Forgets what is on its way."""
        self._queue.clear()


class Proxy(AbstractContextManager["Proxy"]):
    """Accepts one connection at a time and passes it on; runs in a thread of its own.

    Args:
        upstream: ``socket://HOST:PORT`` of the device; may be changed, which cuts the line.
        to_device, to_host: faults of either direction.
        baud: of both directions; bytes come out when the last bit of them would have.
        cut_after: cuts the line once, after so many bytes in both directions together.

    Attributes:
        port: for the client.
        cuts: of the line so far.
        on_cut: called before the line is cut.
    """

    def __init__(
        self,
        upstream: str,
        to_device: Faults | Treated | None = None,
        to_host: Faults | Treated | None = None,
        baud: int | None = None,
        cut_after: int | None = None,
    ) -> None:
        self.upstream = upstream
        self.to_device = _Direction(to_device, baud)
        self.to_host = _Direction(to_host, baud)
        self.cut_after = cut_after
        self.cuts = 0
        self.on_cut: Callable[[], None] = _nothing
        self._stop = False
        self._server = socket.create_server(("127.0.0.1", 0))
        self._server.settimeout(_POLL_S)
        self.port = f"socket://127.0.0.1:{self._server.getsockname()[1]}"
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def __exit__(self, *_: object) -> None:
        self._stop = True
        self._thread.join()
        self._server.close()

    def _serve(self) -> None:
        while not self._stop:
            with contextlib.suppress(OSError):
                host, _ = self._server.accept()
                with host, self._connect() as device:
                    for line in (host, device):
                        line.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                    self._carry(host, device)

    def _connect(self) -> socket.socket:
        address = urlsplit(self.upstream)
        return socket.create_connection((address.hostname, address.port), 5.0)

    def _carry(self, host: socket.socket, device: socket.socket) -> None:
        ways = {host: (self.to_device, device), device: (self.to_host, host)}
        with selectors.DefaultSelector() as selector:
            for line in ways:
                selector.register(line, selectors.EVENT_READ)
            while not self._stop:
                if self.cut_after is not None and self._room() == 0:
                    self.cut_after = None
                    self.cuts += 1
                    for way, _ in ways.values():
                        way.clear()
                    self.on_cut()
                    return
                wait = min(way.due_in_s() for way, _ in ways.values())
                ready = selector.select(min(wait, _POLL_S))
                for line in [line for line in ways if any(line is key.fileobj for key, _ in ready)]:
                    data = line.recv(self._room())
                    if not data:
                        return
                    ways[line][0].put(data)
                for way, other in ways.values():
                    if due := way.take():
                        other.sendall(due)

    def _room(self) -> int:
        """Bytes that may be taken at once: to a cut, not one more."""
        if self.cut_after is None:
            return 4096
        return max(self.cut_after - self.to_device.carried - self.to_host.carried, 0)
