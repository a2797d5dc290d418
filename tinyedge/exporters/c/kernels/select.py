"""The choice of kernels, by the core's instructions and by what is to be optimized."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace

from tinyedge.exporters.c.kernels import (
    cells,
    depthwise,
    dsp,
    lut,
    mve,
    patch,
    quad,
    recurrent,  # noqa: F401 - its plain kernels register themselves
)
from tinyedge.exporters.c.kernels.kernel import CodeOptions, Kernel
from tinyedge.exporters.c.kernels.plain import plain_kernel
from tinyedge.exporters.c.kernels.smallest import smallest
from tinyedge.graph import operators as ops
from tinyedge.graph.graph import Graph
from tinyedge.graph.memory import Demand

_CANDIDATES: dict[type[ops.Operator], tuple[Callable[..., Kernel | None], ...]] = {
    ops.Conv2D: (mve.conv2d, quad.conv1x1, lut.conv2d, dsp.conv2d, patch.conv2d),
    ops.FullyConnected: (
        mve.fully_connected,
        quad.fully_connected,
        dsp.fully_connected,
        patch.fully_connected,
    ),
    ops.DepthwiseConv2D: (
        mve.depthwise_conv2d,
        cells.few_windows,
        depthwise.depthwise_conv2d,
        cells.depthwise_conv2d,
    ),
}
"""Fast kernels, the fastest first; what none computes is left to the plain ones."""

_FULL_BITS = 8

# Bytes that TFLite-Micro takes at least beside activations, on a 64-bit machine.
_FIXED = 700
_TENSOR = 24
_OPERATOR = 64
_WEIGHTED = 80
_CHANNEL = 8


def select_kernels(
    graph: Graph, identifiers: Mapping[str, str], options: CodeOptions
) -> dict[str, Kernel]:
    """The kernels of a graph's operators, by name; operators that need no code have none.

    Of weights with 8 bits a kernel may take scratch as long as the arena stays within what
    TFLite-Micro takes at least; where the fastest one would take more, the next is chosen. For
    ``fastest`` any scratch is accepted, for ``ram`` all are kept to the least arena. For ``size``
    those are chosen that take the least flash together, with the code that they need.

    Args:
        graph: the graph.
        identifiers: prefix of each operator's arrays in C, by its name.
        options: what the code is made for.
    """
    demand = Demand(graph)
    found: dict[str, list[Kernel]] = {}
    needs: dict[str, list[int]] = {}
    for operator in graph.operators:
        kernels = list(_candidates(graph, operator, identifiers[operator.name], options))
        if kernels:
            found[operator.name] = kernels
            needs[operator.name] = [
                demand.of(operator, each.scratch or 0, each.leads) for each in kernels
            ]
    least = max((min(each) for each in needs.values()), default=0)
    budget = demand.activations + _overhead(graph)
    if options.optimize == "size":
        return smallest(_within(graph, found, needs, budget), options.features)
    chosen: dict[str, Kernel] = {}
    for operator in graph.operators:
        if operator.name not in found:
            continue
        kernels, bytes_of = found[operator.name], needs[operator.name]
        full = _is_full(operator)
        limit = least if options.optimize == "ram" else budget
        index = 0
        if options.optimize == "ram" or (full and options.optimize != "fastest"):
            limit = max(limit, min(bytes_of))
            index = next(at for at, need in enumerate(bytes_of) if need <= limit)
        chosen[operator.name] = kernels[index]
    return chosen


def _is_full(operator: ops.Operator) -> bool:
    return isinstance(operator, ops.Weighted) and operator.weights.bits == _FULL_BITS


def _within(
    graph: Graph, found: dict[str, list[Kernel]], needs: dict[str, list[int]], budget: int
) -> dict[str, list[Kernel]]:
    """The kernels that keep the arena within a budget, of layers of 8 bits; of others all."""
    kept = dict(found)
    for operator in graph.operators:
        if operator.name in found and _is_full(operator):
            sizes = needs[operator.name]
            limit = max(budget, min(sizes))
            pairs = zip(found[operator.name], sizes, strict=True)
            kept[operator.name] = [kernel for kernel, need in pairs if need <= limit]
    return kept


def _candidates(
    graph: Graph, operator: ops.Operator, identifier: str, options: CodeOptions
) -> Iterator[Kernel]:
    """The kernels that can compute an operator, the one to prefer first.

    For ``size`` come kernels with weights packed as for speed, which less code reads, and then
    those with weights packed as densely as can be.
    """
    if options.optimize == "size":
        yield from _candidates(graph, operator, identifier, replace(options, optimize="speed"))
    inputs, output = graph.inputs_of(operator), graph.tensors[operator.output]
    if not options.features.flash_apart:
        for kind, candidates in _CANDIDATES.items():
            if isinstance(operator, kind):
                for candidate in candidates:
                    if kernel := candidate(operator, inputs[0], output, identifier, options):
                        yield kernel
    if kernel := plain_kernel(operator, inputs, output, identifier, options):
        if options.features.mve:
            kernel = mve.plain(kernel, operator, inputs, output)
        yield kernel


def _overhead(graph: Graph) -> int:
    """The bytes that TFLite-Micro takes at least beside activations.

    Weights and biases are tensors too. It keeps the multipliers of all channels, but of matrix
    products with one scale.
    """
    weighted = [each for each in graph.operators if isinstance(each, ops.Weighted)]
    channels = sum(
        len(each.bias)
        for each in weighted
        if isinstance(each, ops.Windowed) or len(set(each.weights.scales.tolist())) > 1
    )
    tensors = len(graph.tensors) + 2 * len(weighted)
    operators = _OPERATOR * len(graph.operators) + _WEIGHTED * len(weighted)
    return _FIXED + _TENSOR * tensors + operators + _CHANNEL * channels
