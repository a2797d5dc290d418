"""The format of ``run.json`` in the folder of a training: version 1."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, NonNegativeFloat, PositiveInt

from tinyedge.errors import DataError
from tinyedge.records.parts import (
    Count,
    Interval,
    Name,
    Part,
    Rows,
    Settings,
    Share,
    as_model,
    read_record,
)


class Size(Part):
    """The trained network's weights."""

    parameters: Count
    by_bits: dict[str, Count] = Field(description="weights by their bits")
    stored_bytes: NonNegativeFloat


class TrainedOn(Part):
    """Where samples came from."""

    source: Name
    samples: PositiveInt


class Tested(TrainedOn):
    """The network's results on samples that it was not trained on."""

    accuracy: Share
    interval: Interval


class Jacobian(Part):
    """The Jacobian of the logits by the input, of some test samples."""

    samples: PositiveInt
    frobenius_mean: NonNegativeFloat
    frobenius_mean_at_temperature: NonNegativeFloat


class TrainedEpoch(Part):
    """One epoch: loss and accuracy on the training samples, as crafted where they are."""

    loss: float
    accuracy: Share
    jacobian_squared: float | None = None
    portion: float | None = None
    seconds: NonNegativeFloat
    epsilon: NonNegativeFloat | None = Field(
        None, description="at the end of the epoch, in parts of the input range"
    )
    held_out_accuracy: Share | None = None
    robust_accuracy: Share | None = Field(
        None, description="of the held-out samples, under PGD by margins"
    )


class Adversarial(Part):
    """The weights that adversarial training kept, judged on held-out training samples."""

    held_out: PositiveInt = Field(description="samples")
    epsilon: NonNegativeFloat = Field(description="largest change of an input value")
    best_epoch: PositiveInt = Field(description="whose weights are kept, from 1")
    held_out_accuracy: Share
    robust_accuracy: Share
    interval: Interval = Field(description="of the robust accuracy")
    stopped_after: PositiveInt | None = Field(
        description="epochs, where robust accuracy fell to under half of the best"
    )


class Training(Part):
    """The record of a training."""

    version: Literal[1]
    config: Settings = Field(description="as the run's TOML file has it")
    size: Size
    nominal_bytes: dict[str, NonNegativeFloat]
    input_range: Annotated[list[float], Field(min_length=2, max_length=2)]
    training_data: TrainedOn
    test: Tested
    jacobian: Jacobian
    epochs: Rows[TrainedEpoch]
    seconds: NonNegativeFloat | Count
    versions: dict[str, Name]
    adversarial: Adversarial | None = None
    post_training: Settings | None = None


def load_training(path: Path) -> Training:
    """Reads the ``run.json`` of a training.

    Raises:
        DataError: the file is missing, damaged, no record of a training, or of a later version.
    """
    hint = "write it with 'tinyedge train RUN.toml -o FOLDER'"
    content = read_record(path, hint)
    if not is_training(content):
        raise DataError(f"{path}: not the record of a training: it has no epochs", hint)
    return as_model(content, path, Training, hint)


def is_training(content: dict[str, object]) -> bool:
    """Whether what a record's file holds is the record of a training."""
    return "epochs" in content and "config" in content
