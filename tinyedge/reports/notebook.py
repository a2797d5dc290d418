"""Tables and memory bars as notebooks show them: Markdown, and HTML without scripts or styles."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from html import escape
from typing import Any, NamedTuple

_PARTS = {"flash": ("code", "weights", "other"), "ram": ("arena", "static", "stack_peak")}
_LABELS = {"flash": "Flash", "ram": "RAM"}


class Table(NamedTuple):
    """A table with a title.

    Attributes:
        title: above it.
        headings: of its columns.
        rows: texts; a column whose texts are numbers is set to the right.
    """

    title: str
    headings: tuple[str, ...]
    rows: list[tuple[str, ...]]


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
    return Table(
        "Layers",
        ("layer", "operator", "output", "MACs", "bits", "bytes", "kernel"),
        [
            (
                layer["name"],
                layer["kind"],
                "x".join(map(str, layer["shape"])),
                f"{layer['macs']:,}" if layer["macs"] else "",
                str(layer["bits"] or ""),
                f"{layer['weight_bytes']:,}" if layer["bits"] else "",
                layer["kernel"] or "",
            )
            for layer in layers
        ],
    )


def suite_table(suites: list[dict[str, Any]], place: str) -> Table:
    """Accuracies and mismatches of the suites of a run's record."""

    def percent(share: float | None) -> str:
        return "-" if share is None else f"{100 * share:.2f} %"

    return Table(
        f"Host and {place}",
        ("suite", "samples", "float", "host", place, "differing logits"),
        [
            (
                suite["name"],
                f"{suite['samples']:,}",
                *(percent(suite["accuracy"][who]) for who in ("float", "host", "device")),
                f"{suite['mismatched_logits']:,}",
            )
            for suite in suites
        ],
    )


def _markdown_table(table: Table) -> str:
    def line(cells: Sequence[str]) -> str:
        return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"

    rule = ["---:" if right else "---" for right in _numeric(table)]
    rows = (line(row) for row in table.rows)
    return "\n".join((f"**{table.title}**", "", line(table.headings), line(rule), *rows))


def _html_table(table: Table) -> str:
    sides = ["right" if right else "left" for right in _numeric(table)]

    def line(tag: str, cells: Sequence[str]) -> str:
        shown = (
            f'<{tag} style="text-align:{side}">{escape(cell)}</{tag}>'
            for side, cell in zip(sides, cells, strict=True)
        )
        return f"<tr>{''.join(shown)}</tr>"

    rows = "".join(line("td", row) for row in table.rows)
    return (
        f"<table><caption>{escape(table.title)}</caption>{line('th', table.headings)}{rows}</table>"
    )


def _numeric(table: Table) -> list[bool]:
    columns = zip(*table.rows, strict=True) if table.rows else ((),) * len(table.headings)
    return [all(not cell or cell[0].isdigit() or cell == "-" for cell in c) for c in columns]
