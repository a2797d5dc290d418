"""A plugin of our own for QEMU, which counts what a firmware does at each address.

It is compiled with this machine's C compiler when it is first needed, and kept.
"""

from __future__ import annotations

import functools
import hashlib
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

from tinyedge.errors import ToolchainError
from tinyedge.files import cache_folder, folder_aside
from tinyedge.templates import data_folder
from tinyedge.toolchains.compilers import host_compiler, run_compiler

_PLUGIN = "te_count"
_FLAGS = ("-std=gnu11", "-Wall", "-Wextra", "-Werror", "-O2", "-shared", "-fPIC")
_TRIAL_S = 20.0


@dataclass(frozen=True)
class Counter:
    """The part of a program that is counted.

    Attributes:
        out: the file that counts are written to; see ``timing.read_segments``.
        marks: addresses between which it is counted.
    """

    out: Path
    marks: tuple[int, ...]

    @property
    def arguments(self) -> list[str]:
        """Gives QEMU's arguments.

        Raises:
            ToolchainError: the plugin cannot be compiled.
        """
        marks = ",".join(f"mark={mark:#x}" for mark in self.marks)
        return ["-plugin", f"{_plugin()},out={self.out},{marks}"]


@functools.cache
def counting_obstacle() -> str | None:
    """Why QEMU cannot count here, in a few words; None where it can."""
    if not shutil.which("qemu-system-arm"):
        return "QEMU is not installed"
    try:
        plugin = _plugin()
    except ToolchainError as error:
        return str(error)
    try:
        trial = subprocess.run(
            [
                *("qemu-system-arm", "-M", "none", "-nodefaults", "-display", "none"),
                *("-monitor", "stdio", "-plugin", f"{plugin},out=/dev/null"),
            ],
            input="quit\n",
            capture_output=True,
            text=True,
            timeout=_TRIAL_S,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        return f"QEMU does not take a plugin: {error}"
    if trial.returncode:
        said = trial.stderr.strip().splitlines() or ["no message"]
        return f"QEMU does not take the plugin: {said[-1]}"
    return None


def _plugin() -> Path:
    """The plugin, compiled if it has not been yet."""
    source = data_folder("firmware_templates") / "qemu" / f"{_PLUGIN}.c"
    compiler = host_compiler()
    command = [*compiler.command, compiler.version(), *_FLAGS]
    digest = hashlib.sha256("\0".join(command).encode() + source.read_bytes()).hexdigest()
    folder = cache_folder("qemu") / digest[:16]
    library = f"{_PLUGIN}.so"
    if not (folder / library).is_file():
        with folder_aside(folder) as aside:
            arguments = [*_FLAGS, str(source), "-o", str(aside / library)]
            run_compiler(compiler.name, compiler.command, arguments)
    return folder / library
