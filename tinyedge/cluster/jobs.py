"""Messages to workers and back: jobs, their names, and the worker of each."""

from __future__ import annotations

import hashlib
import os
import socket
import threading
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tinyedge.cluster.bench import Bench, bench_in
from tinyedge.cluster.versions import check_versions, versions
from tinyedge.files import json_text


class Task(ABC):
    """Something that a worker computes; it travels there with all that it holds."""

    @abstractmethod
    def compute(self, bench: Bench) -> bytes:
        """Computes the chunk.

        Args:
            bench: the worker's material and open places.
        """


@dataclass(frozen=True)
class Job:
    """A chunk of work.

    Attributes:
        name: of the chunk: a digest of all that its result depends on.
        samples: how many it has.
        task: that computes it.
        attacks: whether floats are summed up, see ``versions``.
        resources: of the worker that computes it, as Dask has them.
    """

    name: str
    samples: int
    task: Task
    attacks: bool = False
    resources: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Done:
    """A chunk that a worker has computed.

    Attributes:
        result: of the task.
        worker: process and machine.
        seconds: that it took.
        versions: of the worker.
        remarks: what the user is to be told, in a line each.
    """

    result: bytes
    worker: str
    seconds: float
    versions: Mapping[str, str]
    remarks: tuple[str, ...] = ()


def chunk_name(kind: str, identity: Mapping[str, Any]) -> str:
    """The name of a chunk.

    Args:
        kind: of its task.
        identity: all that its result depends on, as JSON takes it.
    """
    text = json_text({"kind": kind, **identity})
    return hashlib.sha256(text.encode()).hexdigest()


def this_worker() -> str:
    """This process, in words that tell it from others in a table."""
    return f"{socket.gethostname()}, process {os.getpid()}"


def work(job: Job, expected: Mapping[str, str], folder: str, tell: Callable[[str], None]) -> Done:
    """Computes a job on a worker.

    Args:
        job: what is to be computed.
        expected: versions of the program that asks.
        folder: of the worker, that is its own.
        tell: told what the user is to know before the job is done, in a line each.

    Raises:
        ClusterError: the worker has other versions.
        TinyEdgeError: see the task.
    """
    ours = versions(attacks=job.attacks)
    check_versions(this_worker(), expected, ours)
    start = time.monotonic()
    bench = bench_in(Path(folder), threading.get_ident())
    bench.remarks.clear()
    bench.tell = tell
    try:
        result = job.task.compute(bench)
    except BaseException:
        bench.close()  # whatever is open may be what has failed
        raise
    seconds = time.monotonic() - start
    return Done(result, this_worker(), seconds, ours, tuple(bench.remarks))
