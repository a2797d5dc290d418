"""Figures as tables for other programs: CSV, LaTeX, and rows for data frames."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from tinyedge.errors import UsageError
from tinyedge.records.run import Run, Suite
from tinyedge.reports.footprint import network_alone
from tinyedge.reports.report import Report

FORMS = (".csv", ".tex")
"""How the names of tables' files end."""

_LATEX = {character: f"\\{character}" for character in "&%$#_{}"} | {
    "\\": r"\textbackslash{}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
}
_LATEX_COLUMNS = (
    *("run", "suite", "samples", "accuracy_float", "accuracy_device", "low", "high"),
    *("differing_logits", "instructions", "seconds", "flash", "ram"),
)
"""Columns that fit a page."""
_PLACES = ("float", "host", "device")
_FORMULA = tuple("=+-@\t\r")
"""Beginnings of a text that spreadsheets compute."""
_WHOLE = 1000.0
"""From here on figures stand without decimals."""
_NUMBER = re.compile(r"-?[\d.]+(e-?\d+)?")


def suite_rows(run: Run) -> list[dict[str, Any]]:
    """A row a suite of a run, None where a figure is not known.

    Keys: ``suite``, ``attack``, ``norm``, ``epsilon``, ``samples``; ``accuracy_float``,
    ``accuracy_host``, ``accuracy_device`` in [0, 1]; ``low`` and ``high``, the ends of the 95 %
    interval of the device's; ``differing_samples``, ``differing_logits``; ``instructions`` and
    ``seconds`` of an inference, on average.
    """
    return [_suite_row(suite) for suite in run.suites]


def _suite_row(suite: Suite) -> dict[str, Any]:
    low, high = suite.intervals.device if suite.intervals else (None, None)
    return {
        "suite": suite.name,
        **{key: suite.settings.get(key) for key in ("attack", "norm", "epsilon")},
        "samples": suite.samples,
        **{f"accuracy_{place}": getattr(suite.accuracy, place) for place in _PLACES},
        "low": low,
        "high": high,
        "differing_samples": suite.mismatched_samples,
        "differing_logits": suite.mismatched_logits,
        "instructions": suite.instructions and suite.instructions.mean,
        "seconds": suite.seconds and suite.seconds.mean,
    }


def report_rows(report: Report) -> list[dict[str, Any]]:
    """The rows of a report's table.

    For runs, a row a suite: ``run``, ``model``, ``place``, the keys of ``suite_rows``, and the
    bytes of ``flash`` and ``ram`` that the firmware takes. For a build alone, a row a part, layer
    and kernel: ``of``, ``name``, ``flash``, ``ram``; a layer's are its constants.
    """
    if not report.runs:
        assert report.build
        return _build_rows(report.build.footprint)
    rows = []
    for at in report.runs:
        memory = at.run.memory
        about = {"run": at.label, "model": at.run.model.name, "place": at.place}
        sizes = {
            "flash": memory and memory.flash.total,
            "ram": memory and memory.ram.total,
        }
        rows += [about | row | sizes for row in suite_rows(at.run)]
    return rows


def _build_rows(record: dict[str, Any]) -> list[dict[str, Any]]:
    rows = [
        {"of": of, "name": row["name"], "flash": row["flash"], "ram": row.get("ram", 0)}
        for of, key in (("part", "groups"), ("layer", "layers"), ("kernel", "kernels"))
        for row in record[key]
    ]
    totals = {memory: record[memory]["total"] for memory in ("flash", "ram")}
    alone = {"of": "sum", "name": "network alone", **network_alone(record["groups"])}
    return [*rows, alone, {"of": "sum", "name": "firmware", **totals}]


def render_table(report: Report, form: str) -> str:
    r"""The table of a report.

    Args:
        report: of runs, or of a build.
        form: ``.csv`` (every column, full precision) or ``.tex`` (a ``tabular`` of those that fit a
            page, to ``\input``).

    Raises:
        UsageError: the form is none of these.
    """
    rows = report_rows(report)
    if form == ".csv":
        return csv_text(list(rows[0]), rows)
    if form == ".tex":
        return _latex(rows)
    raise UsageError(f"a table's name has to end in {' or '.join(FORMS)}, not in {form!r}")


def csv_text(columns: Sequence[str], rows: Iterable[Mapping[str, Any]]) -> str:
    """Rows as CSV with a heading; a text that a spreadsheet would compute gets an apostrophe."""
    file = io.StringIO()
    writer = csv.DictWriter(file, columns, lineterminator="\n")
    writer.writeheader()
    writer.writerows({key: _inert(value) for key, value in row.items()} for row in rows)
    return file.getvalue()


def _inert(value: Any) -> Any:
    return f"'{value}" if isinstance(value, str) and value.startswith(_FORMULA) else value


def _latex(rows: Sequence[dict[str, Any]]) -> str:
    """A ``tabular`` without columns that are empty throughout."""
    columns = [
        key
        for key in rows[0]
        if (key in _LATEX_COLUMNS or "of" in rows[0]) and any(row[key] is not None for row in rows)
    ]
    cells = [[_latex_cell(key, row[key]) for key in columns] for row in rows]
    sides = ["r" if _numeric(row[at] for row in cells) else "l" for at in range(len(columns))]
    head = [" ".join(key.split("_")) for key in columns]
    lines = [" & ".join(line) + r" \\" for line in (head, *cells)]
    return "\n".join(
        [
            rf"\begin{{tabular}}{{{''.join(sides)}}}",
            r"\hline",
            lines[0],
            r"\hline",
            *lines[1:],
            r"\hline",
            r"\end{tabular}",
            "",
        ]
    )


def _latex_cell(key: str, value: Any) -> str:
    if value is None:
        return "--"
    if key.startswith("accuracy") or key in ("low", "high"):
        return f"{100 * value:.2f}\\,\\%"
    if isinstance(value, float) and value < _WHOLE:
        return f"{value:.4g}"
    if isinstance(value, int | float):
        return f"{value:,.0f}".replace(",", r"\,")
    return "".join(_LATEX.get(character, character) for character in str(value))


def _numeric(cells: Iterable[str]) -> bool:
    return all(cell == "--" or _NUMBER.match(cell) for cell in cells)
