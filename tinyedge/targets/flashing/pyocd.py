"""pyOCD, for ST-Links, J-Links and CMSIS-DAP probes."""

from __future__ import annotations

import importlib.util
import shutil
import sys

from tinyedge.distribution import install_hint
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


class Pyocd(Tool):
    """Writes; a second command compares and resets, as the first does not read back."""

    name = "pyocd"
    program = "pyocd"
    takes = "probe"
    confirmation = r"All \d+ bytes match"
    failures = (
        Failure("[Mm]ismatched byte", MISMATCH_HINT),
        Failure(
            "Target type .* not recognized",
            "'pyocd pack install' with the part's name downloads its support; or another --tool",
            ToolchainError,
        ),
        Failure("insufficient permissions|Access denied|Permission denied", UDEV_HINT),
        Failure("No connected debug probe|No target device|Unable to open|No ACK", PROBE_HINT),
        Failure(
            "Unexpected (chip|device)|[Ff]ault ACK|SWD/JTAG communication failure|"
            "STLink error|[Nn]o cores were discovered",
            WRONG_PART_HINT,
        ),
    )

    def installed(self) -> bool:
        return super().installed() or importlib.util.find_spec("pyocd") is not None

    @property
    def remedy(self) -> str:
        return install_hint("pyocd")

    def commands(self, job: Job) -> list[list[str]]:
        tool = job.board.flash_tool.pyocd
        assert tool
        here = ["pyocd"] if shutil.which("pyocd") else [sys.executable, "-m", "pyocd"]
        probe = ["--no-wait", "-t", tool.target, *(["-u", job.probe] if job.probe else [])]
        compare = f'compare {job.address} "{job.image}"'
        return [
            [*here, "load", *probe, "--no-reset", "-a", job.address, str(job.image)],
            [*here, "commander", *probe, "-c", compare, "-c", "reset"],
        ]
