"""The output of commands: results on stdout, progress and remarks on stderr."""

from __future__ import annotations

import contextlib
import json
import os
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any, ParamSpec

from tinyedge.errors import ThresholdError, TinyEdgeError
from tinyedge.naming import one_line, visible

if TYPE_CHECKING:
    from rich.console import Console, RenderableType

_Arguments = ParamSpec("_Arguments")

JSON_VERSION = 1
_LINE_S = 30.0
"""Between two lines of progress where no terminal shows a bar."""
_PIPED_WIDTH = 100_000
"""Columns of a table that no terminal limits: a row stays on its line."""


@dataclass
class Output:
    """How this run of the command line speaks.

    Attributes:
        json: print one JSON object instead of text.
        verbosity: -1 no progress, 0 normal, 1 verbose.
        command: the command line, for records of what was done.
    """

    json: bool = False
    verbosity: int = 0
    command: list[str] = field(default_factory=list)
    _printed: bool = field(default=False, init=False)

    @cached_property
    def stdout(self) -> Console:
        """For results; colours only on a terminal.

        A pipe is as wide as its tables, or as ``COLUMNS`` says where that is set.
        """
        limited = sys.stdout.isatty() or os.environ.get("COLUMNS", "").isdecimal()
        return _console(width=None if limited else _PIPED_WIDTH)

    @cached_property
    def stderr(self) -> Console:
        """For progress."""
        return _console(stderr=True, quiet=self.verbosity < 0)

    @cached_property
    def remarks(self) -> Console:
        """For what changes the meaning of a result, which ``--quiet`` leaves."""
        return _console(stderr=True) if self.verbosity < 0 else self.stderr

    def result(
        self,
        content: dict[str, Any],
        *text: RenderableType,
        failure: TinyEdgeError | None = None,
    ) -> None:
        """Prints the result: the JSON object, or the text.

        Args:
            content: of the JSON object.
            text: what people read instead; of a ``Text`` no line is broken, and a table that is
                wider than the terminal becomes a block a row.
            failure: what is wrong with the result; raised once it has been printed.
        """
        if self.json:
            printed = json.dumps(_envelope(failure) | content, allow_nan=False)
            self._printed = True
            print(printed)
        else:
            self._printed = True
            from rich.table import Table
            from rich.text import Text

            from tinyedge.cli.narrow import Fitting

            for part in text:
                shown = Fitting(part) if isinstance(part, Table) else part
                self.stdout.print(shown, soft_wrap=isinstance(part, Text), crop=False)
        if failure:
            raise failure

    def remark(self, *messages: str) -> None:
        """Says something on stderr."""
        for message in messages:
            self.remarks.print(message, soft_wrap=True)

    def failed(self, error: TinyEdgeError) -> int:
        """Reports an error, as JSON on stdout too if that was asked for; gives the exit code."""
        if self.json and not self._printed:
            print(json.dumps(_envelope(error)))
        print(f"error: {one_line(str(error))}", file=sys.stderr)
        if error.hint:
            print(f"hint: {one_line(error.hint)}", file=sys.stderr)
        return error.exit_code

    @contextlib.contextmanager
    def progress(self, label: str, total: int) -> Iterator[Callable[[int], None]]:
        """A progress bar on stderr with the time left; gives a function to advance it.

        Where stderr is no terminal, a line every ``_LINE_S`` and one in the end stand for the bar.
        """
        from rich.progress import (
            BarColumn,
            MofNCompleteColumn,
            Progress,
            TextColumn,
            TimeElapsedColumn,
            TimeRemainingColumn,
        )

        if not self.stderr.is_terminal:
            done, said = 0, time.monotonic()

            def advance(advanced: int) -> None:
                nonlocal done, said
                done += advanced
                if (now := time.monotonic()) - said >= _LINE_S:
                    said = now
                    self.stderr.print(f"{label}: {done:,} of {total:,}", soft_wrap=True)

            yield advance
            self.stderr.print(f"{label} done", soft_wrap=True)
            return
        columns = (
            TextColumn("{task.description}", markup=False),
            BarColumn(),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            TimeRemainingColumn(),
        )
        with Progress(*columns, console=self.stderr) as bar:
            task = bar.add_task(label, total=total)
            yield lambda advanced: bar.advance(task, advanced)

    @contextlib.contextmanager
    def step(self, label: str) -> Iterator[None]:
        """A spinner on stderr around something of unknown length."""
        from rich.text import Text

        with self.stderr.status(Text(label)):
            yield
        self.stderr.print(f"{label} done", style="dim")


def judged(
    function: Callable[_Arguments, dict[str, Any]],
    *arguments: _Arguments.args,
    **named: _Arguments.kwargs,
) -> tuple[dict[str, Any], ThresholdError | None]:
    """Calls a command's function; gives its record, and what is wrong where a threshold is missed.

    Both are for ``Output.result``, which prints the record before it raises the error.
    """
    try:
        return function(*arguments, **named), None
    except ThresholdError as error:
        if error.record is None:
            raise
        return error.record, error


def _envelope(failure: TinyEdgeError | None) -> dict[str, Any]:
    """Gives the keys that every JSON object begins with."""
    if failure is None:
        return {"version": JSON_VERSION, "status": "ok"}
    error = {
        "code": failure.code,
        "message": one_line(str(failure)),
        "hint": one_line(failure.hint),
    }
    return {"version": JSON_VERSION, "status": "error", "error": error}


def _console(**options: Any) -> Console:
    """A console that prints texts as they are: no markup is read, and all is made visible."""
    from rich.console import Console, ConsoleOptions
    from rich.segment import Segment
    from rich.text import Text

    class Plain(Console):
        def render_str(self, text: str, **style: Any) -> Text:
            # Before it is measured: a cell has room for what is shown.
            return super().render_str(visible(text, keep="\n\t"), **style)

        def render(
            self, renderable: RenderableType, options: ConsoleOptions | None = None
        ) -> Iterator[Segment]:
            for segment in super().render(renderable, options):
                text = segment.text if segment.control else visible(segment.text, keep="\n\t")
                yield segment if text == segment.text else segment._replace(text=text)

    return Plain(highlight=False, markup=False, emoji=False, **options)
