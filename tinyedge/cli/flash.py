"""``tinyedge flash``."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import TYPE_CHECKING

import click

from tinyedge.cli.options import PATH, board_option, output_options, protocol_options, tflm_options
from tinyedge.cli.output import Output
from tinyedge.names import COMPILERS, FLASH_TOOLS

if TYPE_CHECKING:
    from tinyedge.names import CompilerName, MlperfInput


@click.command("flash")
@click.argument("folder", type=PATH, metavar="DIR")
@board_option(required=True)
@click.option("--compiler", type=click.Choice(COMPILERS), help="Default: gcc, else zig.")
@click.option(
    "--tool",
    "tool_name",
    type=click.Choice(FLASH_TOOLS),
    help="Default: the first of the board's description that is installed.",
)
@click.option("-p", "--port", metavar="PORT", help="Serial port, for tools that write through one.")
@click.option("--probe", metavar="SERIAL", help="Which debug probe or drive, of several.")
@click.option("--dry-run", is_flag=True, help="Print the commands, and do nothing.")
@protocol_options
@tflm_options
@output_options
@click.pass_obj
def command(
    output: Output,
    folder: Path,
    board_name: str,
    compiler: CompilerName | None,
    tool_name: str | None,
    port: str | None,
    probe: str | None,
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
    from rich.text import Text

    from tinyedge.boards import load_board
    from tinyedge.cli.firmware import Protocol, Runtime, build
    from tinyedge.exporters.converted import load_converted
    from tinyedge.firmware.project import kernel_note
    from tinyedge.targets.flashing import choose_tool, flash, plan

    chosen = Runtime(runtime, tflm_includes, tflm_lib, tflm_arena)
    spoken = Protocol(protocol, mlperf_model, mlperf_input, observe)
    board = load_board(board_name)
    choose_tool(board, tool_name, port, probe)  # before anything is built
    model = load_converted(folder)
    with output.step(f"compiling for {board.name}"):
        firmware = build(model, board, compiler, chosen, protocol=spoken)
    if chosen.name != "tflm" and (note := kernel_note(model, board)):
        output.remark(note)
    planned = plan(board, firmware.image, tool_name, port, probe)
    commands = planned.commands
    if not dry_run:
        with output.step(f"flashing {board.title} by {planned.tool.name}"):
            commands = flash(planned)
        if not planned.verifies:
            output.remark(f"{planned.tool.name} does not show that the flash holds the image")
    record = {
        "board": board.name,
        "tool": planned.tool.name,
        "command": commands[0],
        "commands": commands,
        "flashed": not dry_run,
        "verified": planned.verifies and not dry_run,
    }
    verified = "flashed and verified" if planned.verifies else "flashed, not verified"
    printed = "\n".join(map(shlex.join, commands))
    output.result(record, Text(printed if dry_run else f"{board.title} {verified}"))
