"""A target's serial port as a pseudo terminal, for programs that want a serial device."""

from __future__ import annotations

import contextlib
import os
import select
import socket
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

from tinyedge.errors import FileError, ToolchainError
from tinyedge.targets.target import Target

_CHUNK = 4096
_START_S = 30.0


@contextlib.contextmanager
def open_terminal(link: Path | None = None) -> Iterator[tuple[int, str]]:
    """Opens a raw pseudo terminal; gives our end's file descriptor and the other end's path.

    The other end stays open here too, so that programs may come and go.

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
        with _linked(link, path):
            yield ours, path
    finally:
        os.close(ours)
        os.close(theirs)


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
    with contextlib.suppress(ConnectionError):
        _pass_on(line.fileno(), terminal)


def _pass_on(first: int, second: int) -> None:
    other = {first: second, second: first}
    waiting = {first: b"", second: b""}  # what each of them has still to take
    for end in other:
        os.set_blocking(end, False)
    while True:
        sources = [end for end in other if not waiting[other[end]]]
        readable, writable, _ = select.select(sources, [end for end in other if waiting[end]], [])
        for end in readable:
            data = os.read(end, _CHUNK)
            if not data:
                return
            waiting[other[end]] = data
        for end in writable:
            waiting[end] = waiting[end][os.write(end, waiting[end]) :]
