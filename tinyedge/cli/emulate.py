"""``tinyedge emulate``."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import click

from tinyedge.cli.options import (
    PATH,
    board_option,
    output_options,
    protocol_options,
    tflm_options,
    toolchain_options,
)
from tinyedge.cli.output import Output
from tinyedge.errors import Terminated


@click.command("emulate")
@click.argument("folder", type=PATH, metavar="DIR")
@board_option()
@click.option(
    "--link", type=PATH, metavar="PATH", help="A symbolic link to make to the serial device."
)
@toolchain_options
@protocol_options
@tflm_options
@output_options
@click.pass_obj
def command(
    output: Output,
    /,
    folder: Path,
    board_name: str | None,
    link: Path | None,
    tflm_includes: tuple[Path, ...],
    **others: Any,
) -> None:
    """Run the firmware of a converted model on an emulated board, for other programs.

    DIR is what 'tinyedge convert' wrote. The board's serial port is a pseudo terminal, whose path
    is printed. Ends with Ctrl-C.
    """
    from tinyedge.commands.emulate import emulate

    with emulate(
        folder,
        board=board_name,
        link=link,
        tflm_include=tflm_includes,
        listener=output,
        **others,
    ) as emulation:
        record = emulation.record
        name = f"{record['board']} in {record['emulator']}"
        try:
            output.result(record, f"{name} at {link or emulation.port}; Ctrl-C ends it")
            sys.stdout.flush()
            emulation.wait()
        except Terminated:
            raise
        except KeyboardInterrupt:
            return  # how it is meant to end
