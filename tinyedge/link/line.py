"""The wire: a serial port, or a TCP connection to an emulator or a serial server."""

from __future__ import annotations

import contextlib
import os
import select
import socket
import time
from pathlib import Path
from typing import Any, Protocol
from urllib.parse import urlsplit

import serial

from tinyedge.errors import DeviceError

_OPEN_DEADLINE_S = 10.0
"""An emulator's socket may take a moment to listen."""
_WRITE_TIMEOUT_S = 5.0


class Line(Protocol):
    """Bytes to and from a device. A connection that breaks raises ``OSError``."""

    def read(self, timeout_s: float) -> bytes:
        """Whatever has arrived, waiting so long for the first byte; empty if none came."""

    def write(self, data: bytes) -> None:
        """Sends all of it."""

    def close(self) -> None:
        """Ends the connection."""


def open_line(port: str, baud: int, deadline_s: float = _OPEN_DEADLINE_S) -> Line:
    """Opens a serial device, ``socket://HOST:PORT``, or another URL of pyserial's.

    Args:
        port: ``/dev/ttyACM0``, ``COM3``, ``socket://localhost:3333``.
        baud: bits per second, of no meaning to a socket.
        deadline_s: how long a socket may take to accept.

    Raises:
        DeviceError: it does not open, or another program holds it.
    """
    deadline = time.monotonic() + deadline_s
    while True:
        try:
            return _SocketLine(port) if port.startswith("socket://") else _SerialLine(port, baud)
        except (ValueError, OverflowError, OSError) as error:
            if port.startswith("socket://") and time.monotonic() < deadline:
                time.sleep(0.01)
                continue
            hint = _holders(port)
            raise DeviceError(f"{port}: cannot be opened: {error}", hint=hint) from error


class _SocketLine:
    def __init__(self, url: str) -> None:
        address = urlsplit(url)
        if not address.hostname or not address.port:
            raise DeviceError(f"{url}: expected socket://HOST:PORT")
        self._socket = socket.create_connection((address.hostname, address.port), _WRITE_TIMEOUT_S)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def read(self, timeout_s: float) -> bytes:
        if not select.select([self._socket], [], [], timeout_s)[0]:
            return b""
        received = self._socket.recv(65536)
        if not received:
            raise ConnectionResetError("closed by the other side")
        return received

    def write(self, data: bytes) -> None:
        self._socket.sendall(data)

    def close(self) -> None:
        self._socket.close()


class _SerialLine:
    def __init__(self, port: str, baud: int) -> None:
        options: dict[str, Any] = {"baudrate": baud, "write_timeout": _WRITE_TIMEOUT_S}
        if os.name == "posix" and "://" not in port:
            options["exclusive"] = True
            if holders := _holders(port):
                raise OSError(holders)
        self._serial = serial.serial_for_url(port, **options)
        with contextlib.suppress(AttributeError, ValueError, OSError):
            # Some USB chips keep an answer for 16 ms, in case more comes.
            self._serial.set_low_latency_mode(True)

    def read(self, timeout_s: float) -> bytes:
        self._serial.timeout = timeout_s
        first: bytes = self._serial.read(1)
        return first + self._serial.read(self._serial.in_waiting) if first else first

    def write(self, data: bytes) -> None:
        self._serial.write(data)

    def close(self) -> None:
        self._serial.close()


def _holders(port: str) -> str:
    """Which other programs have a serial device open, as far as Linux lets one see."""
    if "://" in port or not Path("/proc").is_dir():
        return ""
    device, found = os.path.realpath(port), set()
    for link in Path("/proc").glob("[0-9]*/fd/*"):
        try:
            if link.readlink() == Path(device) and int(link.parts[2]) != os.getpid():
                name = Path("/proc", link.parts[2], "comm").read_text(encoding="utf-8").strip()
                found.add(f"{name} (process {link.parts[2]})")
        except (OSError, ValueError):
            continue
    return f"it is in use by {', '.join(sorted(found))}" if found else ""
