"""Groups of commands."""

from __future__ import annotations

from collections.abc import Sequence
from difflib import get_close_matches

import click

from tinyedge.errors import UsageError

_WHOLE = 1000
"""Characters of a command's help that a list of commands shows: its first sentence, uncut."""


class Group(click.Group):
    """A group that says which command may have been meant, and lists whole sentences."""

    def sections(self, ctx: click.Context) -> dict[str, Sequence[str]]:
        """The commands by the heading under which ``--help`` lists them."""
        return {"Commands": self.list_commands(ctx)}

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        width = max(map(len, self.list_commands(ctx))) + 2
        for title, names in self.sections(ctx).items():
            commands = [(name, self.get_command(ctx, name)) for name in names]
            rows = [(name, each.get_short_help_str(_WHOLE)) for name, each in commands if each]
            with formatter.section(title):
                formatter.write_dl(rows, col_spacing=width - max(map(len, names)))

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        name = args[0]
        if not (ctx.resilient_parsing or name.startswith("-") or self.get_command(ctx, name)):
            known = self.list_commands(ctx)
            close = get_close_matches(name, known, 1)
            meant = f"did you mean '{close[0]}'? " if close else ""
            raise UsageError(
                f"{ctx.command_path} has no command '{name}'",
                hint=f"{meant}known: {', '.join(known)}",
            )
        return super().resolve_command(ctx, args)
