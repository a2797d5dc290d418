"""The arena: where every activation lies, planned before anything runs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from tinyedge.graph.graph import Graph
from tinyedge.graph.operators import Reshape

ALIGNMENT = 4
"""Bytes; every buffer starts on a word so that kernels may read words."""


@dataclass(frozen=True)
class Buffer:
    """A stretch of the arena that is alive from one operator to another, both included."""

    name: str
    size: int
    first: int
    last: int
    offset: int = 0

    def overlaps_in_time(self, other: Buffer) -> bool:
        """Whether both are alive at once."""
        return self.first <= other.last and other.first <= self.last


@dataclass(frozen=True)
class MemoryPlan:
    """A static plan of the arena.

    Attributes:
        offsets: byte offset of every tensor; tensors that a Reshape joins share one.
        scratch: byte offset of the scratch buffer of every operator that asked for one.
        size: bytes of the whole arena.
        lower_bound: bytes alive at the fullest moment; no plan can be smaller.
    """

    offsets: dict[str, int]
    scratch: dict[str, int]
    size: int
    lower_bound: int


def _aligned(size: int) -> int:
    return -(-size // ALIGNMENT) * ALIGNMENT


def plan_memory(graph: Graph, scratch: Mapping[str, int] | None = None) -> MemoryPlan:
    """Places all activations and scratch buffers, largest first, each at the lowest free offset.

    Args:
        graph: the graph.
        scratch: bytes of scratch for operators by name, alive only while they run.
    """
    owner = {graph.input: graph.input}
    alive: dict[str, list[int]] = {graph.input: [0, 0]}
    for index, operator in enumerate(graph.operators):
        for name in operator.inputs:
            if name not in graph.constants:
                alive[owner[name]][1] = index
        if isinstance(operator, Reshape):
            owner[operator.output] = owner[operator.inputs[0]]
        else:
            owner[operator.output] = operator.output
            alive[operator.output] = [index, index]
    alive[owner[graph.output]][1] = len(graph.operators)

    buffers = [
        Buffer(name, _aligned(graph.tensors[name].size), first, last)
        for name, (first, last) in alive.items()
    ]
    positions = {operator.name: index for index, operator in enumerate(graph.operators)}
    scratch_names = {}
    for name, size in (scratch or {}).items():
        if size:
            scratch_names[name] = f"scratch of {name}"
            buffers.append(
                Buffer(scratch_names[name], _aligned(size), positions[name], positions[name])
            )

    placed: dict[str, Buffer] = {}
    for buffer in sorted(buffers, key=lambda b: (-b.size, b.first, b.name)):
        offset = 0
        for other in sorted(placed.values(), key=lambda b: b.offset):
            if other.overlaps_in_time(buffer) and other.offset < offset + buffer.size:
                offset = max(offset, other.offset + other.size)
        placed[buffer.name] = Buffer(buffer.name, buffer.size, buffer.first, buffer.last, offset)

    return MemoryPlan(
        offsets={name: placed[owned].offset for name, owned in owner.items()},
        scratch={name: placed[key].offset for name, key in scratch_names.items()},
        size=max(buffer.offset + buffer.size for buffer in placed.values()),
        lower_bound=max(
            sum(b.size for b in buffers if b.first <= moment <= b.last)
            for moment in range(len(graph.operators) + 1)
        ),
    )
