"""Groups of commands."""

from __future__ import annotations

from difflib import get_close_matches

import click

from tinyedge.errors import UsageError


class Group(click.Group):
    """A group that says which command may have been meant."""

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
