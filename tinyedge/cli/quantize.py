"""``tinyedge quantize``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from tinyedge.cli.options import PATH, data_folder_option, data_option, output_options
from tinyedge.cli.output import Output
from tinyedge.cli.project_file import ProjectOption
from tinyedge.names import QUANTIZED_PRECISIONS


@click.command("quantize")
@click.argument("model", type=PATH)
@click.option("-o", "--output", type=PATH, required=True, help="Folder to write.")
@click.option(
    "--calibration",
    cls=ProjectOption,
    type=PATH,
    metavar="FILE",
    help="For a float model: a few hundred real inputs (.npy, or .npz with x).",
)
@data_option(
    "data",
    "For a float model: labelled samples to measure accuracy on. Default: those of --calibration.",
)
@click.option("--samples", type=click.IntRange(1), help="How many to compare. Default: all.")
@click.option(
    "--input-range",
    type=float,
    nargs=2,
    metavar="LOW HIGH",
    help="For a float model: what the values 0 and 255 of pixels stand for. Default: 0 255 where a "
    "Keras model scales pixels itself, else 0 1.",
)
@click.option(
    "--precision",
    type=click.Choice(QUANTIZED_PRECISIONS),
    help="Precision of the weights. A float model becomes int8; a run by default stq.",
)
@click.option(
    "--recalibrate/--no-recalibrate",
    default=True,
    show_default=True,
    help="For a run: measure batch normalization's statistics anew, on training samples.",
)
@data_folder_option
@output_options
@click.pass_obj
def command(
    output: Output, /, model: Path, input_range: tuple[float, float] | None, **options: Any
) -> None:
    """Quantize a float MODEL after its training, without training it again.

    MODEL is a float Keras model (.keras or .h5 of Keras 2 or 3, or a SavedModel folder) or a float
    .onnx file, which become int8, and what 'tinyedge convert' writes. Or it is a folder that
    'tinyedge train' wrote with a float network: the result is a control, what quantization-aware
    training has to beat.
    """
    from tinyedge.cli.tables import quantization_lines, quantization_table, run_lines
    from tinyedge.commands.quantize import quantize

    record = quantize(model, input_range=input_range or None, **options, listener=output)
    if "run" in record:
        output.result(record, "\n".join(run_lines(record["run"], Path(record["folder"]))))
        return
    output.result(record, quantization_table(record), "\n".join(quantization_lines(record)))
