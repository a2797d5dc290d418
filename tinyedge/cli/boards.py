"""``tinyedge boards``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from tinyedge.cli.completion import complete_boards
from tinyedge.cli.groups import Group
from tinyedge.cli.options import PATH, output_options
from tinyedge.cli.output import Output
from tinyedge.names import COMPILERS, CompilerName

if TYPE_CHECKING:
    from tinyedge.boards import Board


@click.group("boards", cls=Group)
@output_options
def command() -> None:
    """Show and check the boards that tinyedge knows."""


@command.command("list")
@output_options
@click.pass_obj
def list_command(output: Output) -> None:
    """List all boards."""
    from rich.table import Table

    from tinyedge.boards import load_board
    from tinyedge.commands.boards import list_boards
    from tinyedge.targets import available_emulators

    record = list_boards()
    table = Table()
    for heading in ("board", "title", "MCU", "core"):
        table.add_column(heading)
    for heading in ("flash, KiB", "RAM, KiB"):
        table.add_column(heading, justify="right")
    table.add_column("emulators here")
    for board in record["boards"]:
        table.add_row(
            board["name"],
            board["title"],
            board["mcu"],
            board["core"],
            str(board["flash"] // 1024),
            str(board["ram"] // 1024),
            ", ".join(available_emulators(load_board(board["name"]))) or "-",
        )
    output.result(record, table)


@command.command("show")
@click.argument("name", shell_complete=complete_boards)
@output_options
@click.pass_obj
def show(output: Output, name: str) -> None:
    """Show the board NAME, or a .toml file: its memories, its serial port, its tools.

    --json has every key of its description.
    """
    from rich.text import Text

    from tinyedge.boards import load_board
    from tinyedge.commands.boards import show_board

    record = show_board(name)
    output.result(record, Text("\n".join(_sentences(load_board(name)))))


def _sentences(board: Board) -> list[str]:
    """Lists the facts that a user wants to know of a board before building for it."""
    from tinyedge.targets import available_emulators

    memories = [
        f"{title} {region.size // 1024:,} KiB at 0x{region.origin:08x}"
        for title, region in (("flash", board.flash), ("RAM", board.ram))
    ]
    uart, hertz = board.uart, board.clock.sysclk_hz
    named = getattr(uart, "peripheral", None)
    pins = [pin for pin in (getattr(uart, "tx", None), getattr(uart, "rx", None)) if pin]
    port = " ".join(
        [
            named or "its serial port",
            *([f"on {' and '.join(map(str, pins))}"] if pins else []),
            f"at {uart.baud:,} baud",
        ]
    )
    here = available_emulators(board)
    known = [name for name, entry in board.emulator if entry is not None]
    missing = [name for name in known if name not in here]
    emulated = [*here, *(f"{name} (not installed)" for name in missing)]
    tools = [
        "a drive that takes files" if name == "drive" else name for name in board.flash_tool.names
    ]
    lines = [
        f"{board.title} ({board.name})",
        f"  {board.mcu}, {board.core} at {hertz / 1e6:g} MHz, family {board.family}",
        f"  {memories[0]}; {memories[1]}",
        f"  The link uses {port}.",
        f"  USB: {board.usb or 'no identifier of its own'}.",
        f"  Flashed by {', '.join(tools) or 'nothing that tinyedge knows'}.",
        f"  Emulated by {', '.join(emulated) or 'nothing'}.",
    ]
    if board.platformio:
        lines.append(f"  PlatformIO: {board.platformio.platform}, {board.platformio.board}.")
    return [*lines, "  Sources:", *(f"  - {source}" for source in board.sources)]


@command.command("fit")
@click.argument("folder", type=PATH, metavar="DIR")
@click.option(
    "-b",
    "--board",
    "boards",
    multiple=True,
    metavar="NAME|FILE",
    help="Only this board; may be given several times. Default: all.",
    shell_complete=complete_boards,
)
@click.option("--compiler", type=click.Choice(COMPILERS), help="Default: gcc, else zig.")
@output_options
@click.pass_obj
def fit(
    output: Output, folder: Path, boards: tuple[str, ...], compiler: CompilerName | None
) -> None:
    """Tell which boards hold the converted model DIR, by building for each.

    Exit code 4 where none of them does, 5 where none could be built for.
    """
    from rich.table import Table

    from tinyedge.commands.boards import fit_boards, no_board_fits

    record = fit_boards(folder, board=boards, compiler=compiler, listener=output)
    table = Table(title=f"{folder}, built for each board", title_justify="left")
    table.add_column("board")
    table.add_column("core")
    for heading in ("flash, KiB", "RAM, KiB"):
        table.add_column(heading, justify="right")
    table.add_column("fits")
    said = {True: "yes", False: "no", None: "?"}
    for row in sorted(record["boards"], key=lambda row: [*said].index(row["fits"])):
        memories = [
            f"{'?' if memory['used'] is None else format(memory['used'] / 1024, ',.1f')} of "
            f"{memory['size'] // 1024:,}"
            for memory in (row["flash"], row["ram"])
        ]
        table.add_row(row["name"], row["core"], *memories, said[row["fits"]])
    reasons = [f"{row['name']}: {row['reason']}" for row in record["boards"] if row["reason"]]
    output.result(record, table, *reasons, failure=no_board_fits(folder, record))


@command.command("validate")
@click.argument("files", nargs=-1, required=True, shell_complete=complete_boards)
@output_options
@click.pass_obj
def validate(output: Output, files: tuple[str, ...]) -> None:
    """Check board descriptions: names, or .toml files."""
    from tinyedge.commands.boards import validate_boards

    record = validate_boards(files)
    output.result(record, "\n".join(f"{name}: valid" for name in record["valid"]))
