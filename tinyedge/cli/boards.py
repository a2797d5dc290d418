"""``tinyedge boards``."""

from __future__ import annotations

import click

from tinyedge.cli.completion import complete_boards
from tinyedge.cli.groups import Group
from tinyedge.cli.options import output_options
from tinyedge.cli.output import Output


@click.group("boards", cls=Group)
@output_options
def command() -> None:
    """Show and check the boards that tinyedge knows."""


@command.command("list")
@output_options
@click.pass_obj
def list_boards(output: Output) -> None:
    """List all boards."""
    from rich.table import Table

    from tinyedge.boards import board_names, load_board
    from tinyedge.targets import available_emulators

    boards = [load_board(name) for name in board_names()]
    table = Table()
    for heading in ("board", "title", "MCU", "core"):
        table.add_column(heading)
    for heading in ("flash KB", "RAM KB"):
        table.add_column(heading, justify="right")
    table.add_column("emulators here")
    for board in boards:
        table.add_row(
            board.name,
            board.title,
            board.mcu,
            board.core,
            str(board.flash.size // 1024),
            str(board.ram.size // 1024),
            ", ".join(available_emulators(board)) or "-",
        )
    records = [
        {
            "name": board.name,
            "title": board.title,
            "mcu": board.mcu,
            "core": board.core,
            "flash": board.flash.size,
            "ram": board.ram.size,
        }
        for board in boards
    ]
    output.result({"boards": records}, table)


@command.command("show")
@click.argument("name", shell_complete=complete_boards)
@output_options
@click.pass_obj
def show(output: Output, name: str) -> None:
    """Show everything about the board NAME, or a .toml file."""
    import json

    from tinyedge.boards import load_board

    record = load_board(name).model_dump(by_alias=True)
    output.result({"board": record}, json.dumps(record, indent=2))


@command.command("validate")
@click.argument("files", nargs=-1, required=True, shell_complete=complete_boards)
@output_options
@click.pass_obj
def validate(output: Output, files: tuple[str, ...]) -> None:
    """Check board descriptions: names, or .toml files."""
    from tinyedge.boards import load_board
    from tinyedge.errors import BoardError

    boards, faults = [], []
    for file in files:
        try:
            boards.append(load_board(file))
        except BoardError as fault:
            faults.append(fault)
    if faults:
        raise BoardError("\n".join(map(str, faults)), hint=faults[0].hint)
    output.result(
        {"valid": [board.name for board in boards]},
        "\n".join(f"{board.name}: valid" for board in boards),
    )
