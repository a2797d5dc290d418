"""``tinyedge build``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from tinyedge.cli.options import PATH, board_option, output_options, protocol_options, tflm_options
from tinyedge.cli.output import Output
from tinyedge.names import COMPILERS


@click.command("build")
@click.argument("folder", type=PATH, metavar="DIR")
@board_option(required=True)
@click.option("--compiler", type=click.Choice(COMPILERS), help="Default: gcc, else zig.")
@click.option(
    "-o",
    "--output",
    "target",
    type=PATH,
    help="Folder to write. Default: one in DIR.",
)
@protocol_options
@tflm_options
@output_options
@click.pass_obj
def command(
    output: Output,
    /,
    folder: Path,
    board_name: str,
    target: Path | None,
    tflm_includes: tuple[Path, ...],
    **others: Any,
) -> None:
    """Compile the firmware of a converted model for a board.

    DIR is what 'tinyedge convert' wrote.
    """
    from tinyedge.cli.tables import memory_bars
    from tinyedge.commands.build import build

    record = build(
        folder,
        board=board_name,
        output=target,
        tflm_include=tflm_includes,
        listener=output,
        **others,
    )
    output.result(record, memory_bars(record["memory"]), f"written to {record['elf']}")
