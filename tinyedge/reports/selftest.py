"""The record of ``tinyedge selftest`` as Markdown, to attach to an issue."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tinyedge.reports.notebook import Table, markdown


def selftest_markdown(record: Mapping[str, Any]) -> str:
    """The report; ``record`` is what ``selftest`` gives, of one board or of a bench."""
    if "boards" in record:
        word = "passed" if record["passed"] else "failed"
        parts = [f"# Self-test of a bench: {word}\n\n{markdown([bench_table(record)])}\n"]
        parts += [f"#{selftest_markdown(each)}" for each in record["boards"] if "steps" in each]
        return "\n".join(parts)
    tables = [_board_table(record), steps_table(record)]
    if record["kernels"]:
        tables.append(_kernel_table(record))
    title = f"# Self-test of {record['board']}: {'passed' if record['passed'] else 'failed'}"
    return "\n\n".join((title, markdown(tables), *selftest_lines(record))) + "\n"


def failure_of(record: Mapping[str, Any]) -> str:
    """The failed steps of one board."""
    if "error" in record:
        return f"{record['board']}: {record['error']}"
    failed = [step for step in record["steps"] if not step["passed"]]
    return (
        f"{record['board']}: {len(failed)} of {len(record['steps'])} steps failed; "
        f"{failed[0]['step']}: {failed[0]['wrong']}"
    )


def bench_table(record: Mapping[str, Any]) -> Table:
    """The boards of a bench, and what came of each."""
    rows = [
        (
            each["board"],
            "the board itself" if each["on"] == "board" else each.get("emulator") or "emulator",
            "passed" if each["passed"] else failure_of(each).partition(": ")[2],
        )
        for each in record["boards"]
    ]
    return Table("Boards", ("board", "run on", "result"), rows)


def steps_table(record: Mapping[str, Any]) -> Table:
    """Formats the steps that were tried, and their outcomes."""
    rows = [
        (step["step"], step["wrong"] or "passed", f"{step['seconds']:.2f}")
        for step in record["steps"]
    ]
    return Table("Steps", ("step", "result", "seconds"), rows)


def _board_table(record: Mapping[str, Any]) -> Table:
    versions = record["versions"]
    rows = [
        ("part", f"{record['mcu']}, {record['core']}, {record['clock_hz']:,} Hz"),
        ("run on", record["emulator"] or "the board itself"),
        ("link", f"{record['baud']} baud"),
        ("compiler", record["compiler"]),
        ("tinyedge", f"{versions['tinyedge']}, Python {versions['python']}"),
        ("system", versions["system"]),
        ("date", record["date"]),
        ("firmware", record["firmware"]),
    ]
    return Table("Board", ("", ""), rows)


def _kernel_table(record: Mapping[str, Any]) -> Table:
    unit = record["timing"]["unit"] if record["timing"] else "counts"
    rows = [
        (
            row["layer"],
            row["kernel"],
            "differs" if row["differing_samples"] else "equal",
            "-" if row["count"] is None else f"{row['count']:,.0f}",
        )
        for row in record["kernels"]
    ]
    return Table("Kernels", ("layer", "kernel", "bytes", unit), rows)


def selftest_lines(record: Mapping[str, Any]) -> list[str]:
    """Formats the record of round trips, faults and timing, a sentence each."""
    said = []
    if ping := record["round_trip_ms"]:
        said.append(f"A round trip takes {ping['median']} ms ({ping['least']} to {ping['most']}).")
    if faults := record["faults"]:
        said.append(
            f"{faults['samples']} answers over a line with {faults['injected']} faults; "
            f"{faults['sent_again']} requests were sent again."
        )
    if timing := record["timing"]:
        time = f", {timing['ms']:.3f} ms" if timing["ms"] else ""
        said.append(f"An inference takes {timing['inference']:,.0f} {timing['unit']}{time}.")
    return said
