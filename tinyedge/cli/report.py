"""``tinyedge report``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from tinyedge.cli.options import PATH, output_options
from tinyedge.cli.output import Output

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rich.console import RenderableType

    from tinyedge.reports.report import Report

HTML_FILE, MARKDOWN_FILE, JUNIT_FILE = "report.html", "report.md", "report.xml"


def thresholds(
    _context: click.Context, _parameter: click.Parameter, given: Sequence[str]
) -> dict[str, float]:
    """Accuracies in [0, 1] by suite, of SUITE=VALUE or SUITE=VALUE%."""
    from tinyedge.errors import UsageError

    found: dict[str, float] = {}
    for text in given:
        name, _, value = text.rpartition("=")
        try:
            share = float(value.removesuffix("%")) / (100 if value.endswith("%") else 1)
        except ValueError:
            share = -1
        if not name or not 0 <= share <= 1:
            raise UsageError(
                f"--min-accuracy is {text!r}, allowed: SUITE=VALUE, from 0 to 1 or 0% to 100%",
                hint="as in --min-accuracy clean=0.9",
            )
        if name in found:
            raise UsageError(f"--min-accuracy: suite '{name}' is named twice")
        found[name] = share
    return found


@click.command("report")
@click.argument("files", type=PATH, metavar="RUN.json...", nargs=-1, required=True)
@click.option(
    "-o",
    "--output",
    "folder",
    type=PATH,
    metavar="FOLDER",
    help=f"Writes {HTML_FILE}, {MARKDOWN_FILE} and {JUNIT_FILE} there.",
)
@click.option("--html", type=PATH, metavar="FILE", help="One page that needs no other file.")
@click.option("--markdown", type=PATH, metavar="FILE", help="For a pull request.")
@click.option("--junit", type=PATH, metavar="FILE", help="JUnit's XML: a test case a check.")
@click.option(
    "--min-accuracy",
    "asked",
    multiple=True,
    metavar="SUITE=VALUE",
    callback=thresholds,
    help="The device's accuracy has to be at least so much; may be given several times.",
)
@click.option(
    "--footprint",
    "footprint_file",
    type=PATH,
    metavar="FILE.json",
    help="What takes the firmware's memory, as 'tinyedge footprint -o' wrote it.",
)
@click.option(
    "--profile",
    "profile_file",
    type=PATH,
    metavar="FILE.json",
    help="What each layer costs, as 'tinyedge run --profile -o FILE' wrote it.",
)
@output_options
@click.pass_obj
def command(
    output: Output,
    files: tuple[Path, ...],
    folder: Path | None,
    html: Path | None,
    markdown: Path | None,
    junit: Path | None,
    asked: dict[str, float],
    footprint_file: Path | None,
    profile_file: Path | None,
) -> None:
    """Make a report of runs, from what they left and nothing else.

    RUN.json is what 'tinyedge run -o' wrote, printed with --json, or a report.json of the demo.
    Several are shown side by side. Where host and device differ, an accuracy that was asked for is
    missed, or the memory does not suffice, the exit code is 8, and the report is written all the
    same.
    """
    from tinyedge.files import check_writable
    from tinyedge.reports.footprint import load_footprint
    from tinyedge.reports.report import load_report

    if folder:
        html, markdown = html or folder / HTML_FILE, markdown or folder / MARKDOWN_FILE
        junit = junit or folder / JUNIT_FILE
    for path in filter(None, (html, markdown, junit)):
        check_writable(path)
    footprint = load_footprint(footprint_file) if footprint_file else None
    report = load_report(files, asked, footprint, profile_file)
    written = write_reports(report, html, markdown, junit)
    record = {
        "runs": [run.to_json() for run in report.runs],
        "written": [str(path) for path in written],
    }
    text = [*_text(report), *(f"written to {path}" for path in written)]
    output.result(record, *text, failure=report.failure())


def write_reports(
    report: Report, html: Path | None, markdown: Path | None, junit: Path | None
) -> list[Path]:
    """Writes those forms of a report that a file is named for; all are made before any is written.

    Raises:
        MissingDependencyError: what makes one of them is not installed.
    """
    from tinyedge.files import write_atomically
    from tinyedge.reports.html import render_html
    from tinyedge.reports.junit import render_junit
    from tinyedge.reports.markdown import render_markdown

    forms = ((html, render_html), (markdown, render_markdown), (junit, render_junit))
    made = [(path, render(report)) for path, render in forms if path]
    for path, content in made:
        write_atomically(path, content)
    return [path for path, _ in made]


def _text(report: Report) -> list[RenderableType]:
    """What people read on a terminal."""
    from tinyedge.cli.tables import memory_bars, suite_table

    text: list[RenderableType] = []
    for at in report.runs:
        run = at.run.model_dump()
        text += [f"{at.label}: {at.title}", suite_table(run["suites"], "device")]
        if run["memory"]:
            text.append(memory_bars(run["memory"]))
        if at.run.judgement:
            remarks = [*at.run.judgement.findings, *at.run.judgement.cautions]
            text += [f"- {remark.text}" for remark in remarks]
        text += [
            f"{'ok' if check.ok else 'FAILED'}: {check.suite}: {check.text}" for check in at.checks
        ]
    return text
