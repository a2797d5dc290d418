"""OpenOCD, for debug probes of all kinds."""

from __future__ import annotations

from tinyedge.errors import ToolchainError
from tinyedge.targets.flashing.tool import (
    MISMATCH_HINT,
    PROBE_HINT,
    UDEV_HINT,
    WRONG_PART_HINT,
    Failure,
    Job,
    Tool,
)


class OpenOcd(Tool):
    """Writes, reads back, compares and resets, in one command."""

    name = "openocd"
    program = "openocd"
    remedy = "apt-get install openocd"
    takes = "probe"
    confirmation = r"\*\* Verified OK \*\*"
    failures = (
        Failure("LIBUSB_ERROR_ACCESS|Permission denied", UDEV_HINT),
        Failure(r"Verify Failed|checksum mismatch|contents differ", MISMATCH_HINT),
        Failure(
            r"Can't find \S+\.cfg",
            "OpenOCD 0.11 or later has the files of most boards; 'tinyedge boards show BOARD' "
            "tells which it asks for",
            ToolchainError,
        ),
        Failure(
            "UNEXPECTED|unable to connect to the target|[Tt]arget voltage too low|"
            "Cannot identify target|auto_probe failed|init mode failed",
            WRONG_PART_HINT,
        ),
        Failure("open failed|[Uu]nable to open|unable to find|No such device", PROBE_HINT),
        Failure(r"OpenOCD init failed|Unable to reset target", PROBE_HINT),
    )

    def commands(self, job: Job) -> list[list[str]]:
        tool = job.board.flash_tool.openocd
        assert tool
        chosen = ["-c", f"adapter serial {job.probe}"] if job.probe else []
        program = f"program {{{job.image}}} {job.address} verify reset exit"
        return [["openocd", "-f", tool.config, *chosen, "-c", program]]

    def unattended(self, job: Job) -> list[list[str]]:
        return self.commands(job)
