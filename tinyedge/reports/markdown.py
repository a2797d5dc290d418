"""A report for a pull request or a note."""

from __future__ import annotations

from tinyedge.reports import text
from tinyedge.reports.report import Report
from tinyedge.templates import render_template


def render_markdown(report: Report) -> str:
    """Compact Markdown; what is long folds away."""
    return render_template("report/report.md.j2", {"report": report, "say": text})
