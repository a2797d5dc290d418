"""The files of the C library that exported models bring along."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

from tests.conftest import require
from tinyedge.templates import data_folder
from tinyedge.toolchains.compilers import available_compilers

TEMPLATES = data_folder("firmware_templates")
RUNTIME = TEMPLATES / "runtime"
FILES = [
    *sorted(RUNTIME.glob("*.[ch]")),
    *sorted((TEMPLATES / "library").glob("te_*")),
    *sorted((TEMPLATES / "harness").glob("te_crc32.[ch]")),
]
LUT = RUNTIME / "te_conv2d_lut_s8.c"


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_a_file_says_under_which_license_it_is_and_what_it_holds(path: Path) -> None:
    license_line, head, *_ = path.read_text().splitlines()
    assert license_line == "/* SPDX-License-Identifier: Apache-2.0 */"
    assert re.match(r"/\* [A-Za-z].{10,}", head), head
    assert len(head) <= 115


@pytest.mark.needs_tool
@pytest.mark.parametrize(
    ("was", "becomes"),
    [
        ("int32_t mantissa;", "int32_t more; int32_t mantissa;"),
        ("uint8_t right;", "uint8_t more; uint8_t right;"),
        ("int32_t next_lane;", "int32_t more; int32_t next_lane;"),
        (None, None),
    ],
)
def test_assembly_of_another_layout_does_not_compile(
    was: str | None, becomes: str | None, tmp_path: Path
) -> None:
    """Structures whose members assembly reads by their offsets."""
    require(available_compilers(), "gcc")
    for path in RUNTIME.glob("*.h"):
        (tmp_path / path.name).write_text(path.read_text())
    (tmp_path / LUT.name).write_text(LUT.read_text())
    if was and becomes:
        holds = [path for path in tmp_path.iterdir() if was in path.read_text()]
        assert holds
        for path in holds:
            path.write_text(path.read_text().replace(was, becomes, 1))
    flags = ("-mcpu=cortex-m0", "-mthumb", "-std=c99", "-fsyntax-only", "-I", str(tmp_path))
    ran = subprocess.run(
        ["arm-none-eabi-gcc", *flags, str(tmp_path / LUT.name)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert (ran.returncode == 0) == (was is None), ran.stderr
    assert was is None or "is not an integer constant" in ran.stderr
