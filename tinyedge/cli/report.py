"""``tinyedge report``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from tinyedge.cli.builds import BuildOptions, build_options
from tinyedge.cli.options import PATH, output_options
from tinyedge.cli.output import Output

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rich.console import RenderableType

    from tinyedge.reports.report import Report

_ELF_MAGIC = b"\x7fELF"
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
@click.argument("files", type=PATH, metavar="FILE...", nargs=-1, required=True)
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
    metavar="BUILD",
    help="What the firmware of the run takes: its build, or what 'tinyedge footprint -o' wrote as "
    ".json.",
)
@click.option(
    "--profile",
    "profile_file",
    type=PATH,
    metavar="FILE.json",
    help="What each layer costs, as 'tinyedge run --profile -o FILE' wrote it.",
)
@build_options
@output_options
@click.pass_obj
def command(
    output: Output,
    /,
    files: tuple[Path, ...],
    folder: Path | None,
    html: Path | None,
    markdown: Path | None,
    junit: Path | None,
    asked: dict[str, float],
    footprint_file: Path | None,
    profile_file: Path | None,
    **options: Any,
) -> None:
    """Make a report of runs, from what they left and nothing else, or of a build.

    FILE is what 'tinyedge run -o' wrote or printed with --json, or a report.json of the demo.
    Several are shown side by side. Or it is one build, as 'tinyedge footprint' takes it, or the
    .json that wrote; --compare OTHER says what it was before.

    Where host and device differ, an accuracy that was asked for is missed, the memory does not
    suffice or a limit is exceeded, the exit code is 8, and the report is written all the same.
    """
    from tinyedge.errors import UsageError
    from tinyedge.files import check_writable
    from tinyedge.reports.footprint import add_costs
    from tinyedge.reports.report import build_report, load_report

    if folder:
        html, markdown = html or folder / HTML_FILE, markdown or folder / MARKDOWN_FILE
        junit = junit or folder / JUNIT_FILE
    for path in filter(None, (html, markdown, junit)):
        check_writable(path)
    build = BuildOptions(**options)
    if any(map(_is_build, files)):
        if len(files) > 1:
            raise UsageError("a build is reported alone", hint="--compare OTHER says what it was")
        if asked or footprint_file:
            raise UsageError("--min-accuracy and --footprint go with runs, not with a build")
        record = build.read(output, files[0])
        if profile_file:
            add_costs(record, profile_file)
        report = build_report(record)
    else:
        if build.given() and not footprint_file:
            raise UsageError(
                f"{build.given()[0]} goes with a build, or with --footprint of a run's",
                hint="runs that are named together are shown side by side",
            )
        footprint = build.read(output, footprint_file) if footprint_file else None
        report = load_report(files, asked, footprint, profile_file)
    written = write_reports(report, html, markdown, junit)
    shown = {
        "runs": [run.to_json() for run in report.runs],
        "build": report.build and report.build.to_json(),
        "written": [str(path) for path in written],
    }
    text = [*_text(report), *(f"written to {path}" for path in written)]
    output.result(shown, *text, failure=report.failure())


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


def _is_build(path: Path) -> bool:
    """Whether a file or folder is a build, or the record of one, and not of a run."""
    from tinyedge.reports.parts import read_record

    if not path.is_file():
        return path.is_dir()
    if path.suffix == ".json":
        hint = "name what 'tinyedge run -o' or 'tinyedge footprint -o' wrote"
        return "symbols" in read_record(path, hint)
    with path.open("rb") as file:
        return file.read(len(_ELF_MAGIC)) == _ELF_MAGIC


def _text(report: Report) -> list[RenderableType]:
    """What people read on a terminal."""
    from tinyedge.cli.footprint import footprint_summary
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
    if report.build:
        text += footprint_summary(report.build.footprint)
    several = len(report.runs) > 1
    text += [
        f"{'ok' if check.ok else 'FAILED'}: {part.label + ': ' if several else ''}{check.suite}: "
        f"{check.text}"
        for part, check in report.checks
    ]
    return text
