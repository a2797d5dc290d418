"""``tinyedge convert``."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from tinyedge.cli.options import PATH, board_option, conversion_options, output_options
from tinyedge.cli.output import Output
from tinyedge.names import ARITHMETICS, BACKENDS, CORE_NAMES, IO_TYPES, OBJECTIVES

if TYPE_CHECKING:
    from tinyedge.names import CoreName, Objective

TARGETS = ("c", "hls4ml")

Command = TypeVar("Command", bound=Callable[..., Any])


def hls4ml_options(command: Command) -> Command:
    """Collects the options that go with --to hls4ml; None where not given."""
    for decorate in (
        click.option(
            "--clock-period",
            type=click.FloatRange(0, min_open=True),
            metavar="NS",
            help="Period of the FPGA's clock. Default: 5.",
        ),
        click.option("--part", help="FPGA part number. Default: hls4ml's."),
        click.option(
            "--reuse-factor",
            type=click.IntRange(1),
            help="How often a multiplier works in one result of a layer. Default: 1.",
        ),
        click.option(
            "--arithmetic",
            type=click.Choice(ARITHMETICS),
            help="Scale sums exactly as the microcontroller does, with multipliers of up to 31 "
            "bits and two roundings, or plainly, with fewer bits and one. Default: exact.",
        ),
        click.option(
            "--io",
            type=click.Choice(IO_TYPES),
            help="Whole tensors in parallel, or one pixel after the other. Default: parallel.",
        ),
        click.option(
            "--backend",
            type=click.Choice(BACKENDS),
            help="Whose tools the project is for. Default: vitis.",
        ),
    ):
        command = decorate(command)
    return command


@click.command("convert")
@click.argument("model", type=PATH)
@click.option("-o", "--output", "folder", type=PATH, required=True, help="Folder to write.")
@click.option(
    "--to",
    "target",
    type=click.Choice(TARGETS),
    default=TARGETS[0],
    show_default=True,
    help="C and .tflite for microcontrollers, or an hls4ml project for an FPGA.",
)
@conversion_options
@click.option(
    "--core",
    type=click.Choice(CORE_NAMES),
    help="Choose kernels by the instructions of this core. The code runs on every core. Default: "
    "that of --board, else cortex-m4.",
)
@board_option()
@click.option(
    "--optimize",
    type=click.Choice(OBJECTIVES),
    default="speed",
    show_default=True,
    help="Choose kernels and packings for speed, with no larger an arena than TFLite-Micro's where "
    "weights have 8 bits; for speed whatever scratch it takes (fastest); for the size of the flash "
    "image; or for the least RAM.",
)
@hls4ml_options
@output_options
@click.pass_obj
def command(
    output: Output,
    /,
    model: Path,
    folder: Path,
    target: str,
    calibration: Path | None,
    input_range: tuple[float, float] | None,
    keep_constant_channels: bool,  # noqa: FBT001 - click passes it by its name
    core: CoreName | None,
    board_name: str | None,
    optimize: Objective,
    **hls4ml: Any,
) -> None:
    """Convert MODEL to packed C, a .tflite file and a saved graph; or to an hls4ml project.

    MODEL is a QKeras model (.h5, .keras or a SavedModel folder), a fully int8 .tflite file, a
    quantized .onnx file, or a graph that was saved before. An hls4ml project is made from a QKeras
    model only.
    """
    from tinyedge.cli.tables import layer_table
    from tinyedge.commands.conversion import code_options, conversion_record, convert_file
    from tinyedge.errors import UsageError
    from tinyedge.exporters.c import CodeOptions

    given = {name: value for name, value in hls4ml.items() if value is not None}
    if target == "hls4ml":
        if keep_constant_channels:
            raise UsageError("--keep-constant-channels goes with .tflite files")
        if core or board_name or optimize != "speed":
            raise UsageError("--core, --board and --optimize go with --to c")
        _convert_to_hls4ml(output, model, folder, calibration, input_range, given)
        return
    if given:
        named = ", ".join(f"--{name.replace('_', '-')}" for name in given)
        raise UsageError(f"{named}: goes with --to hls4ml")
    options = code_options(core, board_name, optimize)
    made_by = ["tinyedge convert", model.name]
    made_by += ["--calibration", calibration.name] if calibration else []
    made_by += ["--input-range", *map(str, input_range)] if input_range else []
    made_by += ["--keep-constant-channels"] if keep_constant_channels else []
    made_by += ["--core", options.core] if options.core != CodeOptions.core else []
    made_by += ["--optimize", optimize] if optimize != CodeOptions.optimize else []
    converted, agreement = convert_file(
        model,
        calibration,
        input_range or None,
        options,
        folder,
        output,
        keep_constant_channels=keep_constant_channels,
        command=" ".join(made_by),
    )
    manifest = converted.manifest
    gone = sum(layer["removed"] for layer in manifest["layers"])
    constant = f", {gone:,} channels that never change taken out" if gone else ""
    summary = (
        f"{manifest['parameters']:,} parameters, {manifest['weight_bytes']:,} bytes of packed "
        f"weights, {manifest['macs']:,} MACs, arena {manifest['arena']['bytes']:,} bytes "
        f"(lower bound {manifest['arena']['lower_bound']:,}){constant}\nwritten to {folder}"
    )
    output.result(conversion_record(converted, agreement), layer_table(manifest["layers"]), summary)


def _convert_to_hls4ml(
    output: Output,
    model: Path,
    folder: Path,
    calibration: Path | None,
    input_range: tuple[float, float] | None,
    options: dict[str, Any],
) -> None:
    from tinyedge.api import convert_to_hls4ml
    from tinyedge.cli.resources import resource_table

    record = convert_to_hls4ml(
        model,
        calibration,
        folder=folder,
        input_range=input_range or None,
        listener=output,
        **options,
    )
    table = resource_table(record["project"]["resources"])
    output.result(record, table, f"written to {folder}")
