"""The record of ``tinyedge selftest`` as Markdown, to attach to an issue."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any


def selftest_markdown(record: Mapping[str, Any]) -> str:
    """The report; ``record`` is what ``selftest`` gives."""
    place = record["emulator"] or "the board itself"
    versions = record["versions"]
    parts = [
        f"# Self-test of {record['board']}: {'passed' if record['passed'] else 'failed'}",
        "\n".join(
            _table(
                ("", ""),
                [
                    ("Part", f"{record['mcu']}, {record['core']}, {record['clock_hz']:,} Hz"),
                    ("Run on", place),
                    ("Link", f"{record['baud']} baud"),
                    ("Compiler", record["compiler"]),
                    ("tinyedge", f"{versions['tinyedge']}, Python {versions['python']}"),
                    ("System", versions["system"]),
                    ("Date", record["date"]),
                    ("Firmware", record["firmware"]),
                ],
            )
        ),
        "\n".join(
            _table(
                ("Step", "Result", "Seconds"),
                [
                    (step["step"], step["wrong"] or "passed", f"{step['seconds']:.2f}")
                    for step in record["steps"]
                ],
            )
        ),
    ]
    if record["kernels"]:
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
        parts.append("\n".join(_table(("Layer", "Kernel", "Bytes", unit), rows)))
    parts += selftest_lines(record)
    return "\n\n".join(parts) + "\n"


def selftest_lines(record: Mapping[str, Any]) -> list[str]:
    """What the record says of round trips, faults and timing, a sentence each."""
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


def _table(heads: Iterable[str], rows: Iterable[Iterable[object]]) -> list[str]:
    def line(cells: Iterable[object]) -> str:
        return "| " + " | ".join(str(cell).replace("|", "\\|") for cell in cells) + " |"

    head = list(heads)
    return [line(head), line("---" for _ in head), *map(line, rows)]
