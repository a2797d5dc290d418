"""A board of a lab that labgrid manages: acquired, reset, flashed, and released in the end.

labgrid's own client is run as a program: its package replaces pyserial by a variant of its own, so
it may live in an environment apart.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from tinyedge.distribution import install_hint
from tinyedge.errors import DeviceError, ToolchainError
from tinyedge.targets.labgrid_keeper import last_words

VARIABLE = "TINYEDGE_LABGRID_CLIENT"
"""Names the program, where it is neither beside this Python nor in PATH."""

_PROGRAM = "labgrid-client"
_CALL_DEADLINE_S = 60.0
_FLASH_DEADLINE_S = 600.0
_RELEASE_DEADLINE_S = 150.0
"""Longer than the two steps that the keeper takes at most."""
_RESET_OUTPUT = "reset"
_RESET_S = 0.5
_SCHEMES = {"raw": "socket", "rfc2217": "rfc2217"}
_NOT_THERE = "no compatible resource"
"""The message of labgrid on a place that has no resource for a request."""


def labgrid_client() -> str:
    """The path of labgrid's client.

    Raises:
        ToolchainError: it is not installed, or not where the variable says.
    """
    named = os.environ.get(VARIABLE)
    beside = str(Path(sys.executable).parent)
    found = shutil.which(named) if named else None
    if not named:
        found = shutil.which(_PROGRAM, path=beside) or shutil.which(_PROGRAM)
    if found:
        return found
    if named:
        raise ToolchainError(
            f"{VARIABLE}={named}: is no program", hint=f"the path of {_PROGRAM}, or unset it"
        )
    raise ToolchainError(
        f"{_PROGRAM} is not installed",
        hint=f"in an environment of its own, and {VARIABLE}=PATH names it; or "
        f"{install_hint('labgrid')}",
    )


class Place:
    """A place that is acquired.

    Args:
        client: path of labgrid's client.
        name: of the place.
        exported: what labgrid exports of its serial port.

    Attributes:
        port: the board's serial port, as ``open_line`` takes it.

    Raises:
        DeviceError: its serial port speaks a protocol that we do not.
    """

    def __init__(self, client: str, name: str, exported: dict[str, Any]) -> None:
        self.name = name
        self._client = client
        self._has_reset: bool | None = None  # not known yet
        self.port = _port(name, exported)

    def reset(self) -> bool:
        """Resets the board: by a digital output called ``reset``, else by its power.

        Returns:
            Whether the place has either.

        Raises:
            DeviceError: labgrid fails at it.
        """
        if self._has_reset is not False:
            self._has_reset = self._done("io", "high", _RESET_OUTPUT)
        if self._has_reset:
            time.sleep(_RESET_S)
            return self._done("io", "low", _RESET_OUTPUT)
        return self._done("power", "cycle")

    def write(self, image: Path) -> None:
        """Has labgrid write an image to the board, by the driver that has it boot an image.

        Raises:
            DeviceError: the place has none, or labgrid fails at it.
        """
        if not self._done("bootstrap", str(image), deadline_s=_FLASH_DEADLINE_S):
            raise DeviceError(
                f"labgrid's place '{self.name}' has no driver that writes an image",
                hint="LG_ENV=FILE names an environment of labgrid's with one (docs/cluster.md), or "
                "write the firmware where the board is: 'tinyedge flash'",
            )

    def _done(self, *arguments: str, deadline_s: float = _CALL_DEADLINE_S) -> bool:
        """Whether labgrid has done it; not where the place has nothing to do it with."""
        try:
            ended = subprocess.run(
                [self._client, "-p", self.name, *arguments],
                capture_output=True,
                check=False,
                stdin=subprocess.DEVNULL,
                text=True,
                timeout=deadline_s,
            )
        except subprocess.TimeoutExpired as error:
            raise DeviceError(
                f"labgrid's place '{self.name}': {arguments[0]} takes more than {deadline_s:g} s"
            ) from error
        told = last_words(ended.stderr)
        if ended.returncode and _NOT_THERE in told:
            return False
        if ended.returncode:
            raise DeviceError(f"labgrid's place '{self.name}': {arguments[0]}: {told}")
        return True


def _port(name: str, exported: dict[str, Any]) -> str:
    def of(what: str) -> str:
        return str(exported.get(f"LG__SERIALDRIVER_{what}", ""))

    scheme = _SCHEMES.get(of("PROTOCOL"))
    if not (scheme and of("HOST") and of("PORT").isdigit()):
        raise DeviceError(
            f"labgrid's place '{name}': its serial port speaks {of('PROTOCOL') or 'nothing'!r}, "
            f"allowed: {', '.join(_SCHEMES)}"
        )
    host = of("HOST")
    return f"{scheme}://{f'[{host}]' if ':' in host else host}:{of('PORT')}"


@contextlib.contextmanager
def acquired(name: str) -> Iterator[Place]:
    """Acquires a place, and releases it in the end, even where this process is killed.

    Args:
        name: of the place; ``LG_COORDINATOR`` names the coordinator.

    Raises:
        ToolchainError: labgrid's client is not installed.
        DeviceError: somebody else has the place, there is none of that name, it has no serial port
            on the network, or it cannot be released.
    """
    client = labgrid_client()
    with TemporaryDirectory(prefix="tinyedge-labgrid-") as folder:
        command = [sys.executable, "-m", "tinyedge.targets.labgrid_keeper", client, name, folder]
        keeper = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            start_new_session=True,
            text=True,
        )
        assert keeper.stdin
        assert keeper.stdout
        try:
            told = _told(name, keeper.stdout.readline())
            yield Place(client, name, told["exported"])
        except BaseException:
            _let_go(keeper)
            raise
        complaint = _let_go(keeper)
    if complaint:
        _told(name, complaint)


def _let_go(keeper: subprocess.Popen[str]) -> str:
    """Has the place released; gives what the keeper complains of."""
    try:
        told, _ = keeper.communicate(timeout=_RELEASE_DEADLINE_S)
    except subprocess.TimeoutExpired:
        keeper.kill()
        told, _ = keeper.communicate()
    return told


def _told(name: str, line: str) -> dict[str, Any]:
    """Reads the keeper's message; raises DeviceError if the keeper has failed."""
    found: dict[str, Any] = json.loads(line) if line else {"error": "labgrid's client has ended"}
    if error := found.get("error"):
        hint = f"{_PROGRAM} -p {name} show; LG_COORDINATOR=HOST:PORT names the coordinator"
        if "already acquired" in error:
            hint = f"{_PROGRAM} -p {name} release, if nobody uses it any more"
        raise DeviceError(f"labgrid's place '{name}': {error}", hint=hint)
    return found
