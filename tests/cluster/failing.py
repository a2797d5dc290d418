"""A task that fails."""

from __future__ import annotations

from dataclasses import dataclass

from tinyedge.cluster.bench import Bench
from tinyedge.cluster.jobs import Task
from tinyedge.errors import ClusterError


@dataclass(frozen=True)
class FailingTask(Task):
    """Fails."""

    def compute(self, bench: Bench) -> bytes:  # noqa: ARG002
        raise ClusterError("on purpose")
