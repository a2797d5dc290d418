"""A scheduler and workers, each a process in a folder of its own, to be killed."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from tinyedge.cluster.bench import Bench
from tinyedge.cluster.jobs import Job, Task, chunk_name
from tinyedge.progress import NOBODY

ROOT = Path(__file__).parents[2]


def free_port() -> int:
    """A TCP port of this machine that nobody listens at."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        number: int = free.getsockname()[1]
        return number


class Processes:
    """A cluster, of which parts may be killed.

    Args:
        folder: that the processes' folders lie in.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._port = free_port()
        self.address = f"tcp://127.0.0.1:{self._port}"
        self._scheduler: subprocess.Popen[bytes] | None = None
        self._workers: list[subprocess.Popen[bytes]] = []
        self._started = 0
        self.start_scheduler()

    def start_scheduler(self) -> None:
        """Starts the scheduler; one that runs is killed, and its workers with it."""
        self.stop()
        options = ["--host", "127.0.0.1", "--port", str(self._port), "--no-dashboard"]
        self._scheduler = self._start("dask_scheduler", *options)

    def start_workers(self, count: int) -> None:
        """Starts workers until there are so many."""
        self._workers = [each for each in self._workers if each.poll() is None]
        while len(self._workers) < count:
            self._workers.append(self._worker(1))

    def start_worker_with(self, board: str, ports: list[str], **environment: str) -> None:
        """Starts a worker that declares boards."""
        boards = {"TINYEDGE_BOARDS": ",".join(f"{board}={port}" for port in ports)}
        options = ("--resources", f"{board}={len(ports)}")
        self._workers.append(self._worker(len(ports), *options, **(boards | environment)))

    def _worker(self, threads: int, *options: str, **environment: str) -> subprocess.Popen[bytes]:
        where = [self.address, "--host", "127.0.0.1", "--no-dashboard", "--nthreads", str(threads)]
        return self._start("dask_worker", *where, *options, **environment)

    def kill_worker(self, which: int) -> None:
        """Kills the process of a worker, which its nanny then starts again."""
        nanny = self._workers[which % len(self._workers)].pid
        for child in _children(nanny):
            os.kill(child, signal.SIGKILL)

    def stop(self) -> None:
        """Ends all processes."""
        for each in [*self._workers, self._scheduler]:
            if each and each.poll() is None:
                children = _children(each.pid)
                each.kill()
                each.wait()
                for child in children:
                    with _gone():
                        os.kill(child, signal.SIGKILL)
        self._workers.clear()

    def _start(self, module: str, *options: str, **more: str) -> subprocess.Popen[bytes]:
        self._started += 1
        folder = self._folder / f"{module}-{self._started}"
        folder.mkdir()
        command = [sys.executable, "-m", f"distributed.cli.{module}", *options]
        environment = os.environ | {"PYTHONPATH": str(ROOT)} | more
        with (folder / "log").open("wb") as log:
            return subprocess.Popen(
                command, cwd=folder, env=environment, stdout=log, stderr=subprocess.STDOUT
            )


class _gone:  # noqa: N801 - a context manager
    def __enter__(self) -> None: ...

    def __exit__(self, kind: object, *_: object) -> bool:
        return kind is ProcessLookupError


def _children(pid: int) -> list[int]:
    """The workers' own processes below a nanny; not multiprocessing's helper."""
    try:
        text = Path(f"/proc/{pid}/task/{pid}/children").read_text(encoding="ascii")
    except FileNotFoundError:
        return []
    found = []
    for child in map(int, text.split()):
        with _gone():
            if b"spawn_main" in Path(f"/proc/{child}/cmdline").read_bytes():
                found.append(child)
    return found


@dataclass(frozen=True)
class SlowTask(Task):
    """Takes its time.

    Attributes:
        number: that the result depends on.
        seconds: it takes.
    """

    number: int
    seconds: float = 0.05

    def compute(self, bench: Bench) -> bytes:  # noqa: ARG002
        time.sleep(self.seconds)
        return np.random.default_rng(self.number).bytes(100)


@dataclass(frozen=True)
class WaitingTask(Task):
    """Tells that it waits for a file, and waits.

    Attributes:
        file: that ends it.
    """

    file: Path

    def compute(self, bench: Bench) -> bytes:
        for _ in range(600):
            bench.remark("waits for a file")
            if self.file.exists():
                return b"found"
            time.sleep(0.05)
        return b"not found"


def slow_jobs(count: int, seed: int = 0, seconds: float = 0.05) -> list[Job]:
    """Chunks of one sample each."""
    numbers = [1000 * seed + at for at in range(count)]
    return [
        Job(chunk_name("slow", {"number": number}), 1, SlowTask(number, seconds))
        for number in numbers
    ]


def expected(jobs: list[Job]) -> list[bytes]:
    """The results of the jobs."""
    numbers = (job.task.number for job in jobs if isinstance(job.task, SlowTask))
    return [np.random.default_rng(number).bytes(100) for number in numbers]


class Counting:
    """A listener that counts samples, and does something at some of them.

    Args:
        at: what to do, by the number of finished samples.
    """

    def __init__(self, at: dict[int, Callable[[], None]]) -> None:
        self.at = at
        self.done = 0

    def __call__(self, count: int) -> None:
        """Called by the engine."""
        for _ in range(count):
            self.done += 1
            if action := self.at.pop(self.done, None):
                action()


class Saying:
    """A listener that keeps remarks.

    Args:
        said: gets them.
    """

    def __init__(self, said: list[str]) -> None:
        self.said = said
        self.step = NOBODY.step
        self.progress = NOBODY.progress

    def remark(self, *messages: str) -> None:
        """Called by the engine."""
        self.said += messages
