"""Trainings on a cluster's workers, each in a process of its own."""

from __future__ import annotations

import io
import shutil
import time
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from tinyedge.cluster.bench import Bench
from tinyedge.cluster.engine import Engine
from tinyedge.cluster.jobs import Job, Task, chunk_name, this_worker
from tinyedge.cluster.material import Material
from tinyedge.cluster.versions import check_versions, package_versions, versions
from tinyedge.errors import BusyError, DataError, DivergedError, UsageError
from tinyedge.files import cache_folder, folder_aside
from tinyedge.training.apart import train_apart
from tinyedge.training.checkpoint import CHECKPOINT
from tinyedge.training.config import CONFIG_FILE, RunConfig
from tinyedge.training.folder import claimed, holds_run
from tinyedge.training.record import RECORD

_MODEL = "model.h5"
_FILES = (CONFIG_FILE, _MODEL, "calibration.npz", RECORD)
_DIVERGED = "diverged.txt"
_PACKAGES = ("numpy", "tensorflow", "tf-keras", "qkeras")
_BUSY_S = 5.0
_MOST_BUSY_S = 24 * 3600.0
"""How long a training waits for one that writes to its folder."""


@dataclass(frozen=True)
class TrainTask(Task):
    """Trains a network.

    Attributes:
        name: of the chunk; a training that was interrupted goes on at the same computer.
        config: of the run.
        files: models that the configuration names, by their path.
        packages: versions of those that weights depend on, which the worker has to have.
    """

    name: str
    config: RunConfig
    files: Mapping[str, bytes]
    packages: Mapping[str, str]

    def compute(self, bench: Bench) -> bytes:
        check_versions(this_worker(), self.packages, package_versions(_PACKAGES))
        folder = cache_folder("trainings") / self.name
        with TemporaryDirectory() as named:
            where = Path(named)
            for path, content in self.files.items():
                (where / path).parent.mkdir(parents=True, exist_ok=True)
                (where / path).write_bytes(content)
            return self._trained(folder, where, bench)

    def _trained(self, folder: Path, where: Path, bench: Bench) -> bytes:
        """Trains, and packs what has come of it, which leaves the folder."""
        began = time.monotonic()
        while True:
            try:
                diverged = None
                try:
                    train_apart(self.config, folder, where=where)
                except DivergedError as error:
                    diverged = str(error)
                with claimed(folder, self.config, resume=True):
                    if diverged is not None:
                        packed = _packed({_DIVERGED: diverged.encode()})
                    else:
                        packed = _packed({name: (folder / name).read_bytes() for name in _FILES})
                    shutil.rmtree(folder, ignore_errors=True)
            except (BusyError, FileNotFoundError) as error:
                # The same one, of a command that was interrupted: it ends, and takes its files.
                if time.monotonic() - began > _MOST_BUSY_S:
                    raise
                bench.remark(f"a training waits for another of itself: {error}")
                time.sleep(_BUSY_S)
            else:
                return packed


def train_on_cluster(
    engine: Engine, trainings: Sequence[tuple[RunConfig, Path]]
) -> Iterator[str | None]:
    """Trains networks; gives for each, in their order, why it has diverged, or None.

    Args:
        engine: of the cluster.
        trainings: configurations, and the folders that the runs go to.

    Raises:
        BusyError: another training writes to a folder.
        UsageError: a model that one begins with, or its teacher, is at no relative path; or a
            folder holds something else.
        TinyEdgeError: what a training raises; see ``train_apart``.
    """
    for config, folder in trainings:
        holds_run(folder, config)
    made = [_job(config) for config, _ in trainings]
    for result, (config, folder) in zip(engine.compute(made, "training"), trainings, strict=True):
        files = _unpacked(result)
        if _DIVERGED in files:
            yield files[_DIVERGED].decode()
            continue
        with claimed(folder, config, resume=True):
            if not (folder / RECORD).exists():
                with folder_aside(folder) as aside:
                    for name, content in files.items():
                        (aside / name).write_bytes(content)
            (folder / CHECKPOINT).unlink(missing_ok=True)
        yield None


def _job(config: RunConfig) -> Job:
    named = [config.training.initial, config.distillation and config.distillation.teacher]
    files: dict[str, bytes] = {}
    for path in [each for each in named if each]:
        if path.is_absolute() or ".." in path.parts:
            raise UsageError(
                f"{path}: with --cluster a relative path, below the folder of the command"
            )
        file = path / _MODEL if path.is_dir() else path
        if not file.is_file():
            raise DataError(f"{file}: no such file")
        files[file.as_posix()] = file.read_bytes()
    packages = package_versions(_PACKAGES)
    identity = {
        "config": config.model_dump(mode="json"),
        "files": Material(files).name,
        "packages": packages,
        **versions(),
    }
    name = chunk_name("train", identity)
    return Job(name, 1, TrainTask(name, config, files, packages))


def _packed(files: Mapping[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return buffer.getvalue()


def _unpacked(content: bytes) -> dict[str, bytes]:
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        return {name: archive.read(name) for name in archive.namelist()}
