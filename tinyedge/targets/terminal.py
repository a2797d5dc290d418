"""A target's serial port as a pseudo terminal, for programs that want a serial device."""

from __future__ import annotations

import contextlib
import os
import select
import socket
import time
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

from tinyedge.errors import FileError, ToolchainError
from tinyedge.targets.target import Target

_CHUNK = 4096
_START_S = 30.0
_ABSENT_S = 0.02


@contextlib.contextmanager
def open_terminal(link: Path | None = None) -> Iterator[tuple[int, str]]:
    """Opens a raw pseudo terminal; gives our end's file descriptor and the other end's path.

    The other end is left to programs, which may come and go, and see that no other has it open.

    Args:
        link: a symbolic link to make, which replaces an earlier one, and to remove in the end.

    Raises:
        FileError: ``link`` is a file of another kind, or cannot be made.
        ToolchainError: this system has no pseudo terminals.
    """
    try:
        import tty

        ours, theirs = os.openpty()
    except (ImportError, AttributeError, OSError) as error:
        raise ToolchainError(
            f"no pseudo terminal: {error}", hint="they are found on Linux and macOS"
        ) from error
    try:
        tty.setraw(theirs)
        path = os.ttyname(theirs)
    finally:
        os.close(theirs)
    try:
        with _linked(link, path):
            yield ours, path
    finally:
        os.close(ours)


@contextlib.contextmanager
def _linked(link: Path | None, path: str) -> Iterator[None]:
    if link is None:
        yield
        return
    try:
        if link.is_symlink():
            link.unlink()
        link.symlink_to(path)
    except OSError as error:
        raise FileError(f"{link}: {error.strerror}", hint="name a link that may be made") from error
    try:
        yield
    finally:
        # Another terminal may have taken the name meanwhile.
        if link.is_symlink() and link.readlink() == Path(path):
            link.unlink()


def connect(target: Target, greeting: bytes = b"") -> socket.socket:
    """Connects to an emulator's serial port.

    Args:
        target: its port is a ``socket://`` URL.
        greeting: what the firmware says when it is ready, and is waited for; what comes before it
            is dropped with it.

    Raises:
        ToolchainError: the emulator cannot be reached, or does not say the greeting.
    """
    address = urlsplit(target.port)
    try:
        line = socket.create_connection((address.hostname or "", address.port or 0), _START_S)
        said = b""
        while greeting not in said:
            received = line.recv(_CHUNK)
            if not received:
                raise ConnectionError("it has ended")
            said += received
        line.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    except OSError as error:
        raise ToolchainError(f"{target.name} does not start the firmware: {error}") from error
    return line


def bridge(line: socket.socket, terminal: int) -> None:
    """Passes bytes between a connection and a terminal until the connection is closed."""
    source = line.fileno()
    other = {source: terminal, terminal: source}
    waiting = {source: b"", terminal: b""}  # what each of them has still to take
    for end in other:
        os.set_blocking(end, False)
    while True:
        sources = [end for end in other if not waiting[other[end]]]
        readable, writable, _ = select.select(sources, [end for end in other if waiting[end]], [])
        for end in readable:
            waiting[other[end]] = data = _read(end)
            if not data and end == source:
                return
            if not data:
                time.sleep(_ABSENT_S)  # no program has the terminal open
        for end in writable:
            with contextlib.suppress(ConnectionError):  # reading tells it, too
                waiting[end] = waiting[end][os.write(end, waiting[end]) :]


def _read(end: int) -> bytes:
    try:
        return os.read(end, _CHUNK)
    except OSError:
        return b""
