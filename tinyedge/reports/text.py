"""Figures in words, for every form of report."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from tinyedge.naming import in_markdown

_HASH = re.compile("[0-9a-f]{64}")
DASH = "\N{EN DASH}"
"""Stands where there is no figure."""


def percent(share: float | None, digits: int = 2) -> str:
    """A share as a percentage."""
    return DASH if share is None else f"{100 * share:.{digits}f} %"


def interval(ends: Sequence[float] | None) -> str:
    """Both ends of an interval of shares, in per cent."""
    return DASH if ends is None else f"{100 * ends[0]:.1f} to {100 * ends[1]:.1f}"


def number(value: float | None) -> str:
    """A count, or a measured number with four digits."""
    if value is None:
        return DASH
    if float(value).is_integer():
        return f"{value:,.0f}"
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.4g}"


def bytes_(value: float | None) -> str:
    """Bytes: one unit for all of a page, so that its figures can be compared and added."""
    return DASH if value is None else f"{value:,.0f} bytes"


def cost(value: float | None, unit: str) -> str:
    """Instructions, cycles or seconds of an inference."""
    if value is None:
        return DASH
    if unit == "seconds":
        return f"{value * 1e3:,.3f} ms"
    return f"{value:,.0f}"


def count(many: int, of: str) -> str:
    """So many of something."""
    return f"{many:,} {of}" + ("" if many == 1 else "s")


def epsilon(value: float) -> str:
    """A budget, and how many of 255 steps of a range of one it is where that is even."""
    steps = 255 * value
    if 0.5 < steps < 128 and abs(steps - round(steps)) < 1e-3:
        return f"{value:.4g} ({round(steps)}/255)"
    return f"{value:.4g}"


def setting(value: Any) -> str:
    """The value of a setting of a suite."""
    if isinstance(value, dict):
        return ", ".join(f"{key} {setting(each)}" for key, each in value.items())
    if isinstance(value, list | tuple):
        shown = ", ".join(map(setting, value[:8]))
        return f"{shown}, … ({len(value)})" if len(value) > 8 else shown
    if isinstance(value, str) and _HASH.fullmatch(value):
        return f"{value[:12]}…"
    return f"{value:.6g}" if isinstance(value, float) else str(value)


def norm(name: str | None) -> str:
    """The norm of a budget."""
    return {"Linf": "L∞", "L2": "L2"}.get(name or "", name or DASH)


def cell(value: Any) -> str:
    """A text that cannot end the cell of a Markdown table, nor begin markup."""
    return in_markdown(value)
