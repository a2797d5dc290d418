"""``tinyedge quantize``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from tinyedge.cli.options import PATH, data_folder_option, output_options
from tinyedge.cli.output import Output
from tinyedge.names import QUANTIZED_PRECISIONS


@click.command("quantize")
@click.argument("run", type=PATH, metavar="RUN")
@click.option("-o", "--output", type=PATH, required=True, help="Folder to write.")
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
def command(output: Output, /, run: Path, **options: Any) -> None:
    """Quantize the float network of RUN after its training, without training it again.

    RUN is a folder that 'tinyedge train' wrote. The result is a control: what quantization-aware
    training has to beat.
    """
    from tinyedge.cli.tables import run_lines
    from tinyedge.commands.quantize import quantize

    record = quantize(run, **options, listener=output)
    output.result(record, "\n".join(run_lines(record["run"], Path(record["folder"]))))
