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
    for heading in ("flash KB", "RAM KB"):
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
    """Show everything about the board NAME, or a .toml file."""
    import json

    from tinyedge.commands.boards import show_board

    record = show_board(name)
    output.result(record, json.dumps(record["board"], indent=2))


@command.command("validate")
@click.argument("files", nargs=-1, required=True, shell_complete=complete_boards)
@output_options
@click.pass_obj
def validate(output: Output, files: tuple[str, ...]) -> None:
    """Check board descriptions: names, or .toml files."""
    from tinyedge.commands.boards import validate_boards

    record = validate_boards(files)
    output.result(record, "\n".join(f"{name}: valid" for name in record["valid"]))
