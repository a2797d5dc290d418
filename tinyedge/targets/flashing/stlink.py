"""stlink-tools' ``st-flash``, for ST-Links."""

from __future__ import annotations

from tinyedge.targets.flashing.tool import (
    MISMATCH_HINT,
    PROBE_HINT,
    UDEV_HINT,
    WRONG_PART_HINT,
    Failure,
    Job,
    Tool,
)


class Stlink(Tool):
    """Writes, compares page by page, and resets."""

    name = "stlink"
    program = "st-flash"
    remedy = "apt-get install stlink-tools"
    takes = "probe"
    confirmation = "Flash written and verified"
    failures = (
        Failure("access error|Permission denied|LIBUSB_ERROR_ACCESS", UDEV_HINT),
        Failure("Verification of flash failed", MISMATCH_HINT),
        Failure(
            "[Cc]ouldn't find any ST-Link|Failed to open USB device|Could not open", PROBE_HINT
        ),
        Failure(
            "unknown chip id|Could not find chip id|Failed to connect to target|"
            "Failed to enter SWD mode|[Uu]nknown coreid",
            WRONG_PART_HINT,
        ),
    )

    def commands(self, job: Job) -> list[list[str]]:
        chosen = ["--serial", job.probe] if job.probe else []
        return [["st-flash", *chosen, "--reset", "write", str(job.image), job.address]]

    def unattended(self, job: Job) -> list[list[str]]:
        return self.commands(job)
