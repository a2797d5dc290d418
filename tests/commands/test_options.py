"""Functions and commands take the same, under the same names."""

from __future__ import annotations

import inspect
import keyword

import click
import pytest

import tinyedge
from tinyedge.cli.main import cli

FUNCTIONS = (
    "arena",
    "build",
    "bundle",
    "check",
    "devices",
    "doctor",
    "emulate",
    "export",
    "flash",
    "footprint",
    "gate",
    "monitor",
    "quantize",
    "report",
    "resources",
    "run",
    "sweep",
    "train",
    "verify",
)
BESIDES = {"command", "listener", "show"}
"""Further parameters of functions: the command line for their record, and who is told or shown."""
SHOWN = {"json", "verbose", "quiet", "top"}
"""Options that only say what a terminal is shown."""


@pytest.mark.parametrize("name", FUNCTIONS)
def test_a_function_takes_the_options(name: str) -> None:
    command = cli.get_command(click.Context(cli), name)
    assert command
    options, arguments = set(), []
    for parameter in command.params:
        if isinstance(parameter, click.Argument):
            arguments.append(parameter.name)
            continue
        (option, *_) = [word for word in parameter.opts if word.startswith("--")]
        word = option.removeprefix("--").replace("-", "_")
        options.add(f"{word}_" if keyword.iskeyword(word) else word)
    taken = inspect.signature(getattr(tinyedge, name)).parameters.values()
    positional = [each.name for each in taken if each.kind is each.POSITIONAL_OR_KEYWORD]
    named = {each.name for each in taken if each.kind is each.KEYWORD_ONLY}
    assert positional == arguments
    assert named - BESIDES == options - SHOWN
