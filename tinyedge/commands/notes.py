"""Hints of errors as notes, in the words of Python: what tracebacks and notebooks show."""

from __future__ import annotations

import functools
import re
from collections.abc import Callable, Mapping
from typing import ParamSpec, Protocol, TypeVar

from tinyedge.errors import TinyEdgeError, UsageError
from tinyedge.names import COMPILERS, CORE_NAMES, EMULATORS, OBJECTIVES, PLACES

_Arguments = ParamSpec("_Arguments")
_Given = TypeVar("_Given")
_VALUES = {*COMPILERS, *CORE_NAMES, *EMULATORS, *OBJECTIVES, *PLACES}


class Decorator(Protocol):
    """Gives a function of the same arguments."""

    def __call__(self, function: Callable[_Arguments, _Given], /) -> Callable[_Arguments, _Given]:
        """Decorates a function."""


def noted(renamed: Mapping[str, str] | None = None) -> Decorator:
    """Has the errors of a function carry their hint as a note.

    Args:
        renamed: what arguments are called that have another name than the command's option.
    """

    def decorate(function: Callable[_Arguments, _Given], /) -> Callable[_Arguments, _Given]:
        @functools.wraps(function)
        def called(*arguments: _Arguments.args, **named: _Arguments.kwargs) -> _Given:
            try:
                return function(*arguments, **named)
            except TinyEdgeError as error:
                told = any(note.startswith("hint: ") for note in getattr(error, "__notes__", ()))
                if error.hint and not told:
                    error.add_note(f"hint: {in_python(error.hint, renamed or {})}")
                raise

        return called

    return decorate


def in_python(hint: str, renamed: Mapping[str, str]) -> str:
    """A hint with the arguments of functions in place of options; whole commands stay."""
    if hint == UsageError.default_hint:
        return "see help(tinyedge.convert), help(tinyedge.Model) and so on"
    if re.search(r"tinyedge [a-z]", hint):
        return hint

    def argument(option: re.Match[str]) -> str:
        name = renamed.get(option[1], option[1].replace("-", "_"))
        value = option[2] or ""
        return f"{name}={value.strip()!r}" if value.strip() in _VALUES else f"{name}{value}"

    hint = re.sub(r"(?<!\S)-p PORT", "port=PORT", hint)
    return re.sub(r"--([a-z][a-z0-9-]*)( [a-z0-9-]+)?", argument, hint)
