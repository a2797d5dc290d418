"""``tinyedge footprint``."""

from __future__ import annotations

import json
import re
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from tinyedge.cli.options import COMPILERS, PATH, board_option, output_options
from tinyedge.cli.output import JSON_VERSION, Output

if TYPE_CHECKING:
    from rich.console import RenderableType
    from rich.table import Table

    from tinyedge.boards import Board
    from tinyedge.firmware.compilers import CompilerName
    from tinyedge.reports.footprint import Growth

_SIZE = re.compile(r"(0x[0-9a-f]+)|(\d+)\s*(k|kib|m|mib)?", re.IGNORECASE)
_SHARE = re.compile(r"(\d+(?:\.\d+)?)\s*%")
_SIZES = "bytes as 65536, 64K, 64KiB, 1M, 1MiB or 0x10000 (K is 1,024)"
_PATHS = "name what 'tinyedge convert' or 'tinyedge build' wrote, or an .elf file"
_FORMS = (".md", ".json")


class _Size(click.ParamType[Any]):
    """A number of bytes."""

    name = "size"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        found = _SIZE.fullmatch(str(value).strip())
        if not found:
            self.fail(f"{value!r} is no size: give {_SIZES}", param, ctx)
        hexadecimal, count, unit = found.groups()
        if hexadecimal:
            return int(hexadecimal, 16)
        return int(count) << {"": 0, "k": 10, "m": 20}[(unit or "")[:1].lower()]


class _Growth(_Size):
    """A number of bytes, or a percentage."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        from tinyedge.reports.footprint import Growth

        if share := _SHARE.fullmatch(str(value).strip()):
            return Growth(Fraction(share[1]), percent=True)
        if str(value).strip().endswith("%"):
            self.fail(f"{value!r} is no percentage: give one as 2% or 0.5%", param, ctx)
        return Growth(Fraction(super().convert(value, param, ctx)), percent=False)


@click.command("footprint")
@click.argument("path", type=PATH, metavar="DIR")
@board_option()
@click.option(
    "--compiler",
    type=click.Choice(COMPILERS),
    help="Of a converted model's build. Default: gcc, else zig.",
)
@click.option(
    "--compare",
    "other",
    type=PATH,
    metavar="OTHER",
    help="What it was before: as DIR, or a .json file of this command.",
)
@click.option("--max-flash", type=_Size(), metavar="SIZE", help="Fail above so many bytes.")
@click.option("--max-ram", type=_Size(), metavar="SIZE", help="The same, the stack not counted.")
@click.option(
    "--max-regression",
    type=_Growth(),
    metavar="SIZE|N%",
    help="Fail where flash or RAM grew by more against --compare.",
)
@click.option(
    "--measured",
    type=PATH,
    metavar="FILE",
    help="Record of a run of the same firmware (--json), for the stack's peak.",
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
    "target",
    type=PATH,
    metavar="FILE",
    help="Write the report too: .md or .json.",
)
@output_options
@click.pass_obj
def command(
    output: Output,
    path: Path,
    board_name: str | None,
    compiler: CompilerName | None,
    other: Path | None,
    max_flash: int | None,
    max_ram: int | None,
    max_regression: Growth | None,
    measured: Path | None,
    top: int,
    target: Path | None,
) -> None:
    """Say what takes flash and RAM, and what grew.

    DIR is what 'tinyedge convert' wrote, which is built for --board, or a folder that 'tinyedge
    build' wrote, or an .elf file. By section, part, layer, kernel and symbol; every byte is counted
    once. Exit code 8 where a limit is exceeded.
    """
    from tinyedge.boards import load_board
    from tinyedge.errors import UsageError
    from tinyedge.files import check_writable, write_atomically
    from tinyedge.reports.footprint import (
        check_gates,
        compare_records,
        footprint_markdown,
        load_footprint,
        load_stack_peak,
        missed,
    )

    if max_regression and not other:
        raise UsageError("--max-regression goes with --compare")
    if target and target.suffix not in _FORMS:
        raise UsageError(f"--output {target}: the name has to end in {' or '.join(_FORMS)}")
    if target:
        check_writable(target)
    board = load_board(board_name) if board_name else None
    if compiler and not any(map(_is_converted, (path, other or path))):
        raise UsageError("--compiler goes with a converted model, which is built with it")
    record = _read(output, path, board, compiler)
    if board and record["board"] != board.name:
        raise UsageError(f"{path} was built for {record['board']}, not for {board.name}")
    if measured:
        peak = load_stack_peak(measured, record["board"], record["flash"]["total"])
        record["ram"]["stack_peak"] = peak
    record["compare"] = None
    if other:
        if other.suffix == ".json":
            before = load_footprint(other)
        else:
            before = _read(output, other, _board_of(other, board, record), compiler)
        record["compare"] = compare_records(before, record)
    record["gates"] = check_gates(record, max_flash, max_ram, max_regression)
    if target:
        written = {"version": JSON_VERSION, **record}
        text = f"{json.dumps(written, indent=2)}\n"
        write_atomically(target, text if target.suffix == ".json" else footprint_markdown(record))
    output.result(record, *_text(record, top, target), failure=missed(record["gates"]))


def _board_of(other: Path, board: Board | None, record: dict[str, Any]) -> Board | None:
    """The board to build the other one for: that of the first; an ELF may be for any."""
    from tinyedge.boards import load_board

    if other.is_file():
        return None
    return board or (load_board(record["board"]) if record["board"] else None)


def _is_converted(path: Path) -> bool:
    from tinyedge.exporters.converted import MANIFEST_FILE

    return (path / MANIFEST_FILE).is_file()


def _read(
    output: Output, path: Path, board: Board | None, compiler: CompilerName | None
) -> dict[str, Any]:
    """The footprint of a converted model, a build or an ELF; a build knows its board itself."""
    from tinyedge.boards import load_board
    from tinyedge.errors import ModelError, UsageError
    from tinyedge.exporters.converted import load_converted
    from tinyedge.firmware.memory_map import read_memory_map
    from tinyedge.firmware.project import build_firmware, read_build
    from tinyedge.reports.footprint import firmware_footprint, footprint_record

    about: dict[str, Any] = {"compiler": None, "hash": None}
    if _is_converted(path):
        if not board:
            raise UsageError(f"{path} is a converted model: --board says what to build it for")
        model = load_converted(path)
        with output.step(f"compiling {path.name} for {board.name}"):
            firmware = build_firmware(model, board, compiler)
        return firmware_footprint(model, firmware)
    if path.is_dir():
        build = read_build(path)
        if not build:
            raise ModelError(
                f"{path}: neither a converted model (model.json) nor a build (firmware.json)",
                hint=_PATHS,
            )
        elf = build.elf
        about = {"compiler": build.compiler, "hash": build.hash}
        if not (board and board.name == build.board):
            board = load_board(build.board)
    elif path.is_file():
        elf = path
    else:
        raise ModelError(f"{path}: no such file or folder", hint=_PATHS)
    return {"elf": str(elf), **about, **footprint_record(read_memory_map(elf), board)}


def _text(record: dict[str, Any], top: int, target: Path | None) -> list[RenderableType]:
    """What people read."""
    from tinyedge.reports.footprint import GROUP_LABELS, gate_line

    compare = record["compare"]
    place = " with ".join(filter(None, (record["board"], record["compiler"])))
    text: list[RenderableType] = [f"{record['elf']}{f' ({place})' if place else ''}"]
    text += [_memory_line(name, record[name]) for name in ("flash", "ram")]
    if compare:
        text += _comparison(compare, top)
    labelled = [{**row, "name": GROUP_LABELS[row["name"]]} for row in record["groups"]]
    text += [
        _table("Parts", labelled),
        _table("Sections", record["sections"]),
        _layer_table(record["layers"]),
        _kernel_table(record["kernels"]),
        _symbol_table(record["symbols"], top),
    ]
    text += [
        f"{'FAILED' if gate['over'] > 0 else 'ok'}: {gate_line(gate)}" for gate in record["gates"]
    ]
    if target:
        text.append(f"written to {target}")
    return text


def _memory_line(name: str, memory: dict[str, Any]) -> str:
    label = {"flash": "Flash", "ram": "RAM"}[name]
    line = f"{label:<6}{memory['total']:,} bytes"
    if memory["size"]:
        share = 100 * memory["total"] / memory["size"]
        line += f", {share:.1f} % of {memory['size']:,}; {memory['left']:,} left"
        line += " for the stack" if name == "ram" else ""
    if memory.get("stack_peak") is not None:
        line += f", {memory['stack_peak']:,} of them in use at most"
    if memory["gaps"]:
        line += f"; {memory['gaps']:,} between segments are neither"
    return line


def _new_table(title: str, columns: tuple[str, ...], numbers: tuple[str, ...]) -> Table:
    from rich.table import Table

    table = Table(title=title, title_justify="left")
    for heading in columns:
        table.add_column(heading, overflow="fold")
    for heading in numbers:
        table.add_column(heading, justify="right")
    return table


def _number(value: int) -> str:
    return f"{value:,}" if value else ""


def _table(title: str, rows: list[dict[str, Any]]) -> Table:
    table = _new_table(title, ("",), ("flash", "RAM"))
    for row in rows:
        table.add_row(row["name"], _number(row["flash"]), _number(row["ram"]))
    table.add_section()
    table.add_row("sum", *(f"{sum(row[key] for row in rows):,}" for key in ("flash", "ram")))
    return table


def _layer_table(layers: list[dict[str, Any]]) -> Table:
    from tinyedge.reports.footprint import PARTS

    table = _new_table("Constants by layer: flash", ("layer", "kernel"), (*PARTS, "sum"))
    columns = (*PARTS, "flash")
    for layer in layers:
        shown = (_number(layer[column]) for column in columns)
        table.add_row(layer["name"], layer["kernel"] or "", *shown)
    table.add_section()
    table.add_row("sum", "", *(f"{sum(layer[c] for layer in layers):,}" for c in columns))
    return table


def _kernel_table(kernels: list[dict[str, Any]]) -> Table:
    table = _new_table("Kernels: code that layers share", ("source", "called by"), ("flash",))
    for kernel in kernels:
        table.add_row(kernel["name"], ", ".join(kernel["layers"]), _number(kernel["flash"]))
    table.add_section()
    table.add_row("sum", "", f"{sum(kernel['flash'] for kernel in kernels):,}")
    return table


def _symbol_table(symbols: list[dict[str, Any]], top: int) -> Table:
    table = _new_table("Symbols", ("symbol", "section", "file"), ("flash", "RAM"))
    shown = symbols[: top or None]
    for symbol in shown:
        sizes = (_number(symbol[key]) for key in ("flash", "ram"))
        table.add_row(symbol["name"], symbol["section"], symbol["file"] or "", *sizes)
    rest = symbols[len(shown) :]
    table.add_section()
    for label, rows in ((f"{len(rest)} more", rest), ("sum", symbols)):
        if rows:
            sums = (f"{sum(row[key] for row in rows):,}" for key in ("flash", "ram"))
            table.add_row(label, "", "", *sums)
    return table


def _comparison(compare: dict[str, Any], top: int) -> list[RenderableType]:
    """What changed, as tables."""
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
