"""Commands that are parsed, but not run."""

from __future__ import annotations

import contextlib
import shlex
import subprocess
from collections.abc import Iterator, Sequence
from typing import Any

import click

from tests.docs.pages import ROOT, Command
from tinyedge.cli.main import cli


def check_command(command: Command) -> None:
    """Fails where a command could not be run as it stands, even with all that it needs."""
    words = command.words
    match words[0]:
        case "tinyedge":
            check_arguments(words[1:])
        case "make":
            dry_run = ["make", "--dry-run", *words[1:]]
            subprocess.run(dry_run, cwd=ROOT, check=True, capture_output=True)
        case "python" | ".venv/bin/python" if len(words) > 1 and words[1].startswith("tools/"):
            check_tool(words[1:])


def check_arguments(arguments: Sequence[str]) -> None:
    """Raises click's error where tinyedge would refuse to parse the arguments."""
    command, rest, context = _resolved(arguments)
    with contextlib.suppress(click.exceptions.Exit):  # --help and --version end here
        command.make_context(command.name, list(rest), parent=context)


def check_options(arguments: Sequence[str]) -> None:
    """The same of arguments that are not complete: commands, options and choices exist."""
    command, rest, _ = _resolved(arguments)
    options = {name: option for option in _options(command) for name in option.opts}
    options |= {name: option for option in _options(command) for name in option.secondary_opts}
    for at, word in enumerate(rest):
        following = "".join(rest[at + 1 : at + 2])
        name, _, value = word.partition("=")
        if not word.startswith("-") or word == "-":
            continue
        assert name in options, f"{command.name} has no option {name}"
        choices = getattr(options[name].type, "choices", None)
        given = (value or following).strip("…,.")
        if choices and given[:1].islower():
            assert set(given.split("|")) <= set(choices), f"{name} takes one of {choices}"


def check_tool(words: Sequence[str]) -> None:
    """Fails where a script of ``tools/``, or an option of it, does not exist."""
    source = (ROOT / words[0]).read_text(encoding="utf-8")
    for option in words[1:]:
        if option.startswith("--"):
            assert f'"{option}"' in source, f"{words[0]} has no option {option}"


def all_options() -> set[str]:
    """Every option of every command."""
    return {name for command in _commands(cli) for o in _options(command) for name in o.opts}


def split(code: str) -> list[str]:
    """Code in a text as words; as it is where it has no words."""
    try:
        return shlex.split(code)
    except ValueError:
        return [code]


def _commands(command: click.Command) -> Iterator[click.Command]:
    yield command
    if isinstance(command, click.Group):
        context = click.Context(command)
        for name in command.list_commands(context):
            found = command.get_command(context, name)
            assert found
            yield from _commands(found)


def _options(command: click.Command) -> list[click.Parameter]:
    return command.get_params(click.Context(command))


def _resolved(arguments: Sequence[str]) -> tuple[click.Command, Sequence[str], click.Context]:
    """The command that the arguments name, and what is left of them."""
    command: Any = cli
    context = click.Context(cli, info_name="tinyedge")
    rest = list(arguments)
    while isinstance(command, click.Group):
        while rest and rest[0].startswith(("-", "[")):
            rest.pop(0)  # --json and its like, which every command takes
        if not rest or rest[0].isupper():  # a word that stands for any command
            return command, [], context
        name = rest.pop(0).partition("|")[0]
        found = command.get_command(context, name)
        assert found, f"'{command.name}' has no command '{name}'"
        command, context = found, click.Context(found, info_name=name, parent=context)
    return command, rest, context.parent or context
