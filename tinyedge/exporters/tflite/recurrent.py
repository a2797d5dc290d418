"""Operators that keep states of their own in a ``.tflite`` file, as its variable tensors.

In the graph their states are read and assigned like any others. Here what belongs to such an
operator is found: the states, and the parts of its output that are the result and the next states.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from tinyedge.graph import operators as ops
from tinyedge.graph.graph import Graph
from tinyedge.graph.recurrent import Lstm, Svdf

SUFFIX = "/all"
"""The end of the whole output's name in the importer, behind the file's own name."""

Recurrent = Lstm | Svdf


@dataclass(frozen=True)
class Absorbed:
    """A recurrent operator with all that one operator of the file says.

    Attributes:
        operator: itself.
        result: name of the tensor that the file's operator writes.
        shape: of it.
        written: whether it is a tensor of the graph; else a RESHAPE has to lead to ``part``.
        part: name of the tensor of the graph that holds the result.
        others: names of the graph's operators that the file does not have.
    """

    operator: Recurrent
    result: str
    shape: tuple[int, ...]
    written: bool
    part: str
    others: frozenset[str]


def absorbed(graph: Graph) -> Iterator[Absorbed]:
    """The recurrent operators of a graph.

    Raises:
        ModelError: one is used in a way that a ``.tflite`` file cannot say.
    """
    readers: dict[str, list[ops.Operator]] = {}
    for each in graph.operators:
        for name in set(each.inputs):
            readers.setdefault(name, []).append(each)
    kept = {state.next: name for name, state in graph.states.items()}
    for operator in graph.operators:
        if not isinstance(operator, Recurrent):
            continue
        parts = [each for each in readers.get(operator.output, []) if isinstance(each, ops.Slice)]
        nexts = [each for each in parts if each.output in kept]
        results = [each for each in parts if each not in nexts]
        states = operator.inputs[1:]
        own = {kept[each.output]: each.begin[0] for each in nexts}
        right = (
            own == dict(zip(states, _begins(graph, operator), strict=True))
            and len(results) == 1
            and results[0].begin == (0,)
            and results[0].size == (_size(graph, operator),)
            and len(parts) == len(readers[operator.output])
            and all(readers[name] == [operator] for name in states)
            and not any(each.output in readers for each in nexts)
        )
        if not right:
            raise operator.fail("a .tflite file has no operator that is used so")
        yield _absorbed(graph, operator, results[0], nexts, readers)


def _absorbed(
    graph: Graph,
    operator: Recurrent,
    part: ops.Slice,
    nexts: list[ops.Slice],
    readers: dict[str, list[ops.Operator]],
) -> Absorbed:
    shape = _shape(graph, operator)
    behind = readers.get(part.output, [])
    others = {each.name for each in nexts} | {part.name}
    named = operator.output.removesuffix(SUFFIX)
    if part.output == named and graph.tensors[named].shape == shape:
        return Absorbed(operator, named, shape, True, named, frozenset(others))
    if len(behind) == 1 and isinstance(behind[0], ops.Reshape) and part.output != graph.output:
        last = behind[0]
        if last.output == named and last.shape == shape:
            others.add(last.name)
            return Absorbed(operator, named, shape, True, named, frozenset(others))
    return Absorbed(operator, named, shape, False, part.output, frozenset(others))


def _shape(graph: Graph, operator: Recurrent) -> tuple[int, ...]:
    """The shape of the file's result, without the batch."""
    if isinstance(operator, Lstm):
        return (graph.tensors[operator.inputs[0]].shape[0], operator.units)
    return (len(operator.bias),)


def _size(graph: Graph, operator: Recurrent) -> int:
    whole = graph.tensors[operator.output].size
    return whole - sum(graph.tensors[name].size for name in operator.inputs[-1:])


def _begins(graph: Graph, operator: Recurrent) -> list[int]:
    """Where the next states begin in the output."""
    size = _size(graph, operator)
    return [size - operator.units, size] if isinstance(operator, Lstm) else [size]
