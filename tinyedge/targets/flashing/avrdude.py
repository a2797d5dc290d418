"""avrdude, for AVRs with a boot loader."""

from __future__ import annotations

from tinyedge.errors import ToolchainError
from tinyedge.targets.flashing.tool import (
    GROUP_HINT,
    MISMATCH_HINT,
    WRONG_PART_HINT,
    Failure,
    Job,
    Tool,
)


class Avrdude(Tool):
    """Writes and compares; the boot loader starts the program."""

    name = "avrdude"
    program = "avrdude"
    remedy = "apt-get install avrdude"
    takes = "port"
    confirmation = "bytes? of flash verified"
    failures = (
        Failure("Permission denied", GROUP_HINT),
        Failure("verification mismatch|verification error|failed verification", MISMATCH_HINT),
        Failure(
            "[Ee]xpected signature|differs? in signature|signature does not match|"
            "[Ii]nvalid device signature",
            WRONG_PART_HINT,
        ),
        Failure(
            "cannot find programmer|unknown part|not found",
            "avrdude 7.0 or later knows it; which is installed?",
            ToolchainError,
        ),
        Failure(
            "cannot open port|unable to open|cannot set attributes|cannot open device",
            "is it the board's serial port (-p), and does no other program use it?",
        ),
        Failure(
            "not in sync|not responding|initialization failed",
            "is it the board's serial port (-p)? press its reset button and try again",
        ),
    )

    def commands(self, job: Job) -> list[list[str]]:
        tool = job.board.flash_tool.avrdude
        assert tool
        assert job.port
        where = ["-p", tool.part, "-c", tool.programmer, "-P", job.port, "-b", str(tool.baud)]
        return [["avrdude", *where, "-D", "-U", f"flash:w:{job.image}:r"]]

    def unattended(self, job: Job) -> list[list[str]]:
        return self.commands(job)
