"""``tinyedge report``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from tinyedge.cli.builds import build_options
from tinyedge.cli.options import PATH, Command, output_options
from tinyedge.cli.output import Output, judged

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rich.console import RenderableType


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


def form_options(command: Command) -> Command:
    """--output, --html, --markdown and --junit."""
    for decorate in (
        click.option(
            "--junit", type=PATH, metavar="FILE", help="JUnit's XML: a test case a check."
        ),
        click.option("--markdown", type=PATH, metavar="FILE", help="For a pull request."),
        click.option(
            "--html", type=PATH, metavar="FILE", help="One page that needs no other file."
        ),
        click.option(
            "-o",
            "--output",
            type=PATH,
            metavar="FOLDER",
            help="Writes report.html, report.md and report.xml there.",
        ),
    ):
        command = decorate(command)
    return command


@click.command("report")
@click.argument("files", type=PATH, metavar="FILE...", nargs=-1, required=True)
@form_options
@click.option(
    "--table",
    type=PATH,
    metavar="FILE",
    help="The figures as a table: .csv, or .tex for LaTeX.",
)
@click.option(
    "--history",
    is_flag=True,
    help="The runs are of one network, the oldest first: show what changed. Checks are about the "
    "last one.",
)
@click.option(
    "--min-accuracy",
    multiple=True,
    metavar="SUITE=VALUE",
    callback=thresholds,
    help="The device's accuracy has to be at least so much; may be given several times.",
)
@click.option(
    "--footprint",
    type=PATH,
    metavar="BUILD",
    help="What the firmware of the run takes: its build, or what 'tinyedge footprint -o' wrote as "
    ".json.",
)
@click.option(
    "--profile",
    type=PATH,
    metavar="FILE.json",
    help="What each layer costs, as 'tinyedge run --profile -o FILE' wrote it.",
)
@build_options
@output_options
@click.pass_obj
def command(
    output: Output, /, files: tuple[Path, ...], board_name: str | None, **options: Any
) -> None:
    """Make a report of runs, from what they left and nothing else, or of a build.

    FILE is what 'tinyedge run -o' wrote or printed with --json, or a report.json of the demo.
    Several are shown side by side. Or it is one build, as 'tinyedge footprint' takes it, or the
    .json that wrote; --compare OTHER says what it was before.

    Where host and device differ, an accuracy that was asked for is missed, the memory does not
    suffice or a limit is exceeded, the exit code is 8, and the report is written all the same.
    """
    from tinyedge.commands.report import report

    record, failure = judged(report, files, board=board_name, **options, listener=output)
    written = (f"written to {path}" for path in record["written"])
    output.result(record, *report_text(record), *written, failure=failure)


def report_text(record: dict[str, Any]) -> list[RenderableType]:
    """Formats the text that people read on a terminal."""
    from tinyedge.cli.footprint import footprint_summary
    from tinyedge.cli.tables import memory_bars, suite_table
    from tinyedge.reports.report import place_in_words

    compared = record.get("comparison")
    text: list[RenderableType] = (
        [f"{sentence['text']}." for sentence in compared["verdict"]] if compared else []
    )
    for each in record["runs"]:
        run = each["record"]
        place = place_in_words(run["on"], run["board"], run["emulator"])
        title = f"{each['label']}: {run['model']['name']} on {place}"
        text += [title, suite_table(run["suites"], "device")]
        if run["memory"]:
            text.append(memory_bars(run["memory"]))
        if judgement := run["judgement"]:
            remarks = [*judgement["findings"], *judgement["cautions"]]
            text += [f"- {remark['text']}" for remark in remarks]
    build = [{"label": "build", **record["build"]}] if record["build"] else []
    for each in build:
        text += footprint_summary(each["record"])
    several = len(record["runs"]) > 1
    text += [
        f"{'ok' if check['ok'] else 'FAILED'}: {each['label'] + ': ' if several else ''}"
        f"{check['suite']}: {check['text']}"
        f"{'. What to do: ' + check['advice'] if check['advice'] else ''}"
        for each in [*record["runs"], *build]
        for check in each["checks"]
    ]
    return text
