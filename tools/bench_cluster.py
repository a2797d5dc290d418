#!/usr/bin/env python3
"""Measures what a cluster of this machine costs and gains: run it on idle cores.

    python tools/bench_cluster.py out --data samples.npz --samples 10000

Runs the same samples on numpy without a cluster, with ``local:1`` and ``local:2``, each with one
thread a process and no kept chunk, and prints medians of whole commands, of the time in which a
cluster computes, and of its start.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import time
from pathlib import Path
from tempfile import TemporaryDirectory

PLACES = (None, "local:1", "local:2")
_THREADS = ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS")


def measured(command: list[str], cluster: str | None) -> tuple[float, float]:
    """Seconds that a command takes, and those in which a cluster's workers compute.

    Args:
        command: that prints a record.
        cluster: that it computes on; None for its own process.
    """
    with TemporaryDirectory() as chunks:
        on = ["--cluster", cluster, "--chunks", chunks] if cluster else []
        start = time.perf_counter()
        ended = subprocess.run(
            [*command, *on],
            check=True,
            env=os.environ | dict.fromkeys(_THREADS, "1"),
            stdout=subprocess.PIPE,
        )
        took = time.perf_counter() - start
    workers = json.loads(ended.stdout).get("cluster", {}).get("workers", ())
    return took, max((worker["seconds"] for worker in workers), default=took)


def main() -> None:
    """Measures, and prints a table; see the module."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("model", type=Path, help="what 'tinyedge convert' wrote")
    parser.add_argument("--data", type=Path, required=True, help="labelled samples")
    parser.add_argument("--samples", type=int, default=10_000, help="the first so many")
    parser.add_argument("--repeat", type=int, default=3, help="of each, of which the median counts")
    given = parser.parse_args()
    command = [sys.executable, "-P", "-m", "tinyedge", "run", str(given.model), "--on", "numpy"]
    command += ["--data", str(given.data), "--samples", str(given.samples), "--json", "--quiet"]
    whole: dict[str | None, float] = {}
    for cluster in PLACES:
        found = [measured(command, cluster) for _ in range(given.repeat)]
        took, computing = (statistics.median(each) for each in zip(*found, strict=True))
        whole[cluster] = took
        print(f"{cluster or 'none':8} {took:8.2f} s, busiest worker {computing:8.2f} s")
    overhead = whole["local:1"] / whole[None] - 1
    print(f"overhead of local:1: {100 * overhead:.1f} %")
    print(f"two workers against one: {whole['local:1'] / whole['local:2']:.2f}x")


if __name__ == "__main__":
    main()
