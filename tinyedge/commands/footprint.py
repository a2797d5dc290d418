"""The use of flash and RAM, and its growth."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from tinyedge.commands.arguments import AnyPath, check_outputs, optional_path
from tinyedge.commands.builds import BuildOptions
from tinyedge.commands.notes import noted
from tinyedge.errors import UsageError
from tinyedge.files import write_atomically
from tinyedge.names import CompilerName
from tinyedge.progress import NOBODY, Listener
from tinyedge.records.parts import VERSION
from tinyedge.reports.footprint import (
    Growth,
    Record,
    add_costs,
    footprint_markdown,
    load_stack_peak,
    missed,
)
from tinyedge.reports.html import render_html
from tinyedge.reports.report import build_report

_FORMS = (".html", ".json", ".md")


@noted()
def footprint(
    path: AnyPath,
    *,
    board: str | None = None,
    compiler: CompilerName | None = None,
    compare: AnyPath | None = None,
    max_flash: int | str | None = None,
    max_ram: int | str | None = None,
    max_regression: Growth | int | str | None = None,
    measured: AnyPath | None = None,
    profile: AnyPath | None = None,
    output: AnyPath | None = None,
    listener: Listener = NOBODY,
) -> dict[str, Any]:
    """Tells what takes flash and RAM, by section, part, layer, kernel and symbol.

    Args:
        path: a converted model, which is built for ``board``; a folder that ``tinyedge build``
            wrote; an ELF; or a footprint's ``.json``.
        board: to build a converted model for; name or ``.toml`` file.
        compiler: that a converted model is built with; ``gcc`` where installed, else ``zig``.
        compare: what the build was before: the same kinds of folders and files, or what ``tinyedge
            footprint -o`` wrote as ``.json``.
        max_flash: bytes of flash, or as ``64K``, that are not to be exceeded.
        max_ram: the same of RAM, the stack not counted.
        max_regression: bytes, or as ``2%``, that flash or RAM may have grown by since ``compare``.
        measured: record of a run of the same firmware, for the stack's peak.
        profile: what each layer costs, as ``tinyedge run --profile -o`` wrote it.
        output: file to write the report to: ``.html``, ``.md`` or ``.json``.
        listener: told how far it is.

    Returns:
        The record, whose keys ``docs/cli.md`` names.

    Raises:
        ThresholdError: a limit is exceeded; the file is written all the same.
        UsageError: arguments do not go together.
        BoardError, DataError, ModelError, ToolchainError: what was named is not in order.
    """
    target = None if output is None else Path(output)
    options = BuildOptions.of(board, compiler, compare, max_flash, max_ram, max_regression)
    if target and target.suffix not in _FORMS:
        raise UsageError(f"--output {target}: the name has to end in {', '.join(_FORMS)}")
    check_outputs(
        {"--output": target}, [("PATH", Path(path)), ("--compare", optional_path(compare))]
    )
    record = options.read(listener, Path(path))
    if measured:
        peak = load_stack_peak(Path(measured), record["board"], record["flash"]["total"])
        record["ram"]["stack_peak"] = peak
    if profile:
        add_costs(record, Path(profile))
    if target:
        write_atomically(target, _render(record, target.suffix))
    if failure := missed(record):
        raise failure.of(record)
    return record


def _render(record: Record, form: str) -> str:
    """The footprint as a file of one of the forms."""
    match form:
        case ".json":
            return json.dumps({"version": VERSION, **record}, indent=2) + "\n"
        case ".md":
            return footprint_markdown(record)
        case _:
            return render_html(build_report(record))
