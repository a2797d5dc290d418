"""``tinyedge emulate``."""

from __future__ import annotations

import signal
import sys
from pathlib import Path
from typing import TYPE_CHECKING

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

if TYPE_CHECKING:
    from tinyedge.names import CompilerName, EmulatorName, MlperfInput

_GREETINGS = {"tinyedge": b"", "mlperf": b"m-ready\r\n"}
"""What a firmware sends by itself when it listens."""


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
    folder: Path,
    board_name: str | None,
    link: Path | None,
    compiler: CompilerName | None,
    emulator: EmulatorName | None,
    protocol: str,
    mlperf_model: str | None,
    mlperf_input: MlperfInput | None,
    observe: bool,  # noqa: FBT001
    runtime: str,
    tflm_includes: tuple[Path, ...],
    tflm_lib: Path | None,
    tflm_arena: int | None,
) -> None:
    """Run the firmware of a converted model on an emulated board, for other programs.

    DIR is what 'tinyedge convert' wrote. The board's serial port is a pseudo terminal, whose path
    is printed. Ends with Ctrl-C.
    """
    from tinyedge.boards import DEFAULT_BOARD, load_board
    from tinyedge.commands.firmware import Protocol, Runtime, build_firmware
    from tinyedge.errors import ToolchainError
    from tinyedge.exporters.converted import load_converted
    from tinyedge.targets import open_emulator, require_emulator
    from tinyedge.targets.terminal import bridge, connect, open_terminal

    chosen = Runtime(runtime, tflm_includes, tflm_lib, tflm_arena)
    spoken = Protocol(protocol, mlperf_model, mlperf_input, observe)
    board = load_board(board_name or DEFAULT_BOARD)
    model = load_converted(folder)
    name = require_emulator(board, emulator)  # before anything is built
    with output.step(f"compiling for {board.name}"):
        firmware = build_firmware(model, board, compiler, chosen, protocol=spoken)
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # the emulator has to end with us
    try:
        with (
            open_terminal(link) as (terminal, path),
            open_emulator(board, firmware.elf, name) as target,
            connect(target, _GREETINGS[protocol]) as line,
        ):
            record = {
                "board": board.name,
                "emulator": name,
                "protocol": protocol,
                "port": path,
                "link": str(link) if link else None,
                "elf": str(firmware.elf),
            }
            output.result(record, f"{board.name} in {name} at {link or path}; Ctrl-C ends it")
            sys.stdout.flush()
            bridge(line, terminal)
    except KeyboardInterrupt:
        return  # how it is meant to end
    raise ToolchainError(f"{name} has ended")
