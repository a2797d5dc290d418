"""Trials of arena sizes: a program of its own, as too small an arena can kill its process.

Prints the smallest size that fits as JSON, and on stderr the recording allocator's breakdown.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

import numpy as np

from tinyedge.tflm.arena import smallest_arena
from tinyedge.tflm.interpreter import runtime

_ENOUGH_AT_MOST = 2**28


def _runs(model: bytes, size: int) -> bool:
    """Whether allocation and an inference succeed, in a forked child that says nothing."""
    child = os.fork()
    if child == 0:
        os.dup2(os.open(os.devnull, os.O_WRONLY), 2)
        status = 1
        try:
            interpreter = runtime().Interpreter.from_bytes(model, arena_size=size)
            details = interpreter.get_input_details(0)
            interpreter.set_input(np.zeros(details["shape"], details["dtype"]), 0)
            interpreter.invoke()
            status = 0
        finally:
            os._exit(status)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


def main() -> int:
    """Measures the file that is the only argument."""
    model = Path(sys.argv[1]).read_bytes()
    enough = 2**16
    while not _runs(model, enough):
        if enough >= _ENOUGH_AT_MOST:
            print("it does not run in any arena", file=sys.stderr)
            return 1
        enough *= 4
    smallest = smallest_arena(lambda size: _runs(model, size), enough)
    runtime().Interpreter.from_bytes(model, arena_size=enough).print_allocations()
    print(json.dumps({"smallest": smallest}))
    return 0


if __name__ == "__main__":
    sys.exit(main())
