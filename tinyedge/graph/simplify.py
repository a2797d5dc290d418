"""Rewrites that change no result: every importer ends with them, so equal models are equal graphs.

- A Pad of zeros before a convolution becomes the convolution's padding: no padded copy.
- A Requantize to its own input's grid is only a clamp; it joins the clamp of what it reads.
- Of Reshapes behind each other the last one counts, and one to the shape that is there is dropped.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

import numpy as np

from tinyedge.graph import operators as ops
from tinyedge.graph.graph import Graph


def simplify(graph: Graph) -> Graph:
    """A graph with the same results and no more operators than needed; idempotent."""
    uses = Counter(name for operator in graph.operators for name in operator.inputs)
    kept = [graph.output, *(state.next for state in graph.states.values())]
    uses.update(kept)
    done: list[ops.Operator] = []
    same: dict[str, str] = {}
    for operator in graph.operators:
        inputs = tuple(same.get(name, name) for name in operator.inputs)
        current = replace(operator, inputs=inputs)
        while joined := _joined(graph, done, current, uses):
            current = joined
        source = current.inputs[0]
        if _changes_nothing(graph, current):
            same[current.output] = source
            uses[source] += uses[current.output] - 1
        else:
            done.append(current)
    output = same.get(graph.output, graph.output)
    # In the order in which they are met, wherever an operator may have moved.
    names = dict.fromkeys([graph.input, *graph.states])
    for operator in done:
        names |= dict.fromkeys([*operator.inputs, operator.output])
    return replace(
        graph,
        tensors={name: graph.tensors[name] for name in names},
        operators=tuple(done),
        output=output,
        states={
            name: replace(state, next=same.get(state.next, state.next))
            for name, state in graph.states.items()
        },
        constants={name: graph.constants[name] for name in names if name in graph.constants},
    )


def _changes_nothing(graph: Graph, operator: ops.Operator) -> bool:
    """Whether this is a Reshape to the shape that is there, and not all that the graph does."""
    if not isinstance(operator, ops.Reshape):
        return False
    if (operator.inputs[0], operator.output) == (graph.input, graph.output):
        return False
    return graph.tensors[operator.inputs[0]].shape == operator.shape


def _joined(
    graph: Graph, done: list[ops.Operator], operator: ops.Operator, uses: Counter[str]
) -> ops.Operator | None:
    """The operator with its producer taken in, which leaves ``done``; None where that cannot be."""
    if len(operator.inputs) != 1 or uses[operator.inputs[0]] != 1:
        return None
    for position, producer in enumerate(done):
        if producer.output == operator.inputs[0]:
            for join in (_pad_into_window, _clamp_into_producer, _without_reshape):
                if joined := join(graph, producer, operator):
                    del done[position]
                    return joined
    return None


def _pad_into_window(
    graph: Graph, first: ops.Operator, second: ops.Operator
) -> ops.Operator | None:
    if not isinstance(first, ops.Pad) or not isinstance(second, ops.Conv2D | ops.DepthwiseConv2D):
        return None
    zero = first.filler(graph.tensors[first.output]) == (
        graph.tensors[first.output].quantization.zero_point
    )
    both = np.add(first.padding, second.padding).tolist()
    height, width = second.window()
    if not zero or any(first.channels) or max(both[:2]) >= height or max(both[2:]) >= width:
        return None
    return replace(second, inputs=first.inputs, padding=tuple(both))


def _clamp_into_producer(
    graph: Graph, first: ops.Operator, second: ops.Operator
) -> ops.Operator | None:
    if not isinstance(first, ops.Clamped) or not isinstance(second, ops.Requantize):
        return None
    middle, output = graph.tensors[first.output], graph.tensors[second.output]
    if middle.quantization != output.quantization:
        return None
    low, high = np.clip(first.clamp, *second.clamp).tolist()
    return replace(first, name=second.name, output=second.output, clamp=(low, high))


def _without_reshape(
    graph: Graph, first: ops.Operator, second: ops.Operator
) -> ops.Operator | None:
    if not isinstance(second, ops.Reshape) or isinstance(first, ops.Part):
        return None  # an input keeps its name
    if second.shape == graph.tensors[first.output].shape:
        return replace(first, name=second.name, output=second.output)
    return replace(second, inputs=first.inputs) if isinstance(first, ops.Reshape) else None
