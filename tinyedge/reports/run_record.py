"""What a file with the record of a run holds: version 1, published in ``docs/schema/run-1.json``.

Every form of report is made from it alone. Keys are added within a version, never changed: a record
of an earlier release lacks keys, one of a later release may have more.
"""

from __future__ import annotations

import base64
import binascii
import json
import math
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    NonNegativeFloat,
    NonNegativeInt,
    PositiveInt,
    model_validator,
)

from tinyedge.errors import DataError
from tinyedge.schema import Fault, refuse, validate

VERSION = 1
Share = Annotated[float, Field(ge=0, le=1)]
Interval = Annotated[list[Share], Field(min_length=2, max_length=2)]
"""Both ends of a 95 % Wilson interval."""
Settings = dict[str, Any]


class Part(BaseModel):
    """A part of the record."""

    model_config = ConfigDict(extra="allow", strict=True, allow_inf_nan=False)


class Array(Part):
    """An array: little-endian, row by row, in base64."""

    dtype: Literal["int8", "int64", "float32", "float64"]
    shape: list[NonNegativeInt]
    data: str

    @model_validator(mode="after")
    def _fits(self) -> Array:
        try:
            size = len(base64.b64decode(self.data, validate=True))
        except binascii.Error:
            refuse([Fault("data", self.data, "base64")])
        expected = math.prod(self.shape) * np.dtype(self.dtype).itemsize
        if size != expected:
            refuse([Fault("data", f"{size} bytes", f"{expected} bytes, as its shape says")])
        return self

    @property
    def value(self) -> NDArray[Any]:
        """The array."""
        content = base64.b64decode(self.data)
        return np.frombuffer(content, np.dtype(self.dtype).newbyteorder("<")).reshape(self.shape)


class Int8Array(Array):
    """An array of int8."""

    dtype: Literal["int8"]


def encode_array(array: NDArray[Any]) -> dict[str, Any]:
    """An array as ``Array`` has it."""
    content = np.ascontiguousarray(array, array.dtype.newbyteorder("<")).tobytes()
    return {
        "dtype": array.dtype.name,
        "shape": list(array.shape),
        "data": base64.b64encode(content).decode(),
    }


class Tensor(Part):
    """The model's input or output: ``real = scale * (int8 - zero_point)``."""

    shape: list[PositiveInt]
    scale: float
    zero_point: int


class Model(Part):
    """The converted model."""

    name: str
    hash: str
    parameters: NonNegativeInt
    macs: NonNegativeInt
    weight_bytes: NonNegativeInt
    source: Settings = Field(description="file, its SHA-256, producer, command")
    notes: list[str]
    input: Tensor | None = None
    output: Tensor | None = None


class Flash(Part):
    """Bytes of flash."""

    code: NonNegativeInt
    weights: NonNegativeInt
    other: NonNegativeInt
    total: NonNegativeInt
    size: PositiveInt = Field(description="of the board")


class Ram(Part):
    """Bytes of RAM."""

    arena: NonNegativeInt
    static: NonNegativeInt
    stack_peak: NonNegativeInt | None
    total: NonNegativeInt
    size: PositiveInt = Field(description="of the board")


class Memory(Part):
    """What the firmware takes."""

    flash: Flash
    ram: Ram


class Accuracy(Part):
    """Shares of right verdicts."""

    float: Share | None
    host: Share
    device: Share


class Intervals(Part):
    """95 % Wilson intervals of ``accuracy``."""

    float: Interval | None
    host: Interval
    device: Interval


class Agreement(Part):
    """Shares of samples that get the same verdict from both."""

    host_device: Share
    float_device: Share | None


class LogitError(Part):
    """Error of the dequantized logits against a reference; see ``evaluation.metrics``."""

    rmse: NonNegativeFloat
    mae: NonNegativeFloat
    l2r: NonNegativeFloat | None
    cos: Annotated[float, Field(ge=-1, le=1)] | None
    largest: NonNegativeFloat
    undefined: str | None = Field(description="why l2r or cos is null")


class LogitErrors(Part):
    """The device's logits against the host's and against the float model's."""

    device_host: LogitError
    device_float: LogitError | None
    device_float_missing: str | None = Field(description="why device_float is null")


class Cost(Part):
    """Of one inference."""

    mean: float
    min: float
    max: float
    p50: float | None = None
    p95: float | None = None


class Confusion(Part):
    """Counts: a row a label, a column a verdict."""

    float: list[list[NonNegativeInt]] | None
    device: list[list[NonNegativeInt]]


class Change(Part):
    """The change that an attack made, in units of the model's float input."""

    clean: str = Field(description="the suite of the samples before")
    clean_accuracy: Accuracy = Field(description="of these samples before the attack")
    linf_max: NonNegativeFloat
    linf_mean: NonNegativeFloat
    l2_mean: NonNegativeFloat
    l2_max: NonNegativeFloat
    l2_median_of_successes: NonNegativeFloat | None = Field(
        description="of samples that the device had right and has no more"
    )
    values_changed: Share = Field(description="of all input values")
    samples_changed: NonNegativeInt
    samples_changed_int8: NonNegativeInt = Field(description="as the device receives them")


class Within(Part):
    """Accuracy where only changes up to epsilon count: of L2 attacks."""

    share: Share
    interval: Interval


class File(Part):
    """A file of suites."""

    name: str
    sha256: str


class Suite(Part):
    """What became of one suite."""

    name: str
    samples: PositiveInt
    accuracy: Accuracy
    mismatched_samples: NonNegativeInt
    mismatched_logits: NonNegativeInt
    instructions: Cost | None
    seconds: Cost | None
    settings: Settings
    intervals: Intervals | None = None
    agreement: Agreement | None = None
    logit_error: LogitErrors | None = None
    confusion: Confusion | None = None
    change: Change | None = None
    within_epsilon: Within | None = None
    classes: list[str] = Field(default=[], description="names in the order of labels, if known")
    file: File | None = None


class SweepPoint(Part):
    """Accuracy of the float model under PGD."""

    epsilon: NonNegativeFloat
    accuracy: Share


class Masking(Part):
    """What ``tinyedge attack`` found of a float model when it crafted a file of suites."""

    file: str
    believable: bool
    findings: list[str]
    samples: PositiveInt | None = Field(default=None, description="that the sweep took")
    zero_gradients: Share | None = None
    pgd_sweep: list[SweepPoint] = []


class Remark(Part):
    """A reason not to believe a figure, or to be careful with it."""

    rule: str
    suites: list[str]
    text: str


class Judgement(Part):
    """Whether to believe the robustness figures."""

    believable: bool
    findings: list[Remark] = Field(description="reasons not to believe them")
    cautions: list[Remark] = Field(description="what they do not say")
    files: list[Masking]


class LinkDevice(Part):
    """What happened on the link to one device."""

    port: str
    boot_id: int | str | None = None
    computed: NonNegativeInt
    failure: str | None
    requests: NonNegativeInt
    retransmissions: NonNegativeInt
    damaged: NonNegativeInt
    reconnections: NonNegativeInt
    resets: NonNegativeInt
    changes: NonNegativeInt
    bytes_sent: NonNegativeInt


class Link(Part):
    """What happened on the links."""

    from_journal: NonNegativeInt
    devices: list[LinkDevice]


class ProfileLayer(Part):
    """What a layer costs in one inference."""

    name: str
    kernel: str | None = None
    macs: NonNegativeInt | None = None
    count: NonNegativeFloat | None


class Profile(Part):
    """What one inference costs, by layer; null where nothing is counted."""

    unit: str | None
    total: NonNegativeFloat | None
    layers: list[ProfileLayer]
    overhead: float | None = Field(default=None, description="what measuring layers adds")


class SuiteArrays(Part):
    """What the figures of a suite were computed from."""

    suite: str
    labels: Array
    float_logits: Array | None
    host_logits: Array
    device_logits: Array
    instructions: Array | None
    seconds: Array | None
    l2: Array | None = Field(description="length of each sample's change")


class Picture(Part):
    """A sample before and after an attack, int8 as the device receives it."""

    suite: str
    index: NonNegativeInt
    label: NonNegativeInt
    clean_verdict: NonNegativeInt
    verdict: NonNegativeInt
    clean: Int8Array
    attacked: Int8Array


class Run(Part):
    """The record of a run."""

    version: Literal[1] = 1
    on: str | None = Field(default=None, description="numpy, twin, tflite-micro, emulator, board")
    board: str | None = None
    emulator: str | None = None
    compiler: str | None = None
    port: str | None = None
    firmware: str | None = Field(default=None, description="hash of the firmware's sources")
    command: list[str] | None = None
    model: Model
    memory: Memory | None = None
    suites: Annotated[list[Suite], Field(min_length=1)]
    judgement: Judgement | None = None
    link: Link | None = None
    profile: Profile | None = None
    versions: dict[str, str]
    arrays: list[SuiteArrays] = []
    pictures: list[Picture] = []

    @model_validator(mode="after")
    def _belongs_together(self) -> Run:
        samples = {suite.name: suite.samples for suite in self.suites}
        faults = (
            []
            if len(samples) == len(self.suites)
            else [Fault("suites", "names that occur twice", "names that differ")]
        )
        for at, arrays in enumerate(self.arrays):
            faults += _misfits(f"arrays.{at}", arrays, samples)
        for at, picture in enumerate(self.pictures):
            shapes = [array.shape for array in (picture.clean, picture.attacked)]
            expected = self.model.input and self.model.input.shape
            if shapes != [expected, expected]:
                faults.append(Fault(f"pictures.{at}", shapes, f"the model's input, {expected}"))
            if picture.suite not in samples:
                faults.append(Fault(f"pictures.{at}.suite", picture.suite, ", ".join(samples)))
        refuse(faults)
        return self


def _misfits(key: str, arrays: SuiteArrays, samples: dict[str, int]) -> list[Fault]:
    if arrays.suite not in samples:
        return [Fault(f"{key}.suite", arrays.suite, f"one of {', '.join(samples)}")]
    count = samples[arrays.suite]
    given = {
        name: array
        for name in SuiteArrays.model_fields
        if isinstance(array := getattr(arrays, name), Array)
    }
    return [
        Fault(f"{key}.{name}.shape", array.shape, f"{count} samples first")
        for name, array in given.items()
        if array.shape[:1] != [count]
    ]


def load_run(path: Path) -> Run:
    """Reads the record of a run: ``run -o``, what ``run --json`` printed, or a ``report.json``.

    Raises:
        DataError: the file is missing, damaged, no record of a run, or of a later version.
    """
    hint = "write it with 'tinyedge run DIR --on PLACE --suite FILE -o RUN.json'"
    content = read_record(path, hint)
    if "suites" not in content:
        raise DataError(f"{path}: not the record of a run: it has no suites", hint)
    try:
        return validate(content, path, Run, DataError)
    except DataError as error:
        error.hint = hint
        raise


def read_record(path: Path, hint: str) -> dict[str, Any]:
    """The object in a JSON file of a version that is known.

    Raises:
        DataError: the file is missing, holds no such object, or one of a later version.
    """
    if not path.is_file():
        raise DataError(f"{path}: no such file", hint)
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise DataError(f"{path}: cannot be read as JSON: {error}", hint) from error
    if not isinstance(content, dict):
        raise DataError(f"{path}: not a record, but {type(content).__name__}", hint)
    version = content.get("version", VERSION)
    if type(version) is int and version > VERSION:
        raise DataError(
            f"{path}: version is {version}, allowed: up to {VERSION}",
            "a later release of tinyedge wrote it: install that one",
        )
    return content


class _Profiled(Part):
    """The record of ``run --profile``."""

    model: Model
    profile: Profile


def load_profile(path: Path, model_hash: str) -> Profile:
    """Reads what ``run --profile -o`` wrote, or ``--json`` printed.

    Raises:
        DataError: the file is missing, damaged, no such record, or of another model.
    """
    hint = "write it with 'tinyedge run DIR --on PLACE --profile -o FILE'"
    content = read_record(path, hint)
    if "profile" not in content:
        raise DataError(f"{path}: holds no profile", hint)
    try:
        found = validate(content, path, _Profiled, DataError)
    except DataError as error:
        error.hint = hint
        raise
    if found.model.hash != model_hash:
        raise DataError(
            f"{path}: the profile is of model {found.model.hash[:12]}, not of {model_hash[:12]}",
            hint,
        )
    return found.profile


def run_schema() -> dict[str, Any]:
    """The JSON Schema of a record, as it is published."""
    schema = Run.model_json_schema(mode="validation")
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$id": "run-1.json",
        **schema,
        "title": "The record of a run of tinyedge, version 1",
    }
