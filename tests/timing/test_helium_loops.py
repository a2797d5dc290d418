"""The inner loops of the kernels for Helium, as the program of ``tools/`` finds them."""

from __future__ import annotations

import shutil

import pytest

from tests.conftest import require
from tests.timing.test_rp2040 import tool
from tinyedge.toolchains.compilers import available_compilers

PROGRAM = tool("helium_loops")

TEXT = """
first:
1:
add r0, r1, r2
2:
vldrb.s32 q6, [r5], #16
vldrb.s32 q7, [r0], #16
vmul.i32 q7, q7, q6   @ a comment
vadd.i32 q0, q0, q7
le lr, 2b
bne 1b
second:
.L3:
vldrb.8 q0, [r1], #16
vmul.i32 q1, q1, q0
vstrb.8 q1, [r2], #16
bne .L3
1:
vldrb.8 q0, [r1], #16
vstrb.8 q0, [r2], #16
le lr, 1b
vmladava.s8 r0, q0, q1
bne 9f
9:
"""


def test_the_innermost_loops_that_compute_are_found() -> None:
    """Neither those around them, nor copies, nor branches ahead."""
    first, second = PROGRAM.loops(TEXT, "x.c")
    assert (first.function, len(first.body), first.products) == ("first", 4, 4)
    assert (second.function, len(second.body), second.products) == ("second", 3, 0)


@pytest.mark.needs_tool
def test_the_loop_of_convolutions_has_its_cycles() -> None:
    """Two rows by four columns of 16 products, twice."""
    require([name for name in available_compilers() if name == "gcc"], "gcc")
    (path,) = (each for each in PROGRAM.sources() if each.stem == "te_mve_dot2")
    (loop,) = PROGRAM.loops(PROGRAM.compiled(path), path.name)
    assert loop.products == 2 * 2 * 4 * 16
    program = next(filter(shutil.which, PROGRAM.PROGRAMS[:-1]), None)
    if not program:
        pytest.skip("llvm-mca 19 is not installed")
    row = PROGRAM.timed(loop, program)
    # Two cycles a vector multiplication, and no more than as much again.
    assert 2 * 16 <= row.cycles < 4 * 16
