"""A report for a pull request or a note."""

from __future__ import annotations

from typing import Any

from tinyedge.templates import render_template


def render_markdown(record: dict[str, Any]) -> str:
    """Markdown from the record of an evaluation on a board or an emulator."""
    return render_template("report/report.md.j2", {"record": record})
