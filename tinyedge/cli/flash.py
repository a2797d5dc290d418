"""``tinyedge flash``."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import TYPE_CHECKING

import click

from tinyedge.cli.options import (
    COMPILERS,
    PATH,
    board_option,
    output_options,
    protocol_options,
    tflm_options,
)
from tinyedge.cli.output import Output

if TYPE_CHECKING:
    from tinyedge.firmware.compilers import CompilerName
    from tinyedge.firmware.mlperf import MlperfInput


@click.command("flash")
@click.argument("folder", type=PATH, metavar="DIR")
@board_option(required=True)
@click.option("--compiler", type=click.Choice(COMPILERS), help="Default: gcc, else zig.")
@click.option("--dry-run", is_flag=True, help="Print the command, and do nothing.")
@protocol_options
@tflm_options
@output_options
@click.pass_obj
def command(
    output: Output,
    folder: Path,
    board_name: str,
    compiler: CompilerName | None,
    protocol: str,
    mlperf_model: str | None,
    mlperf_input: MlperfInput | None,
    observe: bool,  # noqa: FBT001
    runtime: str,
    tflm_includes: tuple[Path, ...],
    tflm_lib: Path | None,
    tflm_arena: int | None,
    *,
    dry_run: bool,
) -> None:
    """Build the firmware of a converted model and write it to the attached board.

    DIR is what 'tinyedge convert' wrote.
    """
    from tinyedge.boards import load_board
    from tinyedge.cli.firmware import Protocol, Runtime, build
    from tinyedge.exporters.converted import load_converted
    from tinyedge.targets.flashing import flash, flash_command

    chosen = Runtime(runtime, tflm_includes, tflm_lib, tflm_arena)
    spoken = Protocol(protocol, mlperf_model, mlperf_input, observe)
    board = load_board(board_name)
    model = load_converted(folder)
    with output.step(f"compiling for {board.name}"):
        firmware = build(model, board, compiler, chosen, protocol=spoken)
    arguments = flash_command(board, firmware.image)
    if not dry_run:
        with output.step(f"flashing {board.title}"):
            flash(board, firmware.image)
    record = {"board": board.name, "command": arguments, "flashed": not dry_run}
    output.result(record, shlex.join(arguments) if dry_run else f"{board.title} flashed")
