"""Quantization after training: the control that quantization-aware training is compared with."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tinyedge.errors import UsageError
from tinyedge.keras.load import load_keras_model
from tinyedge.names import Precision
from tinyedge.training.config import RunConfig
from tinyedge.training.data import TrainAndTest
from tinyedge.training.folder import new_folder
from tinyedge.training.normalization import (
    RECALIBRATION_SAMPLES,
    recalibrate_normalization,
    subset,
)
from tinyedge.training.run import MODEL, build, finish
from tinyedge.training.weights import transfer_weights


def quantize_after_training(
    run: Path,
    config: RunConfig,
    data: TrainAndTest,
    precision: Precision,
    folder: Path,
    *,
    recalibrate: bool,
) -> dict[str, Any]:
    """Puts the weights of a trained float network into its quantized sibling.

    Every kernel is quantized as it is, by the quantizer that quantization-aware training of that
    precision uses, with the scale of least error a channel.

    Args:
        run: folder of the float network's run.
        config: of that run.
        data: that it was trained and tested on.
        precision: to quantize to.
        folder: to write, like that of a run; has to be new.
        recalibrate: measures batch normalization's statistics anew, on training samples.

    Returns:
        The record, as of a run, with ``post_training``.

    Raises:
        UsageError: the run's network is not a float one, or ``folder`` exists.
        ModelError: the run's model is missing or is not of its configuration.
    """
    if config.model.precision != "float":
        raise UsageError(
            f"{run}: a network of precision '{config.model.precision}'", hint="name a float one"
        )
    if precision == "float":
        raise UsageError("precision 'float' quantizes nothing")
    trained = load_keras_model(run / MODEL)
    shape, classes = tuple(trained.input_shape[1:]), int(trained.output_shape[-1])
    new_folder(folder)
    model = build(config, shape, classes, precision)
    transfer_weights(trained, model)
    if recalibrate:
        recalibrate_normalization(model, subset(data.train.x, RECALIBRATION_SAMPLES, 0))
    chosen = config.model.model_copy(update={"precision": precision})
    about = {"post_training": {"from": run.name, "recalibrated": recalibrate}}
    return finish(config.model_copy(update={"model": chosen}), model, data, [], folder, about)
