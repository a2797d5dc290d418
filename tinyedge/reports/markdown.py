"""A report for a pull request or a note."""

from __future__ import annotations

from tinyedge.reports import text
from tinyedge.reports.comparison import compared
from tinyedge.reports.footprint import footprint_markdown
from tinyedge.reports.report import Report
from tinyedge.templates import render_template


def render_markdown(report: Report) -> str:
    """Compact Markdown; what is long folds away."""
    if report.build and not report.runs:
        return footprint_markdown(report.build.footprint)
    build = footprint_markdown(report.build.footprint, title=False) if report.build else None
    context = {"report": report, "say": text, "build": build, "several": compared(report)}
    return render_template("report/report.md.j2", context)
