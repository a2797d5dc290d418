"""The parameters of functions beside the options of commands."""

from __future__ import annotations

import importlib
import inspect
from collections.abc import Callable
from typing import Any

import click

_OUTPUT = {"json", "verbose", "quiet"}


def options(name: str) -> set[str]:
    """The options and arguments of a command, or of ``GROUP COMMAND``, as Python writes them."""
    module, *inner = name.split()
    command: Any = importlib.import_module(f"tinyedge.cli.{module}").command
    for each in inner:
        command = command.commands[each]
    found = set()
    for parameter in command.params:
        long = [option[2:] for option in parameter.opts if option.startswith("--")]
        is_option = isinstance(parameter, click.Option)
        found |= {option.replace("-", "_") for option in long} if is_option else {parameter.name}
    return found - _OUTPUT


def parameters(function: Callable[..., Any]) -> set[str]:
    """The parameters of a function, but who listens."""
    return set(inspect.signature(function).parameters) - {"listener"}
