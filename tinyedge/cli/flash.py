"""``tinyedge flash``."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from tinyedge.cli.options import (
    PATH,
    board_option,
    labgrid_option,
    output_options,
    protocol_options,
    tflm_options,
)
from tinyedge.cli.output import Output
from tinyedge.cli.project_file import ProjectOption
from tinyedge.names import COMPILERS, FLASH_TOOLS

if TYPE_CHECKING:
    from tinyedge.names import FlashToolName


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
@click.option(
    "-p",
    "--port",
    cls=ProjectOption,
    metavar="PORT",
    help="Serial port, for tools that write through one.",
)
@click.option("--probe", metavar="SERIAL", help="Which debug probe or drive, of several.")
@labgrid_option
@click.option("--dry-run", is_flag=True, help="Print the commands, and do nothing.")
@protocol_options
@tflm_options
@output_options
@click.pass_obj
def command(
    output: Output,
    /,
    folder: Path,
    board_name: str,
    tool_name: FlashToolName | None,
    tflm_includes: tuple[Path, ...],
    **others: Any,
) -> None:
    """Build the firmware of a converted model and write it to the attached board.

    DIR is what 'tinyedge convert' wrote.
    """
    from rich.text import Text

    from tinyedge.boards import load_board
    from tinyedge.commands.flash import flash

    record = flash(
        folder,
        board=board_name,
        tool=tool_name,
        tflm_include=tflm_includes,
        listener=output,
        **others,
    )
    if not record["flashed"]:
        output.result(record, Text("\n".join(map(shlex.join, record["commands"]))))
        return
    verified = "flashed and verified" if record["verified"] else "flashed, not verified"
    output.result(record, Text(f"{load_board(board_name).title} {verified}"))
