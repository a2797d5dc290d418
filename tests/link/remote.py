"""A serial server on loopback that drops its connections."""

from __future__ import annotations

import contextlib
import select
import socket
import threading
from contextlib import AbstractContextManager
from typing import Literal
from urllib.parse import urlsplit

import serial
from serial import rfc2217


class SerialServer(AbstractContextManager["SerialServer"]):
    """Offers a device's TCP port as a serial port of another machine, to one client at a time.

    Args:
        device: ``socket://HOST:PORT`` of the device.
        scheme: what it speaks to its clients.
        drops: how often it drops its client.
        after: bytes from the device, in which a connection is dropped.
        at: TCP port; a free one by default.

    Attributes:
        port: for a client.
        dropped: how often it has dropped its client.
        bauds: that clients have asked for.
    """

    def __init__(
        self,
        device: str,
        scheme: Literal["socket", "rfc2217"],
        drops: int = 0,
        after: int = 500,
        at: int = 0,
    ) -> None:
        self.dropped = 0
        self.bauds: set[int] = set()
        self._scheme = scheme
        self._drops = drops
        self._after = after
        address = urlsplit(device)
        assert address.port
        self._device = socket.create_connection((address.hostname, address.port))
        self._server = socket.create_server(("127.0.0.1", at))
        self.port = f"{scheme}://127.0.0.1:{self._server.getsockname()[1]}"
        self._closing = False
        threading.Thread(target=self._serve, daemon=True).start()

    def __exit__(self, *_: object) -> None:
        self._closing = True
        self._server.close()
        self._device.close()

    def _serve(self) -> None:
        while not self._closing:
            with contextlib.suppress(OSError, ValueError):  # closed meanwhile
                client, _ = self._server.accept()
                with client:
                    self._talk(client)

    def _talk(self, client: socket.socket) -> None:
        manager = PortManager(client, self.bauds) if self._scheme == "rfc2217" else None
        carried = 0
        while True:
            for ready in select.select([client, self._device], [], [])[0]:
                data = ready.recv(4096)
                if not data:
                    return
                if ready is client:
                    self._device.sendall(manager.received(data) if manager else data)
                    continue
                carried += len(data)
                if carried > self._after and self.dropped < self._drops:
                    self.dropped += 1
                    client.sendall(data[: len(data) // 2])
                    return
                client.sendall(manager.sent(data) if manager else data)


class PortManager:
    """pyserial's half of RFC 2217, for a port that only remembers its settings.

    Args:
        client: that is served.
        bauds: to which the speeds are added that it asks for.
    """

    def __init__(self, client: socket.socket, bauds: set[int] | None = None) -> None:
        self._bauds = set() if bauds is None else bauds
        self._port = serial.serial_for_url("loop://", do_not_open=True)
        self._port.open()
        self._manager = rfc2217.PortManager(self._port, _Connection(client))

    def received(self, data: bytes) -> bytes:
        """A client's bytes, as the device gets them."""
        found = b"".join(self._manager.filter(data))
        self._bauds.add(self._port.baudrate)
        return found

    def sent(self, data: bytes) -> bytes:
        """The device's bytes, as a client gets them."""
        return b"".join(self._manager.escape(data))


class _Connection:
    def __init__(self, client: socket.socket) -> None:
        self._client = client

    def write(self, data: bytes) -> None:
        """Sends what the manager says."""
        self._client.sendall(data)
