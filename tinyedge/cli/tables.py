"""Tables and bars of the terminal."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from tinyedge.cli.narrow import Parted
from tinyedge.reports import notebook
from tinyedge.reports.notebook import Table as Neutral
from tinyedge.reports.notebook import percent

_BAR_CELLS = 24


def shown(table: Neutral, styles: Sequence[str] = ()) -> Table:
    """A table as the terminal shows it.

    Args:
        table: what notebooks show too.
        styles: of its rows; plain by default.
    """
    made = Table(title=table.title, title_justify="left")
    for heading, right in zip(table.headings, table.numeric, strict=True):
        made.add_column(heading, justify="right" if right else "left")
    for at, row in enumerate(table.rows):
        made.add_row(*row, style=styles[at] if styles else "")
    if table.total:
        made.add_section()
        made.add_row(*table.total)
    return made


def layer_table(layers: list[dict[str, Any]]) -> Table:
    """The per-layer table of ``model.json``."""
    return shown(notebook.layer_table(layers))


def filled_table(title: str, rows: list[dict[str, str]]) -> Table:
    """A table of columns that any row fills.

    Args:
        title: of the table.
        rows: cells by heading, the same headings in each; empty, or a dash, where there is nothing
            to tell. The first column is text, the others are numbers.
    """
    table = Table(title=title, title_justify="left")
    headings = [
        heading
        for heading in next(iter(rows), {})
        if any(row[heading] not in ("", "-") for row in rows)
    ]
    for index, heading in enumerate(headings):
        table.add_column(heading, justify="right" if index else "left")
    for row in rows:
        table.add_row(*(row[heading] for heading in headings))
    return table


def suite_table(suites: list[dict[str, Any]], place: str) -> Table:
    """Accuracies and mismatches, a row a suite; those that differ stand out."""
    styles = ["bold red" if suite["mismatched_samples"] else "" for suite in suites]
    return shown(notebook.suite_table(suites, place), styles)


def run_lines(record: dict[str, Any], folder: Path) -> list[str]:
    """Formats the outcome of a network's training."""
    test, jacobian = record["test"], record["jacobian"]
    low, high = (100 * end for end in test["interval"])
    kept = record.get("adversarial")
    robust = (
        [
            (
                f"robust accuracy {percent(kept['robust_accuracy'])} under PGD within "
                f"{kept['epsilon']:.4g}, on {kept['held_out']} held-out training samples (clean "
                f"{percent(kept['held_out_accuracy'])}); epoch {kept['best_epoch']} of "
                f"{len(record['epochs'])} is kept"
            )
        ]
        if kept
        else []
    )
    return [
        (
            f"accuracy {percent(test['accuracy'])} ({low:.2f} to {high:.2f}, 95 % interval) on "
            f"{test['samples']:,} samples: {test['source']}"
        ),
        *robust,
        (
            f"Jacobian of the logits: Frobenius norm {jacobian['frobenius_mean']:.3g}, mean over "
            f"{jacobian['samples']} test samples"
        ),
        f"trained for {record['seconds']:,.0f} s; written to {folder}",
    ]


def quantization_table(record: dict[str, Any]) -> Table:
    """The error of every layer of a float model that was quantized."""
    table = Table(title="Layers against the float model", title_justify="left")
    for heading in ("layer", "operator"):
        table.add_column(heading)
    for heading in ("error", "added"):
        table.add_column(heading, justify="right")
    for layer in record["layers"]:
        table.add_row(
            layer["name"],
            layer["kind"],
            percent(layer["error"]),
            percent(layer["added"]),
            style="bold" if layer["name"] in record["to_train"] else "",
        )
    return table


def quantization_lines(record: dict[str, Any]) -> list[str]:
    """Formats the outcome of a float model's quantization."""
    found = record["accuracy"]
    lines = []
    if found["before"] is not None:
        lines.append(
            f"accuracy {percent(found['before'])} in floats, {percent(found['after'])} quantized, "
            f"on {found['samples']:,} samples"
        )
    lines.append(
        f"the same verdict for {percent(found['agreement'])} of {found['samples']:,} samples; "
        f"quantized by {record['quantizer']} on {record['calibration_samples']} real inputs"
    )
    if record["to_train"]:
        names = ", ".join(record["to_train"])
        lines.append(f"most of the error is added by {names}: train these with quantizers")
    return [*lines, f"written to {record['folder']}"]


def place_text(about: dict[str, Any]) -> list[Parted]:
    """Where it ran, as ``place_line`` names it: a line, or none on this machine."""
    from tinyedge.places import place_line

    line = place_line(about)
    if not line:
        return []
    first, *others = re.split("(?<=,) ", line)
    return [Parted(Text(first), *others)]


def memory_bars(memory: dict[str, Any]) -> Group:
    """Flash and RAM against the board's sizes, with their parts."""
    lines: list[RenderableType] = []
    for label, key, parts in (
        ("Flash", "flash", ("code", "weights", "other")),
        ("RAM", "ram", ("arena", "static", "stack_peak")),
    ):
        used, size = memory[key]["total"], memory[key]["size"]
        share = used / size
        filled = min(round(share * _BAR_CELLS), _BAR_CELLS)
        shown = ", ".join(
            f"{part.replace('_', ' ')} {memory[key][part]:,}"
            for part in parts
            if memory[key][part] is not None
        )
        text = Text(f"{label:<6}[")
        text.append("=" * filled, style="red" if share > 0.9 else "green")
        text.append(" " * (_BAR_CELLS - filled))
        text.append(f"] {100 * share:5.1f} %  {used:,} of {size:,} bytes")
        lines.append(Parted(text, f"({shown})"))
    for region in memory.get("regions") or ():
        used, size = region["total"], region["size"]
        lines.append(f"{region['name']:<6}{100 * used / size:5.1f} %  {used:,} of {size:,} bytes")
    return Group(*lines)


def side_by_side_table(rows: list[dict[str, Any]]) -> Table:
    """Runtimes against each other, a column each; a dash where nothing was measured."""
    table = Table(title="Side by side", title_justify="left")
    table.add_column("")
    for row in rows:
        table.add_column(f"{row['runtime']} ({row['on']})", justify="right")

    def number(value: float | None, form: str = ",.0f") -> str:
        return "-" if value is None else format(value, form)

    lines: list[tuple[str, Callable[[dict[str, Any]], str]]] = [
        ("logits that differ from numpy", lambda row: number(row["mismatched_logits"])),
        ("instructions per inference", lambda row: number(row["instructions"])),
        ("instructions per MAC", lambda row: number(row["instructions_per_mac"], ".2f")),
        *(
            (f"flash: {part}", lambda row, part=part: number((row["flash"] or {}).get(part)))
            for part in ("code", "weights", "other", "total")
        ),
        ("arena, smallest that works", lambda row: number((row["arena"] or {}).get("smallest"))),
        ("  used again (head)", lambda row: number((row["arena"] or {}).get("head"))),
        ("  stays (tail)", lambda row: number((row["arena"] or {}).get("tail"))),
        ("stack, most in use", lambda row: number(row["stack_peak"])),
    ]
    for label, show in lines:
        table.add_row(label, *map(show, rows))
    return table


def profile_table(profile: dict[str, Any], samples: int) -> Table:
    """Formats the cost of each layer, and their sum."""
    unit = profile["unit"] or "count"
    table = Table(
        title=f"Layers on the device, {samples} samples", title_justify="left", show_footer=True
    )
    layers = profile["layers"]
    # Between two readings of a counter lies one count more or less.
    varies = any(layer["min"] and layer["max"] - layer["min"] > 1 for layer in layers)
    total, macs = profile["total"], sum(layer["macs"] for layer in layers)

    def number(value: float | None, form: str = ",.0f") -> str:
        return "-" if value is None else format(value, form)

    for heading in ("layer", "operator", "kernel", "packing"):
        table.add_column(heading, footer="total" if heading == "layer" else "")
    footers = {
        "MACs": f"{macs:,}",
        unit: number(total),
        **({"least": "", "most": ""} if varies else {}),
        "share": percent(None if total is None else 1.0),
        "per MAC": number(total / macs if total is not None and macs else None, ".2f"),
    }
    cycles = profile.get("cycles")
    if cycles is not None:
        footers["cycles (modelled)"] = number(cycles)
        footers["cycles per MAC"] = number(cycles / macs if macs else None, ".2f")
    for heading, footer in footers.items():
        table.add_column(heading, footer=footer, justify="right")
    for layer in layers:
        spread = [number(layer["min"]), number(layer["max"])] if varies else []
        table.add_row(
            layer["name"],
            layer["operator"],
            layer["kernel"] or "(a view)",
            layer["packing"] or "",
            f"{layer['macs']:,}" if layer["macs"] else "",
            number(layer["count"]),
            *spread,
            percent(layer["share"]),
            number(layer["per_mac"], ".2f"),
            *(_cycle_cells(layer) if cycles is not None else ()),
        )
    return table


def _cycle_cells(layer: dict[str, Any]) -> tuple[str, str]:
    """A layer's modelled cycles, in all and a MAC."""
    per_mac = f"{layer['cycles'] / layer['macs']:.2f}" if layer["macs"] else "-"
    return f"{layer['cycles']:,.0f}", per_mac


def trace_table(trace: dict[str, Any], place: str) -> Table:
    """In how many samples each layer's output differs; the first that does stands out."""
    table = Table(title=f"Layers of numpy and {place}", title_justify="left")
    for heading in ("layer", "operator", "kernel"):
        table.add_column(heading)
    for heading in ("values", "differing samples"):
        table.add_column(heading, justify="right")
    first = trace["first_difference"]
    for layer in trace["layers"]:
        table.add_row(
            layer["name"],
            layer["operator"],
            layer["kernel"],
            f"{layer['values']:,}",
            f"{layer['differing_samples']:,}",
            style="bold red" if first and layer["name"] == first["layer"] else "",
        )
    return table
