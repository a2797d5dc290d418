"""``tinyedge monitor``."""

from __future__ import annotations

import sys
import time

import click

from tinyedge.cli.options import board_option, output_options
from tinyedge.cli.output import Output

_POLL_S = 0.2
_BAUD = 115200


@click.command("monitor")
@click.option("-p", "--port", metavar="PORT", help="Serial port, or socket://HOST:PORT.")
@board_option()
@click.option(
    "--baud", type=click.IntRange(1), help=f"Bits per second. Default: the board's, else {_BAUD}."
)
@click.option("--hex", "form", flag_value="hex", help="Show bytes.")
@click.option("--frames", "form", flag_value="frames", help="Show the frames of tinyedge's link.")
@click.option(
    "--seconds",
    type=click.FloatRange(0, min_open=True),
    help="End by itself after so long. Default: at Ctrl-C.",
)
@output_options
@click.pass_obj
def command(
    output: Output,
    port: str | None,
    board_name: str | None,
    baud: int | None,
    form: str | None,
    seconds: float | None,
) -> None:
    """Show what a serial port sends, as text unless asked otherwise. Ends with Ctrl-C."""
    from tinyedge.boards import load_board
    from tinyedge.errors import DeviceError
    from tinyedge.link.line import open_line
    from tinyedge.link.monitor import FORMATS
    from tinyedge.targets.attached import describe_ports

    board = load_board(board_name) if board_name else None
    if not port:
        raise DeviceError(
            "the serial port has to be named",
            hint=f"-p PORT; this machine has: {describe_ports(board)}",
        )
    speed = baud or (board.uart.baud if board else _BAUD)
    shown = FORMATS[form or "text"]()
    kept: list[str] = []
    count = 0

    def show(text: str) -> None:
        if output.json:
            kept.append(text)
        else:
            sys.stdout.write(text)
            sys.stdout.flush()

    line = open_line(port, speed)
    output.remark(f"{port} at {speed} baud; Ctrl-C ends it")
    end = None if seconds is None else time.monotonic() + seconds
    try:
        while end is None or time.monotonic() < end:
            received = line.read(_POLL_S)
            count += len(received)
            show(shown.feed(received))
    except KeyboardInterrupt:
        pass  # how it is meant to end
    except OSError as error:
        show(shown.end())
        raise DeviceError(f"{port}: has gone: {error}", hint="plug it in again") from error
    finally:
        line.close()
    show(shown.end())
    record = {"port": port, "baud": speed, "bytes": count, "text": "".join(kept)}
    if output.json:
        output.result(record)
