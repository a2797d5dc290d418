"""A training run: from its TOML file to a folder with model, record and checkpoint."""

from __future__ import annotations

import dataclasses
import io
import platform
import time
import warnings
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, Literal

import h5py
import numpy as np
from numpy.typing import NDArray

import tinyedge
from tinyedge.errors import (
    DataError,
    DivergedError,
    ModelError,
)
from tinyedge.evaluation.compare import accuracy
from tinyedge.evaluation.intervals import wilson_interval
from tinyedge.files import json_text, write_atomically
from tinyedge.keras.environment import qkeras, tf_keras
from tinyedge.keras.environment import tensorflow as tf
from tinyedge.keras.load import load_keras_model, logits_model
from tinyedge.models.networks import build_network
from tinyedge.models.sizes import model_size
from tinyedge.names import PRECISIONS, Precision
from tinyedge.records.parts import dumped, made
from tinyedge.records.training import (
    Jacobian,
    Size,
    Tested,
    TrainedEpoch,
    TrainedOn,
    Training,
)
from tinyedge.training.adversarial import ball
from tinyedge.training.checkpoint import CHECKPOINT, Begun, Checkpoints, Standing
from tinyedge.training.config import CONFIG_FILE, RunConfig, write_config
from tinyedge.training.data import TrainAndTest
from tinyedge.training.folder import claimed
from tinyedge.training.held_out import Selection, hold_out
from tinyedge.training.jacobian import frobenius_norms
from tinyedge.training.kernels import write_quantized
from tinyedge.training.normalization import (
    RECALIBRATION_SAMPLES,
    recalibrate_normalization,
    subset,
)
from tinyedge.training.record import RECORD, read_record
from tinyedge.training.trainer import Trainer, as_floats, predict
from tinyedge.training.weights import transfer_weights

ProgressBar = Callable[[str, int], AbstractContextManager[Callable[[int], None]]]

MODEL = "model.h5"
CALIBRATION = "calibration.npz"
_VERSION: Literal[1] = 1
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
    during training ``checkpoint.npz`` and ``lock``.

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
        ModelError: the teacher or the model to begin with cannot be read, or does not fit; the
            record or the checkpoint to go on from is damaged.
        DivergedError: the loss or a weight is NaN or infinite; the checkpoint of the last epoch
            that ended well stays.
        BusyError: another training writes to the folder.
        OSError: a file cannot be written, as where the disk is full; the checkpoint stays.
    """
    teacher = _teacher(config, data.train.x.shape[1:], len(data.train.classes))
    initial = _initial(config)
    with claimed(folder, config, resume=resume):
        if resume and (folder / RECORD).exists():
            return read_record(folder)
        return _train(config, data, folder, teacher, initial, progress, stop_after)


def _train(
    config: RunConfig,
    data: TrainAndTest,
    folder: Path,
    teacher: Callable[[Any], Any] | None,
    initial: Any,
    progress: ProgressBar,
    stop_after: int | None,
) -> dict[str, Any]:
    """Trains from the checkpoint on, if there is one; see ``train``."""
    held_out = None
    if config.adversarial:
        learned, held_out = hold_out(data.train)
        data = TrainAndTest(learned, data.test)
    shape, classes = data.train.x.shape[1:], len(data.train.classes)
    tf_keras.utils.set_random_seed(config.training.seed)
    model = build(config, shape, classes)
    if initial is not None:
        transfer_weights(initial, model)
    input_range = _input_range(data.train.x)
    trainer, selection = Trainer(model, config, data.train, teacher, input_range), None
    if config.adversarial and held_out:
        selection = Selection(trainer, held_out, ball(config.adversarial, input_range))
    checkpoints = Checkpoints(
        folder, [*trainer.variables, *(selection.variables if selection else ())]
    )
    standing = checkpoints.restore()
    epochs = config.training.epochs
    with progress(f"training {folder.name}", epochs * trainer.steps) as advance:
        begun = standing.begun.steps if standing.begun else 0
        advance(len(standing.epochs) * trainer.steps + begun)
        while len(standing.epochs) < epochs:
            if selection and selection.overfitted(standing.epochs):
                break
            standing = _next_epoch(trainer, selection, standing, checkpoints, advance)
            checkpoints.save(standing)
            if len(standing.epochs) == stop_after:
                return {}

    if selection:
        selection.put_back()
    else:
        trainer.use_averages()
    if config.training.scheme == "portion":
        write_quantized(model)
    recalibrate_normalization(model, subset(data.train.x, RECALIBRATION_SAMPLES, 0))
    about = {"adversarial": dumped(selection.summary(standing.epochs))} if selection else {}
    record = finish(config, model, data, standing.epochs, folder, about)
    (folder / CHECKPOINT).unlink()
    return record


def _next_epoch(
    trainer: Trainer,
    selection: Selection | None,
    standing: Standing,
    checkpoints: Checkpoints,
    advance: Callable[[int], None],
) -> Standing:
    """Trains for one epoch, or for what is left of it; says where the training stands then."""
    begun = standing.begun or Begun()
    start = time.monotonic() - begun.seconds

    def pause(now: Begun) -> None:
        if checkpoints.due:
            now = now.model_copy(update={"seconds": time.monotonic() - start})
            checkpoints.save(Standing(standing.epochs, now))

    try:
        epoch = trainer.epoch(len(standing.epochs), advance, begun, pause)
    except DivergedError as error:
        folder = checkpoints.folder
        raise DivergedError(f"{folder}: {error}", _after_divergence(folder)) from error
    epochs = [*standing.epochs, dataclasses.asdict(epoch)]
    if selection:
        selection.judge(epochs)
    epochs[-1]["seconds"] = time.monotonic() - start
    return Standing(epochs)


def _after_divergence(folder: Path) -> str:
    kept = f"; {folder / CHECKPOINT} is of the last good epoch"
    return DivergedError.default_hint + (kept if (folder / CHECKPOINT).exists() else "")


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

    Raises:
        DivergedError: a figure of the record is NaN or infinite; nothing is written.
    """
    try:
        record = dumped(_record(config, model, data, history)) | (about or {})
        text = json_text(record, indent=1)
    except (DataError, ValueError) as error:
        raise DivergedError(
            f"{folder}: the logits of the trained network are not finite", _after_divergence(folder)
        ) from error
    write_atomically(folder / CONFIG_FILE, write_config(config).encode())
    save_model(model, folder / MODEL)
    buffer = io.BytesIO()
    np.savez_compressed(buffer, x=_calibration(data.train.x))
    write_atomically(folder / CALIBRATION, buffer.getvalue())
    write_atomically(folder / RECORD, text + "\n")
    return record


def save_model(model: Any, path: Path) -> None:
    """Writes a model without its optimizer, aside and then renamed.

    HDF5 never sees the disk: where that is full, it may end the process.
    """
    with (
        h5py.File(path.name, "w", driver="core", backing_store=False) as file,
        warnings.catch_warnings(),
    ):
        warnings.simplefilter("ignore")
        model.save(file, include_optimizer=False)
        file.flush()
        content = file.id.get_file_image()
    write_atomically(path, content)


def _input_range(x: NDArray[Any]) -> tuple[float, float]:
    """Smallest and largest input value; of images those that a pixel can have."""
    return (0.0, 1.0) if x.dtype == np.uint8 else (float(x.min()), float(x.max()))


def _calibration(x: NDArray[Any]) -> NDArray[Any]:
    """Some samples, among them those with the smallest and the largest value."""
    flat = x.reshape(len(x), -1)
    extremes = x[[int(flat.min(axis=1).argmin()), int(flat.max(axis=1).argmax())]]
    return np.concatenate([subset(x, _CALIBRATION_SAMPLES, 0), extremes])


def _initial(config: RunConfig) -> Any:
    """The model to begin with; None where the weights are random."""
    path = config.training.initial
    return None if path is None else load_keras_model(_model_file(path))


def _model_file(path: Path) -> Path:
    """That of a run's folder, or the file itself."""
    return path / MODEL if path.is_dir() else path


def _teacher(
    config: RunConfig, shape: tuple[int, ...], classes: int
) -> Callable[[Any], Any] | None:
    if config.distillation is None:
        return None
    path = _model_file(config.distillation.teacher)
    model = logits_model(load_keras_model(path))
    if tuple(model.input_shape[1:]) != shape or model.output_shape[-1] != classes:
        raise ModelError(
            f"{path}: from {model.input_shape[1:]} to {model.output_shape[-1]} classes; the "
            f"student needs a teacher from {shape} to {classes}"
        )
    return lambda x: model(x, training=False)


def _record(
    config: RunConfig, model: Any, data: TrainAndTest, history: list[dict[str, Any]]
) -> Training:
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
    with made("the record of this training"):
        return Training(
            version=_VERSION,
            config=config.model_dump(mode="json"),
            size=Size(
                parameters=size.parameters,
                by_bits={str(bits): count for bits, count in size.by_bits.items()},
                stored_bytes=size.stored,
            ),
            nominal_bytes={precision: each.nominal for precision, each in siblings.items()},
            input_range=list(_input_range(data.train.x)),
            training_data=TrainedOn(source=data.train.source, samples=len(data.train.y)),
            test=Tested(
                source=data.test.source,
                samples=len(data.test.y),
                accuracy=correct,
                interval=list(wilson_interval(correct, len(data.test.y))),
            ),
            jacobian=Jacobian(
                samples=len(norms),
                frobenius_mean=float(norms.mean()),
                frobenius_mean_at_temperature=float(norms.mean() / temperature),
            ),
            epochs=[TrainedEpoch.model_validate(epoch) for epoch in history],
            seconds=sum(epoch["seconds"] for epoch in history),
            versions={
                "tinyedge": tinyedge.__version__,
                "python": platform.python_version(),
                "tensorflow": tf.__version__,
                "qkeras": qkeras.__version__,
                "numpy": np.__version__,
            },
        )
