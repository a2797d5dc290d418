"""Charts as SVG: Vega-Lite, drawn without a browser.

Texts stay texts, and colours are the page's CSS variables, so that they follow its theme. The same
record gives the same bytes.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tinyedge.attacks.settings import ATTACKS
from tinyedge.distribution import install_hint
from tinyedge.errors import MissingDependencyError
from tinyedge.naming import epsilon_text
from tinyedge.reports.comparison import Trend
from tinyedge.reports.report import Curve
from tinyedge.reports.text import norm

_VEGA_LITE = "5.20"
_WIDTH = 380
"""In pixels: that of a phone, on which it is shown as it is; wider screens enlarge it."""
_ATTACKS = [f"var(--a{number})" for number in range(1, 7)]
_PLACES = {
    "float model": "var(--float)",
    "host": "var(--host)",
    "device": "var(--device)",
    "host and device": "var(--device)",
}
_ON_CONVERTED = {"white-box": " on the integers", "black-box": " by queries"}
"""How attacks of a kind reach a converted model, behind the attack's name."""
_SHAPES = ("circle", "square", "diamond", "triangle-up", "cross", "triangle-down")
_LEGEND_CHARACTERS = 42
_BINS = 32
_NAMED_COLUMNS = 20
_DASHES: dict[str, list[int]] = {"device": [1, 0], "float": [4, 3]}
_CONFIG: dict[str, Any] = {
    "aria": False,  # the figure as a whole has a title and a description
    "font": "inherit",
    "view": {"stroke": None},
    "axis": {
        "labelColor": "var(--ink-2)",
        "titleColor": "var(--ink-2)",
        "titleFontWeight": "normal",
        "titleFontSize": 11,
        "labelFontSize": 11,
        "labelLimit": 110,
        "gridColor": "var(--line)",
        "domainColor": "var(--line-2)",
        "tickColor": "var(--line-2)",
        "tickCount": 5,
        "labelFont": "inherit",
        "titleFont": "inherit",
    },
    "legend": {
        "labelColor": "var(--ink-2)",
        "labelFontSize": 11,
        "labelFont": "inherit",
        "labelLimit": 200,
        "orient": "top",
        "title": None,
        "symbolOpacity": 1,
    },
}


@dataclass(frozen=True)
class Figure:
    """A chart.

    Attributes:
        title: what it shows.
        description: what there is to see, for those who do not see it.
        svg: the drawing.
    """

    title: str
    description: str
    svg: str


@dataclass(frozen=True)
class Accuracy:
    """A row of ``accuracy_figure``: of a suite and whoever computed it."""

    suite: str
    series: str
    share: float
    interval: Sequence[float] | None


def require_charts() -> None:
    """Raises MissingDependencyError where charts cannot be drawn."""
    _converter()


@cache
def _converter() -> Any:
    try:
        import vl_convert
    except ImportError as error:
        raise MissingDependencyError(
            f"charts need Vega ({error})",
            hint=install_hint("report"),
        ) from error
    return vl_convert


def _draw(spec: dict[str, Any], height: int) -> str:
    full = {
        "$schema": "https://vega.github.io/schema/vega-lite/v5.json",
        "width": _WIDTH,
        "height": height,
        "autosize": {"type": "fit", "contains": "padding"},
        "padding": 2,
        "background": None,
        "config": _CONFIG,
        **spec,
    }
    svg: str = _converter().vegalite_to_svg(full, vl_version=_VEGA_LITE)
    return svg


def attack_colours(curves: Iterable[Curve]) -> dict[str, str]:
    """The colour of each curve's name: one an attack, the same in all figures of a page."""
    attacks: dict[str, str] = {}
    colours = {}
    for curve in curves:
        own = curve.attack if curve.swept else _curve_name(curve)
        taken = _ATTACKS[len(attacks) % len(_ATTACKS)]
        colours[_curve_name(curve)] = attacks.setdefault(own, taken)
    return colours


def _ranged(names: Sequence[str], values: Sequence[str]) -> dict[str, Any]:
    """A colour or a shape a name, and a legend as wide as the drawing."""
    columns = max(1, round(_LEGEND_CHARACTERS / (max(map(len, names)) + 5)))
    return {
        "type": "nominal",
        "scale": {"domain": list(names), "range": list(values)},
        "legend": {"columns": columns},
    }


def _shaped(names: Sequence[str]) -> dict[str, Any]:
    """A shape a name, all in the device's colour."""
    shapes = [_SHAPES[at % len(_SHAPES)] for at in range(len(names))]
    shape = _ranged(names, shapes)
    shape["legend"] |= dict.fromkeys(("symbolFillColor", "symbolStrokeColor"), _PLACES["device"])
    return shape


def accuracy_figure(rows: Sequence[Accuracy]) -> Figure:
    """Accuracies with their intervals: a line a suite, a mark a series.

    Places have their colours; runs, which are all of the device, have shapes.
    """
    series = list(dict.fromkeys(row.series for row in rows))
    suites = list(dict.fromkeys(row.suite for row in rows))
    values = [
        {
            "suite": row.suite,
            "series": row.series,
            "share": row.share,
            "low": row.interval[0] if row.interval else row.share,
            "high": row.interval[1] if row.interval else row.share,
        }
        for row in rows
    ]
    place = {
        "y": {"field": "suite", "type": "nominal", "sort": suites, "title": None},
        "yOffset": {"field": "series", "sort": series},
    }
    axis = {"format": ".0%", "title": "accuracy, 95 % interval"}
    share = {"type": "quantitative", "scale": {"domain": [0, 1]}, "axis": axis}
    if all(name in _PLACES for name in series):
        colours = [_PLACES[name] for name in series]
        ruled: dict[str, Any] = {"color": {**_ranged(series, colours), "field": "series"}}
        marks = ruled
    else:
        ruled = {"color": {"value": _PLACES["device"]}}
        marks = ruled | {"shape": {**_shaped(series), "field": "series"}}
    spec = {
        "data": {"values": values},
        "encoding": place,
        "layer": [
            {
                "mark": {"type": "rule", "strokeWidth": 2, "opacity": 0.55},
                "encoding": {"x": {"field": "low", **share}, "x2": {"field": "high"}, **ruled},
            },
            {
                "mark": {"type": "point", "filled": True, "size": 46, "opacity": 1},
                "encoding": {"x": {"field": "share", **share}, **marks},
            },
        ],
    }
    description = "; ".join(f"{row.suite}, {row.series}: {100 * row.share:.1f} %" for row in rows)
    height = 76 + len(suites) * max(26, 13 * len(series))
    return Figure("Accuracy by suite", description, _draw(spec, height))


def robustness_figure(curves: Sequence[Curve], colours: Mapping[str, str]) -> Figure:
    """Accuracy over epsilon of one norm: a colour an attack, dashed of the float model.

    Args:
        curves: of one norm and unit.
        colours: ``attack_colours`` of all curves of the page.
    """
    names = list(dict.fromkeys(_curve_name(curve) for curve in curves))
    values = [
        {
            "attack": _curve_name(curve),
            "of": curve.of,
            "epsilon": point.epsilon,
            "share": point.accuracy,
            "low": (point.interval or [point.accuracy])[0],
            "high": (point.interval or [point.accuracy])[-1],
        }
        for curve in curves
        for point in curve.points
    ]
    title = f"epsilon ({norm(curves[0].norm)}, {curves[0].unit})"
    axis = {"format": ".0%", "title": "accuracy"}
    share = {"type": "quantitative", "scale": {"domain": [0, 1]}, "axis": axis}
    few = all(len(curve.points) <= _BINS / 2 for curve in curves)
    line = {"type": "line", "strokeWidth": 2, **({"point": {"size": 28}} if few else {})}
    swept = curves[0].swept is not None
    dash = {
        "field": "of",
        "type": "nominal",
        "scale": {"domain": list(_DASHES), "range": list(_DASHES.values())},
        "legend": None,  # the title says it
    }
    spec = {
        "data": {"values": values},
        "encoding": {
            "x": {"field": "epsilon", "type": "quantitative", "title": title},
            "color": {**_ranged(names, [colours[name] for name in names]), "field": "attack"},
        },
        "layer": [
            {
                "transform": [{"filter": f"datum.of == '{'float' if swept else 'device'}'"}],
                "mark": {"type": "area", "opacity": 0.15},
                "encoding": {"y": {"field": "low", **share}, "y2": {"field": "high"}},
            },
            {
                "mark": line,
                "encoding": {
                    "y": {"field": "share", **share},
                    **({} if swept else {"strokeDash": dash}),
                },
            },
        ],
    }
    ends = [
        f"{_curve_name(curve)}, {curve.of}: {100 * curve.points[0].accuracy:.1f} % at "
        f"{epsilon_text(curve.points[0].epsilon)} to {100 * curve.points[-1].accuracy:.1f} % at "
        f"{epsilon_text(curve.points[-1].epsilon)}"
        for curve in curves
    ]
    if swept:
        title = (
            "The float model under PGD up to half of the range, as 'tinyedge attack' tried it to "
            "judge its gradients: no suite of this run"
        )
    else:
        title = f"Accuracy over epsilon, {norm(curves[0].norm)}: the device with its 95 % interval"
        if any(curve.of == "float" for curve in curves):
            title += ", and dashed the float model"
    return Figure(title, "; ".join(ends), _draw(spec, 270))


def _curve_name(curve: Curve) -> str:
    if curve.swept:
        return f"{curve.attack}, {curve.swept}"
    if curve.crafted_on == "float model":
        return curve.attack
    known = ATTACKS.get(curve.attack)
    return curve.attack + _ON_CONVERTED.get(known.kind if known else "", " on the converted model")


def arena_figure(arena: Mapping[str, Any]) -> Figure:
    """The plan of the arena: lifetimes from left to right, addresses upwards.

    Args:
        arena: ``arena`` of a footprint's record.
    """
    operators, size, bound = arena["operators"], arena["bytes"], arena["lower_bound"]
    kinds = ("activation", "scratch")
    values = [
        {
            "kind": kinds[buffer["name"].startswith("scratch of ")],
            "from": buffer["first"],
            "to": min(buffer["last"] + 1, len(operators)),
            "low": buffer["offset"],
            "high": buffer["offset"] + buffer["size"],
        }
        for buffer in arena["buffers"]
    ]
    moments = {"type": "quantitative", "scale": {"domain": [0, len(operators)], "nice": False}}
    addresses = {
        "type": "quantitative",
        "scale": {"domain": [0, max(size, 1)], "nice": False},
        "axis": {"title": "bytes", "format": ",.0f"},
    }
    colour = {"domain": list(kinds), "range": ["var(--arena)", "var(--scratch)"]}
    spec = {
        "layer": [
            {
                "data": {"values": values},
                "mark": {"type": "rect", "stroke": "var(--card)", "strokeWidth": 1, "opacity": 0.8},
                "encoding": {
                    "x": {"field": "from", **moments, "axis": _operator_axis(operators)},
                    "x2": {"field": "to"},
                    "y": {"field": "low", **addresses},
                    "y2": {"field": "high"},
                    "color": {"field": "kind", "type": "nominal", "scale": colour},
                },
            },
            {
                "data": {"values": [{"bound": bound}]},
                "mark": {"type": "rule", "strokeDash": [4, 3], "color": "var(--ink)"},
                "encoding": {"y": {"field": "bound", **addresses}},
            },
        ],
    }
    held = "; ".join(
        f"{buffer['name']}: {buffer['size']:,} bytes at {buffer['offset']:,}, from "
        f"{_operator(operators, buffer['first'])} to {_operator(operators, buffer['last'])}"
        for buffer in arena["buffers"]
    )
    title = (
        f"The arena over time: {size:,} bytes; {bound:,} are needed at the fullest moment (dashed)"
    )
    return Figure(title, held, _draw(spec, 300))


def trend_figures(trends: Sequence[Trend], labels: Sequence[str]) -> list[Figure]:
    """Draws the changes over a history: a figure a unit, a shape a line, all of the device.

    Args:
        trends: numbers of each run.
        labels: of the runs, in the order of time.
    """
    by_unit: dict[str, list[Trend]] = {}
    for trend in trends:
        by_unit.setdefault(trend.unit, []).append(trend)
    return [_trend_figure(unit, given, labels) for unit, given in by_unit.items()]


def _trend_figure(unit: str, trends: Sequence[Trend], labels: Sequence[str]) -> Figure:
    names = [trend.label for trend in trends]
    values = [
        {"figure": trend.label, "at": at, "run": labels[at], "value": value}
        for trend in trends
        for at, value in enumerate(trend.values)
        if value is not None
    ]
    named = len(labels) <= _NAMED_COLUMNS
    axis: dict[str, Any] = {"title": None if named else "run", "tickMinStep": 1, "grid": False}
    if named:
        axis |= {
            "values": list(range(len(labels))),
            "labelExpr": f"{json.dumps(list(labels))}[datum.value]",
            "labelAngle": -60,
            "labelOverlap": False,
        }
    shown = {"share": "accuracy", "": "count"}.get(unit, unit)
    share = unit == "share"
    shape = _shaped(names)
    shape["legend"] |= {"columns": 1, "labelLimit": 340}
    spec = {
        "data": {"values": values},
        "encoding": {
            "x": {
                "field": "at",
                "type": "quantitative",
                "scale": {"domain": [0, len(labels) - 1], "nice": False},
                "axis": axis,
            },
            "y": {
                "field": "value",
                "type": "quantitative",
                "scale": {"zero": False, "nice": True},
                "axis": {
                    "title": shown,
                    "format": ".1%" if share else ",.0f" if unit != "milliseconds" else ",.4~g",
                },
            },
        },
        "layer": [
            {
                "mark": {"type": "line", "strokeWidth": 1.5, "color": _PLACES["device"]},
                "encoding": {"detail": {"field": "figure", "type": "nominal"}},
            },
            {
                "mark": {
                    "type": "point",
                    "filled": True,
                    "size": 46,
                    "opacity": 1,
                    "color": _PLACES["device"],
                },
                "encoding": {"shape": {**shape, "field": "figure"}},
            },
        ],
    }
    ends = []
    for trend in trends:
        known = [value for value in trend.values if value is not None]
        first, last = (f"{100 * v:.2f} %" if share else f"{v:,.6g}" for v in (known[0], known[-1]))
        ends.append(f"{trend.label}: from {first} to {last}")
    title = (
        f"{shown.capitalize()} over the runs, the oldest on the left; the axis need not begin at 0"
    )
    return Figure(title, "; ".join(ends), _draw(spec, 240 + 18 * len(names)))


def _operator_axis(operators: Sequence[str]) -> dict[str, Any]:
    """A name below each column, or numbers where there are too many for that."""
    if len(operators) > _NAMED_COLUMNS:
        return {"title": "operator", "tickMinStep": 1, "format": "d"}
    return {
        "title": None,
        "values": [at + 0.5 for at in range(len(operators))],
        "tickCount": len(operators),
        "labelExpr": f"{json.dumps(list(operators))}[floor(datum.value)]",
        "labelAngle": -60,
        "labelOverlap": False,
        "ticks": False,
        "grid": False,
    }


def _operator(operators: Sequence[str], at: int) -> str:
    """Gives the operator that runs at a moment; the output is alive behind the last one."""
    return operators[at] if at < len(operators) else "the end"


def cost_figure(unit: str, costs: Mapping[str, NDArray[Any]]) -> Figure:
    """How often an inference costs how much, over all suites."""
    everything = np.concatenate(list(costs.values())).astype(np.float64)
    factor, shown = {
        "seconds": (1e3, "milliseconds"),
        "instructions": (1.0, "instructions"),
    }[unit]
    low, high = float(everything.min()) * factor, float(everything.max()) * factor
    if high == low:
        low, high = low - 0.5, high + 0.5
    edges = np.linspace(low, high, _BINS + 1)
    values = [
        {"from": start, "to": end, "count": int(many)}
        for start, end, many in zip(
            edges[:-1].tolist(),
            edges[1:].tolist(),
            np.histogram(everything * factor, edges)[0],
            strict=True,
        )
        if many
    ]
    scale = {"domain": [low, high], "zero": False, "nice": False}
    axis = {"tickCount": 3, "format": ",.6~g" if unit == "seconds" else ",.0f"}
    spec = {
        "data": {"values": values},
        "mark": {"type": "bar", "binSpacing": 0.5, "color": _PLACES["device"]},
        "encoding": {
            "x": {
                "field": "from",
                "bin": {"binned": True},
                "scale": scale,
                "title": shown,
                "axis": axis,
            },
            "x2": {"field": "to"},
            "y": {"field": "count", "type": "quantitative", "title": "samples"},
        },
    }
    p50, p95 = np.percentile(everything * factor, (50, 95), method="higher")
    description = f"{len(everything):,} inferences: half of them up to {p50:,.6g} {shown}, "
    description += f"95 % up to {p95:,.6g}, the longest {everything.max() * factor:,.6g}"
    return Figure("Cost of an inference", description, _draw(spec, 210))
