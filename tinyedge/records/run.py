"""The format of a run's record: version 1, published in ``docs/schema/run-1.json``.

Every form of report is made from it alone. Keys are added within a version, never changed: a record
of an earlier release lacks keys, one of a later release may have more.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, NonNegativeFloat, PositiveInt, model_validator

from tinyedge.errors import DataError
from tinyedge.records.parts import (
    Array,
    Count,
    Int8Array,
    Interval,
    Memory,
    Name,
    Part,
    Rows,
    Settings,
    Share,
    Tensor,
    as_model,
    read_record,
)
from tinyedge.records.training import is_training
from tinyedge.schema import Fault, refuse


class Model(Part):
    """The converted model."""

    name: Name
    hash: Name
    parameters: Count
    macs: Count
    weight_bytes: Count
    source: Settings = Field(description="file, its SHA-256, producer, command")
    notes: Rows[str]
    input: Tensor | None = None
    output: Tensor | None = None


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
    """The cost of one inference."""

    mean: float
    min: int | float
    max: int | float
    p50: int | float | None = None
    p95: int | float | None = None


class Confusion(Part):
    """Counts: a row a label, a column a verdict."""

    float: Rows[Rows[Count]] | None
    device: Rows[Rows[Count]]


class Change(Part):
    """The change that an attack made, in units of the model's float input."""

    clean: Name = Field(description="the suite of the samples before")
    clean_accuracy: Accuracy = Field(description="of these samples before the attack")
    linf_max: NonNegativeFloat
    linf_mean: NonNegativeFloat
    l2_mean: NonNegativeFloat
    l2_max: NonNegativeFloat
    l2_median_of_successes: NonNegativeFloat | None = Field(
        description="of samples that the device had right and has no more"
    )
    values_changed: Share = Field(description="of all input values")
    samples_changed: Count
    samples_changed_int8: Count = Field(description="as the device receives them")


class Within(Part):
    """Accuracy where only changes up to epsilon count: of L2 attacks."""

    share: Share
    interval: Interval


class File(Part):
    """A file of suites."""

    name: Name
    sha256: Name


_SETTINGS: dict[str, tuple[type | tuple[type, ...], str]] = {
    "attack": (str, "a text"),
    "norm": (str, "a text"),
    "epsilon": ((int, float), "a number"),
}
"""The settings that reports compute with."""


def settings_faults(settings: Settings) -> Iterator[Fault]:
    """Lists the faults of the settings of a suite."""
    for key, (kind, allowed) in _SETTINGS.items():
        value = settings.get(key, kind)
        if key in settings and (isinstance(value, bool) or not isinstance(value, kind)):
            yield Fault(f"settings.{key}", value, allowed)


class Suite(Part):
    """The outcome of one suite."""

    name: Name
    samples: PositiveInt
    accuracy: Accuracy
    mismatched_samples: Count
    mismatched_logits: Count
    instructions: Cost | None
    seconds: Cost | None
    settings: Settings
    intervals: Intervals | None = None
    agreement: Agreement | None = None
    logit_error: LogitErrors | None = None
    confusion: Confusion | None = None
    change: Change | None = None
    within_epsilon: Within | None = None
    classes: Rows[Name] = Field(default=[], description="names in the order of labels, if known")
    file: File | None = None

    @model_validator(mode="after")
    def _can_be_shown(self) -> Suite:
        refuse(settings_faults(self.settings))
        return self


class SweepPoint(Part):
    """Accuracy of the float model under PGD."""

    epsilon: NonNegativeFloat
    accuracy: Share


class Masking(Part):
    """The findings of ``tinyedge attack`` on a float model when it crafted a file of suites."""

    file: Name
    believable: bool
    findings: Rows[str]
    samples: PositiveInt | None = Field(default=None, description="that the sweep took")
    zero_gradients: Share | None = None
    pgd_sweep: Rows[SweepPoint] = Field(default=[])


class Remark(Part):
    """A reason not to believe a figure, or to be careful with it."""

    rule: Name
    suites: Rows[Name]
    text: str


class Judgement(Part):
    """Whether to believe the robustness figures."""

    believable: bool
    findings: Rows[Remark] = Field(description="reasons not to believe them")
    cautions: Rows[Remark] = Field(description="what they do not say")
    files: Rows[Masking]


class WorstCase(Part):
    """The device's accuracy where every sample meets the attack that is worst for it."""

    clean: Name = Field(description="the suite of the samples before")
    norm: Literal["Linf", "L2"]
    epsilon: NonNegativeFloat = Field(description="budget; any suite's change within it counts")
    samples: PositiveInt = Field(description="that all suites hold")
    accuracy: Share
    interval: Interval
    suites: Rows[Name] = Field(description="that fool the device on any sample within it")


class LinkDevice(Part):
    """The events on the link to one device."""

    port: Name
    boot_id: int | str | None = None
    computed: Count
    failure: str | None
    requests: Count
    retransmissions: Count
    damaged: Count
    reconnections: Count
    resets: Count
    changes: Count
    restarts: Count = 0
    bytes_sent: Count


class Link(Part):
    """The events on the links."""

    from_journal: Count
    devices: Rows[LinkDevice]


class Worker(Part):
    """A process of a cluster that has computed."""

    worker: Name
    chunks: Count
    samples: Count
    seconds: NonNegativeFloat
    versions: dict[str, str]


class Cluster(Part):
    """The workers of a distributed run and their times: no other key depends on them."""

    address: Name
    seconds: NonNegativeFloat
    chunks_computed: Count
    chunks_kept: Count = Field(description="that earlier runs had computed")
    failures: Count = Field(description="workers that died, and chunks that were repeated")
    workers: Rows[Worker]


class ProfileLayer(Part):
    """The cost of a layer in one inference."""

    name: Name
    kernel: Name | None = None
    macs: Count | None = None
    count: NonNegativeFloat | None
    cycles: NonNegativeFloat | None = Field(default=None, description="modelled, not measured")


class Profile(Part):
    """The cost of one inference, by layer; null where nothing is counted."""

    unit: Name | None
    total: NonNegativeFloat | None
    layers: Rows[ProfileLayer]
    overhead: float | None = Field(default=None, description="what measuring layers adds")
    cycles: NonNegativeFloat | None = Field(
        default=None, description="modelled from what was counted, not measured"
    )
    cycle_model: Name | None = Field(default=None, description="whose timings they are")
    estimated_seconds: NonNegativeFloat | None = Field(
        default=None, description="an estimate: cycles at the board's clock"
    )
    no_cycles: str | None = Field(default=None, description="why cycles is null")
    instead_of: Name | None = Field(
        default=None, description="the board that was asked for, where another counts for it"
    )


class SuiteArrays(Part):
    """The arrays that the figures of a suite were computed from."""

    suite: Name
    labels: Array
    float_logits: Array | None
    host_logits: Array
    device_logits: Array
    instructions: Array | None
    seconds: Array | None
    l2: Array | None = Field(description="length of each sample's change")


class Picture(Part):
    """A sample before and after an attack, int8 as the device receives it."""

    suite: Name
    index: Count
    label: Count
    clean_verdict: Count
    verdict: Count
    clean: Int8Array
    attacked: Int8Array


class Arena(Part):
    """Bytes of a firmware's arena, as the runtime measured them."""

    smallest: Count
    total: Count
    head: Count
    tail: Count


class Place(Part):
    """Where a run takes place, and what was measured there."""

    on: Name | None = Field(default=None, description="numpy, twin, tflite-micro, emulator, board")
    board: Name | None = None
    emulator: Name | None = None
    compiler: Name | None = None
    port: Name | None = None
    firmware: Name | None = Field(default=None, description="hash of the firmware's sources")
    library: Name | None = Field(default=None, description="TFLite-Micro's, where that ran")
    memory: Memory | None = None
    arena: Arena | None = None
    stack_peak: Count | None = None
    link: Link | None = None
    cluster: Cluster | None = None


class Run(Place):
    """The record of a run."""

    version: Literal[1] = 1
    command: Rows[str] | None = None
    model: Model
    suites: Annotated[Rows[Suite], Field(min_length=1)]
    judgement: Judgement | None = None
    worst_cases: Rows[WorstCase] = Field(default=[])
    profile: Profile | None = None
    versions: dict[str, str]
    arrays: Rows[SuiteArrays] = Field(default=[])
    pictures: Rows[Picture] = Field(default=[])

    @model_validator(mode="after")
    def _belongs_together(self) -> Run:
        samples = {suite.name: suite.samples for suite in self.suites}
        faults = (
            []
            if len(samples) == len(self.suites)
            else [Fault("suites", "names that occur twice", "names that differ")]
        )
        for at, suite in enumerate(self.suites):
            if suite.change and samples.get(suite.change.clean, suite.samples) < suite.samples:
                allowed = f"a suite of at least {suite.samples} samples"
                faults.append(Fault(f"suites.{at}.change.clean", suite.change.clean, allowed))
        for at, arrays in enumerate(self.arrays):
            faults += _misfits(f"arrays.{at}", arrays, samples)
        for at, picture in enumerate(self.pictures):
            shapes = [array.shape for array in (picture.clean, picture.attacked)]
            expected = self.model.input and self.model.input.shape
            if shapes != [expected, expected]:
                faults.append(Fault(f"pictures.{at}", shapes, f"the model's input, {expected}"))
            if picture.suite not in samples:
                faults.append(Fault(f"pictures.{at}.suite", picture.suite, "the name of a suite"))
        refuse(faults)
        return self


def _misfits(key: str, arrays: SuiteArrays, samples: dict[str, int]) -> list[Fault]:
    if arrays.suite not in samples:
        return [Fault(f"{key}.suite", arrays.suite, "the name of a suite")]
    count = samples[arrays.suite]
    given = {
        name: array
        for name in SuiteArrays.model_fields
        if isinstance(array := getattr(arrays, name), Array)
    }
    return [
        Fault(f"{key}.{name}.shape", array.shape, f"{count} samples first, then {inner}")
        for name, array in given.items()
        for inner in ["one row of logits" if name.endswith("logits") else "nothing"]
        if array.shape[:1] != [count] or len(array.shape) != 1 + name.endswith("logits")
    ]


def load_run(path: Path) -> Run:
    """Reads the record of a run: ``run -o``, what ``run --json`` printed, or a ``report.json``.

    Raises:
        DataError: the file is missing, damaged, no record of a run, or of a later version.
    """
    hint = "write it with 'tinyedge run DIR --on PLACE --data FILE -o RUN.json'"
    content = read_record(path, hint)
    if is_training(content):
        raise DataError(
            f"{path}: the record of a training, not of a run",
            "a report is made of what came of it: 'tinyedge attack' crafts suites on its network, "
            "'tinyedge convert' converts it, 'tinyedge run DIR --data FILE -o RUN.json' runs them",
        )
    if "suites" not in content:
        raise DataError(f"{path}: not the record of a run: it has no suites", hint)
    return as_model(content, path, Run, hint)


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
    found = as_model(content, path, _Profiled, hint)
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
