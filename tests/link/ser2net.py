"""ser2net itself on loopback, in front of a device whose serial port is a pseudoterminal."""

from __future__ import annotations

import contextlib
import os
import select
import shutil
import socket
import subprocess
import threading
import time
import tty
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, Literal
from urllib.parse import urlsplit

from tests.conftest import require

_ACCEPTERS = {"socket": "tcp", "rfc2217": "telnet(rfc2217),tcp"}
_CONFIGURATION = """\
connection: &board
  accepter: {accepter},127.0.0.1,{number}
  connector: serialdev,{terminal},9600n81,local
  options:
    kickolduser: true
"""


class Ser2net(AbstractContextManager["Ser2net"]):
    """ser2net, which drops its client for a newer one now and then.

    Args:
        folder: for its configuration.
        device: ``socket://HOST:PORT`` of the device.
        scheme: what it speaks to its clients.
        drops: how often another client comes and goes.
        after: bytes from the device between two.

    Attributes:
        port: for a client.
        dropped: how often another client has come and gone.
    """

    def __init__(
        self,
        folder: Path,
        device: str,
        scheme: Literal["socket", "rfc2217"],
        drops: int,
        after: int = 500,
    ) -> None:
        program = shutil.which("ser2net", path=f"{os.environ['PATH']}:/usr/sbin")
        require(["ser2net"] if program else [], "ser2net")
        assert program
        self.dropped = 0
        self._drops, self._after = drops, after
        address = urlsplit(device)
        assert address.port
        self._device = socket.create_connection((address.hostname, address.port))
        self._master, self._slave = os.openpty()
        tty.setraw(self._slave)
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self._number = free.getsockname()[1]
        # A pseudoterminal has no DTR and RTS that could be set.
        options = "?ign_set_control" if scheme == "rfc2217" else ""
        self.port = f"{scheme}://127.0.0.1:{self._number}{options}"
        path = folder / "ser2net.yaml"
        path.write_text(
            _CONFIGURATION.format(
                accepter=_ACCEPTERS[scheme],
                number=self._number,
                terminal=os.ttyname(self._slave),
            )
        )
        self._process = subprocess.Popen(
            [program, "-n", "-u", "-c", str(path)], stderr=subprocess.DEVNULL
        )
        self._closing = False
        self._thread = threading.Thread(target=self._carry, daemon=True)
        self._await()
        self._thread.start()

    def __exit__(self, *_: object) -> None:
        self._closing = True
        self._thread.join()
        self._process.kill()
        self._process.wait()
        self._device.close()
        os.close(self._master)
        os.close(self._slave)

    def _await(self) -> None:
        """Waits until it listens."""
        deadline = time.monotonic() + 30
        while not self._visited():
            assert self._process.poll() is None
            assert time.monotonic() < deadline
            time.sleep(0.05)

    def _visited(self) -> bool:
        """Whether another client could come and go."""
        with contextlib.suppress(ConnectionRefusedError):
            socket.create_connection(("127.0.0.1", self._number)).close()
            return True
        return False

    def _carry(self) -> None:
        """Between the terminal and the device."""
        carried = 0
        while not self._closing:
            ends: list[Any] = [self._device, self._master]
            for ready in select.select(ends, [], [], 0.1)[0]:
                if ready is not self._device:
                    self._device.sendall(os.read(self._master, 4096))
                    continue
                data = self._device.recv(4096)
                if not data:
                    return
                os.write(self._master, data)
                carried += len(data)
                if carried > self._after and self.dropped < self._drops:
                    carried = 0
                    self.dropped += 1
                    self._visited()
