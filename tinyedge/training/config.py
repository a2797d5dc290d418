"""The TOML file of a training run."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

from pydantic import BeforeValidator, Field, model_validator

from tinyedge.errors import ConfigError
from tinyedge.files import json_text
from tinyedge.names import (
    AdversarialMethod,
    Channels,
    DatasetName,
    Features,
    NetworkName,
    Optimizer,
    Precision,
    Scheme,
)
from tinyedge.naming import epsilon_number
from tinyedge.schema import Fault, Section, read_toml, refuse

CONFIG_FILE = "run.toml"
MOST = 10_000_000
"""Samples: more than any data set here has."""
Share = Annotated[float, Field(ge=0, le=1)]


def _of_the_range(value: Any) -> Any:
    """Text of a fraction as its number; what is none is left for the message to show."""
    if not isinstance(value, str):
        return value
    try:
        return epsilon_number(value)
    except (ValueError, ZeroDivisionError):
        refuse([Fault("", value, "a number above 0 to 1, or a fraction as '8/255'")])


Change = Annotated[float, Field(gt=0, le=1), BeforeValidator(_of_the_range)]
"""A change of an input value, as a share of the input range."""


class DataConfig(Section):
    """Which samples.

    Attributes:
        name: of the data set.
        channels: of images with colours; the paper takes ``grey``.
        features: of speech.
        folds: of cross-validation: the data set's own where it has some, else stratified by class.
        fold: that is tested on, the others are trained on; without it the data set's own test set
            is, and for a data set that has none fold 0.
        limit: takes the first so many training samples.
    """

    name: DatasetName
    channels: Channels = "grey"
    features: Features = "mfcc"
    folds: Annotated[int, Field(ge=2, le=20)] = 5
    fold: Annotated[int, Field(ge=0, lt=20)] | None = None
    limit: Annotated[int, Field(ge=1, le=MOST)] | None = None

    @model_validator(mode="after")
    def _fold_exists(self) -> DataConfig:
        if self.fold is not None and self.fold >= self.folds:
            raise ValueError(f"fold {self.fold} of {self.folds}: the first is 0")
        return self


class ModelConfig(Section):
    """Which network; see ``tinyedge.models``."""

    name: NetworkName
    precision: Precision = "stq"
    width: Annotated[float, Field(gt=0, le=4)] = 1.0
    temperature: Annotated[float, Field(ge=1, le=1000)] = 1.0


class TrainingConfig(Section):
    """How the network is trained.

    Attributes:
        scheme: of ternary and binary kernels: ``sampling`` draws every weight in every step as
            QKeras does, ``portion`` quantizes a growing share of the filters, ``deterministic``
            quantizes all.
        learning_rate: at its highest; it falls as a half cosine to 0.
        warm_up_epochs: in which it rises.
        averaging: decay of an exponential average of the weights, which is what is saved; 0 saves
            the last weights.
        initial: a run's folder or a model file of the same layers, whose weights to begin with;
            without it they are random.
    """

    epochs: Annotated[int, Field(ge=1, le=100_000)]
    batch: Annotated[int, Field(ge=1, le=MOST)] = 128
    optimizer: Optimizer = "adam"
    learning_rate: Annotated[float, Field(gt=0, le=100)] = 3e-3
    warm_up_epochs: Annotated[float, Field(ge=0, le=100_000)] = 1.0
    weight_decay: Annotated[float, Field(ge=0, le=100)] = 0.0
    label_smoothing: Share = 0.05
    scheme: Scheme = "sampling"
    seed: Annotated[int, Field(ge=0, lt=2**31)] = 0
    averaging: Annotated[float, Field(ge=0, lt=1)] = 0.0
    initial: Annotated[Path, Field(strict=False)] | None = None


class AugmentationConfig(Section):
    """Random changes of training samples.

    Attributes:
        shift: by up to so many rows and columns.
        mirror: half of them, left for right.
        mask_rows: up to so many rows in a row, points in time of a spectrogram.
        mixup: alpha of the Beta distribution by which samples are mixed; 0 does not mix.
    """

    shift: Annotated[int, Field(ge=0, le=16)] = 0
    mirror: bool = False
    mask_rows: Annotated[int, Field(ge=0, le=1000)] = 0
    mixup: Annotated[float, Field(ge=0, le=10)] = 0.0


class JacobianConfig(Section):
    """Weight of the penalty on half the squared Frobenius norm of the logits' Jacobian."""

    weight: Annotated[float, Field(ge=0, le=1e6)] = 0.0


class DistillationConfig(Section):
    """The teacher's model file, or a run's folder; its softmax has the student's temperature."""

    teacher: Annotated[Path, Field(strict=False)]


class AdversarialConfig(Section):
    """Training on samples that are crafted against the network in every step.

    Attributes:
        method: ``fgsm`` takes one step from a random start, ``pgd`` several; ``trades`` trains on
            the samples as they are, and pulls the answers to crafted ones towards those.
        epsilon: largest change of an input value, in parts of the input range.
        step: of the method, likewise; 1.25 epsilon of ``fgsm``, else epsilon/4. While epsilon grows
            it is as much smaller.
        steps: 1 of ``fgsm``, else 10.
        warmup: share of all training steps in which epsilon grows linearly from a quarter.
        beta: weight of the answers to crafted samples; of ``trades``, 6.
    """

    method: AdversarialMethod
    epsilon: Change
    step: Change | None = None
    steps: Annotated[int, Field(ge=1, le=1000)] | None = None
    warmup: Share = 0.3
    beta: Annotated[float, Field(gt=0, le=1000)] | None = None

    @model_validator(mode="after")
    def _fits_the_method(self) -> AdversarialConfig:
        faults = []
        if self.method == "fgsm" and self.steps not in (None, 1):
            faults.append(Fault("steps", self.steps, "1 with method 'fgsm'; or choose 'pgd'"))
        if self.method != "trades" and self.beta is not None:
            faults.append(Fault("beta", self.beta, f"nothing with method '{self.method}'"))
        refuse(faults)
        return self

    @property
    def step_size(self) -> float:
        """The step, or the method's own, in parts of the input range."""
        return self.step or self.epsilon * (1.25 if self.method == "fgsm" else 0.25)

    @property
    def step_count(self) -> int:
        """The number of steps, or the method's own."""
        return self.steps or (1 if self.method == "fgsm" else 10)

    @property
    def weight(self) -> float:
        """``beta``, or its default."""
        return self.beta or 6.0


class RunConfig(Section):
    """A training run, complete."""

    data: DataConfig
    model: ModelConfig
    training: TrainingConfig
    augmentation: AugmentationConfig = AugmentationConfig()
    jacobian: JacobianConfig = JacobianConfig()
    distillation: DistillationConfig | None = None
    adversarial: AdversarialConfig | None = None

    @model_validator(mode="after")
    def _quantizers_fit(self) -> RunConfig:
        if self.model.precision in ("float", "int8") and self.training.scheme == "portion":
            raise ValueError(
                f"scheme 'portion' needs ternary or binary kernels, not those of "
                f"precision '{self.model.precision}'"
            )
        return self


def read_config(path: Path) -> RunConfig:
    """Reads a run's TOML file.

    Raises:
        ConfigError: it is missing or wrong; the message lists every fault with its key.
    """
    return read_toml(path, RunConfig, ConfigError)


def write_config(config: RunConfig) -> str:
    """The TOML text of a configuration, defaults included; ``read_config`` reads it back."""
    # JSON's strings, numbers and truth values are TOML's too.
    lines = []
    for section, content in config.model_dump(mode="json", exclude_none=True).items():
        values = [f"{key} = {json_text(value)}" for key, value in content.items()]
        lines += [f"[{section}]", *values, ""]
    return "\n".join(lines)
