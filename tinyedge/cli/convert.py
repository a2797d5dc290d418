"""``tinyedge convert``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from tinyedge.cli.options import PATH, output_options
from tinyedge.cli.output import Output

if TYPE_CHECKING:
    from tinyedge.boards.cores import CoreName
    from tinyedge.exporters.c import Objective

CORES = ("cortex-m0", "cortex-m3", "cortex-m4", "cortex-m7", "cortex-m33", "cortex-m55")
OBJECTIVES = ("speed", "size")


@click.command("convert")
@click.argument("model", type=PATH)
@click.option("-o", "--output", "folder", type=PATH, required=True, help="Folder to write.")
@click.option(
    "--calibration",
    type=PATH,
    metavar="FILE",
    help="Real inputs (.npy, or .npz with x), for activations without a quantizer.",
)
@click.option(
    "--input-range",
    type=float,
    nargs=2,
    metavar="LOW HIGH",
    help="Range of the inputs. Default: that of --calibration, else 0 1.",
)
@click.option(
    "--core",
    type=click.Choice(CORES),
    default="cortex-m4",
    show_default=True,
    help="Choose kernels by the instructions of this core. The code runs on every core.",
)
@click.option(
    "--optimize",
    type=click.Choice(OBJECTIVES),
    default="speed",
    show_default=True,
    help="Choose kernels and packings for speed, or for the size of the flash image.",
)
@output_options
@click.pass_obj
def command(
    output: Output,
    model: Path,
    folder: Path,
    calibration: Path | None,
    input_range: tuple[float, float] | None,
    core: CoreName,
    optimize: Objective,
) -> None:
    """Convert MODEL to packed C, a .tflite file and a saved graph.

    MODEL is a QKeras model (.h5, .keras or a SavedModel folder), a fully int8 .tflite file, or a
    graph that was saved before.
    """
    from tinyedge.cli.tables import layer_table
    from tinyedge.errors import UsageError
    from tinyedge.evaluation.suites import read_calibration
    from tinyedge.exporters.c import CodeOptions
    from tinyedge.exporters.converted import write_converted
    from tinyedge.importers import import_model, is_keras_model

    if input_range and not input_range[0] < input_range[1]:
        raise UsageError("--input-range: LOW has to be below HIGH")
    if (calibration or input_range) and model.exists() and not is_keras_model(model):
        raise UsageError("--calibration and --input-range go with QKeras models")
    samples = read_calibration(calibration) if calibration else None
    with output.step(f"reading {model.name}"):
        imported = import_model(model, samples, input_range or None)
    made_by = ["tinyedge convert", model.name]
    made_by += ["--calibration", calibration.name] if calibration else []
    made_by += ["--input-range", *map(str, input_range)] if input_range else []
    options = CodeOptions(core, optimize)
    made_by += ["--core", core] if core != CodeOptions.core else []
    made_by += ["--optimize", optimize] if optimize != CodeOptions.optimize else []
    converted = write_converted(imported.graph, folder, " ".join(made_by), imported.notes, options)
    for note in imported.notes:
        output.remark(f"note: {note}")
    manifest = converted.manifest
    summary = (
        f"{manifest['parameters']:,} parameters, {manifest['weight_bytes']:,} bytes of packed "
        f"weights, {manifest['macs']:,} MACs, arena {manifest['arena']['bytes']:,} bytes "
        f"(lower bound {manifest['arena']['lower_bound']:,})\nwritten to {folder}"
    )
    output.result(
        {"folder": str(folder), "model": manifest}, layer_table(manifest["layers"]), summary
    )
