"""``--cluster`` and ``--chunks``: where work is computed that is cut into chunks."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from tinyedge.cluster.address import ClusterAddress
from tinyedge.errors import UsageError

if TYPE_CHECKING:
    from tinyedge.cluster.engine import Engine
    from tinyedge.progress import Listener


def cluster_address(
    cluster: str | None, chunks: Path | None, without: dict[str, object]
) -> ClusterAddress | None:
    """The cluster that was named.

    Args:
        cluster: as ``ClusterAddress.parse`` takes it.
        chunks: folder of finished chunks.
        without: what does not go with a cluster, by option.

    Raises:
        UsageError: it is none, or does not go with other options.
    """
    if cluster is None:
        if chunks:
            raise UsageError("--chunks goes with --cluster")
        return None
    if given := [option for option, value in without.items() if value]:
        raise UsageError(
            f"{given[0]} does not go with --cluster",
            hint="finished chunks are kept: the same command goes on where it was interrupted",
        )
    return ClusterAddress.parse(cluster)


@contextlib.contextmanager
def opened_cluster(
    address: ClusterAddress, chunks: Path | None, listener: Listener
) -> Iterator[Engine]:
    """Starts or joins a cluster, and tells what it came to in the end.

    Args:
        address: of the cluster.
        chunks: folder of finished chunks; one of this user's cache by default.
        listener: told how far it is.

    Raises:
        MissingDependencyError: Dask is not installed.
        ClusterError: nobody answers, there is no worker, or one of other versions.
    """
    from tinyedge.cluster.engine import Engine
    from tinyedge.cluster.store import ChunkStore

    with Engine(address, ChunkStore(chunks), listener) as engine:
        yield engine
        engine.tell()
