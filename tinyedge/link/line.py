"""The wire: a serial port, one behind a serial server (RFC 2217), or a plain TCP connection."""

from __future__ import annotations

import contextlib
import os
import select
import socket
import time
from pathlib import Path
from typing import Any, Protocol
from urllib.parse import urlsplit

from tinyedge.errors import DeviceError

_OPEN_DEADLINE_S = 10.0
"""An emulator's socket may take a moment to listen."""
_WRITE_TIMEOUT_S = 5.0
_READ_STEP_S = 0.02
_SHORTEST_PAUSE_S, _LONGEST_PAUSE_S = 0.01, 0.1
_REMOTE = ("socket", "rfc2217")
_KEEP_ALIVE = {"TCP_KEEPIDLE": 2, "TCP_KEEPINTVL": 1, "TCP_KEEPCNT": 3, "TCP_USER_TIMEOUT": 5000}
"""Seconds and counts, after which a host that has lost power is given up; the last milliseconds."""


class Line(Protocol):
    """Bytes to and from a device. A connection that breaks raises ``OSError``."""

    def read(self, timeout_s: float) -> bytes:
        """Reads all that has arrived, waiting so long for the first byte; empty if none came."""

    def write(self, data: bytes) -> None:
        """Sends all of it."""

    def close(self) -> None:
        """Ends the connection."""


def open_line(port: str, baud: int, deadline_s: float = _OPEN_DEADLINE_S) -> Line:
    """Opens a serial device, a port of another machine, or another URL of pyserial's.

    Args:
        port: ``/dev/ttyACM0``, ``COM3``; ``rfc2217://HOST:PORT`` of a serial server that sets the
            port's baud rate (ser2net, esp_rfc2217_server); ``socket://HOST:PORT`` of one that
            passes bytes on, or of an emulator.
        baud: bits per second, of no meaning to a socket.
        deadline_s: how long another machine may take to accept.

    Raises:
        DeviceError: it does not open, or another program holds it.
    """
    remote = _remote(port)
    deadline = time.monotonic() + deadline_s
    pause = _SHORTEST_PAUSE_S
    while True:
        try:
            if remote and remote[0] == "socket":
                return _SocketLine(*remote[1:])
            return _Rfc2217Line(port, baud) if remote else _SerialLine(port, baud)
        except (ValueError, OverflowError, OSError) as error:
            if remote and time.monotonic() + pause < deadline:
                time.sleep(pause)
                pause = min(2 * pause, _LONGEST_PAUSE_S)
                continue
            hint = _remote_hint(*remote) if remote else _holders(port)
            raise DeviceError(f"{port}: cannot be opened: {error}", hint=hint) from error


def _remote(port: str) -> tuple[str, str, int] | None:
    """Scheme, host and port of a port of another machine; None of any other.

    Raises:
        DeviceError: it lacks one of them.
    """
    scheme = port.partition("://")[0]
    if scheme not in _REMOTE:
        return None
    try:
        address = urlsplit(port)
        if address.hostname and address.port:
            return scheme, address.hostname, address.port
    except ValueError:
        pass
    raise DeviceError(f"{port}: expected {scheme}://HOST:PORT", hint=f"as {scheme}://lab:3333")


def _remote_hint(scheme: str, host: str, number: int) -> str:
    if scheme == "socket":
        return f"does {host} offer port {number}, to one client at a time?"
    return (
        f"does a serial server on {host} offer port {number} by RFC 2217, to one client at a time? "
        f"socket://{host}:{number} is for one that only passes bytes on"
    )


def _notice_a_host_that_is_gone(connection: socket.socket) -> None:
    """Has a connection break that nobody is at the other end of any more, though none closed it."""
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for name, value in _KEEP_ALIVE.items():
        if hasattr(socket, name):  # systems have some of them
            connection.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), value)


class _SocketLine:
    def __init__(self, host: str, port: int) -> None:
        self._socket = socket.create_connection((host, port), _WRITE_TIMEOUT_S)
        _notice_a_host_that_is_gone(self._socket)

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
        import serial  # sockets go without it

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


class _Rfc2217Line:
    def __init__(self, port: str, baud: int) -> None:
        # pyserial's socket has a deadline of its own for writing. A new deadline for reading would
        # have it negotiate the port's settings again.
        import serial

        self._serial = serial.serial_for_url(port, baudrate=baud, timeout=_READ_STEP_S)
        self._socket: socket.socket = getattr(self._serial, "_socket")  # noqa: B009 - has no name
        _notice_a_host_that_is_gone(self._socket)

    def read(self, timeout_s: float) -> bytes:
        deadline = time.monotonic() + timeout_s
        while True:
            received: bytes = self._serial.read(1)
            if received:
                received += self._serial.read(self._serial.in_waiting)
            if received or time.monotonic() >= deadline:
                return received

    def write(self, data: bytes) -> None:
        self._serial.write(data)

    def close(self) -> None:
        self._serial.close()
        self._socket.close()  # pyserial leaves one open that was cut off


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
