"""The interface of every tool that writes a board's flash."""

from __future__ import annotations

import re
import shutil
import subprocess
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Literal

from tinyedge.boards import Board
from tinyedge.errors import DeviceError, TinyEdgeError, ToolchainError
from tinyedge.files import write_atomically
from tinyedge.names import FlashToolName
from tinyedge.targets.flashing.images import intel_hex, uf2

TIMEOUT_S = 300.0

UDEV_HINT = (
    "let users open it: 'tinyedge doctor --udev-rules | sudo tee "
    "/etc/udev/rules.d/60-tinyedge.rules', 'sudo udevadm control --reload', then plug it in again"
)
GROUP_HINT = "'sudo usermod -a -G dialout $USER', then log in again; 'tinyedge doctor' says more"
PROBE_HINT = "is the board's debug probe plugged in, and does no other program use it?"
WRONG_PART_HINT = "is it the board that was named (-b), and does it have power?"
MISMATCH_HINT = "flash it again; if it stays so, its flash is protected or worn"


@dataclass(frozen=True)
class Failure:
    """A tool's message when it fails, and the advice.

    Attributes:
        sign: a regular expression for its output.
        hint: for the user.
        error: whose fault it is.
    """

    sign: str
    hint: str
    error: type[TinyEdgeError] = DeviceError


@dataclass(frozen=True)
class Job:
    """The image to write, and where.

    Attributes:
        board: the board.
        image: the bytes of its flash, from the first address on.
        port: serial port, for tools that take one.
        probe: serial number of the debug probe or USB device, for tools that take one.
    """

    board: Board
    image: Path
    port: str | None = None
    probe: str | None = None

    @property
    def address(self) -> str:
        """Where flash begins, as tools take it."""
        return f"0x{self.board.flash.origin:08x}"

    def image_as(self, form: Literal["bin", "hex", "uf2"], family: int | None = None) -> Path:
        """The image in another format, written beside it."""
        if form == "bin":
            return self.image
        data, origin = self.image.read_bytes(), self.board.flash.origin
        path = self.image.with_suffix(f".{form}")
        content = intel_hex(data, origin) if form == "hex" else uf2(data, origin, family)
        write_atomically(path, content)
        return path


class Tool(ABC):
    """A tool: its commands, and how to read what it says.

    Attributes:
        name: of its section in board descriptions, and for ``--tool``.
        program: that has to be installed.
        takes: ``port`` (it needs one), ``probe`` (it may be told which), or nothing.
        verifies: the commands compare the flash with the image.
        confirmation: a regular expression for what it says once it has done so; empty where the
            last command's exit status tells.
        failures: what it says when it fails, tried in order.
        lenient: programs whose exit status tells nothing.
    """

    name: ClassVar[FlashToolName]
    program: ClassVar[str]
    takes: ClassVar[Literal["port", "probe", ""]] = ""
    confirmation: ClassVar[str] = ""
    failures: ClassVar[tuple[Failure, ...]] = ()
    lenient: ClassVar[tuple[str, ...]] = ()

    def verifies(self, job: Job) -> bool:  # noqa: ARG002 - some tools differ by board
        """Whether the flash is compared with the image."""
        return True

    @property
    @abstractmethod
    def remedy(self) -> str:
        """How to install it."""

    def installed(self) -> bool:
        """Whether its program is."""
        return shutil.which(self.program) is not None

    @abstractmethod
    def commands(self, job: Job) -> list[list[str]]:
        """Gives the commands to run, one after the other.

        Raises:
            DeviceError: what it needs is not attached, or not named.
        """

    def unattended(self, job: Job) -> list[list[str]]:  # noqa: ARG002
        """The commands for a build system, whose image need not exist yet; none where it cannot.

        Where comparing takes a command of its own it is left out.
        """
        return []

    def prepare(self, job: Job) -> Job:
        """Does the work that comes before the commands; gives the job as it is then."""
        return job

    def settle(self, job: Job) -> None:  # noqa: B027 - most tools have nothing to wait for
        """Looks, after the commands, whether the board has taken the image.

        Raises:
            DeviceError: it has not.
        """

    def failure(self, said: str) -> TinyEdgeError:
        """The error that a failed command's output stands for."""
        lines = [line.strip() for line in said.splitlines() if line.strip()]
        for known in self.failures:
            telling = [line for line in lines if re.search(known.sign, line)]
            if telling:
                return known.error(f"{self.program}: {telling[0]}", hint=known.hint)
        return ToolchainError(f"{self.program} failed: {(lines or ['no message'])[-1]}")


def run(tool: Tool, job: Job, commands: Sequence[Sequence[str]]) -> None:
    """Runs a tool's commands.

    Raises:
        ToolchainError, DeviceError: as ``Tool.failure`` and ``Tool.settle``; or it did not end, or
            has not said that the flash holds the image.
    """
    said = ""
    for command in commands:
        try:
            result = subprocess.run(
                command,
                stdin=subprocess.DEVNULL,  # pyOCD would ask which probe
                capture_output=True,
                text=True,
                errors="replace",
                timeout=TIMEOUT_S,
                check=False,
            )
        except subprocess.TimeoutExpired as error:
            raise DeviceError(
                f"{command[0]} did not end within {TIMEOUT_S:g} s",
                hint="plug the board in again; is another program using it?",
            ) from error
        said = result.stdout + result.stderr
        if result.returncode != 0 and command[0] not in tool.lenient:
            raise tool.failure(said)
    if tool.verifies(job) and not re.search(tool.confirmation, said):
        failed = tool.failure(said)
        if isinstance(failed, DeviceError):
            raise failed
        raise DeviceError(
            f"{tool.program} ended without saying that the flash holds the image",
            hint=MISMATCH_HINT,
        )
    tool.settle(job)
