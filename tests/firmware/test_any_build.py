"""The runtime compiles for every core, optimized or not, with and without a frame pointer."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from tests.conftest import require
from tinyedge.templates import data_folder
from tinyedge.toolchains.compilers import WARNINGS

COMPILER = "arm-none-eabi-gcc"
CORES = ("cortex-m0", "cortex-m3", "cortex-m4", "cortex-m7", "cortex-m33", "cortex-m55")
LEVELS = ("-O0", "-Og", "-Os", "-O3")
FRAMES = ("-fomit-frame-pointer", "-fno-omit-frame-pointer")


def compile_runtime(core: str, flags: tuple[str, ...], folder: Path) -> None:
    """Compiles all files at once; fails with what the compiler says."""
    require([name for name in (COMPILER,) if shutil.which(name)], COMPILER)
    runtime = data_folder("firmware_templates") / "runtime"
    sources = sorted(map(str, runtime.glob("*.c")))
    command = [COMPILER, f"-mcpu={core}", "-mthumb", "-std=c99", *WARNINGS, *flags]
    done = subprocess.run(
        [*command, f"-I{runtime}", "-c", *sources],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[:2000]
    assert not done.stderr


@pytest.mark.parametrize("core", ["cortex-m0", "cortex-m4", "cortex-m55"])
def test_debug_build_with_a_frame_pointer(core: str, tmp_path: Path) -> None:
    """The three kinds of assembly: ARMv6-M, the DSP extension, Helium."""
    compile_runtime(core, ("-O0", "-g", "-fno-omit-frame-pointer"), tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize("frame", FRAMES)
@pytest.mark.parametrize("level", LEVELS)
@pytest.mark.parametrize("core", CORES)
def test_any_optimization(core: str, level: str, frame: str, tmp_path: Path) -> None:
    compile_runtime(core, (level, frame), tmp_path)
