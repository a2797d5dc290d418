"""Options that several commands share."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

from tinyedge.cli.output import Output

Command = TypeVar("Command", bound=Callable[..., Any])

DATASETS = ("cifar10", "digits", "fashion_mnist", "speech_commands", "svhn")
COMPILERS = ("gcc", "zig")
EMULATORS = ("qemu", "unicorn")
FLASH_TOOLS = (
    *("arduino-cli", "avrdude", "bossac", "dfu"),
    *("drive", "openocd", "pyocd", "stlink"),
)
EXPORT_FORMATS = ("cmake", "platformio")
RUNTIMES = ("tinyedge", "tflm")
PROTOCOLS = ("tinyedge", "mlperf")
MLPERF_INPUTS = ("int8", "uint8", "float32")

PATH = click.Path(path_type=Path)
"""A path, whose existence the command checks itself, to say what to do about it."""


def output_options(command: Command) -> Command:
    """--json, -v and -q, which work before the command's name as well as behind it."""

    def set_output(context: click.Context, parameter: click.Parameter, value: Any) -> None:
        output = context.ensure_object(Output)
        if value and parameter.name == "json":
            output.json = True
        elif value:
            output.verbosity = 1 if parameter.name == "verbose" else -1

    flags: dict[str, Any] = {"is_flag": True, "expose_value": False, "callback": set_output}
    for decorate in (
        click.option("-q", "--quiet", **flags, help="No progress."),
        click.option("-v", "--verbose", **flags, help="Say more."),
        click.option("--json", **flags, help="Print one JSON object."),
    ):
        command = decorate(command)
    return command


def board_option(*, required: bool = False) -> Callable[[Command], Command]:
    """-b BOARD."""
    return click.option(
        "-b",
        "--board",
        "board_name",
        metavar="BOARD",
        required=required,
        help="Board name (see 'tinyedge boards list') or a .toml file.",
    )


def link_options(command: Command) -> Command:
    """--port, --baud, --timeout, --journal and --resume."""
    for decorate in (
        click.option(
            "--resume",
            is_flag=True,
            help="Go on with an interrupted run: what its journal holds is not computed again.",
        ),
        click.option(
            "--journal",
            "journal_file",
            type=PATH,
            metavar="FILE",
            help="Where every answer is written to as it comes, and kept. Default: a file in "
            "DIR/journals, until the run has ended.",
        ),
        click.option(
            "--timeout",
            "timeout_s",
            type=click.FloatRange(0, min_open=True),
            metavar="SECONDS",
            help="The longest that the device may be silent or away. Default: 10, and a second for "
            "every million multiplications.",
        ),
        click.option(
            "--baud", type=click.IntRange(1), help="Bits per second. Default: the board's."
        ),
        click.option(
            "-p",
            "--port",
            "ports",
            multiple=True,
            metavar="PORT",
            help="Serial port of the board, or socket://HOST:PORT (with --on board). Several "
            "boards share the samples.",
        ),
    ):
        command = decorate(command)
    return command


def data_folder_option(command: Command) -> Command:
    """--data."""
    return click.option(
        "--data",
        "data_folder",
        type=PATH,
        metavar="DIR",
        help="Where the data set's files lie. Default: $TINYEDGE_DATA.",
    )(command)


def conversion_options(command: Command) -> Command:
    """--calibration and --input-range."""
    for decorate in (
        click.option(
            "--input-range",
            type=float,
            nargs=2,
            metavar="LOW HIGH",
            help="Range of the inputs. Default: that of --calibration, else 0 1.",
        ),
        click.option(
            "--calibration",
            type=PATH,
            metavar="FILE",
            help="Real inputs (.npy, or .npz with x), for activations without a quantizer.",
        ),
    ):
        command = decorate(command)
    return command


def toolchain_options(command: Command) -> Command:
    """--compiler and --emulator."""
    return click.option(
        "--compiler", type=click.Choice(COMPILERS), help="Default: gcc where installed, else zig."
    )(
        click.option(
            "--emulator",
            type=click.Choice(EMULATORS),
            help="Default: QEMU where installed, else Unicorn.",
        )(command)
    )


def tflm_options(command: Command) -> Command:
    """--runtime, --tflm-include, --tflm-lib and --tflm-arena."""
    for decorate in (
        click.option(
            "--tflm-arena",
            type=click.IntRange(16),
            metavar="BYTES",
            help="TFLite-Micro's arena. Default: all RAM, in which the least is found by trial.",
        ),
        click.option(
            "--tflm-lib",
            type=PATH,
            metavar="FILE",
            help="Your libtensorflow-microlite.a, with or without CMSIS-NN.",
        ),
        click.option(
            "--tflm-include",
            "tflm_includes",
            type=PATH,
            multiple=True,
            metavar="DIR",
            help="Your tree of TFLite-Micro; may be given several times.",
        ),
        click.option(
            "--runtime",
            type=click.Choice(RUNTIMES),
            default=RUNTIMES[0],
            show_default=True,
            help="What computes the model: tinyedge's own C code, or TFLite-Micro.",
        ),
    ):
        command = decorate(command)
    return command


def protocol_options(command: Command) -> Command:
    """--protocol, --mlperf-model and --mlperf-input."""
    for decorate in (
        click.option(
            "--mlperf-input",
            type=click.Choice(MLPERF_INPUTS),
            help="What the data set holds. Default: by the model's shapes (docs/mlperf.md).",
        ),
        click.option(
            "--mlperf-model",
            metavar="NAME",
            help="Name for the runner, as ic01. Default: by the model's shapes, else its own.",
        ),
        click.option(
            "--protocol",
            type=click.Choice(PROTOCOLS),
            default=PROTOCOLS[0],
            show_default=True,
            help="What the firmware speaks: tinyedge's link, or MLPerf Tiny's commands.",
        ),
    ):
        command = decorate(command)
    return command
