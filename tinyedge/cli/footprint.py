"""``tinyedge footprint``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from tinyedge.cli.builds import build_options
from tinyedge.cli.options import PATH, output_options
from tinyedge.cli.output import Output, judged

if TYPE_CHECKING:
    from rich.console import RenderableType
    from rich.table import Table

    from tinyedge.reports.footprint import Record


@click.command("footprint")
@click.argument("path", type=PATH, metavar="DIR")
@build_options
@click.option(
    "--measured",
    type=PATH,
    metavar="FILE",
    help="Record of a run of the same firmware (--json), for the stack's peak.",
)
@click.option(
    "--profile",
    type=PATH,
    metavar="FILE.json",
    help="What each layer costs, as 'tinyedge run --profile -o FILE' wrote it.",
)
@click.option(
    "--top",
    type=click.IntRange(0),
    default=20,
    show_default=True,
    metavar="N",
    help="Symbols to list in the terminal; 0 lists all.",
)
@click.option(
    "-o",
    "--output",
    type=PATH,
    metavar="FILE",
    help="Write the report too: .html, .md or .json.",
)
@output_options
@click.pass_obj
def command(
    output: Output,
    /,
    path: Path,
    board_name: str | None,
    top: int,
    **options: Any,
) -> None:
    """Say what takes flash and RAM, and what grew.

    DIR is what 'tinyedge convert' wrote, which is built for --board, or a folder that 'tinyedge
    build' wrote, or an .elf file. By section, part, layer, kernel and symbol; every byte is counted
    once. With -q only the totals, what changed, and whether limits hold. Exit code 8 where one is
    exceeded.
    """
    from tinyedge.commands.footprint import footprint

    record, failure = judged(footprint, path, board=board_name, **options, listener=output)
    target = options["output"]
    written = [f"written to {target}"] if target else []
    text = footprint_text(record, top, quiet=output.verbosity < 0)
    output.result(record, *text, *written, failure=failure)


def footprint_text(record: Record, top: int, *, quiet: bool) -> list[RenderableType]:
    """Formats the text that people read on a terminal.

    Args:
        record: the footprint.
        top: symbols to list, 0 for all.
        quiet: only the totals, what changed, and the limits.
    """
    from tinyedge.reports.footprint import gate_advice, gate_line

    return [
        *footprint_summary(record, top),
        *([] if quiet else _tables(record, top)),
        *(
            f"FAILED: {gate_line(gate)}. What to do: {gate_advice(record, gate)}"
            if gate["over"] > 0
            else f"ok: {gate_line(gate)}"
            for gate in record["gates"]
        ),
    ]


def _tables(record: Record, top: int) -> list[Table]:
    """Formats the use of memory, by part, section, layer, kernel and symbol."""
    from tinyedge.cli.tables import shown
    from tinyedge.reports.notebook import footprint_tables

    return [shown(table) for table in footprint_tables(record, top)]


def footprint_summary(record: Record, top: int = 20) -> list[RenderableType]:
    """The totals, and what changed.

    Args:
        record: the footprint.
        top: changed symbols to list, 0 for all.
    """
    from tinyedge.reports.footprint import network_line

    place = " with ".join(filter(None, (record["board"], record["compiler"])))
    name = record["elf"] or "A footprint written before"
    text: list[RenderableType] = [f"{name}{f' ({place})' if place else ''}"]
    regions = record.get("regions") or ()
    text += [
        _memory_line("flash", record["flash"]),
        # With other memories the stack may be in one of them.
        _memory_line("ram", record["ram"], "" if regions else " for the stack"),
    ]
    text += [_memory_line(region["name"], region) for region in regions]
    if network := network_line(record):
        text.append(network)
    if record["compare"]:
        text += _comparison(record["compare"], top)
    return text


def _memory_line(name: str, memory: dict[str, Any], use: str = "") -> str:
    label = {"flash": "Flash", "ram": "RAM"}.get(name, name)
    line = f"{label:<6}{memory['total']:,} bytes"
    if memory["size"]:
        share = 100 * memory["total"] / memory["size"]
        line += f", {share:.1f} % of {memory['size']:,}; {memory['left']:,} left{use}"
    if memory.get("stack_peak") is not None:
        line += f", {memory['stack_peak']:,} of them in use at most"
    if memory["gaps"]:
        line += f"; {memory['gaps']:,} between segments are neither"
    return line


def _new_table(title: str, columns: tuple[str, ...], numbers: tuple[str, ...]) -> Table:
    from rich.table import Table

    table = Table(title=title, title_justify="left")
    for heading in columns:
        table.add_column(heading)
    for heading in numbers:
        table.add_column(heading, justify="right")
    return table


def _number(value: int | None) -> str:
    return f"{value:,}" if value else ""


def _comparison(compare: dict[str, Any], top: int) -> list[RenderableType]:
    """Formats the changes, as tables."""
    from tinyedge.reports.footprint import GROUP_LABELS

    before = compare["with"]
    place = " with ".join(filter(None, (before["board"], before["compiler"])))
    text: list[RenderableType] = [f"Compared with {before['elf']}{f' ({place})' if place else ''}"]
    totals = _new_table("Change", ("",), ("before", "after", "change", "%"))
    for label, key in (("flash", "flash"), ("RAM", "ram")):
        change = compare[key]
        percent = "-" if change["percent"] is None else f"{change['percent']:+.2f}"
        totals.add_row(
            label,
            f"{change['before']:,}",
            f"{change['after']:,}",
            f"{change['change']:+,}",
            percent,
        )
    text.append(totals)
    groups = [
        {**row, "name": GROUP_LABELS.get(row["name"], row["name"])} for row in compare["groups"]
    ]
    for title, rows in (
        ("Changed parts", groups),
        ("Changed layers", compare["layers"]),
        ("Changed symbols", compare["symbols"]),
    ):
        if rows:
            text.append(_change_table(title, rows, top))
    return text


def _change_table(title: str, rows: list[dict[str, Any]], top: int) -> Table:
    table = _new_table(title, ("", ""), ("flash before", "flash", "change", "RAM change"))
    shown = rows[: top or None]
    for row in shown:
        flash = row["flash"]
        status = "" if row["status"] == "changed" else row["status"]
        sizes = (_number(flash["before"]), _number(flash["after"]))
        changes = (
            f"{row[key]['change']:+,}" if row[key]["change"] else "" for key in ("flash", "ram")
        )
        name = " ".join(filter(None, (row["name"], row.get("file"))))
        table.add_row(name, status, *sizes, *changes)
    if rest := rows[len(shown) :]:
        sums = (f"{sum(row[key]['change'] for row in rest):+,}" for key in ("flash", "ram"))
        table.add_section()
        table.add_row(f"{len(rest)} more", "", "", "", *sums)
    return table
