"""The C runtime's own limits."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from tests.conftest import require
from tests.graph.random_graphs import RandomGraph
from tinyedge.exporters.c import export_c
from tinyedge.templates import data_folder

pytestmark = pytest.mark.needs_tool

RUNTIME = data_folder("firmware_templates") / "runtime"
ORDER = ("-U__BYTE_ORDER__", "-D__BYTE_ORDER__=__ORDER_BIG_ENDIAN__")
KERNELS = sorted(path.name for path in RUNTIME.glob("te_*_s8.c"))


def preprocessed(path: Path, *flags: str) -> subprocess.CompletedProcess[str]:
    require([name for name in ("cc",) if shutil.which(name)], "cc")
    return subprocess.run(
        ["cc", "-E", f"-I{RUNTIME}", *flags, str(path)],
        capture_output=True,
        text=True,
        check=False,
    )


def test_a_model_is_refused_by_a_big_endian_compiler(tmp_path: Path) -> None:
    for name, text in export_c(RandomGraph(278).graph).files.items():
        (tmp_path / name).write_text(text)
    assert preprocessed(tmp_path / "model.c").returncode == 0
    refused = preprocessed(tmp_path / "model.c", *ORDER)
    assert refused.returncode != 0
    assert "little-endian" in refused.stderr


@pytest.mark.parametrize("name", KERNELS)
def test_every_kernel_is_refused_by_a_big_endian_compiler(name: str) -> None:
    assert "little-endian" in preprocessed(RUNTIME / name, *ORDER).stderr
