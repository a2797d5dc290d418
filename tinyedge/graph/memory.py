"""The arena: where every activation lies, planned before anything runs."""

from __future__ import annotations

import random
from collections.abc import Callable, Container, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

from tinyedge.graph.graph import Graph
from tinyedge.graph.operators import Operator, Part, Reshape

ALIGNMENT = 4
"""Bytes; every buffer starts on a word so that kernels may read words."""
_PLACEMENTS = 60_000
"""Buffers placed in search of a better order, where the first orders do not reach the bound."""


@dataclass(frozen=True)
class Buffer:
    """A stretch of the arena that is alive from one operator to another, both included."""

    name: str
    size: int
    first: int
    last: int
    offset: int = 0

    @property
    def end(self) -> int:
        """The first byte behind it."""
        return self.offset + self.size

    def overlaps_in_time(self, other: Buffer) -> bool:
        """Whether both are alive at once."""
        return self.first <= other.last and other.first <= self.last


Leads = Mapping[tuple[str, str], int]
"""For (input, output) buffers of one operator: how many bytes beyond the input's offset the
output's may lie, at most, where both overlap."""
Views = Callable[[Operator], bool]
"""Whether an operator's output lies in its input."""


@dataclass(frozen=True)
class MemoryPlan:
    """A static plan of the arena.

    Attributes:
        offsets: byte offset of every tensor; tensors that a Reshape joins share one. Constants
            and states, and what only reshapes states, lie elsewhere.
        scratch: byte offset of the scratch buffer of every operator that asked for one.
        buffers: all of them with their lifetimes, in the order of their birth.
        size: bytes of the whole arena.
        lower_bound: bytes that the fullest moment needs, or a chain of outputs that have to start
            before the inputs that they overwrite; no plan can be smaller.
        states: byte offset, in memory that is kept from one inference to the next, of every state
            and of what only reshapes one.
        state_size: bytes of that memory.
    """

    offsets: dict[str, int]
    scratch: dict[str, int]
    buffers: tuple[Buffer, ...]
    size: int
    lower_bound: int
    states: dict[str, int]
    state_size: int


def lies_in_input(operator: Operator) -> bool:
    """Whether the output is bytes of the input, where it lies."""
    return is_whole_input(operator) or (
        isinstance(operator, Part) and operator.begin % ALIGNMENT == 0
    )


def is_whole_input(operator: Operator) -> bool:
    """Whether the output is the input, in another shape."""
    return isinstance(operator, Reshape)


def _aligned(size: int) -> int:
    return -(-size // ALIGNMENT) * ALIGNMENT


class Demand:
    """The arena's demand while an operator runs, by its kernel's needs.

    Args:
        graph: the graph.

    Attributes:
        activations: bytes of the fullest moment where no output overwrites an input.
    """

    def __init__(self, graph: Graph) -> None:
        self._graph = graph
        self._owner, self._buffers = _activations(graph, lies_in_input)
        self._begins = _begins(graph, lies_in_input)
        self._by_name = {buffer.name: buffer for buffer in self._buffers}
        self._positions = {operator.name: i for i, operator in enumerate(graph.operators)}
        moments = range(len(graph.operators) + 1)
        self.activations = max(_needed(moment, self._buffers, {}) for moment in moments)

    def of(self, operator: Operator, scratch: int, leads: Sequence[int | None]) -> int:
        """Bytes that have to exist while an operator runs.

        Args:
            operator: of the graph.
            scratch: bytes that its kernel takes.
            leads: of its kernel, as ``plan_memory`` takes them.
        """
        moment = self._positions[operator.name]
        of_one = {operator.name: leads}
        allowed = _allowed(self._graph, self._owner, self._by_name, of_one, self._begins)
        return _needed(moment, self._buffers, allowed) + _aligned(scratch)


def plan_memory(
    graph: Graph,
    scratch: Mapping[str, int] | None = None,
    leads: Mapping[str, Sequence[int | None]] | None = None,
    views: Views = lies_in_input,
) -> MemoryPlan:
    """Places all activations and scratch buffers.

    An operator's output may overwrite an input that is not needed any more, as far as its kernel
    allows. Buffers are placed one by one, each at the lowest offset that is free; several orders
    are tried, and the smallest plan is kept. The same graph gives the same plan.

    Args:
        graph: the graph.
        scratch: bytes of scratch for operators by name, alive only while they run.
        leads: for operators by name, and for each of their inputs, how many bytes beyond the
            input's address the output's may lie; None where they have to lie apart.
        views: whether an operator's output lies in its input.
    """
    owner, buffers = _activations(graph, views)
    begins = _begins(graph, views)
    by_name = {buffer.name: buffer for buffer in buffers}
    allowed = _allowed(graph, owner, by_name, leads or {}, begins)
    positions = {operator.name: index for index, operator in enumerate(graph.operators)}
    scratch_names = {}
    for name, size in (scratch or {}).items():
        if size:
            scratch_names[name] = f"scratch of {name}"
            moment = positions[name]
            buffers.append(Buffer(scratch_names[name], _aligned(size), moment, moment))

    lower_bound = max(
        *(_needed(moment, buffers, allowed) for moment in range(len(graph.operators) + 1)),
        *_drifts(buffers, allowed),
    )
    placed = _best(buffers, set(scratch_names.values()), allowed, lower_bound)
    kept, state_size = {}, 0
    for name in graph.states:
        kept[name] = state_size
        state_size += _aligned(graph.tensors[name].size)
    return MemoryPlan(
        offsets={
            name: placed[at].offset + begins.get(name, 0)
            for name, at in owner.items()
            if at not in kept
        },
        scratch={name: placed[key].offset for name, key in scratch_names.items()},
        buffers=tuple(sorted(placed.values(), key=lambda b: (b.first, b.name))),
        size=max(buffer.end for buffer in placed.values()),
        lower_bound=lower_bound,
        states={name: kept[at] for name, at in owner.items() if at in kept},
        state_size=state_size,
    )


def assignments(graph: Graph) -> dict[str, int]:
    """For each state, the index of the operator behind which it takes its next value.

    That is as soon as this is computed, and nothing reads the old one any more.
    """
    owner = {name: name for name in graph.states}
    last: dict[str, int] = {}
    written: dict[str, int] = {}
    for index, operator in enumerate(graph.operators):
        written[operator.output] = index
        for name in operator.inputs:
            if name in owner:
                last[owner[name]] = index
        if is_whole_input(operator) and operator.inputs[0] in owner:
            owner[operator.output] = owner[operator.inputs[0]]
    return {
        name: max(written[state.next], last.get(name, 0)) for name, state in graph.states.items()
    }


def _activations(graph: Graph, views: Views) -> tuple[dict[str, str], list[Buffer]]:
    """The buffer that each tensor lies in, and those buffers."""
    owner = {name: name for name in (graph.input, *graph.states)}
    alive: dict[str, list[int]] = {graph.input: [0, 0]}
    for index, operator in enumerate(graph.operators):
        for name in operator.inputs:
            if name not in graph.constants and owner[name] not in graph.states:
                alive[owner[name]][1] = index
        if views(operator):
            owner[operator.output] = owner[operator.inputs[0]]
        else:
            owner[operator.output] = operator.output
            alive[operator.output] = [index, index]
    for name, index in assignments(graph).items():
        span = alive[owner[graph.states[name].next]]
        # The write of the state's last reader may not lie over the next value, its input.
        span[1] = max(span[1], index + (index != span[0]))
    alive[owner[graph.output]][1] = len(graph.operators)
    return owner, [
        Buffer(name, _aligned(graph.tensors[name].size), first, last)
        for name, (first, last) in alive.items()
    ]


def _begins(graph: Graph, views: Views) -> dict[str, int]:
    """Where tensors begin in the buffers that they lie in, where that is not at their start."""
    begins: dict[str, int] = {}
    for operator in graph.operators:
        if views(operator):
            begin = begins.get(operator.inputs[0], 0)
            begins[operator.output] = begin + getattr(operator, "begin", 0)
    return begins


def _allowed(
    graph: Graph,
    owner: Mapping[str, str],
    buffers: Mapping[str, Buffer],
    leads: Mapping[str, Sequence[int | None]],
    begins: Mapping[str, int],
) -> dict[tuple[str, str], int]:
    """The overlaps that kernels allow, of inputs that die where the output is born."""
    allowed: dict[tuple[str, str], int] = {}
    forbidden: set[tuple[str, str]] = set()
    for index, operator in enumerate(graph.operators):
        limits = leads.get(operator.name, ())
        for which, name in enumerate(operator.inputs):
            if name in graph.constants or owner[name] in graph.states:
                continue
            pair = (owner[name], owner[operator.output])
            lead = limits[which] if which < len(limits) else None
            if lead is None or buffers[pair[0]].last != index or pair[0] == pair[1]:
                forbidden.add(pair)
            else:
                lead = (lead + begins.get(name, 0)) // ALIGNMENT * ALIGNMENT
                allowed[pair] = min(lead, allowed.get(pair, lead))
    return {pair: lead for pair, lead in allowed.items() if pair not in forbidden}


def _needed(moment: int, buffers: Iterable[Buffer], leads: Leads) -> int:
    """Bytes that have to exist at a moment, however they are placed."""
    alive = {b.name: b.size for b in buffers if b.first <= moment <= b.last}
    saved: dict[str, int] = {}
    for (source, output), lead in leads.items():
        if source in alive and output in alive:
            ahead = min(lead, 0)
            union = max(alive[source] - ahead, alive[output])
            shared = max(alive[source] + alive[output] - union, 0)
            saved[output] = min(saved.get(output, 0) + shared, alive[output])
    return sum(alive.values()) - sum(saved.values())


def _drifts(buffers: Sequence[Buffer], leads: Leads) -> list[int]:
    """Bytes that chains of outputs over inputs need, each output starting before its input.

    In any plan a pair of a chain either overlaps, and the offset falls by its negative lead, or
    lies apart, and both are needed at once. The best choice is found link by link.
    """
    by_name = {buffer.name: buffer for buffer in buffers}
    following = dict(iter(leads))
    bounds = []
    for start in set(following) - {output for _, output in leads}:
        chain = [start]
        while chain[-1] in following:
            chain.append(following[chain[-1]])
        pairs = list(pairwise(chain))
        apart = [
            _needed(by_name[pair[1]].first, buffers, {k: v for k, v in leads.items() if k != pair})
            for pair in pairs
        ]
        best: list[int] = []
        for end in range(len(chain)):
            choices, drift, widest = [], 0, 0
            for first in range(end, -1, -1):
                if first < end:
                    drift = max(drift - leads[pairs[first]], 0)
                widest = max(widest, by_name[chain[first]].size + drift)
                before = max(best[first - 1], apart[first - 1]) if first else 0
                choices.append(max(before, widest))
            best.append(min(choices))
        bounds.append(best[-1])
    return bounds


def _fits(buffer: Buffer, offset: int, other: Buffer, leads: Leads) -> bool:
    """Whether a buffer may lie at an offset beside one that was placed."""
    if offset + buffer.size <= other.offset or other.end <= offset:
        return True
    after = leads.get((other.name, buffer.name))
    before = leads.get((buffer.name, other.name))
    if after is not None and offset - other.offset <= after:
        return True
    return before is not None and other.offset - offset <= before


def _place(order: Iterable[Buffer], leads: Leads) -> dict[str, Buffer]:
    placed: dict[str, Buffer] = {}
    for buffer in order:
        others = [other for other in placed.values() if other.overlaps_in_time(buffer)]
        offsets = {0, *(other.end for other in others)}
        for other in others:
            if (after := leads.get((other.name, buffer.name))) is not None:
                offsets.add(max(other.offset + after, 0))
                offsets.add(other.offset)
            if (before := leads.get((buffer.name, other.name))) is not None:
                offsets.add(max(other.offset - before, 0))
                offsets.add(other.offset)
        offset = next(
            offset
            for offset in sorted(offsets)
            if all(_fits(buffer, offset, other, leads) for other in others)
        )
        placed[buffer.name] = Buffer(buffer.name, buffer.size, buffer.first, buffer.last, offset)
    return placed


def _best(
    buffers: Sequence[Buffer], scratch: Container[str], leads: Leads, lower_bound: int
) -> dict[str, Buffer]:
    """The smallest of the plans that several orders give."""

    def size(placed: Mapping[str, Buffer]) -> int:
        return max(buffer.end for buffer in placed.values())

    by_size = sorted(buffers, key=lambda b: (-b.size, b.first, b.name))
    orders = [
        by_size,
        sorted(buffers, key=lambda b: (b.first, -b.size, b.name)),
        sorted(buffers, key=lambda b: (b.first - b.last, -b.size, b.name)),
        # From the end: where outputs have to start before the inputs that they overwrite, the last
        # one lies lowest.
        sorted(buffers, key=lambda b: (-b.first, -b.size, b.name)),
        sorted(buffers, key=lambda b: (b.name in scratch, -b.first, -b.size, b.name)),
    ]
    best = min((_place(order, leads) for order in orders), key=size)
    shuffled = list(min(orders, key=lambda order: size(_place(order, leads))))
    generator = random.Random(0)  # noqa: S311 - a search, not a secret
    for _ in range(_PLACEMENTS // len(buffers)):
        if size(best) == lower_bound:
            break
        attempt = list(shuffled)
        a, b = generator.randrange(len(attempt)), generator.randrange(len(attempt))
        attempt.insert(b, attempt.pop(a))
        placed = _place(attempt, leads)
        if size(placed) <= size(best):
            best, shuffled = placed, attempt
    return best
