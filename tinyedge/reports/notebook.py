"""Tables and memory bars as notebooks show them: Markdown, and HTML without scripts or styles.

The terminal shows the same tables: their columns are made here, once.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from html import escape
from typing import Any, NamedTuple

from tinyedge.evaluation.suites import Suite
from tinyedge.naming import epsilon_text
from tinyedge.reports.footprint import GROUP_LABELS, PARTS, called_by

_PARTS = {"flash": ("code", "weights", "other"), "ram": ("arena", "static", "stack_peak")}
_LABELS = {"flash": "Flash", "ram": "RAM"}


class Table(NamedTuple):
    """A table with a title.

    Attributes:
        title: above it.
        headings: of its columns.
        rows: texts; a column whose texts are numbers is set to the right.
        total: the last row, where there are sums.
    """

    title: str
    headings: tuple[str, ...]
    rows: Sequence[tuple[str, ...]]
    total: tuple[str, ...] | None = None

    @property
    def all_rows(self) -> list[tuple[str, ...]]:
        """The rows, and the last one."""
        return [*self.rows, self.total] if self.total else [*self.rows]

    @property
    def numeric(self) -> list[bool]:
        """Whether each column holds numbers."""
        columns = zip(*self.rows, strict=True) if self.rows else ((),) * len(self.headings)
        return [
            all(not cell or cell[0].isdigit() or cell == "-" for cell in column)
            for column in columns
        ]


def markdown(parts: Iterable[Table]) -> str:
    """Tables as Markdown."""
    return "\n\n".join(_markdown_table(part) for part in parts)


def html(parts: Iterable[Table | str]) -> str:
    """Tables as HTML; what is text already, is HTML."""
    return "".join(part if isinstance(part, str) else _html_table(part) for part in parts)


def memory_table(memory: dict[str, Any]) -> Table:
    """Flash and RAM in bytes, of ``memory_record``; a stack that was not measured is left out."""
    rows: list[tuple[str, ...]] = []
    for key, parts in _PARTS.items():
        for part in parts:
            if memory[key][part] is not None:
                label = f"{_LABELS[key]}: {part.replace('_', ' ')}"
                rows.append((label, f"{memory[key][part]:,}", ""))
        total, size = memory[key]["total"], memory[key]["size"]
        rows.append((_LABELS[key], f"{total:,}", f"{100 * total / size:.1f} % of {size:,}"))
    return Table("Memory", ("", "bytes", "of the board's"), rows)


def memory_bars(memory: dict[str, Any]) -> str:
    """The same against the board's sizes, as bars of HTML."""
    bars = []
    for key, label in _LABELS.items():
        total, size = memory[key]["total"], memory[key]["size"]
        shown = f"{100 * total / size:.1f} %: {total:,} of {size:,} bytes"
        meter = f'<meter min="0" max="{size}" high="{0.9 * size:.0f}" value="{total}"></meter>'
        bars.append(f"<tr><th>{label}</th><td>{meter}</td><td>{shown}</td></tr>")
    return f"<table>{''.join(bars)}</table>"


def layer_table(layers: list[dict[str, Any]]) -> Table:
    """The layers of ``model.json``."""
    constant = any(layer["removed"] for layer in layers)
    rows = []
    for layer in layers:
        weighted = layer["bits"] is not None
        rows.append(
            (
                layer["name"],
                layer["kind"],
                "x".join(map(str, layer["shape"])),
                *((_number(layer["removed"]),) if constant else ()),
                _number(layer["macs"]),
                f"{layer['weights']:,}" if weighted else "",
                str(layer["bits"]) if weighted else "",
                layer["packing"] or "",
                f"{layer['weight_bytes']:,}" if weighted else "",
                layer["kernel"] or "",
            )
        )
    own = ("constant",) if constant else ()
    return Table(
        "Layers",
        (
            *("layer", "operator", "output", *own),
            *("MACs", "weights", "bits", "packing", "bytes", "kernel"),
        ),
        rows,
    )


def suite_table(suites: list[dict[str, Any]], place: str) -> Table:
    """Accuracies and mismatches of the suites of a run's record; costs where any is known."""
    timed = any(suite["instructions"] or suite["seconds"] for suite in suites)
    cost = ("cost per inference",) if timed else ()
    return Table(
        f"Host and {place}",
        (
            *("suite", "samples", "float", "host", place),
            *("differing samples", "differing logits", *cost),
        ),
        [
            (
                suite["name"],
                f"{suite['samples']:,}",
                *(percent(suite["accuracy"][who]) for who in ("float", "host", "device")),
                f"{suite['mismatched_samples']:,}",
                f"{suite['mismatched_logits']:,}",
                *((cost_text(suite),) if timed else ()),
            )
            for suite in suites
        ],
    )


def percent(value: float | None) -> str:
    """A share as a percentage, or a dash."""
    return "-" if value is None else f"{100 * value:.2f} %"


def cost_text(suite: dict[str, Any]) -> str:
    """Instructions or time of one inference of a suite."""
    if suite["instructions"]:
        return f"{suite['instructions']['mean'] / 1e6:,.2f} M instructions"
    if suite["seconds"]:
        return f"{suite['seconds']['mean'] * 1e3:,.2f} ms"
    return "-"


def crafted_table(suites: Iterable[Suite]) -> Table:
    """Suites of samples: how many, and the attacks that made them."""
    return Table(
        "Suites",
        ("suite", "samples", "shape", "attack", "norm", "epsilon"),
        [
            (
                suite.name,
                f"{len(suite.inputs):,}",
                "x".join(map(str, suite.inputs.shape[1:])),
                str(suite.settings.get("attack", "")),
                str(suite.settings.get("norm", "")),
                epsilon_text(suite.settings["epsilon"]) if suite.settings.get("epsilon") else "",
            )
            for suite in suites
        ],
    )


def footprint_tables(record: dict[str, Any], top: int = 20) -> list[Table]:
    """Gives the use of memory, by part, section, layer, kernel and symbol.

    Args:
        record: a footprint.
        top: symbols to list, 0 for all.
    """
    labelled = [
        {**row, "name": GROUP_LABELS.get(row["name"], row["name"])} for row in record["groups"]
    ]
    return [
        _sizes("Parts", labelled),
        _sizes("Sections", record["sections"]),
        *_constants(record["layers"], record["unit"]),
        _kernels(record),
        _symbols(record["symbols"], top),
    ]


def _sizes(title: str, rows: list[dict[str, Any]]) -> Table:
    sums = (f"{sum(row[key] for row in rows):,}" for key in ("flash", "ram"))
    cells = [(row["name"], _number(row["flash"]), _number(row["ram"])) for row in rows]
    return Table(title, ("", "flash", "RAM"), cells, ("sum", *sums))


def _constants(layers: list[dict[str, Any]], unit: str | None) -> list[Table]:
    """Gives each layer's kind and cost, as far as known, and the size of its constants."""
    tables = []
    if any(layer["kind"] for layer in layers):
        headings = ("layer", "kind", "kernel", "packing", "bits", "MACs")
        rows = [
            (
                layer["name"],
                *(layer[key] or "" for key in ("kind", "kernel", "packing")),
                _number(layer["bits"]),
                _number(layer["macs"]),
                *(
                    (f"{layer['count']:,.0f}" if layer["count"] is not None else "",)
                    if unit
                    else ()
                ),
            )
            for layer in layers
        ]
        tables.append(Table("Layers", (*headings, unit) if unit else headings, rows))
    columns = (*PARTS, "flash")
    cells = [(layer["name"], *(_number(layer[column]) for column in columns)) for layer in layers]
    sums = (f"{sum(layer[column] for layer in layers):,}" for column in columns)
    title = "Constants by layer: flash"
    return [*tables, Table(title, ("layer", *PARTS, "sum"), cells, ("sum", *sums))]


def _kernels(record: dict[str, Any]) -> Table:
    kernels = record["kernels"]
    rows = [
        (kernel["name"], callers, _number(kernel["flash"]))
        for kernel, callers in zip(kernels, called_by(record), strict=True)
    ]
    total = f"{sum(kernel['flash'] for kernel in kernels):,}"
    title = "Kernels: code that layers share"
    return Table(title, ("source", "called by", "flash"), rows, ("sum", "", total))


def _symbols(symbols: list[dict[str, Any]], top: int) -> Table:
    def sums(rows: list[dict[str, Any]]) -> tuple[str, ...]:
        return tuple(f"{sum(row[key] for row in rows):,}" for key in ("flash", "ram"))

    shown = symbols[: top or None]
    rest = symbols[len(shown) :]
    rows: list[tuple[str, ...]] = [
        (row["name"], row["section"], row["file"] or "", _number(row["flash"]), _number(row["ram"]))
        for row in shown
    ]
    if rest:
        rows.append((f"{len(rest)} more", "", "", *sums(rest)))
    headings = ("symbol", "section", "file", "flash", "RAM")
    return Table("Symbols", headings, rows, ("sum", "", "", *sums(symbols)))


def _number(value: int | None) -> str:
    return f"{value:,}" if value else ""


def _markdown_table(table: Table) -> str:
    def line(cells: Sequence[str]) -> str:
        return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"

    rule = ["---:" if right else "---" for right in table.numeric]
    rows = (line(row) for row in table.all_rows)
    return "\n".join((f"**{table.title}**", "", line(table.headings), line(rule), *rows))


def _html_table(table: Table) -> str:
    sides = ["right" if right else "left" for right in table.numeric]

    def line(tag: str, cells: Sequence[str]) -> str:
        shown = (
            f'<{tag} style="text-align:{side}">{escape(cell)}</{tag}>'
            for side, cell in zip(sides, cells, strict=True)
        )
        return f"<tr>{''.join(shown)}</tr>"

    rows = "".join(line("td", row) for row in table.all_rows)
    return (
        f"<table><caption>{escape(table.title)}</caption>{line('th', table.headings)}{rows}</table>"
    )
