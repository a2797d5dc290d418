"""A lab on loopback: labgrid's own coordinator and exporter, and emulated boards."""

from __future__ import annotations

import contextlib
import json
import os
import select
import shutil
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Literal
from urllib.parse import urlsplit

from tests.conftest import require
from tests.link.remote import PortManager
from tinyedge.boards import Board
from tinyedge.errors import ToolchainError
from tinyedge.targets import Target, open_emulator
from tinyedge.targets.labgrid import labgrid_client

_DRIVER = """
import attr
import requests

from labgrid import target_factory
from labgrid.driver import Driver
from labgrid.protocol import BootstrapProtocol


@target_factory.reg_driver
@attr.s(eq=False)
class EmulatedFlash(Driver, BootstrapProtocol):
    url = attr.ib()

    def load(self, filename=None):
        requests.put(self.url, data=filename.encode(), timeout=10).raise_for_status()
"""


class EmulatedBoard(AbstractContextManager["EmulatedBoard"]):
    """A board that keeps what is written to it, and can be switched off and on.

    Args:
        board: what is emulated.
        scheme: of its network serial port.
        reset: whether it has a digital output that resets it, and no switch of its power.

    Attributes:
        serial: TCP port of its serial port.
        http: TCP port at which it is switched (``/power``, ``/reset``) and written (``/flash``).
        flashed: how often it was written.
        started: how often it was switched on.
        carried: bytes of the serial port, in both directions.
    """

    def __init__(
        self, board: Board, scheme: Literal["socket", "rfc2217"], *, reset: bool = False
    ) -> None:
        self.reset = reset
        self.scheme = scheme
        self.flashed = self.started = self.carried = 0
        self._board = board
        self._elf: Path | None = None
        self._running: Target | None = None
        self._lock = threading.Lock()
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.serial = self._listening.getsockname()[1]
        # In one thread that stays: the emulator ends with the thread that has started it.
        self._web = HTTPServer(("127.0.0.1", 0), self._handler())
        self.http = self._web.server_address[1]
        self._closing = False
        for serve in (self._serve, self._web.serve_forever):
            threading.Thread(target=serve, daemon=True).start()

    def __exit__(self, *_: object) -> None:
        self._closing = True
        self._web.shutdown()
        self._web.server_close()
        self._listening.close()
        self.off()

    def off(self) -> None:
        """Switches it off."""
        with self._lock:
            if self._running:
                self._running.__exit__()
            self._running = None

    def on(self) -> None:
        """Switches it on."""
        with self._lock:
            self.started += 1
            if self._elf and not self._running:
                self._running = open_emulator(self._board, self._elf)

    def _put(self, path: str, body: bytes) -> None:
        if path == "/flash":
            image = Path(body.decode())
            self._elf, self.flashed = image.with_suffix(".elf"), self.flashed + 1
            assert image.is_file()
            return
        switched_on = body == b"1"
        if path == "/reset":  # which holds it for as long as it is high
            switched_on = not switched_on
        if switched_on:
            self.on()
        else:
            self.off()

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        put = self._put

        class Handler(BaseHTTPRequestHandler):
            def do_PUT(self) -> None:
                put(self.path, self.rfile.read(int(self.headers["Content-Length"])))
                self.send_response(200)
                self.end_headers()

            def log_message(self, *_: object) -> None:
                pass

        return Handler

    def _serve(self) -> None:
        while not self._closing:
            with contextlib.suppress(OSError, ValueError):  # closed meanwhile
                client, _ = self._listening.accept()
                with client:
                    self._talk(client)

    def _talk(self, client: socket.socket) -> None:
        """One client; what it says while the board is off is lost."""
        manager = PortManager(client) if self.scheme == "rfc2217" else None
        with contextlib.ExitStack() as opened:
            board: socket.socket | None = None
            of: Target | None = None
            while not self._closing:
                with self._lock:
                    if self._running is not of:
                        running, of, board = self._running, None, None
                        with contextlib.suppress(ConnectionRefusedError):  # not yet, or again
                            if running:
                                number = urlsplit(running.port).port
                                assert number
                                line = socket.create_connection(("127.0.0.1", number))
                                of, board = running, opened.enter_context(line)
                ends = [client, *([board] if board else [])]
                for ready in select.select(ends, [], [], 0.05)[0]:
                    with contextlib.suppress(ConnectionResetError, BrokenPipeError):
                        data = ready.recv(4096)
                        self.carried += len(data)
                        if ready is client and not data:
                            return
                        if ready is not client and not data:
                            board = None  # switched off
                        elif ready is client:
                            data = manager.received(data) if manager else data
                            if board:
                                board.sendall(data)
                        else:
                            client.sendall(manager.sent(data) if manager else data)


class Lab(AbstractContextManager["Lab"]):
    """Coordinator and exporter, with a place for each of some boards.

    Args:
        folder: for their files.
        boards: by the name of their place.

    Attributes:
        client: path of labgrid's client.
        environment: variables of labgrid's, for who uses it.
    """

    def __init__(self, folder: Path, boards: Mapping[str, EmulatedBoard]) -> None:
        self.client = _client()
        self._folder = folder
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            address = f"127.0.0.1:{free.getsockname()[1]}"
        self.environment = {"LG_COORDINATOR": address, "LG_ENV": str(self._drivers(boards))}
        exported = folder / "exporter.yaml"
        exported.write_text(json.dumps({name: _resources(each) for name, each in boards.items()}))
        with contextlib.ExitStack() as opened:
            opened.enter_context(self._started("labgrid-coordinator", "-l", address))
            _eventually(lambda: self.call("places").returncode == 0)
            names = ("-c", address, "-n", "here", "--hostname", "127.0.0.1", str(exported))
            opened.enter_context(self._started("labgrid-exporter", *names))
            _eventually(lambda: all(each in self.call("resources").stdout for each in boards))
            for name in boards:
                for command in (("create",), ("add-match", f"here/{name}/*")):
                    told = self.call("-p", name, *command)
                    assert told.returncode == 0, told.stderr
            self._opened = opened.pop_all()

    def __exit__(self, *_: object) -> None:
        self._opened.close()

    def call(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """The output of labgrid's client."""
        environment = os.environ | {"LG_COORDINATOR": self.environment["LG_COORDINATOR"]}
        environment.pop("LG_ENV", None)
        command = [self.client, *arguments]
        return subprocess.run(
            command, capture_output=True, check=False, env=environment, text=True, timeout=60
        )

    def acquired(self, place: str) -> bool:
        """Whether somebody has a place."""
        return place in self.call("who").stdout

    def is_released(self, place: str) -> bool:
        """Whether it is, in a moment."""
        return _eventually(lambda: not self.acquired(place))

    def _drivers(self, boards: Mapping[str, EmulatedBoard]) -> Path:
        (self._folder / "driver.py").write_text(_DRIVER)
        targets = {
            name: {
                "resources": [{"RemotePlace": {"name": name}}],
                "drivers": [{"EmulatedFlash": {"url": f"http://127.0.0.1:{each.http}/flash"}}],
            }
            for name, each in boards.items()
        }
        path = self._folder / "lab.yaml"
        path.write_text(json.dumps({"targets": targets, "imports": ["driver.py"]}))
        return path

    @contextlib.contextmanager
    def _started(self, program: str, *arguments: str) -> Iterator[None]:
        beside = Path(self.client).resolve().with_name(program)
        with (self._folder / f"{program}.log").open("wb") as log:
            process = subprocess.Popen(
                [beside, *arguments], cwd=self._folder, stdout=log, stderr=subprocess.STDOUT
            )
        try:
            yield
        finally:
            process.terminate()
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def _resources(board: EmulatedBoard) -> dict[str, object]:
    """The exporter's settings for a board."""
    protocol = {"socket": "raw", "rfc2217": "rfc2217"}[board.scheme]
    here = f"http://127.0.0.1:{board.http}"
    serial = {"host": "127.0.0.1", "port": board.serial, "protocol": protocol}
    if board.reset:
        output = {"cls": "HttpDigitalOutput", "url": f"{here}/reset"}
        output |= {"body_asserted": "1", "body_deasserted": "0"}
        return {"NetworkSerialPort": serial, "reset": output}
    power = {"model": "rest", "host": f"{here}/power", "index": 0}
    return {"NetworkSerialPort": serial, "NetworkPowerPort": power}


def _client() -> str:
    """labgrid's client; the test is skipped where it is not installed."""
    own = Path(sys.prefix) / "labgrid" / "bin"  # where 'make' puts it
    if found := shutil.which("labgrid-client", path=str(own)):
        return found
    try:
        return labgrid_client()
    except ToolchainError:
        require([], "labgrid-client")
        raise


def _eventually(holds: Callable[[], bool], seconds: float = 30.0) -> bool:
    deadline = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.1)
    return True
