"""The contents of a report of one or several runs, worked out from their records alone."""

from __future__ import annotations

import hashlib
import math
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from tinyedge.errors import DataError, ThresholdError, UsageError
from tinyedge.evaluation.intervals import wilson_interval
from tinyedge.evaluation.metrics import verdicts
from tinyedge.evaluation.perturbation import withstood
from tinyedge.graph.tensors import Quantization
from tinyedge.naming import epsilon_number, same_epsilon
from tinyedge.records.run import (
    Run,
    Suite,
    SuiteArrays,
    WorstCase,
    load_profile,
    load_run,
)
from tinyedge.reports.footprint import (
    GROUP_LABELS,
    MEMORY_LABELS,
    SMALLER,
    gate_advice,
    gate_line,
)

_NOT_EXACT = (
    "convert and build again, and flash a board again; where they still differ, it is a bug of "
    "tinyedge: 'tinyedge run --trace' names the first layer that does"
)
_UNMEASURED = {
    "instructions": "run on an emulator that counts them",
    "seconds": "run on a board, whose counter measures them",
    "cycles": "give the profile of 'tinyedge run --profile', made in QEMU",
}
"""Ways to a cost that a record lacks."""
_CURVE_POINTS = 24
"""Points of a curve over the lengths that an L2 attack needed."""


@dataclass(frozen=True)
class Point:
    """Accuracy at one epsilon, with its 95 % Wilson interval where the count is known."""

    epsilon: float
    accuracy: float
    interval: tuple[float, float] | None


@dataclass(frozen=True)
class Curve:
    """Accuracy over epsilon.

    Attributes:
        attack: its name.
        crafted_on: ``float model`` or ``converted model``.
        of: whose accuracy: ``float`` or ``device``.
        norm: of epsilon.
        unit: of epsilon.
        points: by epsilon.
        swept: the file of suites, where the points are those that ``tinyedge attack`` tried on the
            float model to find masked gradients; None where they are of the run.
    """

    attack: str
    crafted_on: str
    of: Literal["float", "device"]
    norm: str
    unit: str
    points: list[Point]
    swept: str | None = None


@dataclass(frozen=True)
class Check:
    """Something that has to hold.

    Attributes:
        suite: that it is about, or ``memory``.
        name: ``bit-exact``, ``min-accuracy``, ``flash fits``, ``RAM fits``.
        ok: whether it holds.
        text: in words.
        advice: what to do where it does not hold; empty where it does.
    """

    suite: str
    name: str
    ok: bool
    text: str
    advice: str = ""


@dataclass(frozen=True)
class Limits:
    """The demands of a gate on a run, besides accuracies by suite.

    Attributes:
        worst_case: accuracies in [0, 1] of the device where every sample meets its worst attack,
            by norm and budget, as ``Linf@8/255``.
        instructions: the most that an inference of any suite may take on average.
        seconds: the same by the device's counter.
        cycles: the most that an inference may take, as a profile models it.
    """

    worst_case: Mapping[str, float] = field(default_factory=dict)
    instructions: float | None = None
    seconds: float | None = None
    cycles: float | None = None


def place_in_words(on: str | None, board: str | None, emulator: str | None) -> str:
    """Where a run took place, of what its record says."""
    if board is None:
        return on or "an unknown place"
    return f"{board} ({emulator})" if emulator else board


@dataclass(frozen=True, eq=False)
class RunReport:
    """The contents of a report of one run.

    Attributes:
        label: tells the runs of a report apart.
        file: name of the record's file.
        sha256: of its content.
        run: the record.
        thresholds: the accuracies that were asked for, by suite.
        limits: of everything else.
    """

    label: str
    file: str
    sha256: str
    run: Run
    thresholds: Mapping[str, float] = field(default_factory=dict)
    limits: Limits = field(default_factory=Limits)

    @property
    def title(self) -> str:
        """The model, and where it ran."""
        return f"{self.run.model.name} on {self.place}"

    @property
    def place(self) -> str:
        """Where it ran, in words."""
        return place_in_words(self.run.on, self.run.board, self.run.emulator)

    @property
    def differing(self) -> int:
        """Logits that differ between host and device, of all suites."""
        return sum(suite.mismatched_logits for suite in self.run.suites)

    @property
    def logits(self) -> int | None:
        """Logits that were compared; None where the record does not say."""
        output = self.run.model.output
        if output is None:
            return None
        return sum(suite.samples for suite in self.run.suites) * math.prod(output.shape)

    @property
    def attacked(self) -> list[Suite]:
        """The suites that an attack made."""
        return [suite for suite in self.run.suites if "attack" in suite.settings]

    @cached_property
    def arrays(self) -> dict[str, SuiteArrays]:
        """The arrays that the figures were computed from, by suite."""
        return {arrays.suite: arrays for arrays in self.run.arrays}

    def costs(self) -> tuple[str, dict[str, NDArray[Any]]] | None:
        """The unit of the cost of an inference, and the cost of each sample by suite."""
        for unit in ("instructions", "seconds"):
            found = {
                name: array.value
                for name, arrays in self.arrays.items()
                if (array := getattr(arrays, unit))
            }
            if found:
                return unit, found
        return None

    @cached_property
    def curves(self) -> list[Curve]:
        """Accuracy over epsilon, where there are at least two."""
        return [*self._linf_curves(), *self._l2_curves(), *self._sweeps()]

    def _linf_curves(self) -> Iterable[Curve]:
        groups: dict[tuple[str, str, str, tuple[str, ...]], list[Suite]] = defaultdict(list)
        for suite in self.attacked:
            settings = suite.settings
            if settings.get("norm") == "Linf" and "epsilon" in settings and suite.change:
                crafted_on = "converted model" if "oracle" in settings else "float model"
                unit = str(settings.get("epsilon_unit", ""))
                key = settings["attack"], crafted_on, unit, self._samples(suite.change.clean)
                groups[key].append(suite)
        for (attack, crafted_on, unit, _), suites in groups.items():
            # Two may have one epsilon, to three digits: the one of more samples is kept.
            suites.sort(key=lambda suite: suite.samples)
            by_epsilon = {f"{suite.settings['epsilon']:.3g}": suite for suite in suites}
            if len(by_epsilon) < 2:
                continue
            ordered = sorted(by_epsilon.values(), key=lambda suite: suite.settings["epsilon"])
            first = ordered[0]
            assert first.change
            for of in ("device", "float"):
                shares = [(0.0, getattr(first.change.clean_accuracy, of), first.samples)]
                shares += [
                    (suite.settings["epsilon"], getattr(suite.accuracy, of), suite.samples)
                    for suite in ordered
                ]
                if all(share is not None for _, share, _ in shares):
                    points = [_point(*each) for each in shares]
                    yield Curve(attack, crafted_on, of, "Linf", unit, points)

    def _samples(self, clean: str) -> tuple[str, ...]:
        """Identifies the samples of a clean suite: curves do not mix two files'."""
        arrays = self.arrays.get(clean)
        return (arrays.labels.data, arrays.host_logits.data) if arrays else (clean,)

    def _l2_curves(self) -> Iterable[Curve]:
        """Curves of one suite each: which samples have withstood changes up to any length."""
        for suite in self.attacked:
            arrays = self.arrays.get(suite.name)
            clean = self.arrays.get(suite.change.clean) if suite.change else None
            if suite.settings.get("norm") != "L2" or not (arrays and clean and arrays.l2):
                continue
            count, labels, lengths = suite.samples, arrays.labels.value, arrays.l2.value
            tensor = self.run.model.output
            output = Quantization(tensor.scale, tensor.zero_point) if tensor else None
            budgets = np.linspace(0, float(lengths.max()), _CURVE_POINTS)
            crafted_on = "converted model" if "oracle" in suite.settings else "float model"
            for of in ("device", "float"):
                before, after = (getattr(each, f"{of}_logits") for each in (clean, arrays))
                if not (before and after):
                    continue
                was = verdicts(before.value[:count], output) == labels
                stayed = verdicts(after.value, output) == labels
                points = [
                    _point(budget, float(withstood(lengths, budget, was, stayed).mean()), count)
                    for budget in map(float, budgets)
                ]
                unit = str(suite.settings.get("epsilon_unit", ""))
                yield Curve(suite.settings["attack"], crafted_on, of, "L2", unit, points)

    def _sweeps(self) -> Iterable[Curve]:
        """PGD on the float model, as ``tinyedge attack`` tried it to find masked gradients."""
        for file in self.run.judgement.files if self.run.judgement else ():
            if file.pgd_sweep:
                points = [_point(at.epsilon, at.accuracy, file.samples) for at in file.pgd_sweep]
                yield Curve(
                    "pgd", "float model", "float", "Linf", "float input", points, swept=file.file
                )

    @cached_property
    def checks(self) -> list[Check]:
        """Gives the checks that have to hold, suite by suite."""
        checks = []
        for suite in self.run.suites:
            ok = suite.mismatched_logits == 0
            text = (
                f"host and device differ in {suite.mismatched_logits:,} logits of "
                f"{suite.mismatched_samples:,} of {suite.samples:,} samples"
            )
            if ok:
                text = f"every logit of {suite.samples:,} samples is the host's"
            checks.append(Check(suite.name, "bit-exact", ok, text, "" if ok else _NOT_EXACT))
            asked = self.thresholds.get(suite.name)
            if asked is not None:
                found = suite.accuracy.device
                ok, side = found >= asked, "at least" if found >= asked else "below"
                text = f"accuracy {100 * found:.2f} % is {side} the {100 * asked:g} % asked for"
                advice = "" if ok else _inaccurate(suite, asked)
                checks.append(Check(suite.name, "min-accuracy", ok, text, advice))
        checks += self._limited()
        if memory := self.run.memory:
            for name, part in (("flash", memory.flash), ("RAM", memory.ram)):
                checks.append(_fits(name, part.total, part.size, part.size - part.total))
        return checks

    def _limited(self) -> Iterable[Check]:
        """Gives the checks that ``limits`` demands; a value that a record lacks is missed."""
        for name, asked in self.limits.worst_case.items():
            case = self._worst_case(name)
            if case is None:
                told = f"no attacks of {name} are in the record"
                advice = "run suites of 'tinyedge attack' at that epsilon, with the clean samples"
                yield Check("worst case", f"min-worst-case of {name}", False, told, advice)
                continue
            ok, side = case.accuracy >= asked, "at least" if case.accuracy >= asked else "below"
            yield Check(
                "worst case",
                f"min-worst-case of {name}",
                ok,
                f"accuracy {100 * case.accuracy:.2f} % under the worst attack of {name} is {side} "
                f"the {100 * asked:g} % asked for",
                "" if ok else "train against the attack (docs/training.md), or ask for less",
            )
        found = [(suite.name, suite.instructions, suite.seconds) for suite in self.run.suites]
        for name, instructions, seconds in found:
            for unit, limit, cost in (
                ("instructions", self.limits.instructions, instructions),
                ("seconds", self.limits.seconds, seconds),
            ):
                if limit is not None:
                    yield _cost_check(name, unit, limit, cost.mean if cost else None)
        if self.limits.cycles is not None:
            profile = self.run.profile
            cycles = profile.cycles if profile else None
            yield _cost_check("profile", "cycles", self.limits.cycles, cycles)

    def _worst_case(self, name: str) -> WorstCase | None:
        norm, _, budget = name.partition("@")
        return next(
            (
                case
                for case in self.run.worst_cases
                if case.norm == norm and same_epsilon(case.epsilon, epsilon_number(budget))
            ),
            None,
        )

    def to_json(self) -> dict[str, Any]:
        """The run in ``--json``: the record without its arrays, and what follows from it."""
        return {
            "label": self.label,
            "file": self.file,
            "sha256": self.sha256,
            "record": self.run.model_dump(exclude={"arrays", "pictures"}),
            "curves": [asdict(curve) for curve in self.curves],
            "checks": [asdict(check) for check in self.checks],
        }


def _cost_check(suite: str, unit: str, limit: float, mean: float | None) -> Check:
    name = f"max-{unit}"
    if mean is None:
        text = f"the record does not tell the {unit} of an inference"
        return Check(suite, name, False, text, _UNMEASURED[unit])
    ok, side = mean <= limit, "above" if mean > limit else "within"
    text = f"an inference takes {mean:,.6g} {unit}, {side} the {limit:,.6g} allowed"
    advice = "" if ok else "'tinyedge run --profile' shows which layers take most; or allow more"
    return Check(suite, name, ok, text, advice)


def _fits(name: str, total: int, size: int, left: int) -> Check:
    """Whether a memory of a board suffices."""
    text = f"{name} takes {total:,} of {size:,} bytes"
    if left >= 0:
        return Check("memory", f"{name} fits", True, text)
    advice = f"{SMALLER['flash' if name == 'flash' else 'ram']}; or take a board with more {name}"
    return Check("memory", f"{name} fits", False, f"{text}, {-left:,} too many", advice)


def _inaccurate(suite: Suite, asked: float) -> str:
    """Advises on an accuracy that is too low: where the loss arises decides."""
    found, floats = suite.accuracy.device, suite.accuracy.float
    if floats is None:
        return "compare with the float model: suites of 'tinyedge attack' hold its logits"
    if floats < asked:
        return f"the float model itself has {100 * floats:.2f} %: train it further, or ask for less"
    return (
        f"the float model has {100 * floats:.2f} %, so conversion loses "
        f"{100 * (floats - found):.2f} points: 'tinyedge check --layers' shows the layer"
    )


@dataclass(frozen=True, eq=False)
class BuildReport:
    """The contents of a report of a firmware's memory.

    Attributes:
        footprint: the record, see ``load_footprint``.
    """

    footprint: dict[str, Any]
    label = "build"

    @property
    def title(self) -> str:
        """The model, or else the program, and the board."""
        record = self.footprint
        name = (
            record["model"]["name"] if record["model"] else Path(record["elf"] or "a program").name
        )
        return f"Memory of {name}" + (f" on {record['board']}" if record["board"] else "")

    @cached_property
    def checks(self) -> list[Check]:
        """Whether it fits the board, and the limits."""
        record = self.footprint
        checks = [
            _fits(label, record[memory]["total"], record[memory]["size"], record[memory]["left"])
            for memory, label in MEMORY_LABELS.items()
            if record[memory]["size"] is not None
        ]
        checks += [
            Check(
                "memory",
                f"{gate['gate']} of {gate['memory']}",
                gate["over"] <= 0,
                gate_line(gate),
                gate_advice(record, gate) if gate["over"] > 0 else "",
            )
            for gate in record["gates"]
        ]
        return checks

    def shares(self, memory: Literal["flash", "ram"]) -> list[tuple[str, int]]:
        """The parts of flash or RAM, of RAM the stack at its peak among them, with their bytes."""
        rows = self.footprint["groups"]
        parts = [(GROUP_LABELS.get(row["name"], row["name"]), row[memory]) for row in rows]
        if memory == "ram":
            parts.append(("stack at its peak", self.footprint["ram"]["stack_peak"] or 0))
        return [part for part in parts if part[1]]

    def to_json(self) -> dict[str, Any]:
        """The build in ``--json``."""
        return {"record": self.footprint, "checks": [asdict(check) for check in self.checks]}


@dataclass(frozen=True, eq=False)
class Report:
    """One or several runs, a run with its build, or a build alone.

    Attributes:
        runs: by the files that they were read from.
        build: what takes the firmware's flash and RAM, if it was given.
        history: whether the runs are of one network, in the order of time.
    """

    runs: list[RunReport]
    build: BuildReport | None = None
    history: bool = False

    @property
    def title(self) -> str:
        """The heading of the report."""
        if self.build and not self.runs:
            return self.build.title
        if len(self.runs) == 1:
            return self.runs[0].title
        if self.history:
            return f"History of {self.runs[-1].run.model.name}, {len(self.runs)} runs"
        return f"{len(self.runs)} runs side by side"

    @property
    def parts(self) -> list[RunReport | BuildReport]:
        """The runs, of a history the last one alone, then the build."""
        runs = self.runs[-1:] if self.history else self.runs
        return [*runs, *filter(None, [self.build])]

    @property
    def suites(self) -> list[str]:
        """Names of the suites of all runs, in order."""
        return list(dict.fromkeys(suite.name for run in self.runs for suite in run.run.suites))

    @property
    def checks(self) -> list[tuple[RunReport | BuildReport, Check]]:
        """The checks of all runs and the build, each with its part."""
        return [(part, check) for part in self.parts for check in part.checks]

    def failed(self, run: RunReport) -> list[Check]:
        """Lists the checks that do not hold of a run, or of the build."""
        checks = [*run.checks, *(self.build.checks if self.build else [])]
        return [check for check in checks if not check.ok]

    def suite(self, run: RunReport, name: str) -> Suite | None:
        """A run's suite of a name."""
        return next((suite for suite in run.run.suites if suite.name == name), None)

    def failure(self) -> ThresholdError | None:
        """Describes the failure where a check fails."""
        several = len(self.runs) > 1
        failed = [
            f"{part.label + ': ' if several else ''}{check.suite}: {check.text}"
            for part, check in self.checks
            if not check.ok
        ]
        advice = dict.fromkeys(check.advice for _, check in self.checks if check.advice)
        hint = "; ".join([*advice, "the report is written all the same"])
        return ThresholdError("; ".join(failed), hint) if failed else None


def load_report(
    paths: Sequence[Path],
    thresholds: Mapping[str, float] | None = None,
    footprint: dict[str, Any] | None = None,
    profile: Path | None = None,
    limits: Limits | None = None,
    *,
    history: bool = False,
) -> Report:
    """Reads the records of runs.

    Args:
        paths: their files.
        thresholds: accuracies that the device has to reach, by suite.
        footprint: of the firmware of the only run, see ``load_footprint``.
        profile: the file with the cost of each layer of its model.
        limits: of everything else, for every run.
        history: whether they are of one network, in the order of time.

    Raises:
        DataError: a file is missing or no record, or the footprint is of another firmware.
        UsageError: a file is named twice, no run has a suite that a threshold names, a footprint or
            a profile goes with several runs, or a history is of one run or of several networks.
    """
    if len(set(paths)) < len(paths):
        raise UsageError("a run is named twice", hint="name each once")
    if (footprint or profile) and len(paths) > 1:
        raise UsageError("--footprint and --profile go with one run")
    runs = [load_run(path) for path in paths]
    if history:
        _check_one_network(paths, runs)
    stems = [path.stem for path in paths]
    labels = [
        stem if stems.count(stem) == 1 else str(path.with_suffix(""))
        for stem, path in zip(stems, paths, strict=True)
    ]
    known = {suite.name for run in runs for suite in run.suites}
    thresholds = {_suite_name(name, known): share for name, share in (thresholds or {}).items()}
    for name in thresholds:
        if name not in known:
            raise UsageError(
                f"--min-accuracy: no run has a suite '{name}'",
                hint=f"there are: {', '.join(sorted(known))}",
            )
    if profile:
        found = load_profile(profile, runs[0].model.hash)
        runs = [runs[0].model_copy(update={"profile": found})]
    if footprint:
        _check_same_firmware(runs[0], footprint)
        if (memory := runs[0].memory) and memory.ram.stack_peak is not None:
            footprint["ram"]["stack_peak"] = memory.ram.stack_peak
    return Report(
        [
            RunReport(label, path.name, _sha256(path), run, thresholds, limits or Limits())
            for label, path, run in zip(labels, paths, runs, strict=True)
        ],
        BuildReport(footprint) if footprint else None,
        history,
    )


def _check_one_network(paths: Sequence[Path], runs: Sequence[Run]) -> None:
    """Raises UsageError where runs make no history."""
    if len(runs) < 2:
        raise UsageError("--history takes two runs or more", hint="name the oldest first")
    name = runs[0].model.name
    for path, run in zip(paths, runs, strict=True):
        if run.model.name != name:
            raise UsageError(
                f"--history is of one network: {paths[0]} is of '{name}', {path} of "
                f"'{run.model.name}'",
                hint="without --history, runs of several networks are shown side by side",
            )


def build_report(footprint: dict[str, Any]) -> Report:
    """The report of a build alone.

    Args:
        footprint: its record, see ``load_footprint``.
    """
    return Report([], BuildReport(footprint))


def _sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def _suite_name(typed: str, known: Iterable[str]) -> str:
    """The suite that was named, its epsilon as a number or as a fraction."""
    if typed in known or (asked := _attack_at(typed)) is None:
        return typed
    for name in known:
        there = _attack_at(name)
        if there and there[0] == asked[0] and same_epsilon(there[1], asked[1]):
            return name
    return typed


def _attack_at(name: str) -> tuple[str, float] | None:
    """The attack and the epsilon in the name of a suite; None where it holds none."""
    attack, _, epsilon = name.rpartition("@")
    try:
        return attack, epsilon_number(epsilon)
    except (ValueError, ZeroDivisionError):
        return None


def _check_same_firmware(run: Run, footprint: dict[str, Any]) -> None:
    flash = footprint["flash"]["total"]
    if run.memory and run.memory.flash.total != flash:
        raise DataError(
            f"the footprint is of another firmware: {flash:,} bytes of flash, the run's takes "
            f"{run.memory.flash.total:,}",
            hint="--footprint takes the build that ran, or its record",
        )


def _point(epsilon: float, share: float, count: int | None) -> Point:
    return Point(epsilon, share, wilson_interval(share, count) if count else None)
