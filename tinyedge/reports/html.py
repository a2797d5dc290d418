"""A report as one HTML file that needs nothing else: no network, no storage, no libraries."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass

from markupsafe import Markup, escape

import tinyedge
from tinyedge.attacks.settings import ATTACKS
from tinyedge.records.run import Suite
from tinyedge.reports import text
from tinyedge.reports.charts import (
    Accuracy,
    Figure,
    accuracy_figure,
    arena_figure,
    attack_colours,
    cost_figure,
    require_charts,
    robustness_figure,
    trend_figures,
)
from tinyedge.reports.comparison import compared, trends
from tinyedge.reports.footprint import GROUP_LABELS, MEMORY_LABELS, PARTS, called_by, network_line
from tinyedge.reports.images import draw, draw_difference, drawable, is_picture, scale_of
from tinyedge.reports.report import Report, RunReport
from tinyedge.templates import render_template

_PLACES = {"float": "float model", "host": "host", "device": "device"}
_EXACT_PLACES = {"float": "float model", "device": "host and device"}
"""The same where the two agree on every logit, and so on every verdict."""
_TABLE = re.compile(r"(<table>.*?<tbody>)(.*?)(?=</tbody>)", re.DOTALL)
_HEADING = re.compile(r"<th\b[^>]*>(.*?)</th>", re.DOTALL)
_CELL = re.compile(rf"<td\b([^>]*>)(?=({text.DASH}</td>)?)")
_TAG = re.compile("<[^>]*>")
_PART_COLOURS = {
    **dict.fromkeys(("weights", GROUP_LABELS["layers"]), "constants"),
    GROUP_LABELS["kernels"]: "kernels",
    GROUP_LABELS["model"]: "model",
    "arena": "arena",
    "stack at its peak": "stack",
    **dict.fromkeys(("code", GROUP_LABELS["harness"]), "rest-1"),
    **dict.fromkeys(("static", GROUP_LABELS["libraries"]), "rest-2"),
    **dict.fromkeys(("other", GROUP_LABELS["unnamed"]), "rest-3"),
    GROUP_LABELS["padding"]: "rest-4",
}
"""The network's own parts have colours; what a firmware has besides is grey."""
_SHOWN_SETTINGS = ("attack", "kind", "norm", "epsilon", "epsilon_unit", "queries_by_sample")
"""Settings with columns of their own, and one that is left to the record."""


@dataclass(frozen=True)
class Sample:
    """A sample before and after an attack, to be shown.

    Attributes:
        index: in its suite.
        label, clean_verdict, verdict: names of classes.
        fooled: whether the verdict was right before and is wrong after.
        clean, attacked, difference: data URLs.
        gain: how many times the difference is amplified.
        wide: whether the pictures go below one another.
    """

    index: int
    label: str
    clean_verdict: str
    verdict: str
    fooled: bool
    clean: str
    attacked: str
    difference: str
    gain: int
    wide: bool


@dataclass(frozen=True)
class Drawn:
    """The figures of one run."""

    accuracy: Figure
    robustness: list[Figure]
    cost: Figure | None
    samples: dict[str, list[Sample]]


def render_html(report: Report) -> str:
    """The HTML of a report.

    Raises:
        MissingDependencyError: what draws charts and pictures is not installed.
    """
    require_charts()
    colours = attack_colours(curve for run in report.runs for curve in run.curves)
    several = compared(report)
    drawn = [] if report.history else [(run, _drawn(run, colours)) for run in report.runs]
    labels = [run.label for run in report.runs]
    page = render_template(
        "report/report.html.j2",
        {
            "report": report,
            "version": tinyedge.__version__,
            "runs": drawn,
            "several": several,
            "comparison": _comparison(report) if several and not report.history else None,
            "trends": trend_figures(trends(report), labels) if report.history else [],
            "colour": part_colour,
            "network_line": network_line,
            "arena": _arena(report),
            "say": text,
            "class_name": class_name,
            "figure": _inline,
            "shown_settings": _SHOWN_SETTINGS,
            "attacks": ATTACKS,
            "parts": PARTS,
            "group_labels": GROUP_LABELS,
            "memory_labels": MEMORY_LABELS,
            "called_by": called_by,
        },
    )
    return _labelled(page)


def part_colour(name: str) -> str:
    """The CSS variable of a part of a memory: one colour a part, in all bars of a page."""
    return f"var(--{_PART_COLOURS.get(name, 'rest-1')})"


def _labelled(page: str) -> str:
    """The page, with each cell's heading on the cell: phones show a row as a block of them."""
    return _TABLE.sub(_label_cells, page)


def _label_cells(table: re.Match[str]) -> str:
    head, body = table[1], table[2]
    headings = [" ".join(_TAG.sub(" ", each).split()) for each in _HEADING.findall(head)]
    rows = []
    for row in body.split("</tr>"):
        at = len(_HEADING.findall(row))

        def labelled(cell: re.Match[str]) -> str:
            nonlocal at
            label = headings[at] if at < len(headings) else ""
            at += 1
            none = " data-none" if cell[2] else ""
            return f'<td data-label="{label}"{none}{cell[1]}'

        rows.append(_CELL.sub(labelled, row))
    return head + "</tr>".join(rows)


def _arena(report: Report) -> Figure | None:
    if not (report.build and report.build.footprint["arena"]):
        return None
    return arena_figure(report.build.footprint["arena"])


def class_name(suite: Suite, label: int) -> str:
    """A class by its name, or its number where it has none."""
    return suite.classes[label] if label < len(suite.classes) else str(label)


def _inline(figure: Figure, name: str) -> Markup:
    """The SVG with a title and a description of its own; ``name`` is unique in the page."""
    head = f'<svg role="img" aria-labelledby="{name}-title {name}-description" '
    titled = (
        f'<title id="{name}-title">{escape(figure.title)}</title>'
        f'<desc id="{name}-description">{escape(figure.description)}</desc>'
    )
    opening, _, rest = figure.svg.partition(">")
    return Markup(head + opening.removeprefix("<svg ") + ">" + titled + rest)  # noqa: S704 - drawn here


def _drawn(report: RunReport, colours: Mapping[str, str]) -> Drawn:
    by_norm = defaultdict(list)
    for curve in report.curves:
        by_norm[curve.norm, curve.unit, bool(curve.swept)].append(curve)
    costs = report.costs()
    return Drawn(
        accuracy=accuracy_figure(
            [
                Accuracy(suite.name, shown, share, getattr(suite.intervals, place, None))
                for suite in report.run.suites
                for place, shown in (_PLACES if report.differing else _EXACT_PLACES).items()
                if (share := getattr(suite.accuracy, place)) is not None
            ]
        ),
        robustness=[robustness_figure(curves, colours) for curves in by_norm.values()],
        cost=cost_figure(*costs) if costs else None,
        samples=_samples(report),
    )


def _comparison(report: Report) -> Figure:
    """The devices' accuracies, a shape a run."""
    return accuracy_figure(
        [
            Accuracy(
                name,
                run.label,
                suite.accuracy.device,
                suite.intervals.device if suite.intervals else None,
            )
            for name in report.suites
            for run in report.runs
            if (suite := report.suite(run, name))
        ]
    )


def _samples(report: RunReport) -> dict[str, list[Sample]]:
    """Gives the samples to show, by suite."""
    run, shown = report.run, defaultdict(list)
    suites = {suite.name: suite for suite in run.suites}
    tensor = run.model.input
    for picture in run.pictures:
        if tensor is None or not drawable(tensor):
            break
        suite = suites[picture.suite]
        clean, attacked = picture.clean.value, picture.attacked.value
        difference, gain = draw_difference(clean, attacked, tensor)
        labels = (picture.label, picture.clean_verdict, picture.verdict)
        label, before, after = (class_name(suite, each) for each in labels)
        fooled = picture.clean_verdict == picture.label != picture.verdict
        scale = scale_of(clean)
        shown[suite.name].append(
            Sample(
                *(picture.index, label, before, after, fooled),
                *(draw(clean, tensor, scale), draw(attacked, tensor, scale), difference, gain),
                wide=not is_picture(tensor) and tensor.shape[0] > 2 * tensor.shape[1],
            )
        )
    return shown
