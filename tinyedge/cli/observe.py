"""How ``tinyedge run --profile`` and ``--trace`` are shown."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

    from rich.console import RenderableType

_NOTHING_COUNTED = (
    "{} counts nothing. QEMU counts instructions (--on emulator --emulator qemu), a board cycles."
)


def observed_text(record: Mapping[str, Any]) -> list[RenderableType]:
    """Formats the record of a watched run as the text that people read."""
    from tinyedge.cli.tables import place_text, profile_table, trace_table

    place = record["on"]
    text: list[RenderableType] = [*place_text(dict(record))]
    if profile := record.get("profile"):
        text.append(profile_table(profile, record["samples"]))
        text.append(
            _profile_line(profile, place)
            if profile["unit"]
            else _NOTHING_COUNTED.format(record.get("emulator") or f"The {place}")
        )
        if board := profile.get("instead_of"):
            text.append(
                f"The emulator of {board} counts nothing: the same kernels ran on QEMU's "
                f"{record['board']}, which has the same core."
            )
        if profile.get("cycles") is not None:
            text.append(_cycle_line(profile, board or record["board"]))
        elif profile["unit"] == "instructions" and profile.get("no_cycles"):
            text.append(f"No cycles: {profile['no_cycles']}.")
    if trace := record.get("trace"):
        text.append(trace_table(trace, place))
    return text


def _cycle_line(profile: dict[str, Any], board: str) -> str:
    """Says what the modelled cycles include, and what they leave out."""
    seconds = profile["estimated_seconds"]
    return (
        f"Cycles are modelled, not measured: the timings of a {profile['cycle_model']}, no wait "
        f"states. At the clock of {board} an inference takes an estimated {1e3 * seconds:,.2f} ms."
    )


def _profile_line(profile: dict[str, Any], place: str) -> str:
    """Gives the cost of measuring."""
    whole, overhead, unit = profile["whole"], profile["overhead"], profile["unit"]
    firmware = "The ordinary firmware" if place == "emulator" else "The same firmware, not watched,"
    time = f" ({1e3 * whole / profile['hz']:,.2f} ms)" if profile["hz"] else ""
    return (
        f"{firmware} takes {whole:,.0f} {unit}{time} an inference; measuring adds {overhead:,.0f} "
        f"({100 * overhead / whole:.2f} %)."
    )
