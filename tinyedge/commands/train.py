"""Training a network, quantization-aware."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from tinyedge.commands.arguments import AnyPath
from tinyedge.commands.notes import noted
from tinyedge.files import json_text, write_atomically
from tinyedge.progress import NOBODY, Listener
from tinyedge.training.config import read_config

FOLDS_FILE = "folds.json"


@noted()
def train(
    config_file: AnyPath,
    *,
    output: AnyPath,
    resume: bool = False,
    cross_validate: bool = False,
    data_folder: AnyPath | None = None,
    listener: Listener = NOBODY,
) -> dict[str, Any]:
    """Trains a network as a TOML file says.

    Args:
        config_file: the TOML file.
        output: folder of the run.
        resume: goes on with a run that was stopped, to the same weights.
        cross_validate: trains once for each fold, into ``fold-N``, and tests on that fold.
        data_folder: where the data set's files lie; ``$TINYEDGE_DATA`` by default.
        listener: told how far it is.

    Returns:
        ``folder`` and ``runs``, the records; of several folds ``mean_accuracy`` and
        ``standard_deviation`` too.

    Raises:
        ConfigError: the TOML file is missing or wrong.
        UsageError: the folder holds another run, or this one and ``resume`` is not set.
        DataError, ModelError: the data set, the teacher or what the folder holds cannot be read.
        DivergedError: the loss or a weight is no finite number any more.
        FileError: another training writes to the folder.
        MissingDependencyError: TensorFlow or QKeras is not installed.
    """
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
