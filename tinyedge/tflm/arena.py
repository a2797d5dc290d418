"""How large TFLite-Micro's arena has to be: found by trial, and broken down."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from tinyedge.errors import ModelError
from tinyedge.tflm.interpreter import runtime

ALIGNMENT = 16
"""Bytes; TFLite-Micro aligns its arena, so sizes in between gain nothing."""
_TIMEOUT_S = 300.0


@dataclass(frozen=True)
class ArenaUsage:
    """TFLite-Micro's arena for a model, in bytes on this 64-bit machine.

    Attributes:
        smallest: the smallest arena in which allocation and one inference succeed, to 16 bytes.
        total: what the allocator records.
        head: activations and scratch, reused inside an inference.
        tail: what stays: tensor and node structures, the kernels' own data.
        parts: of the tail, by what they hold, as the recording allocator names it.
    """

    smallest: int
    total: int
    head: int
    tail: int
    parts: dict[str, int]


def smallest_arena(fits: Callable[[int], bool], enough: int) -> int:
    """The smallest arena that fits, to ``ALIGNMENT`` bytes, by bisection.

    Args:
        fits: whether a model can be allocated and run in so many bytes.
        enough: a size that fits.
    """
    low, high = 0, -(-enough // ALIGNMENT)
    while low < high:
        middle = (low + high) // 2
        if fits(middle * ALIGNMENT):
            high = middle
        else:
            low = middle + 1
    return high * ALIGNMENT


def measure_arena(model: Path) -> ArenaUsage:
    """Measures the arena of a ``.tflite`` file, in a process of its own.

    Raises:
        MissingDependencyError: the ``tflite-micro`` package is not installed.
        ModelError: TFLite-Micro refuses the model.
    """
    runtime()
    result = subprocess.run(
        [sys.executable, "-m", "tinyedge.tflm.trials", str(model)],
        capture_output=True,
        text=True,
        errors="replace",
        timeout=_TIMEOUT_S,
        check=False,
    )
    if result.returncode:
        reason = result.stderr.strip().splitlines()[-1:] or ["no message"]
        raise ModelError(f"{model}: TFLite-Micro refuses the model: {reason[0]}")
    return read_usage(int(json.loads(result.stdout)["smallest"]), result.stderr)


def read_usage(smallest: int, allocations: str) -> ArenaUsage:
    """Reads what the recording allocator prints.

    Raises:
        ModelError: it is not what is expected of this version.
    """
    sums = dict(re.findall(r"Arena allocation (total|head|tail) (\d+) bytes", allocations))
    parts = re.findall(r"'([^']+)' used (\d+) bytes", allocations)
    if sums.keys() != {"total", "head", "tail"}:
        raise ModelError("TFLite-Micro's allocator prints something else than its arena's usage")
    return ArenaUsage(
        smallest=smallest,
        total=int(sums["total"]),
        head=int(sums["head"]),
        tail=int(sums["tail"]),
        parts={name: int(used) for name, used in parts},
    )
