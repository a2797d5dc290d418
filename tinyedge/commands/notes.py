"""The frame of every function: it checks arguments, and its errors carry a note.

The note is the hint in the words of Python: what tracebacks and notebooks show.
"""

from __future__ import annotations

import contextlib
import functools
import inspect
import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any, ParamSpec, Protocol, TypeVar

from tinyedge.commands.arguments import KINDS
from tinyedge.errors import FileError, TinyEdgeError, UsageError
from tinyedge.names import COMPILERS, CORE_NAMES, EMULATORS, OBJECTIVES, PLACES

_Arguments = ParamSpec("_Arguments")
_Given = TypeVar("_Given")
_VALUES = {*COMPILERS, *CORE_NAMES, *EMULATORS, *OBJECTIVES, *PLACES}


class Decorator(Protocol):
    """Gives a function of the same arguments."""

    def __call__(self, function: Callable[_Arguments, _Given], /) -> Callable[_Arguments, _Given]:
        """Decorates a function."""


def noted(renamed: Mapping[str, str] | None = None) -> Decorator:
    """Has a function check its arguments' kinds, and its errors carry their hint as a note.

    Errors of the system become ``FileError``, as on the command line.

    Args:
        renamed: what arguments are called that have another name than the command's option.
    """

    def decorate(function: Callable[_Arguments, _Given], /) -> Callable[_Arguments, _Given]:
        signature = inspect.signature(function)

        @functools.wraps(function)
        def called(*arguments: _Arguments.args, **named: _Arguments.kwargs) -> _Given:
            try:
                check_kinds(signature, arguments, named)
                with system_errors():
                    return function(*arguments, **named)
            except TinyEdgeError as error:
                told = any(note.startswith("hint: ") for note in getattr(error, "__notes__", ()))
                if error.hint and not told:
                    error.add_note(f"hint: {in_python(error.hint, renamed or {})}")
                raise

        return called

    return decorate


def check_kinds(
    signature: inspect.Signature, arguments: tuple[Any, ...], named: Mapping[str, Any]
) -> None:
    """Refuses arguments that are not of the kind that their parameter is annotated with.

    Args:
        signature: of the function, whose annotations are texts.
        arguments: by position.
        named: by name.

    Raises:
        UsageError: names the argument and what is allowed.
        TypeError: an argument is missing, or there is no such parameter, as Python says it.
    """
    for name, value in signature.bind(*arguments, **named).arguments.items():
        kind, optional, _ = str(signature.parameters[name].annotation).partition(" | None")
        if kind not in KINDS or (optional and value is None):
            continue
        fits, allowed = KINDS[kind]
        if not fits(value):
            raise UsageError(f"{name}={value!r:.80}: {allowed}")


@contextlib.contextmanager
def system_errors() -> Iterator[None]:
    """Turns errors of files and folders into those of tinyedge."""
    try:
        yield
    except BrokenPipeError:
        raise  # whoever reads what is shown has gone
    except OSError as error:
        raise FileError.of(error) from error


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
