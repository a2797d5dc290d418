"""Reports of runs, from what they left and nothing else, or of a build."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from os import PathLike
from pathlib import Path
from typing import Any

from tinyedge.commands.arguments import AnyPath, check_outputs, optional_path
from tinyedge.commands.builds import BuildOptions
from tinyedge.commands.notes import noted
from tinyedge.errors import MissingDependencyError, UsageError
from tinyedge.files import write_atomically
from tinyedge.names import CompilerName
from tinyedge.progress import NOBODY, Listener
from tinyedge.records.parts import read_record
from tinyedge.reports.comparison import compared
from tinyedge.reports.footprint import Growth, add_costs
from tinyedge.reports.html import render_html
from tinyedge.reports.junit import render_junit
from tinyedge.reports.markdown import render_markdown
from tinyedge.reports.report import Report, build_report, load_report
from tinyedge.reports.tables import FORMS, render_table

HTML_FILE, MARKDOWN_FILE, JUNIT_FILE = "report.html", "report.md", "report.xml"
_ELF_MAGIC = b"\x7fELF"


_RENDERED = {"--html": render_html, "--markdown": render_markdown, "--junit": render_junit}


@dataclass(frozen=True)
class ReportFiles:
    """Where the forms of a report go.

    Attributes:
        html: file of each form; None for a form that is not wanted.
        markdown: the same.
        junit: the same.
        table: the same.
        optional: forms, by their options, that are left out where what makes them is not installed.
    """

    html: Path | None
    markdown: Path | None
    junit: Path | None
    table: Path | None = None
    optional: frozenset[str] = frozenset()

    @classmethod
    def of(
        cls,
        output: AnyPath | None,
        html: AnyPath | None,
        markdown: AnyPath | None,
        junit: AnyPath | None,
        table: AnyPath | None = None,
    ) -> ReportFiles:
        """The files that were named, and those in the folder ``output``, which are optional.

        Raises:
            UsageError: the name of the table's file tells no form.
        """
        own = cls(
            optional_path(html), optional_path(markdown), optional_path(junit), optional_path(table)
        )
        if own.table and own.table.suffix not in FORMS:
            raise UsageError(f"--table {own.table}: the name has to end in {' or '.join(FORMS)}")
        if output is None:
            return own
        folder = Path(output)
        return cls(
            own.html or folder / HTML_FILE,
            own.markdown or folder / MARKDOWN_FILE,
            own.junit or folder / JUNIT_FILE,
            own.table,
            frozenset(form for form, path in own.named().items() if path is None),
        )

    def named(self) -> dict[str, Path | None]:
        """Each form's file by its option."""
        return {
            "--html": self.html,
            "--markdown": self.markdown,
            "--junit": self.junit,
            "--table": self.table,
        }


@noted()
def report(
    files: AnyPath | Sequence[AnyPath],
    *,
    output: AnyPath | None = None,
    html: AnyPath | None = None,
    markdown: AnyPath | None = None,
    junit: AnyPath | None = None,
    table: AnyPath | None = None,
    history: bool = False,
    min_accuracy: Mapping[str, float] | None = None,
    footprint: AnyPath | None = None,
    profile: AnyPath | None = None,
    board: str | None = None,
    compiler: CompilerName | None = None,
    compare: AnyPath | None = None,
    max_flash: int | str | None = None,
    max_ram: int | str | None = None,
    max_regression: Growth | int | str | None = None,
    listener: Listener = NOBODY,
) -> dict[str, Any]:
    """Makes a report of runs, or of a build.

    Args:
        files: what ``tinyedge run -o`` wrote, of one or several runs; or one build, as ``tinyedge
            footprint`` takes it, or the ``.json`` that wrote.
        output: folder for ``report.html``, ``report.md`` and ``report.xml``; what makes one of them
            and is not installed is told, and the others are written.
        html: file for one page that needs no other file.
        markdown: file for a pull request.
        junit: file for JUnit's XML: a test case a check.
        table: file for the figures as a table, ``.csv`` or ``.tex``.
        history: the runs are of one network, the oldest first; checks are about the last one.
        min_accuracy: accuracies in [0, 1] that the device has to reach, by suite.
        footprint: what the firmware of the run takes: its build, or a footprint's ``.json``.
        profile: what each layer costs, as ``tinyedge run --profile -o`` wrote it.
        board: to build a converted model for; name or ``.toml`` file.
        compiler: that a converted model is built with; ``gcc`` where installed, else ``zig``.
        compare: what the build was before: the same kinds of folders and files, or what ``tinyedge
            footprint -o`` wrote as ``.json``.
        max_flash: bytes of flash, or as ``64K``, that are not to be exceeded.
        max_ram: the same of RAM, the stack not counted.
        max_regression: bytes, or as ``2%``, that flash or RAM may have grown by since ``compare``.
        listener: told how far it is.

    Returns:
        ``runs``, ``build``, ``comparison`` (of several runs, else None) and ``written``.

    Raises:
        ThresholdError: a check fails; the report is written all the same.
        UsageError: arguments do not go together.
        BoardError, DataError, ModelError, ToolchainError: what was named is not in order.
        MissingDependencyError: what makes a form that a file is named for is not installed.
    """
    paths = [Path(files)] if isinstance(files, str | PathLike) else [Path(each) for each in files]
    if not paths:
        raise UsageError("files: none given")
    asked = _shares(min_accuracy or {})
    build = BuildOptions.of(board, compiler, compare, max_flash, max_ram, max_regression)
    forms = ReportFiles.of(output, html, markdown, junit, table)
    check_outputs(
        forms.named(),
        [
            *(("a run", path) for path in paths),
            ("--footprint", optional_path(footprint)),
            ("--profile", optional_path(profile)),
        ],
    )
    costs = None if profile is None else Path(profile)
    if any(map(_is_build, paths)):
        if len(paths) > 1:
            raise UsageError("a build is reported alone", hint="--compare OTHER says what it was")
        if asked or footprint:
            raise UsageError("--min-accuracy and --footprint go with runs, not with a build")
        if history:
            raise UsageError("--history goes with runs, not with a build")
        record = build.read(listener, paths[0])
        if costs:
            add_costs(record, costs)
        made = build_report(record)
    else:
        if build.given() and not footprint:
            raise UsageError(
                f"{build.given()[0]} goes with a build, or with --footprint of a run's",
                hint="runs that are named together are shown side by side",
            )
        memory = build.read(listener, Path(footprint)) if footprint else None
        made = load_report(paths, asked, memory, costs, history=history)
    written = write_reports(made, forms, listener)
    shown = {
        "runs": [run.to_json() for run in made.runs],
        "build": made.build and made.build.to_json(),
        "comparison": asdict(several) if (several := compared(made)) else None,
        "written": [str(path) for path in written],
    }
    if failure := made.failure():
        raise failure.of(shown)
    return shown


def _shares(asked: Mapping[str, float]) -> dict[str, float]:
    """The accuracies asked for; raises UsageError where one is none."""
    for name, share in asked.items():
        if not isinstance(share, int | float) or not 0 <= share <= 1:
            raise UsageError(f"min_accuracy[{name!r}]={share!r}: a number from 0 to 1")
    return dict(asked)


def write_reports(report: Report, files: ReportFiles, listener: Listener) -> list[Path]:
    """Writes the forms of a report; all are made before any is written.

    Args:
        report: what to write.
        files: where.
        listener: told which form is left out, as what makes it is not installed.

    Raises:
        MissingDependencyError: what makes a form is not installed that has to be written.
    """
    made = []
    for form, path in files.named().items():
        if path is None:
            continue
        try:
            made.append((path, _rendered(report, form, path)))
        except MissingDependencyError as error:
            if form not in files.optional:
                raise
            listener.remark(f"no {path.name}: {error}; {error.hint}")
    for path, content in made:
        write_atomically(path, content)
    return [path for path, _ in made]


def _rendered(report: Report, form: str, path: Path) -> str:
    return render_table(report, path.suffix) if form == "--table" else _RENDERED[form](report)


def _is_build(path: Path) -> bool:
    """Whether a file or folder is a build, or the record of one, and not of a run."""
    if not path.is_file():
        return path.is_dir()
    if path.suffix == ".json":
        hint = "name what 'tinyedge run -o' or 'tinyedge footprint -o' wrote"
        return "symbols" in read_record(path, hint)
    with path.open("rb") as file:
        return file.read(len(_ELF_MAGIC)) == _ELF_MAGIC
