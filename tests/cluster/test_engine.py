"""The same results whatever the number of workers, their order, deaths and restarts."""

from __future__ import annotations

import dataclasses
import json
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import tinyedge
from tests.cli.commands import failure, run_json
from tests.cluster.processes import (
    ROOT,
    Counting,
    Processes,
    Saying,
    WaitingTask,
    expected,
    slow_jobs,
)
from tests.conftest import require_packages
from tests.draws import each_seed
from tests.graph.random_graphs import RandomGraph
from tinyedge.cluster import ClusterAddress
from tinyedge.cluster.bench import materials_folder
from tinyedge.cluster.jobs import Job, chunk_name
from tinyedge.cluster.material import Material
from tinyedge.cluster.store import ChunkStore
from tinyedge.cluster.versions import versions
from tinyedge.errors import ClusterError
from tinyedge.exporters.converted import ConvertedModel, write_converted
from tinyedge.progress import NOBODY

require_packages("distributed")

SAMPLES = 450
BY_WHOM = {"cluster", "command"}
"""Keys of a record that say who has computed, and by which command."""


@pytest.fixture(scope="module")
def processes(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Processes]:
    started = Processes(tmp_path_factory.mktemp("cluster"))
    yield started
    started.stop()


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> ConvertedModel:
    folder = tmp_path_factory.mktemp("model")
    converted = write_converted(RandomGraph(5).graph, folder / "model", "test")
    labels = np.arange(SAMPLES, dtype=np.int64) % 2
    np.savez(folder / "data.npz", x=RandomGraph(5).inputs(SAMPLES), y=labels)
    return converted


def engine(processes: Processes, folder: Path) -> Any:
    from tinyedge.cluster.engine import Engine

    return Engine(ClusterAddress.parse(processes.address), ChunkStore(folder), NOBODY)


def run(model: ConvertedModel, *options: object) -> list[Any]:
    data = model.folder.parent / "data.npz"
    return ["run", model.folder, "--on", "numpy", "--data", data, *options]


def kept_by(path: Path) -> dict[str, Any]:
    content = json.loads(path.read_text())
    return {key: value for key, value in content.items() if key not in BY_WHOM}


@pytest.mark.parametrize("workers", [1, 2, 4])
def test_records_do_not_depend_on_the_number_of_workers(
    workers: int,
    processes: Processes,
    model: ConvertedModel,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    processes.start_workers(workers)
    alone, shared = tmp_path / "alone.json", tmp_path / "shared.json"
    run_json(capsys, *run(model, "-o", alone, "--logits", tmp_path / "alone.npy"))
    on = ("--cluster", processes.address, "--chunks", tmp_path / "chunks")
    to = ("-o", shared, "--logits", tmp_path / "shared.npy")
    record = run_json(capsys, *run(model, *on, *to))
    assert kept_by(shared) == kept_by(alone)
    assert (tmp_path / "shared.npy").read_bytes() == (tmp_path / "alone.npy").read_bytes()
    told = record["cluster"]
    assert told["chunks_computed"] == 5
    assert sum(worker["samples"] for worker in told["workers"]) == SAMPLES
    again = run_json(capsys, *run(model, *on))["cluster"]
    assert (again["chunks_computed"], again["workers"]) == (0, [])


@each_seed(20)
def test_workers_are_killed(seed: int, processes: Processes, tmp_path: Path) -> None:
    processes.start_workers(2)
    random = np.random.default_rng(seed)
    jobs = slow_jobs(40, seed)
    deaths = {
        int(at): lambda: processes.kill_worker(int(random.integers(2)))
        for at in random.choice(35, 2, replace=False) + 1
    }
    with engine(processes, tmp_path) as opened:
        results = list(opened.compute(jobs, "slow", Counting(deaths)))
    assert results == expected(jobs)


def test_the_scheduler_is_restarted(processes: Processes, tmp_path: Path) -> None:
    processes.start_workers(2)

    def restart() -> None:
        processes.start_scheduler()
        processes.start_workers(2)

    jobs = slow_jobs(40, seed=100)
    counting = Counting({10: restart})
    with engine(processes, tmp_path) as opened:
        assert list(opened.compute(jobs, "slow", counting)) == expected(jobs)
    assert counting.done == len(jobs)


def test_the_client_is_killed(
    processes: Processes,
    tmp_path: Path,
) -> None:
    processes.start_workers(2)
    program = f"""
from pathlib import Path
from tests.cluster.processes import slow_jobs
from tests.cluster.test_engine import ClusterAddress, ChunkStore, NOBODY
from tinyedge.cluster.engine import Engine
address = ClusterAddress.parse({processes.address!r})
with Engine(address, ChunkStore(Path({str(tmp_path)!r})), NOBODY) as engine:
    for result in engine.compute(slow_jobs(40, 200, 0.1), "slow"):
        print(len(result), flush=True)
"""
    client = subprocess.Popen([sys.executable, "-c", program], cwd=ROOT, stdout=subprocess.PIPE)
    assert client.stdout
    for _ in range(10):
        assert client.stdout.readline() == b"100\n"
    client.send_signal(signal.SIGKILL)
    client.communicate()
    jobs = slow_jobs(40, 200, 0.1)
    with engine(processes, tmp_path) as opened:
        assert list(opened.compute(jobs, "slow")) == expected(jobs)
        assert opened.kept >= 10
        assert opened.record()["chunks_computed"] == 40 - opened.kept


def test_a_worker_s_remark_is_told_before_its_chunk_is_done(
    processes: Processes, tmp_path: Path
) -> None:
    """The chunk waits for the file that the remark makes the user write."""
    from tinyedge.cluster.engine import Engine

    file = tmp_path / "file"

    class Helping(Saying):
        def remark(self, *messages: str) -> None:
            super().remark(*messages)
            if any(message.endswith("waits for a file") for message in messages):
                file.touch()

    said: list[str] = []
    processes.start_workers(1)
    job = Job(chunk_name("waiting", {"file": str(file)}), 1, WaitingTask(file))
    address = ClusterAddress.parse(processes.address)
    with Engine(address, ChunkStore(tmp_path), Helping(said)) as opened:
        assert list(opened.compute([job], "waiting")) == [b"found"]
    assert len([each for each in said if each.endswith("waits for a file")]) == 1


def test_other_versions_are_refused_first(
    processes: Processes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    processes.start_workers(1)
    monkeypatch.setattr(tinyedge, "__version__", "9.9")
    versions.cache_clear()
    try:
        with (
            pytest.raises(ClusterError, match=r"other versions: tinyedge is '.*' there and '9.9"),
            engine(processes, tmp_path),
        ):
            pass
    finally:
        versions.cache_clear()


def test_a_task_that_fails_is_told(processes: Processes, tmp_path: Path) -> None:
    from tests.cluster.failing import FailingTask

    processes.start_workers(1)
    job = dataclasses.replace(slow_jobs(1, 300)[0], task=FailingTask())
    with engine(processes, tmp_path) as opened, pytest.raises(ClusterError, match="on purpose"):
        list(opened.compute([job], "failing"))


def test_a_disk_that_is_full_is_no_lost_scheduler(processes: Processes, tmp_path: Path) -> None:
    from tests.cluster.failing import FailingTask

    processes.start_workers(1)
    job = dataclasses.replace(slow_jobs(1, 301)[0], task=FailingTask(full=True))
    said: list[str] = []
    with engine(processes, tmp_path) as opened:
        opened._listener = Saying(said)
        with pytest.raises(ClusterError, match=r"a worker fails: .*No space left on device"):
            list(opened.compute([job], "failing"))
    assert said == []


def test_material_that_a_worker_has_lost_comes_again(processes: Processes, tmp_path: Path) -> None:
    from tests.cluster.failing import ReadingTask

    processes.start_workers(1)
    material = Material({"text": b"what it says"})
    job = dataclasses.replace(slow_jobs(1, 302)[0], task=ReadingTask(material.name))
    with engine(processes, tmp_path) as opened:
        opened.provide(material)
        opened._client.run(_lose_materials)
        assert list(opened.compute([job], "reading")) == [b"what it says"]
        assert opened.failures >= 1
        names = opened._client.run_on_scheduler(_plugins)
        assert any(material.name in name for name in names)
    # Nothing of it stays with the scheduler.
    with engine(processes, tmp_path) as opened:
        names = opened._client.run_on_scheduler(_plugins)
        assert not any(material.name in name for name in names)


def _lose_materials(dask_worker: Any) -> None:
    shutil.rmtree(materials_folder(Path(dask_worker.local_directory)))


def _plugins(dask_scheduler: Any) -> list[str]:
    return list(dask_scheduler.worker_plugins)


def test_what_does_not_go_with_a_cluster_is_refused(
    model: ConvertedModel, capsys: pytest.CaptureFixture[str]
) -> None:
    told = failure(capsys, 2, *run(model, "--cluster", "local:2", "--trace"))
    assert told["message"] == "--trace does not go with --cluster"
    told = failure(capsys, 2, *run(model, "--chunks", "x"))
    assert told["message"] == "--chunks goes with --cluster"
