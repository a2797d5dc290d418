"""``tinyedge train``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from tinyedge.cli.options import PATH, cluster_options, data_folder_option, output_options
from tinyedge.cli.output import Output

if TYPE_CHECKING:
    from rich.table import Table


@click.command("train")
@click.argument("config_file", type=PATH, metavar="CONFIG.toml")
@click.option("-o", "--output", type=PATH, required=True, help="Folder of the run.")
@click.option("--resume", is_flag=True, help="Go on with a run that was stopped.")
@click.option(
    "--cross-validate", is_flag=True, help="Train once for each fold, and test on that fold."
)
@click.option(
    "--grid",
    is_flag=True,
    help="A list in CONFIG.toml stands for each of its values: train with every one and every "
    "other, each into a folder of its own.",
)
@data_folder_option
@cluster_options
@output_options
@click.pass_obj
def command(output: Output, /, config_file: Path, **options: Any) -> None:
    """Train a network, quantization-aware, as CONFIG.toml says.

    A run that was stopped or killed goes on with --resume, to the same weights. With --grid the
    same command does so, and --cluster has workers train at the same time.
    """
    from tinyedge.commands.train import train

    record = train(config_file, **options, listener=output)
    if "grid" in record:
        counts = f"{record['trained']} trainings, and {record['kept']} that were there"
        output.result(
            record, _grid_table(record["grid"]), counts, f"written to {record['written']}"
        )
        return
    output.result(record, "\n".join(_lines(record)))


def _grid_table(rows: list[dict[str, Any]]) -> Table:
    from rich.table import Table

    from tinyedge.reports.notebook import percent

    table = Table(title="Grid", title_justify="left")
    for heading in rows[0]["settings"]:
        table.add_column(heading)
    table.add_column("accuracy", justify="right")
    table.add_column("95 % interval", justify="right")
    for row in rows:
        low, high = (100 * end for end in row["interval"] or (0, 0))
        interval = row["failure"] or f"{low:.1f} to {high:.1f}"
        settings = map(str, row["settings"].values())
        table.add_row(*settings, percent(row["accuracy"]), interval)
    return table


def _lines(record: dict[str, Any]) -> list[str]:
    from tinyedge.cli.tables import run_lines
    from tinyedge.commands.train import fold_folder

    folder, runs = Path(record["folder"]), record["runs"]
    folds = "mean_accuracy" in record
    lines = [_sizes(runs[0])]
    for fold, run in enumerate(runs):
        lines += run_lines(run, folder / fold_folder(fold) if folds else folder)
    if folds:
        lines.append(
            f"{len(runs)} folds: {100 * record['mean_accuracy']:.2f} % "
            f"+- {100 * record['standard_deviation']:.2f} % (standard deviation)"
        )
    return lines


def _sizes(record: dict[str, Any]) -> str:
    """The sizes of the network in the precisions of the paper."""
    names = {"float": "float", "int8": "8-bit", "binary": "binary", "stq": "STQ"}
    sizes = record["nominal_bytes"]
    shown = " / ".join(f"{sizes[precision] / 1024:.1f}" for precision in names)
    return f"size of this network: {shown} KiB ({' / '.join(names.values())})"
