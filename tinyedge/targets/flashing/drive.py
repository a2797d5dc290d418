"""Drives that take a file for the flash: ST-Link's and DAPLink's, and those of UF2 boot loaders."""

from __future__ import annotations

import contextlib
import time
from pathlib import Path

from tinyedge.boards.flash_tools import DriveTool
from tinyedge.errors import DeviceError
from tinyedge.targets.attached import Drive as AttachedDrive
from tinyedge.targets.attached import drives
from tinyedge.targets.flashing.tool import Failure, Job, Tool

SETTLING_S = 60.0
_POLL_S = 0.2
_PLUG_IN = {
    "bin": "is the board plugged in by its debug probe's USB socket?",
    "hex": "is the board plugged in by its debug probe's USB socket?",
    "uf2": "press the board's reset button twice, or hold its BOOTSEL while plugging it in",
}
_REPORT = "FAIL.TXT"


class Drive(Tool):
    """Copies the file. No drive lets the flash be read back, so nothing is compared.

    A probe's drive comes back, with FAIL.TXT on it if anything went wrong; a boot loader's goes.
    """

    name = "drive"
    program = "cp"
    remedy = "comes with every Linux"
    takes = "probe"
    failures = (
        Failure("No space left", "is it the board that was named (-b)? plug it in again"),
        Failure("Read-only|Permission denied", "may you write to this drive?"),
        Failure("Input/output error|No such file", "plug the board in again"),
    )

    lenient = ("sync",)  # the drive may go before all is said to be written

    def verifies(self, job: Job) -> bool:  # noqa: ARG002
        return False

    def commands(self, job: Job) -> list[list[str]]:
        tool = _described(job)
        where = str(_mounted(tool, job.probe).mount_point)
        file = job.image_as(tool.format, tool.uf2_family)
        return [["cp", str(file), where], ["sync", "-f", where]]

    def settle(self, job: Job) -> None:
        """Waits for the drive to go, and for a probe's to come back."""
        tool, gone = _described(job), False
        name = job.image.with_suffix(f".{tool.format}").name
        deadline = time.monotonic() + SETTLING_S
        while time.monotonic() < deadline:
            time.sleep(_POLL_S)
            there = _labelled(tool, job.probe)
            gone = gone or not there
            if tool.format == "uf2" and gone:
                return
            here = there[0].mount_point if there else None
            if tool.format == "uf2" or not here:
                continue
            with contextlib.suppress(OSError):  # it goes just now
                names = {path.name for path in here.iterdir()}
                # A probe's drive that comes back does not list the file any more.
                if _REPORT in names and name not in names:
                    raise _refused(tool, here / _REPORT)
                if gone or name not in names:
                    return
        raise DeviceError(
            f"{tool.label}: the drive {'has not come back' if gone else 'has not taken the file'}"
            f" within {SETTLING_S:g} s; whether the board is written is not known",
            hint="plug the board in again; where no desktop mounts drives, 'udisksctl mount' does",
        )


def _refused(tool: DriveTool, report: Path) -> DeviceError:
    """Gives the error that a probe reports on its drive."""
    said = " ".join(report.read_text(encoding="utf-8", errors="replace").split())
    return DeviceError(
        f"{tool.label}: the board was not written: {said}",
        hint="is it the board that was named (-b)? plug it in again",
    )


def _described(job: Job) -> DriveTool:
    tool = job.board.flash_tool.drive
    assert tool
    return tool


def _labelled(tool: DriveTool, serial: str | None) -> list[AttachedDrive]:
    found = [drive for drive in drives() if drive.label == tool.label]
    return [drive for drive in found if not serial or drive.serial == serial]


def _mounted(tool: DriveTool, serial: str | None) -> AttachedDrive:
    found = _labelled(tool, serial)
    if not found:
        of = f" of serial number {serial}" if serial else ""
        raise DeviceError(f"no drive '{tool.label}'{of} is attached", hint=_PLUG_IN[tool.format])
    if len(found) > 1:
        candidates = ", ".join(f"{drive.serial or '?'} ({drive.device})" for drive in found)
        raise DeviceError(
            f"{len(found)} drives '{tool.label}' are attached",
            hint=f"--probe SERIAL says which: {candidates}",
        )
    (drive,) = found
    if not drive.mount_point:
        raise DeviceError(
            f"the drive '{tool.label}' ({drive.device}) is not mounted",
            hint=f"udisksctl mount -b {drive.device}",
        )
    return drive
