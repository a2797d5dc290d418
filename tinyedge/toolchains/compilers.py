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

from tinyedge.boards.cores import CORES
from tinyedge.distribution import install_hint
from tinyedge.errors import DoesNotFitError, ToolchainError
from tinyedge.names import CompilerName, CoreName

WARNINGS = ("-std=c99", "-Wall", "-Wextra", "-Wpedantic", "-Wmissing-prototypes", "-Werror")
_OPTIMIZATION = ("-O2", "-fomit-frame-pointer", "-ffunction-sections", "-fdata-sections")
_FREESTANDING = ("-ffreestanding", "-fno-builtin", "-fno-unwind-tables", "-g0")
CXX_SUFFIXES = (".cc", ".cpp")
_ARM_GCC = "arm-none-eabi-gcc"
_TIMEOUT_S = 300


@dataclass(frozen=True)
class Compiler:
    """A command that compiles and links C.

    Attributes:
        name: ``gcc`` or ``zig``.
        command: the compiler with the flags that choose its target.
        link_flags: what linking firmware takes beside the linker script.
        cxx: the C++ compiler with its flags, for firmware that links a C++ library.
        libraries: files among the link flags.
        c_flags: with which C is compiled for firmware.
        cxx_flags: the same for C++.
        objcopy: writes the image as Intel HEX, for boards that are flashed with that; empty for
            others.
    """

    name: str
    command: tuple[str, ...]
    link_flags: tuple[str, ...] = ()
    cxx: tuple[str, ...] = ()
    libraries: tuple[Path, ...] = ()
    c_flags: tuple[str, ...] = (*WARNINGS, *_OPTIMIZATION, *_FREESTANDING)
    cxx_flags: tuple[str, ...] = ("-g0", *_OPTIMIZATION)
    objcopy: str = ""

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


def available_compilers(core: CoreName = "cortex-m4") -> list[CompilerName]:
    """The cross compilers for a core that are installed, the preferred one first."""
    if core == "avr":
        from tinyedge.toolchains.arduino import arduino_installed

        return ["gcc"] if arduino_installed() else []
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
            hint=f"{install_hint('zig')}, or on Debian: apt-get install gcc-arm-none-eabi",
        )
    if (name or found[0]) == "gcc":
        return arm_gcc(core)
    target = CORES[core]
    assert target.zig
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


def arm_gcc(core: str) -> Compiler:
    """``arm-none-eabi-gcc`` for a core, installed or not."""
    target = CORES[core]
    # Calls pass no floating-point numbers, but Helium's vectors need registers to be passed in.
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
        hint=f"{install_hint('zig')}, or install your system's C compiler (cc)",
    )


def compile_firmware(
    compiler: Compiler, sources: Sequence[Path], linker_script: Path, output: Path
) -> None:
    """Compiles and links a firmware; C++ sources (``.cc``, ``.cpp``) with the compiler's ``cxx``.

    Raises:
        DoesNotFitError: a memory of the board overflowed; the message says by how much.
        ToolchainError: the compiler failed otherwise.
    """
    inputs = []
    for source in sources:
        if source.suffix in CXX_SUFFIXES:
            inputs.append(source.with_suffix(".o"))
            arguments = [*compiler.cxx_flags, "-c", str(source), "-o", str(inputs[-1])]
            run_compiler(compiler.name, compiler.cxx, arguments)
        else:
            inputs.append(source)
    run_compiler(
        compiler.name,
        compiler.command,
        [
            *compiler.c_flags,
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
    run_compiler(
        compiler.name,
        compiler.command,
        [*WARNINGS, "-O2", "-fPIC", "-shared", *flags, *map(str, sources), "-o", str(output)],
    )


def run_compiler(
    name: str, command: Sequence[str], arguments: Sequence[str], folder: Path | None = None
) -> None:
    """Runs a compiler or another tool of its toolchain.

    Args:
        name: what errors call it.
        command: the program with the flags that choose its target.
        arguments: all other ones.
        folder: that it runs in; this process's by default.

    Raises:
        DoesNotFitError: a memory of the board overflowed; the message says by how much.
        ToolchainError: it failed otherwise, or could not be run.
    """
    try:
        result = subprocess.run(
            [*command, *arguments],
            capture_output=True,
            text=True,
            timeout=_TIMEOUT_S,
            check=False,
            cwd=folder,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise ToolchainError(f"{command[0]} could not run: {error}") from error
    if result.returncode == 0:
        return
    lines = [line for line in result.stderr.splitlines() if line.strip()]
    pattern = r"\b([A-Z][A-Z0-9]+)\b'?:? overflowed(?: by (\d+) bytes)?"
    if overflow := re.search(pattern, result.stderr):
        memory, count = overflow.groups()
        flash, other = "too many constants for its pointers", f"too little {memory} for a stack"
        lacking = flash if memory == "FLASH" else other
        more = f"{count} bytes of {memory} too few" if count else lacking
        raise DoesNotFitError(f"the firmware does not fit the board: {more}")
    telling = [line for line in lines if re.search(r"\berror\b|undefined reference", line)]
    first = (telling or lines[-1:] or ["no message"])[0]
    raise ToolchainError(f"{name} failed: {first.strip()}")
