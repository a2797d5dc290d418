"""Tables and lines on terminals that are too narrow for them, with nothing cut or folded.

A table becomes a block a row, a line goes on below.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from rich.measure import Measurement
from rich.table import Table
from rich.text import Text

if TYPE_CHECKING:
    from rich.console import Console, ConsoleOptions, RenderableType

_UNLIMITED = 100_000
_INDENTATION = 6 * " "


class Fitting:
    """A table that becomes blocks where the console is narrower than its longest cells need."""

    def __init__(self, table: Table) -> None:
        self.table = table

    def __rich_console__(
        self, console: Console, options: ConsoleOptions
    ) -> Iterator[RenderableType]:
        wide = options.update(width=_UNLIMITED)
        needed = Measurement.get(console, wide, self.table).maximum
        if needed <= options.max_width:
            yield self.table
        else:
            yield from _blocks(console, self.table, options.max_width)


class Parted:
    """A line that goes on below, behind an indentation, where the console is too narrow for it."""

    def __init__(self, first: Text, *others: str) -> None:
        """Takes the line's parts: none of them is broken, a space stands between two."""
        self.first = first
        self.others = others

    def __rich_console__(
        self, _console: Console, options: ConsoleOptions
    ) -> Iterator[RenderableType]:
        line = self.first.copy()
        for part in map(Text, self.others):
            if line.cell_len + 1 + part.cell_len > options.max_width:
                yield _unbroken(line)
                line = Text(_INDENTATION)
            else:
                line.append(" ")
            line.append_text(part)
        yield _unbroken(line)


def _blocks(console: Console, table: Table, width: int) -> Iterator[RenderableType]:
    """The title; then each row's first cell, and below it the others behind their headings."""
    if table.title:
        yield _text(console, table.title, "bold")
    columns = [list(column.cells) for column in table.columns]
    headings = [_text(console, column.header).plain for column in table.columns]
    rows = [*zip(*columns, strict=True)]
    for cells, row in zip(rows, table.rows, strict=True):
        yield from _block(console, headings, cells, str(row.style or ""), width)
    if table.show_footer:
        footers = [column.footer for column in table.columns]
        yield from _block(console, headings, footers, "bold", width)


def _block(
    console: Console,
    headings: list[str],
    cells: tuple[RenderableType, ...] | list[RenderableType],
    style: str,
    width: int,
) -> Iterator[RenderableType]:
    texts = [_text(console, cell) for cell in cells]
    shown = [
        (heading, text) for heading, text in zip(headings, texts, strict=True) if text.plain.strip()
    ]
    if not shown:
        return
    (_, name), *others = shown
    name.stylize(f"bold {style}".strip())
    yield _unbroken(name)
    line = Text("  ", style=style)
    for heading, text in others:
        part = Text.assemble((f"{heading} ", "dim"), text) if heading else text
        if line.plain.strip() and line.cell_len + 3 + part.cell_len > width:
            yield _unbroken(line)
            line = Text("  ", style=style)
        if line.plain.strip():
            line.append(" | ", "dim")
        line.append_text(part)
    if line.plain.strip():
        yield _unbroken(line)


def _unbroken(text: Text) -> Text:
    """Longer than the terminal is wide, it is the terminal that goes on below."""
    text.no_wrap, text.overflow = True, "ignore"
    return text


def _text(console: Console, cell: RenderableType, style: str = "") -> Text:
    if isinstance(cell, Text):
        return cell.copy()
    return console.render_str(str(cell), style=style)
