"""``tinyedge check``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from tinyedge.cli.options import (
    PATH,
    cluster_options,
    conversion_options,
    data_folder_option,
    data_option,
    output_options,
)
from tinyedge.cli.output import Output, judged
from tinyedge.names import DATASETS, WITNESSES


@click.command("check")
@click.argument("model", type=PATH)
@click.option(
    "--with",
    "with_",
    type=click.Choice(WITNESSES),
    default="tflite-micro",
    show_default=True,
    help="The other implementation: the C code on this machine, TFLite-Micro's interpreter, LiteRT "
    "(TensorFlow Lite) with its reference or its optimized kernels, the QKeras model itself, "
    "hls4ml's C++ for it, ONNX Runtime, or qonnx.",
)
@click.option("--samples", type=click.IntRange(1), help="Default: 100, or all of --data.")
@click.option("--seed", type=click.IntRange(0, 2**32 - 1), default=0, show_default=True)
@data_option("data", "Samples (.npy or .npz), instead of random ones.")
@click.option("--dataset", type=click.Choice(DATASETS), help="Or the test set of a data set.")
@data_folder_option
@click.option(
    "--layers",
    is_flag=True,
    help="Compare every layer's output; the model's own implementations always do.",
)
@click.option(
    "--converted",
    type=PATH,
    metavar="DIR",
    help="Compare the graph that 'tinyedge convert' wrote there, instead of converting MODEL anew.",
)
@click.option(
    "--project",
    type=PATH,
    metavar="DIR",
    help="Compile the hls4ml project there, as it is, instead of a new one (with --with hls4ml).",
)
@conversion_options
@cluster_options
@output_options
@click.pass_obj
def command(output: Output, /, model: Path, **options: Any) -> None:
    """Compare the numpy reference of MODEL with another implementation, byte by byte.

    MODEL is anything that 'tinyedge convert' takes or writes; 'qkeras' and 'hls4ml' take a QKeras
    model, 'onnxruntime' an ONNX model, 'qonnx' one of QONNX. A .tflite file whose ends are int8 is
    given to TFLite-Micro as it is; with --layers, and for other models, it is our export. The twin
    and TFLite-Micro have to agree on every byte (exit code 8 where they do not). The others round
    otherwise now and then, and the share is reported; exit code 8 says that one layer's weights
    differ, or that by itself it is more than a step off.
    """
    from tinyedge.commands.check import check

    record, failure = judged(check, model, **options, listener=output)
    title = f"{record['with']}, {record['samples']} samples"
    output.result(record, *_tables(record, title), failure=failure)


def _tables(record: dict[str, Any], title: str) -> list[Any]:
    from rich.table import Table

    from tinyedge.reports.notebook import percent

    table = Table(title=f"numpy and {title}", title_justify="left")
    for heading in ("tensor", "operator"):
        table.add_column(heading)
    own = any(tensor["own_differing"] is not None for tensor in record["tensors"])
    headings = ["values", "differing", "largest", "same largest element"]
    for heading in headings + ["differing by itself", "largest by itself"] * own:
        table.add_column(heading, justify="right")
    for tensor in record["tensors"]:
        row = [
            tensor["name"],
            tensor["kind"],
            f"{tensor['values']:,}",
            f"{tensor['differing']:,}",
            str(tensor["largest"]),
            percent(tensor["agreement"]),
        ]
        if own:
            itself = (tensor["own_differing"], tensor["own_largest"])
            row += ["-" if value is None else f"{value:,}" for value in itself]
        style = "bold red" if tensor["name"] == record["fault"] else ""
        table.add_row(*row, style=style if tensor["differing"] else "")
    if not record["weights"]:
        return [table]
    weights = Table(title="weights that differ", title_justify="left")
    for heading in ("layer", "weights", "biases", "some of them: index, ours, theirs"):
        weights.add_column(heading)
    for layer in record["weights"]:
        shown = "; ".join(
            f"{tuple(index)} {ours:.5g} {theirs:.5g}" for index, ours, theirs in layer["examples"]
        )
        weights.add_row(layer["name"], f"{layer['differing']:,}", f"{layer['biases']:,}", shown)
    return [table, weights]
