"""``tinyedge quantize``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from tinyedge.cli.options import PATH, data_folder_option, output_options
from tinyedge.cli.output import Output
from tinyedge.names import QUANTIZED_PRECISIONS

if TYPE_CHECKING:
    from tinyedge.names import Precision


@click.command("quantize")
@click.argument("run", type=PATH, metavar="RUN")
@click.option("-o", "--output", "folder", type=PATH, required=True, help="Folder to write.")
@click.option(
    "--precision",
    type=click.Choice(QUANTIZED_PRECISIONS),
    default="stq",
    show_default=True,
    help="Of kernels.",
)
@click.option(
    "--recalibrate/--no-recalibrate",
    default=True,
    show_default=True,
    help="Measure batch normalization's statistics anew, on training samples.",
)
@data_folder_option
@output_options
@click.pass_obj
def command(
    output: Output,
    run: Path,
    folder: Path,
    precision: Precision,
    recalibrate: bool,  # noqa: FBT001 - a flag of click
    data_folder: Path | None,
) -> None:
    """Quantize the float network of RUN after its training, without training it again.

    RUN is a folder that 'tinyedge train' wrote. The result is a control: what quantization-aware
    training has to beat.
    """
    from tinyedge.cli.tables import run_lines
    from tinyedge.training.config import read_config

    config = read_config(run / "run.toml")
    with output.step("loading TensorFlow"):
        from tinyedge.training.data import load_data
        from tinyedge.training.post_training import quantize_after_training
    with output.step(f"loading {config.data.name}"):
        data = load_data(config.data, data_folder)
    record = quantize_after_training(run, config, data, precision, folder, recalibrate=recalibrate)
    output.result({"folder": str(folder), "run": record}, "\n".join(run_lines(record, folder)))
