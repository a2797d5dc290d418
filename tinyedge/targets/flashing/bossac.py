"""BOSSA, for boards whose boot loader speaks SAM-BA."""

from __future__ import annotations

import dataclasses
import os
import time

from tinyedge.errors import DeviceError
from tinyedge.targets.flashing.tool import GROUP_HINT, MISMATCH_HINT, Failure, Job, Tool

_RESTART_S = 10.0
_POLL_S = 0.1
_DOUBLE_TAP = "press the board's reset button twice, so that its boot loader answers, and try again"


class Bossac(Tool):
    """Restarts the board into its boot loader, erases, writes and compares."""

    name = "bossac"
    program = "bossac"
    remedy = "apt-get install bossa-cli"
    takes = "port"
    confirmation = "Verify successful"
    failures = (
        Failure("Permission denied", GROUP_HINT),
        Failure("Verify failed|Page errors|Byte errors", MISMATCH_HINT),
        Failure("No device found|SAM-BA operation failed|Failed to open port", _DOUBLE_TAP),
        Failure("Device unsupported", "Arduino's own bossac knows it: put that into your PATH"),
        Failure("Flash offset is invalid", "the board's description names another offset"),
    )

    def verifies(self, job: Job) -> bool:
        tool = job.board.flash_tool.bossac
        return tool is not None and tool.verify

    def prepare(self, job: Job) -> Job:
        tool = job.board.flash_tool.bossac
        assert tool
        assert job.port
        return dataclasses.replace(job, port=touch(job.port)) if tool.touch_1200 else job

    def commands(self, job: Job) -> list[list[str]]:
        tool = job.board.flash_tool.bossac
        assert tool
        assert job.port
        options = [
            "-e",
            "-w",
            *(["-v"] if tool.verify else []),
            *(["-b"] if tool.boot_from_flash else []),
        ]
        offset = ["-o", f"0x{tool.offset:x}"] if tool.offset else []
        port = job.port.removeprefix("/dev/")  # as some of its versions want it
        return [["bossac", "-p", port, "-U", *options, *offset, "-R", str(job.image)]]

    def unattended(self, job: Job) -> list[list[str]]:
        (command,) = self.commands(job)
        tool = job.board.flash_tool.bossac
        return [["bossac", "-a", *command[1:]] if tool and tool.touch_1200 else command]


def touch(port: str) -> str:
    """Opens and closes a port at 1200 baud, which restarts the board into its boot loader.

    Returns:
        The boot loader's port: the one in the same USB socket, whose name may be another. Where
        none comes and goes the board is taken to be in its boot loader already.

    Raises:
        DeviceError: the port does not open, or none comes back.
    """
    import serial

    socket = _sockets().get(port)
    try:
        opened = serial.Serial(port, 1200)
        opened.dtr = False
        opened.close()
    except (OSError, ValueError) as error:
        raise DeviceError(f"{port}: cannot be opened: {error}") from error
    if not socket:
        return port
    deadline, gone = time.monotonic() + _RESTART_S, False
    while time.monotonic() < deadline:
        time.sleep(_POLL_S)
        there = [device for device, place in _sockets().items() if place == socket]
        if gone and there and os.access(there[0], os.W_OK):  # udev has let us
            return there[0]
        gone = gone or not there
    if gone:
        raise DeviceError(f"{port}: no serial port has come back", hint=_DOUBLE_TAP)
    return port


def _sockets() -> dict[str, str]:
    """Where the serial ports' USB devices are plugged in."""
    from serial.tools import list_ports

    return {port.device: port.location for port in list_ports.comports() if port.location}
