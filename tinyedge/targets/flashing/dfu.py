"""dfu-util, for boards whose boot ROM speaks ST's DFU."""

from __future__ import annotations

from tinyedge.targets.flashing.tool import MISMATCH_HINT, UDEV_HINT, Failure, Job, Tool

_BOOT_ROM = "hold the board's button while plugging it in, so that its boot ROM answers"


class Dfu(Tool):
    """Writes, reads back to a file that is compared, and leaves the boot ROM."""

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

    def unattended(self, job: Job) -> list[list[str]]:
        return [[*self._boot_rom(job), "-s", f"{job.address}:leave", "-D", str(job.image)]]

    def commands(self, job: Job) -> list[list[str]]:
        boot_rom = self._boot_rom(job)
        back, size = str(job.image.with_suffix(".readback")), job.image.stat().st_size
        return [
            [*boot_rom, "-s", job.address, "-D", str(job.image)],
            ["rm", "-f", back],  # dfu-util writes to no file that exists
            [*boot_rom, "-s", f"{job.address}:{size}:leave", "-U", back],
            ["cmp", str(job.image), back],
        ]

    def _boot_rom(self, job: Job) -> list[str]:
        tool = job.board.flash_tool.dfu
        assert tool
        chosen = ["-S", job.probe] if job.probe else []
        return ["dfu-util", "-d", tool.id, *chosen, "-a", "0"]
