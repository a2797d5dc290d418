"""arduino-cli, for boards whose Arduino core is installed."""

from __future__ import annotations

from tinyedge.errors import ToolchainError
from tinyedge.targets.flashing.tool import GROUP_HINT, MISMATCH_HINT, Failure, Job, Tool


class ArduinoCli(Tool):
    """Leaves it to the core which tool writes, and whether that compares."""

    name = "arduino-cli"
    program = "arduino-cli"
    remedy = "https://arduino.github.io/arduino-cli/latest/installation"
    takes = "port"
    failures = (
        Failure("Permission denied", GROUP_HINT),
        Failure("verification (error|mismatch)|Verify failed", MISMATCH_HINT),
        Failure(
            "not installed|not found|[Uu]nknown FQBN|Error resolving FQBN",
            "'arduino-cli core install' with the first two words of the board's fqbn",
            ToolchainError,
        ),
        Failure(
            "No device found|cannot open port|can't open device|not in sync|not responding|"
            "Serial port busy|no upload port|[Uu]pload error",
            "is it the board's serial port (-p)? press its reset button and try again",
        ),
    )

    def verifies(self, job: Job) -> bool:  # noqa: ARG002
        return False

    def commands(self, job: Job) -> list[list[str]]:
        tool = job.board.flash_tool.arduino_cli
        assert tool
        assert job.port
        job.image_as("hex")  # beside the .bin: which of them is written is the core's choice
        what = ["--input-file", str(job.image), "-b", tool.fqbn, "-p", job.port, "--verify"]
        return [["arduino-cli", "upload", *what]]
