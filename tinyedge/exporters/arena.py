"""A picture of the arena: every buffer's lifetime and place."""

from __future__ import annotations

from typing import Any

from tinyedge.graph.graph import Graph
from tinyedge.graph.memory import Buffer, MemoryPlan
from tinyedge.templates import render_template

_COLUMN = 44
_LEFT, _TOP, _PLOT_HEIGHT, _NAMES = 80, 48, 360, 130
_TICKS = 4
_SMALLEST_LABEL = 14
_ACTIVATION, _SCRATCH = "#8db4e2", "#f0c36d"


def arena_svg(graph: Graph, plan: MemoryPlan) -> str:
    """The plan as an SVG image: operators from left to right, addresses upwards.

    Args:
        graph: the graph.
        plan: its memory plan.
    """
    operators = [operator.name for operator in graph.operators]
    moments = len(operators) + 1
    right = _LEFT + _COLUMN * moments
    bottom = _TOP + _PLOT_HEIGHT
    scale = _PLOT_HEIGHT / max(plan.size, 1)

    def box(buffer: Buffer) -> dict[str, Any]:
        height = buffer.size * scale
        first = operators[min(buffer.first, len(operators) - 1)]
        last = operators[min(buffer.last, len(operators) - 1)]
        return {
            "name": buffer.name,
            "size": buffer.size,
            "offset": buffer.offset,
            "lifetime": f"from {first} to {last}",
            "x": _LEFT + _COLUMN * buffer.first,
            "y": round(bottom - buffer.end * scale, 2),
            "width": _COLUMN * (buffer.last - buffer.first + 1),
            "height": round(height, 2),
            "fill": _SCRATCH if buffer.name.startswith("scratch of ") else _ACTIVATION,
            "label": _short(buffer) if height >= _SMALLEST_LABEL else "",
        }

    ticks = [plan.size * index // _TICKS for index in range(_TICKS + 1)]
    return render_template(
        "model/arena.svg.j2",
        {
            "name": graph.name,
            "size": plan.size,
            "lower_bound": plan.lower_bound,
            "width": right + 90,
            "height": bottom + _NAMES,
            "left": _LEFT,
            "right": right,
            "bound_y": round(bottom - plan.lower_bound * scale, 2),
            "ticks": [{"bytes": tick, "y": round(bottom - tick * scale, 2)} for tick in ticks],
            "boxes": [box(buffer) for buffer in plan.buffers],
            "columns": [
                {"name": name, "x": _LEFT + _COLUMN * index + 14, "y": bottom + 14}
                for index, name in enumerate(operators)
            ],
        },
    )


def _short(buffer: Buffer) -> str:
    """As much of a buffer's name as its box has room for."""
    name = buffer.name.removeprefix("scratch of ")
    room = (buffer.last - buffer.first + 1) * _COLUMN // 7
    return name if len(name) <= room else f"{name[: max(room - 1, 1)]}…"
