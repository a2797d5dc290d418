"""A training in a process of its own: what was computed before in this one changes nothing."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

from tinyedge.errors import (
    BugError,
    BusyError,
    ConfigError,
    DataError,
    DivergedError,
    FileError,
    MissingDependencyError,
    ModelError,
    TinyEdgeError,
    ToolchainError,
    UsageError,
)
from tinyedge.targets.target import END_WITH_PARENT
from tinyedge.training.config import CONFIG_FILE, RunConfig, write_config

_ERRORS: dict[str, type[TinyEdgeError]] = {
    error.code: error
    for error in (
        *(BusyError, ConfigError, DataError, DivergedError, FileError),
        *(MissingDependencyError, ModelError, ToolchainError, UsageError),
    )
}


def train_apart(
    config: RunConfig,
    folder: Path,
    data_folder: Path | None = None,
    *,
    where: Path | None = None,
) -> None:
    """Trains as ``tinyedge train CONFIG.toml -o FOLDER --resume`` does, which it runs.

    On Linux the training ends with the thread that waits for it; its checkpoint stays.

    Args:
        config: of the run.
        folder: of the run.
        data_folder: where the data set's files lie; ``$TINYEDGE_DATA`` by default.
        where: the folder that paths in the configuration are relative to; the current one by
            default.

    Raises:
        TinyEdgeError: what the training raises, see ``training.run.train``.
    """
    with TemporaryDirectory(prefix="tinyedge-train-") as aside:
        given = Path(aside).absolute() / CONFIG_FILE
        given.write_text(write_config(config), encoding="utf-8")
        # -P: a module in the current folder is nobody's to run.
        command = [sys.executable, "-P", "-m", "tinyedge", "train", str(given)]
        command += ["-o", str(folder.absolute()), "--resume", "--json"]
        if data_folder:
            command += ["--data-folder", str(data_folder.absolute())]
        ended = subprocess.run(
            command,
            check=False,
            cwd=where,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            preexec_fn=END_WITH_PARENT,
        )
    if ended.returncode:
        raise _error(ended)


def _error(ended: subprocess.CompletedProcess[str]) -> TinyEdgeError:
    """The error that a training has told of."""
    try:
        told = json.loads(ended.stdout)["error"]
        return _ERRORS.get(told["code"], BugError)(told["message"], told["hint"])
    except (KeyError, TypeError, ValueError):
        return BugError(f"a training has ended with {ended.returncode}, and without a word")
