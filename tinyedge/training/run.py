"""A training run: from its TOML file to a folder with model, record and checkpoint."""

from __future__ import annotations

import dataclasses
import json
import platform
import shutil
import time
import warnings
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

import tinyedge
from tinyedge.errors import ModelError, UsageError
from tinyedge.evaluation.compare import accuracy
from tinyedge.evaluation.intervals import wilson_interval
from tinyedge.files import write_atomically
from tinyedge.keras.environment import qkeras, tf_keras
from tinyedge.keras.environment import tensorflow as tf
from tinyedge.keras.load import load_keras_model, logits_model
from tinyedge.models.networks import build_network
from tinyedge.models.sizes import model_size
from tinyedge.names import PRECISIONS, Precision
from tinyedge.training.config import RunConfig, write_config
from tinyedge.training.data import TrainAndTest
from tinyedge.training.jacobian import frobenius_norms
from tinyedge.training.kernels import write_quantized
from tinyedge.training.normalization import recalibrate_normalization, subset
from tinyedge.training.trainer import Trainer, as_floats, predict

ProgressBar = Callable[[str, int], AbstractContextManager[Callable[[int], None]]]

CONFIG = "run.toml"
MODEL = "model.h5"
RECORD = "run.json"
CALIBRATION = "calibration.npz"
_HISTORY = "history.json"
_CHECKPOINTS = "checkpoint"
_VERSION = 1
RECALIBRATION_SAMPLES = 5000
_CALIBRATION_SAMPLES = 64
_JACOBIAN_SAMPLES = 200


def build(
    config: RunConfig, shape: tuple[int, ...], classes: int, precision: Precision | None = None
) -> Any:
    """The untrained network of a run, or its sibling of another precision."""
    model = config.model
    return build_network(
        model.name,
        precision or model.precision,
        shape,
        classes,
        width=model.width,
        temperature=model.temperature,
    )


def train(
    config: RunConfig,
    data: TrainAndTest,
    folder: Path,
    *,
    resume: bool,
    progress: ProgressBar,
    stop_after: int | None = None,
) -> dict[str, Any]:
    """Trains a network and writes the run's folder.

    The folder holds ``run.toml`` (the configuration, complete), ``model.h5``, ``run.json``
    (the record), ``calibration.npz`` (training samples for ``tinyedge convert --calibration``), and
    during training ``checkpoint`` and ``history.json``.

    Args:
        config: of the run.
        data: to train and to test on.
        folder: to write; has to be new, or with ``resume`` that of the same run.
        resume: goes on from the last checkpoint, if there is one.
        progress: opens a progress bar.
        stop_after: leaves after so many epochs, as if the run had been killed; for tests.

    Returns:
        The record.

    Raises:
        UsageError: the folder holds another run, or this one and ``resume`` is not set.
        ModelError: the teacher cannot be read, or does not fit.
    """
    shape, classes = data.train.x.shape[1:], len(data.train.classes)
    teacher = _teacher(config, shape, classes)
    _claim(folder, config, resume=resume)
    if resume and (folder / RECORD).is_file():
        record: dict[str, Any] = json.loads((folder / RECORD).read_text())
        return record
    tf_keras.utils.set_random_seed(config.training.seed)
    model = build(config, shape, classes)
    trainer = Trainer(model, config, data.train, teacher)

    finished = tf.Variable(0, dtype=tf.int64)
    checkpoint = tf.train.Checkpoint(trainer=trainer.checkpoint, finished=finished)
    manager = tf.train.CheckpointManager(checkpoint, str(folder / _CHECKPOINTS), max_to_keep=1)
    history: list[dict[str, Any]] = []
    if manager.latest_checkpoint:
        checkpoint.restore(manager.latest_checkpoint).assert_existing_objects_matched()
        history = json.loads((folder / _HISTORY).read_text())[: int(finished.numpy())]
    epochs = config.training.epochs
    with progress(f"training {folder.name}", epochs * trainer.steps) as advance:
        advance(len(history) * trainer.steps)
        for number in range(len(history), epochs):
            start = time.monotonic()
            epoch = dataclasses.asdict(trainer.epoch(number, advance))
            history.append(epoch | {"seconds": time.monotonic() - start})
            finished.assign(len(history))
            write_atomically(folder / _HISTORY, json.dumps(history).encode())
            manager.save()
            if len(history) == stop_after:
                return {}

    if config.training.scheme == "portion":
        write_quantized(model)
    recalibrate_normalization(model, subset(data.train.x, RECALIBRATION_SAMPLES, 0))
    record = finish(config, model, data, history, folder)
    shutil.rmtree(folder / _CHECKPOINTS)
    (folder / _HISTORY).unlink()
    return record


def finish(
    config: RunConfig,
    model: Any,
    data: TrainAndTest,
    history: list[dict[str, Any]],
    folder: Path,
    about: dict[str, Any] | None = None,
) -> dict[str, Any]:
    """Measures a trained network and writes what is to stay in its folder; gives the record.

    Args:
        config: of the run.
        model: the network.
        data: that it was trained on, and is tested on.
        history: of the epochs.
        folder: of the run.
        about: what the record is to say besides.
    """
    record = _record(config, model, data, history) | (about or {})
    write_atomically(folder / CONFIG, write_config(config).encode())
    save_model(model, folder / MODEL)
    np.savez_compressed(folder / CALIBRATION, x=_calibration(data.train.x))
    write_atomically(folder / RECORD, (json.dumps(record, indent=1) + "\n").encode())
    return record


def save_model(model: Any, path: Path) -> None:
    """Writes a model without its optimizer, aside and then renamed."""
    aside = path.with_name(f".{path.name}.part.h5")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model.save(aside, include_optimizer=False)
    aside.replace(path)


def _input_range(x: NDArray[Any]) -> tuple[float, float]:
    """Smallest and largest input value; of images those that a pixel can have."""
    return (0.0, 1.0) if x.dtype == np.uint8 else (float(x.min()), float(x.max()))


def _calibration(x: NDArray[Any]) -> NDArray[Any]:
    """Some samples, among them those with the smallest and the largest value."""
    flat = x.reshape(len(x), -1)
    extremes = x[[int(flat.min(axis=1).argmin()), int(flat.max(axis=1).argmax())]]
    return np.concatenate([subset(x, _CALIBRATION_SAMPLES, 0), extremes])


def _claim(folder: Path, config: RunConfig, *, resume: bool) -> None:
    """Makes the folder, or finds that it is this run's."""
    text = write_config(config)
    path = folder / CONFIG
    if path.is_file():
        if path.read_text(encoding="utf-8") != text:
            raise UsageError(
                f"{folder}: holds a run with other settings", hint="name another folder with -o"
            )
        if not resume:
            raise UsageError(
                f"{folder}: this run exists", hint="--resume goes on with it; or name another one"
            )
        return
    new_folder(folder)
    write_atomically(path, text.encode())


def new_folder(folder: Path) -> None:
    """Makes a folder.

    Raises:
        UsageError: it exists and is not empty.
    """
    if folder.exists() and any(folder.iterdir()):
        raise UsageError(f"{folder}: is not empty", hint="name a new folder")
    folder.mkdir(parents=True, exist_ok=True)


def _teacher(
    config: RunConfig, shape: tuple[int, ...], classes: int
) -> Callable[[Any], Any] | None:
    if config.distillation is None:
        return None
    path = config.distillation.teacher
    path = path / MODEL if path.is_dir() else path
    model = logits_model(load_keras_model(path))
    if tuple(model.input_shape[1:]) != shape or model.output_shape[-1] != classes:
        raise ModelError(
            f"{path}: from {model.input_shape[1:]} to {model.output_shape[-1]} classes; the "
            f"student needs a teacher from {shape} to {classes}"
        )
    return lambda x: model(x, training=False)


def _record(
    config: RunConfig, model: Any, data: TrainAndTest, history: list[dict[str, Any]]
) -> dict[str, Any]:
    """Everything that is to be said of a trained network."""
    logits = logits_model(model)
    predicted = predict(logits, data.test.x)
    correct = accuracy(predicted, data.test.y)
    temperature = config.model.temperature
    inspected = as_floats(tf.constant(data.test.x[:_JACOBIAN_SAMPLES])).numpy()
    norms = frobenius_norms(lambda x: logits(x, training=False), inspected)
    size = model_size(model)
    shape, classes = tuple(model.input_shape[1:]), int(model.output_shape[-1])
    siblings = {each: model_size(build(config, shape, classes, each)) for each in PRECISIONS}
    return {
        "version": _VERSION,
        "config": config.model_dump(mode="json"),
        "size": {
            "parameters": size.parameters,
            "by_bits": {str(bits): count for bits, count in size.by_bits.items()},
            "stored_bytes": size.stored,
        },
        "nominal_bytes": {precision: each.nominal for precision, each in siblings.items()},
        "input_range": _input_range(data.train.x),
        "training_data": {"source": data.train.source, "samples": len(data.train.y)},
        "test": {
            "source": data.test.source,
            "samples": len(data.test.y),
            "accuracy": correct,
            "interval": wilson_interval(correct, len(data.test.y)),
        },
        "jacobian": {
            "samples": len(norms),
            "frobenius_mean": float(norms.mean()),
            "frobenius_mean_at_temperature": float(norms.mean() / temperature),
        },
        "epochs": history,
        "seconds": sum(epoch["seconds"] for epoch in history),
        "versions": {
            "tinyedge": tinyedge.__version__,
            "python": platform.python_version(),
            "tensorflow": tf.__version__,
            "qkeras": qkeras.__version__,
            "numpy": np.__version__,
        },
    }
