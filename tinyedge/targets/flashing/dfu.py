"""dfu-util, for boards whose boot ROM or boot loader speaks DFU."""

from __future__ import annotations

from tinyedge.boards.flash_tools import DfuTool
from tinyedge.targets.flashing.tool import MISMATCH_HINT, UDEV_HINT, Failure, Job, Tool

_BOOT_ROM = (
    "hold the board's button while plugging it in, or press its reset button twice, so that its "
    "boot ROM or boot loader answers"
)


class Dfu(Tool):
    """Writes, and of ST's DFU reads back to a file that is compared; leaves the boot ROM."""

    name = "dfu"
    program = "dfu-util"
    remedy = "apt-get install dfu-util"
    takes = "probe"
    failures = (
        Failure("LIBUSB_ERROR_ACCESS|Permission denied", UDEV_HINT),
        Failure("differ:|EOF on", MISMATCH_HINT),
        Failure("More than one DFU", "--probe SERIAL says which; 'dfu-util --list' lists them"),
        Failure("No DFU capable|Cannot open", _BOOT_ROM),
        Failure("not writeable|not readable|dfuERROR", "is its flash protected against reading?"),
    )

    def verifies(self, job: Job) -> bool:
        return _described(job).dfuse

    def unattended(self, job: Job) -> list[list[str]]:
        where = ["-s", f"{job.address}:leave"] if _described(job).dfuse else ["-R"]
        return [[*_device(job), *where, "-D", str(job.image)]]

    def commands(self, job: Job) -> list[list[str]]:
        if not _described(job).dfuse:  # nor can it be told what to read
            return self.unattended(job)
        back, size = str(job.image.with_suffix(".readback")), job.image.stat().st_size
        return [
            [*_device(job), "-s", job.address, "-D", str(job.image)],
            ["rm", "-f", back],  # dfu-util writes to no file that exists
            [*_device(job), "-s", f"{job.address}:{size}:leave", "-U", back],
            ["cmp", str(job.image), back],
            ["rm", back],
        ]


def _described(job: Job) -> DfuTool:
    tool = job.board.flash_tool.dfu
    assert tool
    return tool


def _device(job: Job) -> list[str]:
    chosen = ["-S", job.probe] if job.probe else []
    return ["dfu-util", "-d", _described(job).id, *chosen, "-a", "0"]
