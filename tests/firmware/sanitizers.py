"""The generated C as a program that sanitizers watch."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from tests.conftest import require
from tinyedge.exporters.converted import ConvertedModel
from tinyedge.firmware.twin import twin_include_flags, twin_sources
from tinyedge.toolchains.compilers import WARNINGS, host_compiler

_MAIN = Path(__file__).parent / "sanitized_main.c"


def run_sanitized(
    model: ConvertedModel, samples: NDArray[np.int8], program: Path
) -> NDArray[np.int8]:
    """Runs samples through model and runtime under ASan and UBSan; any finding fails.

    The arena is no longer than planned, so a kernel that leaves its scratch buffer at the arena's
    end is found; inside the arena only the comparison of outputs can tell.
    """
    require([name for name in ("cc",) if shutil.which(name)], "cc")  # zig brings no sanitizers
    flags = ["-g", "-O1", "-fsanitize=address,undefined", "-fno-sanitize-recover=all"]
    sources = [_MAIN, *twin_sources(model)]
    command = [*host_compiler().command, *WARNINGS, *flags, *twin_include_flags(model)]
    subprocess.run([*command, *map(str, sources), "-o", str(program)], check=True)
    result = subprocess.run(
        [str(program)], input=samples.tobytes(), capture_output=True, check=False
    )
    assert result.returncode == 0, result.stderr.decode()
    shape = model.graph.output_tensor.shape
    return np.frombuffer(result.stdout, np.int8).reshape(-1, *shape)
