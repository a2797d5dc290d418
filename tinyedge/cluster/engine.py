"""Chunks on Dask's workers: the one place that imports ``distributed``."""

from __future__ import annotations

import contextlib
import logging
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import Any, Self
from uuid import uuid4

from tinyedge.cluster.address import ClusterAddress
from tinyedge.cluster.bench import MaterialMissingError, bench_in, materials_folder
from tinyedge.cluster.boards import BoardsGoneError, pool
from tinyedge.cluster.jobs import Done, Job, this_worker, work
from tinyedge.cluster.material import Material
from tinyedge.cluster.store import ChunkStore
from tinyedge.cluster.versions import check_versions, versions
from tinyedge.distribution import install_hint
from tinyedge.errors import (
    ClusterError,
    DeviceError,
    LinkError,
    MissingDependencyError,
    OtherModelError,
)
from tinyedge.progress import Listener

try:
    import distributed
    from distributed.client import Client, Future
    from distributed.diagnostics.plugin import WorkerPlugin
    from distributed.scheduler import KilledWorker
    from distributed.security import Security
except ImportError as error:
    raise MissingDependencyError(
        f"a cluster needs Dask, and '{error.name}' is not installed",
        hint=install_hint("cluster"),
    ) from error

_PATIENCE_S = 60.0
"""How long a scheduler may be away, or have no worker."""
_PATIENCE_WITH_BOARDS_S = 10.0
"""How long there may be no board after the last has failed: a worker may just be starting again."""
_LOOK_S = 2.0
"""Between two looks at who is there."""
_MOST_FAILURES = 20
"""Failures of a chunk by workers that died over it."""
_MOST_LINK_FAILURES = 3
"""Failures of a chunk by devices that failed."""


class _Delivery(WorkerPlugin):  # type: ignore[misc]
    """Brings a material to every worker, to those that come later too."""

    def __init__(self, material: Material, *, again: bool = False) -> None:
        self.name = _plugin_name(material.name)
        self.idempotent = not again
        self._material = material

    def setup(self, worker: Any) -> None:
        """Called by Dask on each worker."""
        self._material.put_into(materials_folder(Path(worker.local_directory)))


class _LostError(Exception):
    """The scheduler has gone, and with it what it knew."""


@dataclass
class Tally:
    """The work of each worker.

    Attributes:
        chunks: computed by worker.
        samples: in them.
        seconds: that they took.
        versions: of the worker.
    """

    chunks: int = 0
    samples: int = 0
    seconds: float = 0.0
    versions: Mapping[str, str] = field(default_factory=dict)


class Engine(AbstractContextManager["Engine"]):
    """A cluster that computes chunks.

    Args:
        address: of the cluster; that of this machine is started, and stopped in the end.
        store: of finished chunks: what is there is not computed again.
        listener: told how far it is.

    Attributes:
        tallies: what each worker has computed.
        kept: chunks that were there.
        failures: chunks that had to be computed again.

    Raises:
        ClusterError: nobody answers, there is no worker, or one of other versions.
    """

    def __init__(self, address: ClusterAddress, store: ChunkStore, listener: Listener) -> None:
        self.address = address
        self.tallies: dict[str, Tally] = {}
        self.kept = 0
        self.failures = 0
        self._store = store
        self._listener = listener
        self._materials: dict[str, Material] = {}
        self._boards: set[str] = set()
        self._said: set[str] = set()
        self._topic = f"tinyedge-{uuid4().hex}"  # of events, of which other commands have others
        self._told: SimpleQueue[str] = SimpleQueue()  # by workers, in Dask's thread
        self._gone: BoardsGoneError | None = None
        self._without: set[str] = set()  # addresses of workers whose boards have failed
        self._open = ExitStack()
        self._client: Any = None
        self._connect_to = address.scheduler
        self._security: Any = None
        self._start = time.monotonic()
        self._workers: set[str] = set()

    def __enter__(self) -> Self:
        _silence()
        with ExitStack() as failed:
            failed.push(self._open)
            if self.address.workers:
                with self._listener.step(f"starting {self.address.workers} workers"):
                    self._start_workers(self.address.workers)
            self._connected()
            if link := _dashboard(self._client):
                self._listener.remark(f"Dask's dashboard: {link}")
            failed.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._leave()
        self._disconnect()
        self._open.close()

    def provide(self, material: Material) -> None:
        """Brings files to all workers, to those that come later too."""
        if material.name not in self._materials:
            self._materials[material.name] = material
            with _unless_lost():  # then they come with the next connection
                self._client.register_plugin(_Delivery(material))

    def use_boards(self, name: str) -> None:
        """Has workers hand out all boards of a kind, those too that have failed others."""
        with _unless_lost():
            self._client.run(_try_boards_again)
        self._boards.add(name)
        self._without.clear()
        self._gone = None

    def compute(
        self, jobs: Sequence[Job], label: str, progress: Callable[[int], None] | None = None
    ) -> Iterator[bytes]:
        """Computes chunks; gives their results in the order of the jobs, as they come.

        Args:
            jobs: chunks; those of the same name are computed once.
            label: of the progress bar, if ``progress`` is not given.
            progress: called with the number of samples that are finished.

        Raises:
            ClusterError: the cluster stays away, or a chunk kills its workers.
            TinyEdgeError: what computing a chunk raises.
        """
        found: dict[str, bytes] = {}
        left = Counter(job.name for job in jobs)
        missing: dict[str, Job] = {}
        total = sum(job.samples for job in jobs)
        with ExitStack() as stack:
            advance = progress or stack.enter_context(
                self._listener.progress(f"{label} on {self._count()}", total)
            )
            for job in jobs:
                if job.name in found or job.name in missing:
                    continue
                if (kept := self._store.get(job.name)) is None:
                    missing[job.name] = job
                    continue
                found[job.name] = kept
                self.kept += 1
                advance(job.samples * left[job.name])
            counts = {name: job.samples * left[name] for name, job in missing.items()}
            arrivals = self._arrivals(missing)
            for job in jobs:
                while job.name not in found:
                    name, result = next(arrivals)
                    found[name] = result
                    advance(counts[name])
                yield found[job.name]
                left[job.name] -= 1
                if not left[job.name]:
                    del found[job.name]

    def record(self) -> dict[str, Any]:
        """A record's account of workers and their time: results do not depend on it."""
        return {
            "address": str(self.address),
            "seconds": round(time.monotonic() - self._start, 3),
            "chunks_computed": sum(each.chunks for each in self.tallies.values()),
            "chunks_kept": self.kept,
            "failures": self.failures,
            "workers": [
                {
                    "worker": name,
                    "chunks": each.chunks,
                    "samples": each.samples,
                    "seconds": round(each.seconds, 3),
                    "versions": dict(each.versions),
                }
                for name, each in sorted(self.tallies.items())
            ],
        }

    def tell(self) -> None:
        """Tells the listener what it came to."""
        record = self.record()
        samples = sum(each.samples for each in self.tallies.values())
        seconds = max(record["seconds"], 0.001)
        self._listener.remark(
            f"{samples:,} samples in {record['chunks_computed']:,} chunks on "
            f"{len(self.tallies)} workers in {seconds:.1f} s ({samples / seconds:,.0f} a second); "
            f"{self.kept:,} chunks were there already; {self.failures:,} had to be repeated"
        )

    def _count(self) -> str:
        return f"{len(self._workers)} worker{'s' * (len(self._workers) != 1)}"

    def _start_workers(self, count: int) -> None:
        self._security = Security.temporary()  # else whoever is on this machine could use it
        cluster = distributed.LocalCluster(
            n_workers=count,
            threads_per_worker=1,
            processes=True,
            dashboard_address="127.0.0.1:0",  # None is port 8787, which another may have
            memory_limit=0,
            silence_logs=logging.CRITICAL,
            security=self._security,
            protocol="tls://",
        )
        self._open.enter_context(cluster)
        self._connect_to = cluster.scheduler_address

    def _connected(self) -> Any:
        """The client, connected, all workers of our versions, with all materials."""
        if self._client is not None and self._client.status == "running":
            return self._client
        deadline = time.monotonic() + _PATIENCE_S
        while True:
            self._disconnect()
            left = max(deadline - time.monotonic(), 1.0)
            try:
                self._client = Client(self._connect_to, timeout=left, security=self._security)
                self._client.wait_for_workers(1, timeout=left)
                self._check_workers()
                for material in self._materials.values():
                    self._client.register_plugin(_Delivery(material))
                self._workers = set(self._client.nthreads())
                self._client.subscribe_topic(self._topic, lambda event: self._told.put(event[1]))
            except (OSError, TimeoutError, ValueError) as error:
                if time.monotonic() > deadline:
                    raise self._away(error) from error
                time.sleep(0.2)
            else:
                return self._client

    def _away(self, error: Exception) -> ClusterError:
        if self._client is not None and isinstance(error, TimeoutError):
            return ClusterError(
                f"{self._connect_to}: no worker in {_PATIENCE_S:.0f} s",
                hint=f"dask worker {self._connect_to} --nthreads 1",
            )
        return ClusterError(f"{self._connect_to}: cannot be reached: {error}")

    def _check_workers(self) -> None:
        """Refuses workers that would compute something else, before any work."""
        try:
            told: Mapping[str, Mapping[str, str]] = self._client.run(versions)
        except (ImportError, AttributeError) as error:
            raise ClusterError(
                f"{self._connect_to}: a worker lacks tinyedge, or has another version: {error}",
                hint="install the same on all machines, and start the workers again",
            ) from error
        for worker, theirs in told.items():
            check_versions(worker, versions(), theirs)

    def _leave(self) -> None:
        """Leaves nothing of this command's at a cluster that goes on without it."""
        if self.address.workers or self._client is None or self._client.status != "running":
            return
        with _unless_lost():
            if self._boards:
                self._client.run(_let_go_of_boards)
            for name in self._materials:
                with contextlib.suppress(ValueError):  # another command has done so
                    self._client.unregister_worker_plugin(_plugin_name(name))

    def _disconnect(self) -> None:
        """Closes the client; that a connection is broken already is no fault of closing it."""
        client, self._client = self._client, None
        if client is not None:
            with _unless_lost():
                client.close(timeout=1)

    def _arrivals(self, jobs: dict[str, Job]) -> Iterator[tuple[str, bytes]]:
        """Computes all jobs, through deaths of workers and scheduler; gives results as they come.

        What has come leaves ``jobs``.
        """
        failed: Counter[str] = Counter()
        while jobs:
            try:
                yield from self._round(jobs, failed)
            except _LostError:
                self._listener.remark(f"{self._connect_to}: the scheduler is gone; looking for it")
                self._disconnect()

    def _round(self, jobs: dict[str, Job], failed: Counter[str]) -> Iterator[tuple[str, bytes]]:
        """Gives the results of the jobs that one scheduler computes.

        Raises:
            _LostError: it is gone.
        """
        client = self._connected()
        arrived: SimpleQueue[Future] = SimpleQueue()
        futures: dict[str, Future] = {}
        names: dict[str, str] = {}
        only_at: dict[str, set[str]] = {}  # workers, of jobs that are not for all

        def submit(job: Job) -> None:
            attempt = failed[job.name]
            if job.resources and self._without:
                only_at[job.name] = self._look(client, job.resources)
                if not only_at[job.name]:
                    return  # until somebody offers it
            with _noticing_loss():
                futures[job.name] = future = client.submit(
                    work_on_worker,
                    job,
                    versions(attacks=job.attacks),
                    self._topic,
                    key=f"tinyedge-{job.name}-{attempt}" if attempt else f"tinyedge-{job.name}",
                    pure=False,
                    resources=dict(job.resources) or None,
                    workers=sorted(only_at.get(job.name, ())) or None,
                )
                names[future.key] = job.name
                future.add_done_callback(arrived.put)

        for job in list(jobs.values()):
            submit(job)
        alone_since = time.monotonic()
        while jobs:
            while not self._told.empty():
                self._say(self._told.get())
            try:
                future = arrived.get(timeout=_LOOK_S)
            except Empty:
                needed = next(iter(jobs.values())).resources
                if there := self._look(client, needed):
                    alone_since = time.monotonic()
                    for name in [name for name, at in only_at.items() if not at & there]:
                        failed[name] += 1
                        submit(jobs[name])
                    continue
                alone = time.monotonic() - alone_since
                if self._gone and alone > _PATIENCE_WITH_BOARDS_S:
                    raise self._gone from None
                if alone > _PATIENCE_S:
                    what = f" with a board {', '.join(needed)}" if needed else ""
                    raise ClusterError(
                        f"{self._connect_to}: no worker{what} in {_PATIENCE_S:.0f} s",
                        hint="start workers, and repeat the command: finished chunks are kept",
                    ) from None
                continue
            alone_since = time.monotonic()
            name = names[future.key]
            if name not in jobs or futures.get(name) is not future:
                continue
            done = self._result(future, jobs[name], failed)
            if done is None:
                submit(jobs[name])
                continue
            self._count_in(done, jobs.pop(name), name)
            only_at.pop(name, None)
            del futures[name]
            yield name, done.result

    def _result(self, future: Future, job: Job, failed: Counter[str]) -> Done | None:
        """A worker's result; None where the job is to be tried again."""
        if future.status in ("cancelled", "lost"):
            raise _LostError
        with _noticing_loss():
            fault: BaseException | None = future.exception(timeout=_PATIENCE_S)
            if fault is None:
                done: Done = future.result(timeout=_PATIENCE_S)
                return done
        failed[job.name] += 1
        if failed[job.name] > _most_failures(fault):
            raise _told(fault, failed[job.name]) from fault
        self.failures += 1
        if isinstance(fault, MaterialMissingError):
            with _noticing_loss():
                for material in self._materials.values():
                    self._client.register_plugin(_Delivery(material, again=True))
        elif not isinstance(fault, KilledWorker):
            self._say(str(fault))
        if isinstance(fault, BoardsGoneError):
            self._gone = fault
            self._without.add(fault.worker)
        return None

    def _count_in(self, done: Done, job: Job, name: str) -> None:
        self._store.put(name, done.result)
        tally = self.tallies.setdefault(done.worker, Tally(versions=done.versions))
        tally.chunks += 1
        tally.samples += job.samples
        tally.seconds += done.seconds
        for remark in done.remarks:
            self._say(_remark(done.worker, remark))

    def _say(self, remark: str) -> None:
        """Tells the listener, of many chunks with the same fate once."""
        if remark not in self._said:
            self._said.add(remark)
            self._listener.remark(remark)

    def _look(self, client: Any, needed: Mapping[str, float]) -> set[str]:
        """Workers that offer some resources; tells of those that have gone."""
        if client.status != "running":
            raise _LostError
        with _noticing_loss():
            # Not scheduler_info(), whose answer Dask replaces by a shorter one now and then.
            there = client.sync(client.scheduler.identity, n_workers=-1)["workers"]
        now = set(there)
        if gone := self._workers - now:
            self.failures += len(gone)
            self._listener.remark(
                f"{len(gone)} of {len(self._workers)} workers gone: what they had begun is "
                "computed again"
            )
        self._workers = now
        return {
            worker
            for worker, each in there.items()
            if all(each["resources"].get(name, 0) >= count for name, count in needed.items())
            and not (needed and worker in self._without)
        }


def work_on_worker(job: Job, expected: Mapping[str, str], topic: str) -> Done:
    """Computes a job in the process of a worker, see ``work``; remarks are events of ``topic``."""
    worker = distributed.get_worker()

    def tell(remark: str) -> None:
        worker.log_event(topic, _remark(this_worker(), remark))

    try:
        return work(job, expected, worker.local_directory, tell)
    except BoardsGoneError as error:
        error.worker = worker.address
        raise


def _remark(worker: str, text: str) -> str:
    return f"{worker}: {text}"


def _try_boards_again() -> None:
    """Runs on a worker."""
    pool().try_again()


def _let_go_of_boards(dask_worker: Any) -> None:
    """Runs on a worker: others may open the ports of boards that no command uses."""
    with pool().all_free() as boards:
        for board in boards:
            bench_in(Path(dask_worker.local_directory), board.port).close()


def _plugin_name(material: str) -> str:
    return f"tinyedge-{material}"


def _most_failures(fault: BaseException) -> int:
    """How often a chunk may fail in this way before the command does."""
    if isinstance(fault, KilledWorker | BoardsGoneError | MaterialMissingError):
        return _MOST_FAILURES
    link = isinstance(fault, DeviceError | LinkError) and not isinstance(fault, OtherModelError)
    return _MOST_LINK_FAILURES if link else 0


def _told(fault: BaseException, times: int) -> BaseException:
    """The error of a worker that ends the command."""
    if isinstance(fault, KilledWorker):
        return ClusterError(
            f"{times} workers died over the same chunk", hint="is there enough memory for a worker?"
        )
    if isinstance(fault, OSError):  # of its disk, its programs: not of a file of the user's
        return ClusterError(
            f"a worker fails: {fault}",
            hint="mend that, and repeat the command: finished chunks are kept",
        )
    return fault


@contextlib.contextmanager
def _unless_lost() -> Iterator[None]:
    """For what a lost connection makes needless."""
    with contextlib.suppress(_LostError), _noticing_loss():
        yield


@contextlib.contextmanager
def _noticing_loss() -> Iterator[None]:
    """Has whatever Dask says of a connection that broke be one error."""
    from concurrent.futures import CancelledError

    try:
        yield
    except (OSError, CancelledError, TimeoutError) as error:
        raise _LostError from error
    except RuntimeError as error:
        if "closed" in str(error) or "status" in str(error):
            raise _LostError from error
        raise


def _silence() -> None:
    """Keeps Dask's own account of broken connections off stderr: ours says what matters."""
    for name in [
        name for name in logging.root.manager.loggerDict if name.startswith("distributed")
    ]:
        logging.getLogger(name).setLevel(logging.CRITICAL + 1)


def _dashboard(client: Any) -> str | None:
    """The address of Dask's pages, which take bokeh."""
    link: str | None = client.dashboard_link
    return link if find_spec("bokeh") else None
