"""The folder of a training run: whose it is, and who may write to it."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

from tinyedge.errors import BusyError, ConfigError, UsageError
from tinyedge.files import write_atomically
from tinyedge.record_file import alone
from tinyedge.training.config import CONFIG_FILE, RunConfig, read_config, write_config

_LOCK = "lock"


@contextlib.contextmanager
def claimed(folder: Path, config: RunConfig, *, resume: bool) -> Iterator[None]:
    """Makes an empty folder a run's, or finds that it is; keeps other trainings out meanwhile.

    Raises:
        BusyError: another training writes to the folder.
        UsageError: it holds something else, or this run and ``resume`` is not set.
    """
    folder.mkdir(parents=True, exist_ok=True)
    busy = BusyError(f"{folder}: another training writes to this folder")
    with alone(folder / _LOCK, busy):
        if not holds_run(folder, config):
            write_atomically(folder / CONFIG_FILE, write_config(config).encode())
        elif not resume:
            raise UsageError(
                f"{folder}: this run exists", hint="--resume goes on with it; or name another one"
            )
        yield


def holds_run(folder: Path, config: RunConfig) -> bool:
    """Whether a folder holds a run, be it not at its end; else it is empty, or not there.

    Raises:
        UsageError: it holds something else.
    """
    path = folder / CONFIG_FILE
    if path.is_file():
        if not _holds(path, config):
            raise UsageError(
                f"{folder}: holds a run with other settings", hint="name another folder with -o"
            )
        return True
    if folder.is_dir() and any(entry.name != _LOCK for entry in folder.iterdir()):
        raise _not_empty(folder)
    return False


def _holds(path: Path, config: RunConfig) -> bool:
    """Whether a file is a configuration's, be it of an earlier tinyedge that knew fewer keys."""
    try:
        return read_config(path) == config
    except ConfigError:
        return False


def new_folder(folder: Path) -> None:
    """Makes a folder.

    Raises:
        UsageError: it exists and is not empty.
    """
    if folder.exists() and any(folder.iterdir()):
        raise _not_empty(folder)
    folder.mkdir(parents=True, exist_ok=True)


def _not_empty(folder: Path) -> UsageError:
    return UsageError(f"{folder}: is not empty", hint="name a new folder")
