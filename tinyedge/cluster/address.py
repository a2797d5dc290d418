"""The cluster as a user names it."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from urllib.parse import urlsplit

from tinyedge.errors import UsageError

_LOCAL = re.compile(r"local(?::([1-9][0-9]{0,3}))?")
_SCHEMES = ("tcp", "tls")


@dataclass(frozen=True)
class ClusterAddress:
    """A cluster of this machine, or a scheduler.

    Attributes:
        workers: processes to start on this machine; None where there is a scheduler.
        scheduler: ``tcp://HOST:PORT`` or ``tls://HOST:PORT``; None of a cluster of this machine.
    """

    workers: int | None = None
    scheduler: str | None = None

    @classmethod
    def parse(cls, text: str) -> ClusterAddress:
        """Reads ``local``, ``local:N``, ``tcp://HOST:PORT`` or ``tls://HOST:PORT``.

        ``local`` stands for a worker a processor.

        Raises:
            UsageError: it is none of them.
        """
        if found := _LOCAL.fullmatch(text):
            return cls(workers=int(found[1] or os.cpu_count() or 1))
        try:
            parts = urlsplit(text)
            if parts.scheme in _SCHEMES and parts.hostname and parts.port and not parts.path:
                return cls(scheduler=text)
        except ValueError:
            pass
        raise UsageError(
            f"--cluster is {text!r}, allowed: local, local:N, tcp://HOST:PORT, tls://HOST:PORT",
            hint="local:2 starts two workers on this machine; docs/cluster.md has the others",
        )

    def __str__(self) -> str:
        return self.scheduler or f"local:{self.workers}"
