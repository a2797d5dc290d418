"""The bytes that a serial port sends."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable
from typing import Any

from tinyedge.commands.arguments import AnyPath, above_zero, board_of, whole
from tinyedge.commands.notes import noted
from tinyedge.errors import DeviceError, Terminated, UsageError
from tinyedge.link.line import open_line
from tinyedge.link.monitor import FORMATS
from tinyedge.progress import NOBODY, Listener
from tinyedge.targets.attached import describe_ports
from tinyedge.targets.labgrid import acquired

_POLL_S = 0.2
_BAUD = 115200


@noted()
def monitor(
    *,
    port: str | None = None,
    labgrid: str | None = None,
    board: AnyPath | None = None,
    baud: int | None = None,
    hex: bool = False,  # noqa: A002 - as the option is called
    frames: bool = False,
    seconds: float | None = None,
    show: Callable[[str], None] | None = None,
    listener: Listener = NOBODY,
) -> dict[str, Any]:
    """Reads what a serial port sends, until the time is over or ``KeyboardInterrupt`` comes.

    Args:
        port: serial port, ``rfc2217://HOST:PORT`` or ``socket://HOST:PORT``.
        labgrid: place of labgrid's in which the board is, instead of ``port``; it is released in
            the end, and not reset.
        board: whose speed it has.
        baud: bits per second; the board's by default, else 115,200.
        hex: give bytes, 16 a line, in place of text.
        frames: give the frames of tinyedge's link, one a line.
        seconds: how long; without end by default.
        show: called with the text as it comes.
        listener: told that it has begun.

    Returns:
        ``port``, ``baud``, the number of ``bytes``, and the ``text``, which is empty where ``show``
        took it.

    Raises:
        BoardError: the board is unknown.
        DeviceError: the port is not named, cannot be opened, or has gone.
        UsageError: arguments that do not go together.
    """
    whole("baud", baud, 1)
    above_zero(seconds=seconds)
    if hex and frames:
        raise UsageError("--hex and --frames exclude each other")
    known = None if board is None else board_of(board)
    if port and labgrid:
        raise UsageError("--labgrid and --port exclude each other: the place has a port")
    if not (port or labgrid):
        raise DeviceError(
            "the serial port has to be named",
            hint=f"-p PORT; this machine has: {describe_ports(known)}",
        )
    speed = baud or (known.uart.baud if known else _BAUD)
    shown = FORMATS["hex" if hex else "frames" if frames else "text"]()
    kept: list[str] = []
    told, count = show or kept.append, 0
    with contextlib.ExitStack() as opened:
        if labgrid:
            port = opened.enter_context(acquired(labgrid)).port
        assert port
        line = opened.enter_context(contextlib.closing(open_line(port, speed)))
        listener.remark(f"{port} at {speed} baud; Ctrl-C ends it")
        end = None if seconds is None else time.monotonic() + seconds
        try:
            while end is None or time.monotonic() < end:
                try:
                    received = line.read(_POLL_S)
                except OSError as error:
                    told(shown.end())
                    hint = "plug it in again"
                    raise DeviceError(f"{port}: has gone: {error}", hint=hint) from error
                count += len(received)
                told(shown.feed(received))
        except Terminated:
            raise
        except KeyboardInterrupt:
            pass  # how it is meant to end
    told(shown.end())
    return {"port": port, "baud": speed, "bytes": count, "text": "".join(kept)}
