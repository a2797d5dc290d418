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
    uses[graph.output] += 1
    done: list[ops.Operator] = []
    for operator in graph.operators:
        current = operator
        while joined := _joined(graph, done, current, uses):
            current = joined
        done.append(current)
    used = {graph.input, graph.output, *graph.constants}
    used |= {name for operator in done for name in (*operator.inputs, operator.output)}
    tensors = {name: tensor for name, tensor in graph.tensors.items() if name in used}
    return replace(graph, tensors=tensors, operators=tuple(done))


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
    if not isinstance(second, ops.Reshape):
        return None
    if second.shape == graph.tensors[first.output].shape:
        return replace(first, name=second.name, output=second.output)
    return replace(second, inputs=first.inputs) if isinstance(first, ops.Reshape) else None
