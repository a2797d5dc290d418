"""A gate for pull requests: what runs left and a build, held against limits from a file."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

from pydantic import BeforeValidator, Field, model_validator

from tinyedge.commands.arguments import AnyPath, check_outputs
from tinyedge.commands.builds import BuildOptions
from tinyedge.commands.notes import noted
from tinyedge.commands.report import ReportFiles, write_reports
from tinyedge.errors import ConfigError, UsageError
from tinyedge.names import CompilerName
from tinyedge.naming import epsilon_number
from tinyedge.progress import NOBODY, Listener
from tinyedge.reports.report import Limits, load_report
from tinyedge.schema import Fault, Section, read_toml, refuse

_CASE_NORMS = ("Linf", "L2")
_OF_BUILDS = ("compare", "board", "compiler", "max_flash", "max_ram", "max_regression")


def _share(value: Any) -> Any:
    """A percentage as a number; what is none is left for the message to show."""
    if not isinstance(value, str):
        return _number(value)
    number, sign, rest = value.partition("%")
    try:
        share = float(number) / 100
    except ValueError:
        sign = ""
    if not sign or rest:
        refuse([Fault("", value, "a number from 0 to 1, or a percentage as '90%'")])
    return share


def _size(value: Any) -> Any:
    """A size as it is written, in text."""
    return str(value) if type(value) is int else value


def _number(value: Any) -> Any:
    return float(value) if type(value) is int else value


Share = Annotated[float, Field(ge=0, le=1), BeforeValidator(_share)]
Size = Annotated[str, BeforeValidator(_size)]
"""As ``--max-flash`` and its fellows take it."""
Limit = Annotated[float, Field(gt=0), BeforeValidator(_number)]


class GateConfig(Section):
    """The file of a gate; paths are relative to its folder.

    Attributes:
        runs: what ``tinyedge run -o`` wrote.
        footprint: what the firmware of the run takes: its build, or a footprint's ``.json``.
        compare: what that was before.
        profile: what each layer costs, as ``tinyedge run --profile -o`` wrote it.
        board: that a converted model is built for, where ``footprint`` is one.
        compiler: that it is built with.
        max_flash, max_ram: bytes, or as ``"64K"``.
        max_regression: bytes, or as ``"2%"``, that flash or RAM may have grown by.
        max_instructions, max_seconds: of an inference on average, of every suite.
        max_cycles: of an inference, as ``profile`` models them.
        min_accuracy: the device's, by suite.
        min_worst_case: the device's where every sample meets its worst attack, by norm and budget,
            as ``"Linf@8/255"``.
    """

    runs: Annotated[list[str], Field(min_length=1)]
    footprint: str | None = None
    compare: str | None = None
    profile: str | None = None
    board: str | None = None
    compiler: CompilerName | None = None
    max_flash: Size | None = None
    max_ram: Size | None = None
    max_regression: Size | None = None
    max_instructions: Limit | None = None
    max_seconds: Limit | None = None
    max_cycles: Limit | None = None
    min_accuracy: dict[str, Share] = Field(default={})
    min_worst_case: dict[str, Share] = Field(default={})

    @model_validator(mode="after")
    def _check(self) -> GateConfig:
        faults = [
            Fault(f"min_worst_case.{name}", share, "a norm and its budget, as 'Linf@8/255'")
            for name, share in self.min_worst_case.items()
            if not _is_case(name)
        ]
        if not self.footprint:
            faults += [
                Fault(key, getattr(self, key), "only beside footprint")
                for key in _OF_BUILDS
                if getattr(self, key) is not None
            ]
        if self.max_cycles is not None and not self.profile:
            faults.append(Fault("max_cycles", self.max_cycles, "only beside profile"))
        refuse(faults)
        return self


def _is_case(name: str) -> bool:
    norm, _, budget = name.partition("@")
    try:
        return norm in _CASE_NORMS and epsilon_number(budget) > 0
    except (ValueError, ZeroDivisionError):
        return False


@noted()
def gate(
    file: AnyPath,
    *,
    output: AnyPath | None = None,
    html: AnyPath | None = None,
    markdown: AnyPath | None = None,
    junit: AnyPath | None = None,
    listener: Listener = NOBODY,
) -> dict[str, Any]:
    """Holds runs and a build against the limits of a file: ``report`` for pull requests.

    Every suite has to be bit-exact, and the memory to fit the board, without a limit for it.

    Args:
        file: a ``gate.toml``, whose keys ``docs/report.md`` names.
        output: folder for ``report.html``, ``report.md`` and ``report.xml``.
        html: file for one page that needs no other file.
        markdown: file for a pull request.
        junit: file for JUnit's XML: a test case a check.
        listener: told how far it is.

    Returns:
        As ``report``, and ``gate``: the file.

    Raises:
        ThresholdError: a check fails; what was asked for is written all the same.
        ConfigError: the file is missing or wrong.
        UsageError, BoardError, DataError, ModelError, ToolchainError: see ``report``.
        MissingDependencyError: what makes a form that a file is named for is not installed.
    """
    path = Path(file)
    config = read_toml(path, GateConfig, ConfigError)
    build = _build(path, config)
    forms = ReportFiles.of(output, html, markdown, junit)
    runs = [path.parent / each for each in config.runs]
    check_outputs(
        forms.named(),
        [("the gate", path), *(("a run", each) for each in runs)],
    )
    memory = build.read(listener, path.parent / config.footprint) if config.footprint else None
    made = load_report(
        runs,
        config.min_accuracy,
        memory,
        path.parent / config.profile if config.profile else None,
        Limits(
            config.min_worst_case, config.max_instructions, config.max_seconds, config.max_cycles
        ),
    )
    written = write_reports(made, forms, listener)
    shown = {
        "gate": str(path),
        "runs": [run.to_json() for run in made.runs],
        "build": made.build and made.build.to_json(),
        "written": [str(each) for each in written],
    }
    if failure := made.failure():
        raise failure.of(shown)
    return shown


def _build(path: Path, config: GateConfig) -> BuildOptions:
    """The options of the build; raises ConfigError where a limit is no size."""
    try:
        return BuildOptions.of(
            config.board,
            config.compiler,
            path.parent / config.compare if config.compare else None,
            config.max_flash,
            config.max_ram,
            config.max_regression,
        )
    except UsageError as error:
        raise ConfigError(f"{path}: {error}", error.hint) from error
