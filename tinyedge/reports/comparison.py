"""Several runs against each other: a verdict, what differs, what is the same; or their history."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import pairwise
from typing import Literal

from tinyedge.records.run import Suite
from tinyedge.reports import text
from tinyedge.reports.report import Report, RunReport


@dataclass(frozen=True)
class Cell:
    """A cell of a comparison.

    Attributes:
        text: the figure; a dash where there is none.
        small: what goes with it: an interval, or the change since the run before.
        bad: whether a check fails there.
    """

    text: str
    small: str = ""
    bad: bool = False


@dataclass(frozen=True)
class Row:
    """One figure of each run.

    Attributes:
        label: what it is.
        cells: in the order of the runs.
    """

    label: str
    cells: list[Cell]

    @property
    def equal(self) -> bool:
        """Whether all runs have the same, and none fails."""
        return len(set(self.cells)) == 1 and not self.cells[0].bad


@dataclass(frozen=True)
class Sentence:
    """A sentence of a verdict, without its full stop.

    Attributes:
        kind: ``good``, ``bad``, or ``fact`` for what is neither.
        text: the sentence.
    """

    kind: Literal["good", "bad", "fact"]
    text: str


@dataclass(frozen=True)
class Comparison:
    """Runs side by side.

    Attributes:
        verdict: what to know first.
        rows: figures that differ, or that fail a check.
        same: figures that all runs share: label and value.
    """

    verdict: list[Sentence]
    rows: list[Row]
    same: list[tuple[str, str]]


@dataclass(frozen=True)
class Trend:
    """A number of each run of a history, to be drawn.

    Attributes:
        label: what it is.
        unit: of the values: ``share``, ``bytes``, ``instructions``, ``milliseconds`` or ``cycles``.
        values: in the order of the runs; None where a record lacks it.
    """

    label: str
    unit: str
    values: list[float | None]


@dataclass(frozen=True)
class _Figure:
    """A number of each run, and how it is written."""

    label: str
    unit: str
    values: list[float | None]
    intervals: list[str]
    bad: list[bool]

    def show(self, value: float | None) -> str:
        match self.unit:
            case "share":
                return text.percent(value)
            case "bytes":
                return text.bytes_(value)
            case "milliseconds":
                return text.DASH if value is None else f"{value:,.3f} ms"
            case _:
                return text.number(value)

    def change(self, before: float | None, after: float | None) -> str:
        """How much it changed; empty where it did not."""
        if before is None or after is None or before == after:
            return ""
        if self.unit == "share":
            return f"{100 * (after - before):+.2f} points"
        shown = (
            f"{after - before:+,.3f}" if self.unit == "milliseconds" else f"{after - before:+,.0f}"
        )
        return f"{shown}, {100 * (after - before) / before:+.1f} %" if before else shown

    def compared(self) -> Row:
        """The row beside other runs, with intervals."""
        given = zip(self.values, self.intervals, self.bad, strict=True)
        return Row(self.label, [Cell(self.show(value), small, bad) for value, small, bad in given])

    def over_time(self) -> Row:
        """The row of a history, with the changes since the run before."""
        given = zip([None, *self.values[:-1]], self.values, self.bad, strict=True)
        cells = [Cell(self.show(now), self.change(before, now), bad) for before, now, bad in given]
        return Row(self.label, cells)


def compared(report: Report) -> Comparison | None:
    """Compares a report's runs; None where there are not several."""
    if len(report.runs) < 2:
        return None
    return _history(report) if report.history else _side_by_side(report)


def _side_by_side(report: Report) -> Comparison:
    rows = [*_texts(report), *(figure.compared() for figure in _figures(report))]
    known = [row for row in rows if any(cell.text != text.DASH for cell in row.cells)]
    same = [(row.label, row.cells[0].text) for row in known if row.equal]
    verdict = [_exactness(report.runs, report), *_comparisons(report)]
    return Comparison(verdict, [row for row in known if not row.equal], same)


def _history(report: Report) -> Comparison:
    """Gives the history of one network: the verdict is about the last run.

    Small texts are the changes since the run before.
    """
    rows = [*_texts(report), *(figure.over_time() for figure in _figures(report))]
    known = [row for row in rows if any(cell.text != text.DASH for cell in row.cells)]
    same = [(row.label, row.cells[0].text) for row in known if row.equal]
    verdict = [_exactness(report.runs[-1:], report), *_latest(report)]
    return Comparison(verdict, [row for row in known if not row.equal], same)


def trends(report: Report) -> list[Trend]:
    """The numbers of a history that changed."""
    return [
        Trend(figure.label, figure.unit, figure.values)
        for figure in _figures(report)
        if len({value for value in figure.values if value is not None}) > 1
    ]


def _texts(report: Report) -> Iterator[Row]:
    """Rows of what is no number."""
    labelled: list[tuple[str, Callable[[RunReport], str | None]]] = [
        ("Model", lambda at: at.run.model.name),
        ("Integer graph", lambda at: at.run.model.hash[:12]),
        ("Place", lambda at: at.place),
        ("Compiler", lambda at: at.run.compiler),
    ]
    for label, of in labelled:
        yield Row(label, [Cell(of(at) or text.DASH) for at in report.runs])


def _figures(report: Report) -> Iterator[_Figure]:
    """The numbers of the runs, in the order in which they are shown."""
    runs = report.runs
    failing = [{(check.suite, check.name) for check in at.checks if not check.ok} for at in runs]
    blank = [""] * len(runs)

    def figure(
        label: str,
        unit: str,
        of: Callable[[RunReport], float | None],
        check: tuple[str, str] = ("", ""),
    ) -> _Figure:
        bad = [check in each for each in failing]
        return _Figure(label, unit, [of(at) for at in runs], blank, bad)

    differing: list[float | None] = [float(at.differing) for at in runs]
    yield _Figure("Differing logits", "", differing, blank, [bool(many) for many in differing])
    for name in report.suites:
        suites = [report.suite(at, name) for at in runs]
        yield _Figure(
            f"Accuracy, {name}",
            "share",
            [suite.accuracy.device if suite else None for suite in suites],
            [
                text.interval(suite.intervals.device) if suite and suite.intervals else ""
                for suite in suites
            ],
            [(name, "min-accuracy") in each for each in failing],
        )
    first = [at.run.suites[0].name for at in runs]
    for label, unit, key, factor in (
        ("Instructions, mean", "instructions", "instructions", 1),
        ("Time, mean", "milliseconds", "seconds", 1e3),
    ):
        costs = [getattr(at.run.suites[0], key) for at in runs]
        yield _Figure(
            label,
            unit,
            [cost and factor * cost.mean for cost in costs],
            blank,
            [(name, f"max-{key}") in each for name, each in zip(first, failing, strict=True)],
        )
    yield figure(
        "Cycles, modelled",
        "cycles",
        lambda at: at.run.profile.cycles if at.run.profile else None,
        ("profile", "max-cycles"),
    )
    yield figure("Flash", "bytes", partial(_taken, "flash"), ("memory", "flash fits"))
    yield figure("RAM", "bytes", partial(_taken, "ram"), ("memory", "RAM fits"))
    yield figure("Packed weights", "bytes", lambda at: at.run.model.weight_bytes)
    yield figure("Multiply-accumulates", "", lambda at: at.run.model.macs)
    yield figure("Parameters", "", lambda at: at.run.model.parameters)


def _taken(memory: Literal["flash", "ram"], at: RunReport) -> int | None:
    """Bytes of a memory that a run's firmware takes."""
    if at.run.memory is None:
        return None
    return (at.run.memory.flash if memory == "flash" else at.run.memory.ram).total


def _exactness(runs: Sequence[RunReport], report: Report) -> Sentence:
    """Whether all checks hold."""
    failing = [at for at in runs if any(not check.ok for check in at.checks)]
    if not failing:
        who = f"{runs[-1].label} is" if report.history else f"All {len(runs)} runs are"
        return Sentence("good", f"{who} bit-exact, and every other check holds too")
    found = "; ".join(map(_first_failure, failing))
    many = f"{len(failing)} of {len(runs)} runs fail: " if len(runs) > 1 else "The last run fails: "
    return Sentence("bad", many + found)


def _first_failure(at: RunReport) -> str:
    """The first check of a run that fails, and how many more do."""
    first, *more = [check for check in at.checks if not check.ok]
    others = f" (and {text.count(len(more), 'other check')})" if more else ""
    return f"{at.label}, {first.suite}: {first.text}{others}"


def _comparisons(report: Report) -> Iterator[Sentence]:
    """Which run is best in what."""
    for name in report.suites:
        pairs = [(at, suite) for at in report.runs if (suite := report.suite(at, name))]
        if len(pairs) == len(report.runs):
            yield _accuracies(name, pairs, alike=_same_samples(report.runs, name))
            break
    shown = {"Instructions, mean", "Time, mean", "Cycles, modelled", "Flash", "RAM"}
    for figure in _figures(report):
        values = [value for value in figure.values if value is not None]
        if figure.label not in shown or len(values) < len(report.runs) or len(set(values)) < 2:
            continue
        least, most = min(values), max(values)
        names = [at.label for at in report.runs]
        low, high = (names[figure.values.index(each)] for each in (least, most))
        share = f", {100 * (most - least) / most:.1f} % less than {high}" if most else ""
        yield Sentence("fact", f"{figure.label}: least in {low}, {figure.show(least)}{share}")


def _same_samples(runs: Sequence[RunReport], name: str) -> bool | None:
    """Whether the runs' suites of a name are as long and have the same labels; None: not known."""
    found = [at.arrays.get(name) for at in runs]
    if not all(found):
        return None
    return len({arrays.labels.data for arrays in found if arrays}) == 1


def _accuracies(
    name: str, pairs: Sequence[tuple[RunReport, Suite]], *, alike: bool | None
) -> Sentence:
    if alike is False:
        text_of = f"The suites called {name} hold other samples: their accuracies say nothing"
        return Sentence("fact", f"{text_of} about which network is better")
    ordered = sorted(pairs, key=lambda pair: pair[1].accuracy.device)
    (worst, low), (best, high) = ordered[0], ordered[-1]
    if low.accuracy.device == high.accuracy.device:
        return Sentence("fact", f"All have {text.percent(low.accuracy.device)} of {name} right")
    said = (
        f"On {name}, {best.label} is right most often, {text.percent(high.accuracy.device)}, and "
        f"{worst.label} least often, {text.percent(low.accuracy.device)}"
    )
    if low.intervals and high.intervals and low.intervals.device[1] >= high.intervals.device[0]:
        said += "; the intervals overlap, so that this may be chance"
    if alike is None:
        said += "; older records do not tell whether the samples are the same"
    return Sentence("fact", said)


def _latest(report: Report) -> Iterator[Sentence]:
    """Gives the changes in the last run, since the one before and since the first."""
    before, last = report.runs[-2:]
    changed = [
        f"{figure.label} {how}"
        for figure in _figures(report)
        if (how := figure.change(*figure.values[-2:]))
    ]
    since = f"Since {before.label}, {last.label} changed"
    yield Sentence("fact", f"{since}: {'; '.join(changed)}" if changed else f"{since} nothing")
    falls = [
        (100 * (after - earlier), figure.label, at.label)
        for figure in _figures(report)
        if figure.unit == "share"
        for (earlier, after), at in zip(pairwise(figure.values), report.runs[1:], strict=True)
        if earlier is not None and after is not None and after < earlier
    ]
    if falls and len(report.runs) > 2:
        drop, label, where = min(falls)
        yield Sentence("fact", f"The largest fall was in {where}: {label} {drop:+.2f} points")
