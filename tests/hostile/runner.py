"""Runs command lines one after the other, each in a process of its own under limits.

Python and tinyedge are loaded once, and every process is a copy of that one. Reads a list of
``{"argv": …, "folder": …}`` from stdin, and writes a line a command: exit code (negative: the
signal that ended it), KiB of memory at most, seconds of CPU, what it printed.
"""

from __future__ import annotations

import json
import os
import resource
import sys
from pathlib import Path
from typing import Any

import tinyedge.cli.tables
import tinyedge.evaluation.session
import tinyedge.evaluation.suites
import tinyedge.exporters.converted
import tinyedge.importers
import tinyedge.link.journal
import tinyedge.records.run
from tests.hostile.files import QUERIES
from tinyedge.attacks.journal import QueryJournal
from tinyedge.cli.main import main
from tinyedge.cli.output import Output
from tinyedge.errors import TinyEdgeError

CPU_S = 30
ADDRESS_SPACE = 6 * 2**30
"""Bytes, loaded libraries included; what a file takes is measured against a harmless one's."""

assert tinyedge.exporters.converted  # what most commands load, for all of them at once


def _read_queries(path: str, model: str, count: str) -> int:
    """The first step of an attack with a journal that it is to resume."""
    try:
        with QueryJournal.resume(Path(path), model) as journal:
            journal.check_logits(int(count))
    except TinyEdgeError as error:
        return Output(json=False, command=["tinyedge", "attack"]).failed(error)
    return 0


def run(argv: list[str], folder: Path) -> dict[str, Any]:
    """Runs a command line in a folder."""
    printed = folder / "printed"
    if (child := os.fork()) == 0:
        code = 70
        try:
            os.chdir(folder)
            handle = os.open(printed, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
            nothing = os.open(os.devnull, os.O_RDONLY)
            os.dup2(nothing, 0)
            os.dup2(handle, 1)
            os.dup2(handle, 2)
            resource.setrlimit(resource.RLIMIT_CPU, (CPU_S, CPU_S))
            resource.setrlimit(resource.RLIMIT_AS, (ADDRESS_SPACE, ADDRESS_SPACE))
            code = _read_queries(*argv[1:]) if argv[0] == QUERIES else main(argv)
            sys.stdout.flush()
            sys.stderr.flush()
        finally:
            os._exit(code)
    _, status, usage = os.wait4(child, 0)
    return {
        "code": os.waitstatus_to_exitcode(status),
        "memory": usage.ru_maxrss,
        "cpu": usage.ru_utime + usage.ru_stime,
        "printed": printed.read_text(encoding="utf-8", errors="surrogateescape"),
    }


if __name__ == "__main__":
    for case in json.load(sys.stdin):
        sys.stdout.write(json.dumps(run(case["argv"], Path(case["folder"]))) + "\n")
        sys.stdout.flush()
