"""``tinyedge train``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from tinyedge.cli.options import PATH, data_folder_option, output_options
from tinyedge.cli.output import Output


@click.command("train")
@click.argument("config_file", type=PATH, metavar="CONFIG.toml")
@click.option("-o", "--output", "folder", type=PATH, required=True, help="Folder of the run.")
@click.option("--resume", is_flag=True, help="Go on with a run that was stopped.")
@click.option(
    "--cross-validate", is_flag=True, help="Train once for each fold, and test on that fold."
)
@data_folder_option
@output_options
@click.pass_obj
def command(
    output: Output,
    config_file: Path,
    folder: Path,
    resume: bool,  # noqa: FBT001 - a flag of click
    cross_validate: bool,  # noqa: FBT001
    data_folder: Path | None,
) -> None:
    """Train a network, quantization-aware, as CONFIG.toml says.

    A run that was stopped or killed goes on with --resume, to the same weights.
    """
    import numpy as np

    from tinyedge.cli.tables import run_lines
    from tinyedge.files import json_text, write_atomically
    from tinyedge.training.config import read_config

    config = read_config(config_file)
    with output.step("loading TensorFlow"):
        from tinyedge.training.data import load_data
        from tinyedge.training.run import train
    records, places = [], []
    for fold in range(config.data.folds) if cross_validate else [config.data.fold]:
        chosen = config.data.model_copy(update={"fold": fold})
        place = folder / f"fold-{fold}" if cross_validate else folder
        with output.step(f"loading {config.data.name}"):
            samples = load_data(chosen, data_folder)
        each = config.model_copy(update={"data": chosen})
        records.append(train(each, samples, place, resume=resume, progress=output.progress))
        places.append(place)
    summary: dict[str, Any] = {"folder": str(folder), "runs": records}
    lines = [_sizes(records[0])]
    for place, record in zip(places, records, strict=True):
        lines += run_lines(record, place)
    if cross_validate:
        accuracies = [record["test"]["accuracy"] for record in records]
        summary["mean_accuracy"] = float(np.mean(accuracies))
        summary["standard_deviation"] = float(np.std(accuracies, ddof=1))
        write_atomically(folder / "folds.json", json_text(summary))
        lines.append(
            f"{len(accuracies)} folds: {100 * summary['mean_accuracy']:.2f} % "
            f"+- {100 * summary['standard_deviation']:.2f} % (standard deviation)"
        )
    output.result(summary, "\n".join(lines))


def _sizes(record: dict[str, Any]) -> str:
    """The sizes of the network in the precisions of the paper."""
    names = {"float": "float", "int8": "8-bit", "binary": "binary", "stq": "STQ"}
    sizes = record["nominal_bytes"]
    shown = " / ".join(f"{sizes[precision] / 1024:.1f}" for precision in names)
    return f"size of this network: {shown} KiB ({' / '.join(names.values())})"
