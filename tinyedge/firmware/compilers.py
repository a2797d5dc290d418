"""C compilers: for boards and for this machine, what is installed before what pip brings."""

from __future__ import annotations

import hashlib
import importlib.util
import re
import shutil
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from tinyedge.boards.cores import CORES
from tinyedge.errors import DoesNotFitError, ToolchainError

CompilerName = Literal["gcc", "zig"]
COMPILERS: tuple[CompilerName, ...] = ("gcc", "zig")

WARNINGS = ("-std=c99", "-Wall", "-Wextra", "-Wpedantic", "-Wmissing-prototypes", "-Werror")
_OPTIMIZATION = ("-O2", "-fomit-frame-pointer", "-ffunction-sections", "-fdata-sections")
_FREESTANDING = ("-ffreestanding", "-fno-builtin", "-fno-unwind-tables", "-g0")
_ARM_GCC = "arm-none-eabi-gcc"
_TIMEOUT_S = 300

_ZIG_HINT = f"{sys.executable} -m pip install 'tinyedge[zig]'"


@dataclass(frozen=True)
class Compiler:
    """A command that compiles and links C.

    Attributes:
        name: ``gcc`` or ``zig``.
        command: the compiler with the flags that choose its target.
        link_flags: what linking firmware takes beside the linker script.
        cxx: the C++ compiler with its flags, for firmware that links a C++ library.
        libraries: files among the link flags.
    """

    name: str
    command: tuple[str, ...]
    link_flags: tuple[str, ...] = ()
    cxx: tuple[str, ...] = ()
    libraries: tuple[Path, ...] = ()

    def libraries_hash(self) -> str:
        """SHA-256 of the libraries, to tell whether they changed."""
        digest = hashlib.sha256()
        for library in self.libraries:
            digest.update(library.read_bytes())
        return digest.hexdigest()

    def version(self) -> str:
        """First line of what the compiler says of itself."""
        zig = (sys.executable, "-m", "ziglang", "version")
        command = zig if self.name == "zig" else (self.command[0], "--version")
        result = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
        return result.stdout.partition("\n")[0].strip()


def _zig_installed() -> bool:
    return importlib.util.find_spec("ziglang") is not None


def available_compilers() -> list[CompilerName]:
    """The cross compilers that are installed, the preferred one first."""
    found: list[CompilerName] = []
    if shutil.which(_ARM_GCC):
        found.append("gcc")
    if _zig_installed():
        found.append("zig")
    return found


def cross_compiler(core: str, name: CompilerName | None = None) -> Compiler:
    """A compiler for a core: ``arm-none-eabi-gcc`` where installed, else zig, unless one is named.

    Raises:
        ToolchainError: none, or not the named one, is installed.
    """
    found = available_compilers()
    if not found or (name and name not in found):
        raise ToolchainError(
            f"no cross compiler{f' {name!r}' if name else ''} is installed",
            hint=f"{_ZIG_HINT}, or on Debian: apt-get install gcc-arm-none-eabi",
        )
    chosen = name or found[0]
    target = CORES[core]
    # Calls pass no floating-point numbers, but Helium's vectors need registers to be passed in.
    if chosen == "gcc":
        floats = ("-mfloat-abi=hard",) if target.mve else ()
        return Compiler(
            "gcc",
            (
                _ARM_GCC,
                f"-mcpu={target.gcc}",
                "-mthumb",
                *floats,
                "-fno-tree-loop-distribute-patterns",
            ),
            ("-nostdlib", "-Wl,--gc-sections", "-lgcc"),
        )
    abi = "eabihf" if target.mve else "eabi"
    return Compiler(
        "zig",
        (
            sys.executable,
            "-m",
            "ziglang",
            "cc",
            "-target",
            f"thumb-freestanding-{abi}",
            f"-mcpu={target.zig}",
        ),
        # Else the program's headers are loaded too, in front of flash that does not begin a page.
        ("-Wl,--gc-sections", "-Wl,-e,Reset_Handler", "-Wl,-z,max-page-size=1024"),
    )


def host_compiler() -> Compiler:
    """A compiler for this machine: ``cc``, else zig.

    Raises:
        ToolchainError: neither is installed.
    """
    if command := shutil.which("cc"):
        return Compiler("cc", (command,))
    if _zig_installed():
        return Compiler("zig", (sys.executable, "-m", "ziglang", "cc"))
    raise ToolchainError(
        "no C compiler is installed for this machine",
        hint=f"{_ZIG_HINT}, or install your system's C compiler (cc)",
    )


def compile_firmware(
    compiler: Compiler, sources: Sequence[Path], linker_script: Path, output: Path
) -> None:
    """Compiles and links a firmware; C++ sources (``.cc``) with the compiler's ``cxx``.

    Raises:
        DoesNotFitError: a memory of the board overflowed; the message says by how much.
        ToolchainError: the compiler failed otherwise.
    """
    inputs = []
    for source in sources:
        if source.suffix == ".cc":
            inputs.append(source.with_suffix(".o"))
            arguments = ["-g0", *_OPTIMIZATION, "-c", str(source), "-o", str(inputs[-1])]
            _run(compiler.name, compiler.cxx, arguments)
        else:
            inputs.append(source)
    _run(
        compiler.name,
        compiler.command,
        [
            *WARNINGS,
            *_OPTIMIZATION,
            *_FREESTANDING,
            "-T",
            str(linker_script),
            *map(str, inputs),
            *compiler.link_flags,
            "-o",
            str(output),
        ],
    )


def compile_shared_library(
    compiler: Compiler, sources: Sequence[Path], output: Path, flags: Sequence[str] = ()
) -> None:
    """Compiles a shared library for this machine.

    Raises:
        ToolchainError: the compiler failed.
    """
    _run(
        compiler.name,
        compiler.command,
        [*WARNINGS, "-O2", "-fPIC", "-shared", *flags, *map(str, sources), "-o", str(output)],
    )


def _run(name: str, command: Sequence[str], arguments: Sequence[str]) -> None:
    try:
        result = subprocess.run(
            [*command, *arguments],
            capture_output=True,
            text=True,
            timeout=_TIMEOUT_S,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise ToolchainError(f"{command[0]} could not run: {error}") from error
    if result.returncode == 0:
        return
    lines = [line for line in result.stderr.splitlines() if line.strip()]
    if overflow := re.search(r"(FLASH|RAM)\b.*?overflowed(?: by (\d+) bytes)?", result.stderr):
        memory, count = overflow.groups()
        more = f"{count} bytes of {memory} too few" if count else f"too little {memory} for a stack"
        raise DoesNotFitError(f"the firmware does not fit the board: {more}")
    telling = [line for line in lines if re.search(r"\berror\b|undefined reference", line)]
    first = (telling or lines[-1:] or ["no message"])[0]
    raise ToolchainError(f"{name} failed: {first.strip()}")
