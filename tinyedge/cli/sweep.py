"""``tinyedge sweep``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from tinyedge.cli.options import PATH, cluster_options, output_options
from tinyedge.cli.output import Output, judged

if TYPE_CHECKING:
    from rich.table import Table


@click.command("sweep")
@click.argument("file", type=PATH, metavar="SWEEP.toml")
@click.option(
    "-o",
    "--output",
    type=PATH,
    required=True,
    metavar="FOLDER",
    help="For what is converted, the records of the runs and sweep.csv.",
)
@click.option("--html", type=PATH, metavar="FILE", help="A page with all runs side by side.")
@cluster_options
@output_options
@click.pass_obj
def command(output: Output, /, file: Path, **options: Any) -> None:
    """Run networks on boards with options and suites, every one with every other.

    SWEEP.toml names them. The same command goes on where it was interrupted: what FOLDER holds of
    the same models, suites and versions is not done again. A network that does not fit a board is a
    row that says so. Where host and device differ anywhere, the exit code is 8.
    """
    from tinyedge.commands.sweep import sweep

    record, failure = judged(sweep, file, **options, listener=output)
    written = (f"written to {path}" for path in record["written"])
    kept = f"{record['computed']} runs, and {record['kept']} that were there"
    output.result(record, _table(record["rows"]), kept, *written, failure=failure)


def _table(rows: list[dict[str, Any]]) -> Table:
    from rich.table import Table

    from tinyedge.reports.notebook import percent

    table = Table(title="Sweep", title_justify="left")
    left = ("network", "board", "optimize", "suite")
    for heading in (*left, "device", "differing", "cost", "flash", "RAM"):
        table.add_column(heading, justify="left" if heading in left else "right")
    for row in rows:
        named = [row[key] for key in left]
        if row["failure"]:
            table.add_row(*named, row["failure"], "", "", "", "")
            continue
        cost = "" if row["seconds"] is None else f"{row['seconds']:.4g} s"
        if row["instructions"] is not None:
            cost = f"{row['instructions']:,.0f}"
        sizes = ["" if row[key] is None else f"{row[key]:,}" for key in ("flash", "ram")]
        differing = f"{row['mismatched_logits']:,}"
        table.add_row(*named, percent(row["device"]), differing, cost, *sizes)
    return table
