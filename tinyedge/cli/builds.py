"""The options of ``footprint`` and ``report`` that say how to read, compare and limit builds."""

from __future__ import annotations

from typing import Any

import click

from tinyedge.cli.options import PATH, Command, Size, board_option
from tinyedge.errors import UsageError
from tinyedge.names import COMPILERS


class _Growth(click.ParamType[Any]):
    """A number of bytes, or a percentage."""

    name = "size"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        from tinyedge.commands.builds import parse_growth

        try:
            return parse_growth(value)
        except UsageError as error:
            self.fail(str(error), param, ctx)


def build_options(command: Command) -> Command:
    """--board, --compiler, --compare and the limits."""
    for decorate in (
        click.option(
            "--max-regression",
            type=_Growth(),
            metavar="SIZE|N%",
            help="Fail where flash or RAM grew by more against --compare.",
        ),
        click.option(
            "--max-ram", type=Size(), metavar="SIZE", help="The same, the stack not counted."
        ),
        click.option(
            "--max-flash", type=Size(), metavar="SIZE", help="Fail above so many bytes of flash."
        ),
        click.option(
            "--compare",
            type=PATH,
            metavar="OTHER",
            help="What the build was before: the same kinds of folders and files, or what "
            "'tinyedge footprint -o' wrote as .json.",
        ),
        click.option(
            "--compiler",
            type=click.Choice(COMPILERS),
            help="Compiler for a converted model. Default: gcc, else zig.",
        ),
        board_option(),
    ):
        command = decorate(command)
    return command
