"""A task that fails."""

from __future__ import annotations

import errno
import os
from dataclasses import dataclass

from tinyedge.cluster.bench import Bench
from tinyedge.cluster.jobs import Task
from tinyedge.errors import ClusterError


@dataclass(frozen=True)
class FailingTask(Task):
    """Fails.

    Attributes:
        full: because the worker's disk is full.
    """

    full: bool = False

    def compute(self, bench: Bench) -> bytes:
        if self.full:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(bench.folder))
        raise ClusterError("on purpose")


@dataclass(frozen=True)
class ReadingTask(Task):
    """Gives what a material says.

    Attributes:
        material: its name.
    """

    material: str

    def compute(self, bench: Bench) -> bytes:
        return (bench.material(self.material) / "text").read_bytes()
