"""``tinyedge bundle``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from tinyedge.cli.options import PATH, data_option, output_options
from tinyedge.cli.output import Output


@click.command("bundle")
@click.argument("folder", type=PATH, metavar="DIR")
@data_option("data", "What the runs took: suites, or labelled samples.", multiple=True)
@click.option(
    "--run",
    type=PATH,
    multiple=True,
    metavar="RUN.json",
    help="The record of a run, as 'tinyedge run -o' wrote it; may be given several times.",
)
@click.option("--build", type=PATH, metavar="BUILD", help="Folder of the firmware that ran.")
@click.option(
    "-o", "--output", type=PATH, required=True, metavar="BUNDLE.zip", help="The file to write."
)
@output_options
@click.pass_obj
def command(output: Output, /, folder: Path, **options: Any) -> None:
    """Put a model, its suites, its firmware and the records of its runs into one file.

    DIR is what 'tinyedge convert' wrote. 'tinyedge verify' checks the file on another machine.
    """
    from tinyedge.commands.bundle import bundle

    record = bundle(folder, **options, listener=output)
    output.result(
        record,
        f"{len(record['files'])} files written to {record['bundle']}",
        f"SHA-256 {record['sha256']}",
    )
