"""``tinyedge gate``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from tinyedge.cli.options import PATH, output_options
from tinyedge.cli.output import Output, judged
from tinyedge.cli.report import form_options


@click.command("gate")
@click.argument("file", type=PATH, metavar="GATE.toml")
@form_options
@output_options
@click.pass_obj
def command(output: Output, /, file: Path, **options: Any) -> None:
    """Hold runs and a build against the limits of a file, for pull requests.

    GATE.toml names what 'tinyedge run -o' wrote, the build, what it was before, and limits:
    accuracies by suite and under the worst attack, memory and its growth, cost of an inference.
    Every suite has to be bit-exact, and the memory to fit the board.

    Where a check fails, the exit code is 8, and the report is written all the same.
    """
    from tinyedge.cli.report import report_text
    from tinyedge.commands.gate import gate

    record, failure = judged(gate, file, **options, listener=output)
    written = (f"written to {path}" for path in record["written"])
    output.result(record, *report_text(record), *written, failure=failure)
