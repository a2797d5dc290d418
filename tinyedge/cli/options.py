"""Options that several commands share."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from tinyedge.cli.output import Output
from tinyedge.cli.project_file import ProjectOption
from tinyedge.errors import UsageError
from tinyedge.names import COMPILERS, EMULATORS, MLPERF_INPUTS, PROTOCOLS, RUNTIMES

if TYPE_CHECKING:
    from click.shell_completion import CompletionItem

Command = TypeVar("Command", bound=Callable[..., Any])

SUFFIXES = {
    "calibration": (".npy", ".npz"),
    "config_file": (".toml",),
    "data": (".npy", ".npz"),
    "data_files": (".npy", ".npz"),
    "model": (".h5", ".hdf5", ".keras", ".npz", ".onnx", ".tflite"),
    "tflm_lib": (".a",),
}
"""How the names of files end that shells offer for a parameter; any file for others."""


class _Path(click.Path):
    """A path that shells complete by what its parameter takes."""

    def shell_complete(
        self, ctx: click.Context, param: click.Parameter, incomplete: str
    ) -> list[CompletionItem]:
        from click.shell_completion import CompletionItem

        from tinyedge.cli.completion import complete_files

        if param.metavar == "DIR":
            return [CompletionItem(incomplete, type="dir")]
        if param.name in SUFFIXES:
            return complete_files(incomplete, SUFFIXES[param.name])
        return super().shell_complete(ctx, param, incomplete)


PATH = _Path(path_type=Path)
"""A path, whose existence the command checks itself, to say what to do about it."""


class Size(click.ParamType[Any]):
    """A number of bytes."""

    name = "size"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        from tinyedge.commands.builds import parse_size

        try:
            return parse_size(value)
        except UsageError as error:
            self.fail(str(error), param, ctx)


def _complete_boards(
    context: click.Context, parameter: click.Parameter, incomplete: str
) -> list[CompletionItem]:
    from tinyedge.cli.completion import complete_boards

    return complete_boards(context, parameter, incomplete)


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
        click.option("-q", "--quiet", **flags, help="No progress; warnings stay."),
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
        cls=ProjectOption,
        metavar="BOARD",
        shell_complete=_complete_boards,
        required=required,
        help="Board name (see 'tinyedge boards list') or a .toml file.",
    )


def line_options(command: Command) -> Command:
    """--baud and --timeout."""
    for decorate in (
        click.option(
            "--timeout",
            "timeout_s",
            type=click.FloatRange(0, min_open=True),
            metavar="SECONDS",
            help="The longest that the device gives no answer or is away. Default: 10, and a "
            "second for every million multiplications.",
        ),
        click.option(
            "--baud", type=click.IntRange(1), help="Bits per second. Default: the board's."
        ),
    ):
        command = decorate(command)
    return command


def discard_option(command: Command) -> Command:
    """--discard."""
    return click.option(
        "--discard",
        is_flag=True,
        help="Begin anew, and throw away the answers that the journal holds.",
    )(command)


def link_options(command: Command) -> Command:
    """--port, --baud, --timeout, --journal, --resume and --discard."""
    for decorate in (
        discard_option,
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
        line_options,
        click.option(
            "-p",
            "--port",
            "ports",
            cls=ProjectOption,
            multiple=True,
            metavar="PORT",
            help="Serial port of the board, or one of another machine, rfc2217://HOST:PORT or "
            "socket://HOST:PORT (with --on board). Several boards share the samples.",
        ),
    ):
        command = decorate(command)
    return command


def labgrid_option(command: Command) -> Command:
    """--labgrid."""
    return click.option(
        "--labgrid",
        metavar="PLACE",
        help="Place of labgrid's that the board is in, instead of a port: it is acquired, reset, "
        "and released in the end.",
    )(command)


def lab_options(command: Command) -> Command:
    """--flash and --labgrid."""
    for decorate in (
        labgrid_option,
        click.option(
            "--flash",
            is_flag=True,
            help="Flash attached boards first that hold another firmware (with --on board; "
            "--labgrid does so in any case).",
        ),
    ):
        command = decorate(command)
    return command


def cluster_options(command: Command) -> Command:
    """--cluster and --chunks."""
    for decorate in (
        click.option(
            "--chunks",
            type=PATH,
            metavar="DIR",
            help="Where finished chunks of a cluster's work are kept, so that none is computed "
            "twice. Default: ~/.cache/tinyedge/chunks.",
        ),
        click.option(
            "--cluster",
            metavar="ADDRESS",
            help="Compute on local:N workers of this machine, or on those of the Dask scheduler at "
            "tcp://HOST:PORT. Default: in this process.",
        ),
    ):
        command = decorate(command)
    return command


def data_option(
    name: str, explanation: str, *, multiple: bool = False
) -> Callable[[Command], Command]:
    """--data, a file of samples.

    Args:
        name: of the command's parameter.
        explanation: what the command does with it.
        multiple: whether several may be given.
    """
    return click.option(
        "--data",
        name,
        type=PATH,
        multiple=multiple,
        metavar="FILE",
        callback=_no_folder,
        help=explanation,
    )


def _no_folder(context: click.Context, _parameter: click.Parameter, value: Any) -> Any:
    """Refuses a folder where a file of samples is wanted: ``--data`` named one in older versions.

    Raises:
        UsageError: says what takes a folder.
    """
    from tinyedge.errors import UsageError

    for path in value if isinstance(value, tuple) else (value,):
        if path and path.is_dir():
            names = {name for parameter in context.command.params for name in parameter.opts}
            hint = "--data-folder names the folder of a data set's files"
            raise UsageError(
                f"--data takes a file of samples; {path} is a folder",
                hint=hint if "--data-folder" in names else "name a .npy or .npz file",
            )
    return value


def data_folder_option(command: Command) -> Command:
    """--data-folder."""
    return click.option(
        "--data-folder",
        type=PATH,
        metavar="DIR",
        help="Where the data set's files lie. Default: $TINYEDGE_DATA.",
    )(command)


def conversion_options(command: Command) -> Command:
    """--calibration, --input-range and --keep-constant-channels."""
    for decorate in (
        click.option(
            "--keep-constant-channels",
            is_flag=True,
            help="Keep channels of a .tflite file that never change. By default they are taken "
            "out, which changes no result.",
        ),
        click.option(
            "--input-range",
            type=float,
            nargs=2,
            metavar="LOW HIGH",
            help="Range of the inputs. Default: that of --calibration, else 0 1.",
        ),
        click.option(
            "--calibration",
            cls=ProjectOption,
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
            help="Default: the first that is installed and has the board.",
        )(command)
    )


def tflm_options(command: Command) -> Command:
    """--runtime, --tflm-include, --tflm-lib and --tflm-arena."""
    for decorate in (
        click.option(
            "--tflm-arena",
            type=Size(),
            metavar="SIZE",
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
    """--protocol, --mlperf-model, --mlperf-input and --observe."""
    for decorate in (
        click.option(
            "--observe",
            is_flag=True,
            help="A firmware whose layers 'tinyedge run --profile' and '--trace' can watch.",
        ),
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
