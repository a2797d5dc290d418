"""``tinyedge build``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from tinyedge.cli.options import PATH, board_option, output_options, protocol_options, tflm_options
from tinyedge.cli.output import Output
from tinyedge.names import COMPILERS

if TYPE_CHECKING:
    from tinyedge.names import CompilerName, MlperfInput


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
    folder: Path,
    board_name: str,
    compiler: CompilerName | None,
    target: Path | None,
    protocol: str,
    mlperf_model: str | None,
    mlperf_input: MlperfInput | None,
    observe: bool,  # noqa: FBT001
    runtime: str,
    tflm_includes: tuple[Path, ...],
    tflm_lib: Path | None,
    tflm_arena: int | None,
) -> None:
    """Compile the firmware of a converted model for a board.

    DIR is what 'tinyedge convert' wrote.
    """
    from tinyedge.boards import load_board
    from tinyedge.cli.firmware import Protocol, Runtime, build
    from tinyedge.cli.tables import memory_bars
    from tinyedge.exporters.converted import load_converted
    from tinyedge.firmware.footprint import memory_record
    from tinyedge.firmware.project import kernel_note

    chosen = Runtime(runtime, tflm_includes, tflm_lib, tflm_arena)
    spoken = Protocol(protocol, mlperf_model, mlperf_input, observe)
    board = load_board(board_name)
    model = load_converted(folder)
    with output.step(f"compiling for {board.name}"):
        firmware = build(model, board, compiler, chosen, target, spoken)
    if chosen.name != "tflm" and (note := kernel_note(model, board)):
        output.remark(note)
    memory = memory_record(firmware.footprint, board, None)
    record = {
        "board": board.name,
        "runtime": runtime,
        "protocol": protocol,
        "observe": observe,
        "compiler": firmware.compiler,
        "elf": str(firmware.elf),
        "image": str(firmware.image),
        "hash": firmware.hash,
        "memory": memory,
    }
    output.result(record, memory_bars(memory), f"written to {firmware.elf}")
