"""The interface of every target."""

from __future__ import annotations

import ctypes
import signal
import subprocess
import sys
from collections.abc import Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import Any

from tinyedge.errors import ToolchainError

_PR_SET_PDEATHSIG = 1
_LIBC = ctypes.CDLL(None) if sys.platform == "linux" else None


def start_emulator(command: Sequence[str], stderr: int) -> subprocess.Popen[str]:
    """Starts an emulator, its stdout a pipe; on Linux it ends with us, however that happens."""
    return subprocess.Popen(
        command,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=stderr,
        text=True,
        preexec_fn=_end_with_parent if _LIBC else None,  # noqa: PLW1509 - one system call
    )


def _end_with_parent() -> None:
    assert _LIBC
    _LIBC.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


@dataclass
class Target(AbstractContextManager["Target"]):
    """A place where firmware runs, as a context manager that stops it.

    Attributes:
        name: of the emulator, or ``board``.
        port: serial device or pyserial URL.
        ticks_per_instruction: what the device's counter counts in one instruction, where it counts
            instructions; None where it counts cycles, or nothing.
        process: the emulator, if it is one.
        keeps_time: whether an emulator's counter counts the cycles of the core, so that seconds
            follow from it.
    """

    name: str
    port: str
    ticks_per_instruction: float | None = None
    process: subprocess.Popen[Any] | None = field(default=None, repr=False)
    keeps_time: bool = False

    def __exit__(self, *_: object) -> None:
        if self.process:
            self.process.kill()
            self.process.communicate()


def start_server(name: str, command: Sequence[str]) -> Target:
    """Starts an emulator that prints the TCP port at which it offers the board's serial port.

    Args:
        name: of the emulator.
        command: that starts it.

    Raises:
        ToolchainError: it ends instead; says its last word.
    """
    process = start_emulator(command, stderr=subprocess.PIPE)
    assert process.stdout
    port = process.stdout.readline().strip()
    if not port.isdigit():
        process.kill()
        _, errors = process.communicate()
        raise ToolchainError(f"{name} did not start: {(errors.splitlines() or ['no message'])[-1]}")
    return Target(name, f"socket://127.0.0.1:{port}", process=process)
