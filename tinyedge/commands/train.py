"""Training a network, quantization-aware."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from tinyedge.commands.arguments import AnyPath, optional_path
from tinyedge.commands.clusters import cluster_address, opened_cluster
from tinyedge.commands.notes import noted
from tinyedge.errors import DivergedError, UsageError
from tinyedge.files import json_text, write_atomically
from tinyedge.progress import NOBODY, Listener
from tinyedge.reports.tables import csv_text
from tinyedge.training.apart import train_apart
from tinyedge.training.config import read_config
from tinyedge.training.folder import holds_run
from tinyedge.training.grid import GridPoint, read_grid
from tinyedge.training.record import RECORD, read_record

FOLDS_FILE = "folds.json"
GRID_FILE = "grid.csv"


@noted()
def train(
    config_file: AnyPath,
    *,
    output: AnyPath,
    resume: bool = False,
    cross_validate: bool = False,
    grid: bool = False,
    data_folder: AnyPath | None = None,
    cluster: str | None = None,
    chunks: AnyPath | None = None,
    listener: Listener = NOBODY,
) -> dict[str, Any]:
    """Trains a network as a TOML file says.

    Args:
        config_file: the TOML file.
        output: folder of the run; of a grid, of the folders of its runs.
        resume: goes on with a run that was stopped, to the same weights.
        cross_validate: trains once for each fold, into ``fold-N``, and tests on that fold.
        grid: a list in the file stands for each of its values: trains with every one and every
            other, into a folder each, and goes on where that was interrupted.
        data_folder: where the data set's files lie; ``$TINYEDGE_DATA`` by default.
        cluster: of a grid: ``local:N`` or ``tcp://HOST:PORT``, whose workers train, each with the
            data set's files where its own ``$TINYEDGE_DATA`` says; one after another by default.
        chunks: folder of finished trainings of a cluster; one of the user's cache by default.
        listener: told how far it is.

    Returns:
        ``folder`` and ``runs``, the records; of several folds ``mean_accuracy`` and
        ``standard_deviation`` too. Of a grid ``folder``, ``grid[]`` (``name``, ``settings``,
        ``accuracy``, ``interval`` and ``failure``: why it diverged, or None), ``trained`` and
        ``kept`` (how many), ``written``, a table, and of a cluster ``cluster``.

    Raises:
        ConfigError: the TOML file is missing or wrong.
        UsageError: the folder holds another run, or this one and ``resume`` is not set; or options
            that do not go together.
        DataError, ModelError: the data set, the teacher or what the folder holds cannot be read.
        DivergedError: the loss or a weight is no finite number any more.
        BusyError: another training writes to the folder.
        MissingDependencyError: TensorFlow or QKeras is not installed.
    """
    if grid:
        if cross_validate:
            raise UsageError(
                "--grid and --cross-validate exclude each other",
                hint="[data] with fold = [0, 1, 2] in the grid trains once for each fold",
            )
        if resume:
            raise UsageError(
                "--resume does not go with --grid", hint="a grid goes on by itself: leave it out"
            )
        options = (optional_path(data_folder), cluster, optional_path(chunks))
        return _train_grid(Path(config_file), Path(output), *options, listener)
    if cluster or chunks:
        raise UsageError("--cluster and --chunks go with --grid")
    config, folder = read_config(Path(config_file)), Path(output)
    with listener.step("loading TensorFlow"):
        from tinyedge.training import run
        from tinyedge.training.data import load_data
    place = Path(data_folder) if data_folder else None
    records = []
    folds = range(config.data.folds) if cross_validate else [config.data.fold]
    for number, fold in enumerate(folds):
        chosen = config.data.model_copy(update={"fold": fold})
        with listener.step(f"loading {config.data.name}"):
            samples = load_data(chosen, place)
        each = config.model_copy(update={"data": chosen})
        target = folder / fold_folder(number) if cross_validate else folder
        record = run.train(each, samples, target, resume=resume, progress=listener.progress)
        listener.remark(*_remarks(record, target))
        records.append(record)
    summary: dict[str, Any] = {"folder": str(folder), "runs": records}
    if cross_validate:
        accuracies = [record["test"]["accuracy"] for record in records]
        summary["mean_accuracy"] = float(np.mean(accuracies))
        summary["standard_deviation"] = float(np.std(accuracies, ddof=1))
        write_atomically(folder / FOLDS_FILE, json_text(summary))
    return summary


def _train_grid(
    file: Path,
    folder: Path,
    data_folder: Path | None,
    cluster: str | None,
    chunks: Path | None,
    listener: Listener,
) -> dict[str, Any]:
    """Trains what is missing of a grid; see ``train``."""
    points = read_grid(file)
    address = cluster_address(cluster, chunks, {"--data-folder": data_folder})
    missing = [point for point in points if not _is_there(point, folder / point.name)]
    failures: dict[str, str] = {}
    by_whom: dict[str, Any] = {}
    if address and missing:
        with opened_cluster(address, chunks, listener) as engine:
            from tinyedge.cluster.training import train_on_cluster

            runs = [(point.config, folder / point.name) for point in missing]
            for point, failure in zip(missing, train_on_cluster(engine, runs), strict=True):
                if failure:
                    failures[point.name] = failure
            by_whom = {"cluster": engine.record()}
    else:
        failures = dict(_one_after_another(missing, folder, data_folder, listener))
    rows = [_grid_row(point, folder, failures.get(point.name)) for point in points]
    shown = ("name", *points[0].settings, "accuracy", "low", "high", "failure")
    table = [
        {"name": row["name"], **row["settings"], "accuracy": row["accuracy"]}
        | dict(zip(("low", "high"), row["interval"] or (None, None), strict=True))
        | {"failure": row["failure"]}
        for row in rows
    ]
    write_atomically(folder / GRID_FILE, csv_text(shown, table))
    return {
        "folder": str(folder),
        "grid": rows,
        "trained": len(missing),
        "kept": len(points) - len(missing),
        "written": str(folder / GRID_FILE),
    } | by_whom


def _is_there(point: GridPoint, folder: Path) -> bool:
    """Whether a training of a grid has ended.

    Raises:
        UsageError: its folder holds something else.
    """
    return holds_run(folder, point.config) and (folder / RECORD).is_file()


def _one_after_another(
    points: Sequence[GridPoint], folder: Path, data_folder: Path | None, listener: Listener
) -> Iterator[tuple[str, str]]:
    """Trains here; gives names of trainings that have diverged, and why."""
    with listener.progress("training", len(points)) as advance:
        for point in points:
            try:
                train_apart(point.config, folder / point.name, data_folder)
            except DivergedError as error:
                yield point.name, str(error)
            advance(1)


def _grid_row(point: GridPoint, folder: Path, failure: str | None) -> dict[str, Any]:
    tested = None if failure else read_record(folder / point.name)["test"]
    return {
        "name": point.name,
        "settings": point.settings,
        "accuracy": tested and tested["accuracy"],
        "interval": tested and tested["interval"],
        "failure": failure,
    }


def _remarks(record: dict[str, Any], folder: Path) -> list[str]:
    """Lists remarks on how a training went."""
    kept = record.get("adversarial") or {}
    if kept.get("stopped_after") is None:
        return []
    epochs = record["config"]["training"]["epochs"]
    return [
        f"{folder}: stopped after {kept['stopped_after']} of {epochs} epochs",
        (
            "robust accuracy fell to under half of the best (catastrophic overfitting); weights of "
            f"epoch {kept['best_epoch']} are kept"
        ),
    ]


def fold_folder(fold: int) -> str:
    """The name of a fold's folder in that of a cross-validation."""
    return f"fold-{fold}"
