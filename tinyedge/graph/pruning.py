"""Takes channels out of a graph that change no result.

A channel goes where nothing that reads it needs it: its value is proven (``ranges``) to be always
the same, and what it adds to the accumulators behind it is added to their bias; or all weights that
read it are zero. Where a value is the zero point, which is what padding adds too, this is exact at
borders as well; another value stays in front of a padded convolution. Depthwise convolutions,
pooling and functions of each element pass channels on as they are.
"""

from __future__ import annotations

from dataclasses import replace
from functools import singledispatch

import numpy as np
from numpy.typing import NDArray

from tinyedge.graph import operators as ops
from tinyedge.graph.fixed_point import INT32_MAX, Int64
from tinyedge.graph.graph import Graph
from tinyedge.graph.ranges import Range, ranges_of
from tinyedge.graph.tensors import Weights

Gone = NDArray[np.bool_]
"""Which channels, of a tensor's last axis, are taken out."""


CONSTANT_CHANNELS = "constant_channels"
"""Key of a graph's source: how many channels each operator's output has lost, as a text."""


def without_constant_channels(graph: Graph) -> tuple[Graph, tuple[int, ...]]:
    """Takes out the channels that change no result.

    Input and output stay as they are, and every tensor keeps at least one channel. The same graph
    gives the same result.

    Returns:
        The graph, which gives the same bytes; and for each of its operators, how many channels its
        output has lost.
    """
    pruning = _Pruning(graph, ranges_of(graph))
    removed = tuple(int(pruning.gone[each.output].sum()) for each in graph.operators)
    return pruning.graph_without() if any(removed) else graph, removed


def removed_channels(graph: Graph) -> list[int]:
    """Gives the channels each operator's output has lost, as the graph's source records them."""
    counts = str(graph.source.get(CONSTANT_CHANNELS, "")).split()
    if len(counts) != len(graph.operators) or not all(
        count.isascii() and count.isdigit() and len(count) < 10 for count in counts
    ):
        return [0] * len(graph.operators)
    return [int(count) for count in counts]


class _Pruning:
    """The largest set of channels that may go, found by taking back what may not."""

    def __init__(self, graph: Graph, ranges: dict[str, Range]) -> None:
        self.graph = graph
        self.ranges = ranges
        kept = {graph.input, graph.output, *graph.states}
        kept |= {state.next for state in graph.states.values()}
        self.gone: dict[str, Gone] = {
            name: np.full(tensor.shape[-1], name not in kept)
            for name, tensor in graph.tensors.items()
        }
        self._changed = True
        while self._changed:
            self._changed = False
            for operator in reversed(graph.operators):
                restrict(operator, self)
            for name, gone in self.gone.items():
                if gone.all():
                    self.limit(name, np.arange(len(gone)) > 0)

    def limit(self, name: str, allowed: Gone) -> None:
        """Keeps the channels of a tensor that are not allowed to go."""
        kept = self.gone[name] & allowed
        self._changed |= bool(np.any(kept != self.gone[name]))
        self.gone[name] = kept

    def tie(self, operator: ops.Operator, groups: int = 1, *, behind: int = 0) -> None:
        """Has the channels of an operator's input and output go together.

        Args:
            operator: of one input.
            groups: channels of the output for each of the input, one behind the other.
            behind: how often all channels are there, one set behind the other, instead.
        """
        source, output = operator.inputs[0], operator.output
        if behind:
            sets = self.gone[output].reshape(behind, -1)
            self.limit(source, np.logical_and.reduce(sets, axis=0))
            self.limit(output, np.tile(self.gone[source], behind))
        else:
            sets = self.gone[output].reshape(-1, groups)
            self.limit(source, np.logical_and.reduce(sets, axis=1))
            self.limit(output, np.repeat(self.gone[source], groups))

    def graph_without(self) -> Graph:
        """The graph without what may go."""
        graph = self.graph
        tensors = {
            name: replace(tensor, shape=(*tensor.shape[:-1], int((~self.gone[name]).sum())))
            for name, tensor in graph.tensors.items()
        }
        for operator in graph.operators:
            if isinstance(operator, ops.Reshape) and len(operator.shape) == 1:
                size = tensors[operator.inputs[0]].size
                tensors[operator.output] = replace(tensors[operator.output], shape=(size,))
        return replace(
            graph,
            tensors=tensors,
            operators=tuple(without(operator, self) for operator in graph.operators),
            constants={
                name: np.ascontiguousarray(values[..., ~self.gone[name]])
                for name, values in graph.constants.items()
            },
        )


def _columns(operator: ops.Conv2D | ops.FullyConnected, channels: int) -> Int64:
    """The integers of weights, (out, taps, input channels)."""
    integers = operator.weights.integers.astype(np.int64)
    return integers.reshape(len(integers), -1, channels)


def _centred(operator: ops.Operator, pruning: _Pruning) -> Int64:
    """The only value of each channel of the input that never changes, less the zero point."""
    source = pruning.graph.tensors[operator.inputs[0]]
    return pruning.ranges[source.name].low - source.quantization.zero_point


def _bias(operator: ops.Conv2D | ops.FullyConnected, pruning: _Pruning, gone: Gone) -> Int64:
    """The bias with what the channels add that are gone."""
    sums = _columns(operator, len(gone)).sum(axis=1)[:, gone]
    found: Int64 = operator.bias + sums @ _centred(operator, pruning)[gone]
    return found


@singledispatch
def restrict(operator: ops.Operator, pruning: _Pruning) -> None:
    """Keeps the channels that an operator needs, or that it does not leave out; all by default."""
    for name in (*operator.inputs, operator.output):
        pruning.limit(name, np.zeros_like(pruning.gone[name]))


def _restrict_summed(operator: ops.Conv2D | ops.FullyConnected, pruning: _Pruning) -> None:
    """The output's channels are each computed by themselves."""
    source = operator.inputs[0]
    centred = _centred(operator, pruning)
    constant = pruning.ranges[source].constant
    if isinstance(operator, ops.Windowed) and any(operator.padding):
        constant = constant & (centred == 0)
    unused = ~_columns(operator, len(centred)).any(axis=(0, 1))
    pruning.limit(source, constant | unused)
    gone = pruning.gone[source]
    if np.abs(_bias(operator, pruning, gone & constant)).max(initial=0) > INT32_MAX:
        pruning.limit(source, np.zeros_like(gone))


@restrict.register
def _conv2d(operator: ops.Conv2D, pruning: _Pruning) -> None:
    _restrict_summed(operator, pruning)


@restrict.register
def _fully_connected(operator: ops.FullyConnected, pruning: _Pruning) -> None:
    _restrict_summed(operator, pruning)


@restrict.register
def _depthwise_conv2d(operator: ops.DepthwiseConv2D, pruning: _Pruning) -> None:
    channels = len(pruning.gone[operator.inputs[0]])
    pruning.tie(operator, len(operator.weights.codes) // channels)


@restrict.register(ops.Pool2D)
@restrict.register(ops.Mean)
@restrict.register(ops.Requantize)
@restrict.register(ops.Lookup)
@restrict.register(ops.Resize)
def _each_channel(operator: ops.Operator, pruning: _Pruning) -> None:
    pruning.tie(operator)


@restrict.register
def _pad(operator: ops.Pad, pruning: _Pruning) -> None:
    if any(operator.channels):
        restrict.dispatch(ops.Operator)(operator, pruning)
    else:
        pruning.tie(operator)


@restrict.register
def _reshape(operator: ops.Reshape, pruning: _Pruning) -> None:
    channels, last = len(pruning.gone[operator.inputs[0]]), operator.shape[-1]
    if channels == last:
        pruning.tie(operator)
    elif len(operator.shape) == 1:
        pruning.tie(operator, behind=last // channels)
    else:
        restrict.dispatch(ops.Operator)(operator, pruning)


@restrict.register
def _elementwise(operator: ops.Elementwise, pruning: _Pruning) -> None:
    """Keeps the same channels in the output and in all inputs not repeated along the channels."""
    output = operator.output
    for name in operator.inputs:
        if len(pruning.gone[name]) == len(pruning.gone[output]):
            pruning.limit(output, pruning.gone[name])
        else:
            pruning.limit(name, np.zeros_like(pruning.gone[name]))
    for name in operator.inputs:
        if len(pruning.gone[name]) == len(pruning.gone[output]):
            pruning.limit(name, pruning.gone[output])


@restrict.register
def _concatenation(operator: ops.Concatenation, pruning: _Pruning) -> None:
    if operator.axis != len(pruning.graph.tensors[operator.output].shape) - 1:
        for _ in range(2):
            for name in operator.inputs:
                pruning.limit(name, pruning.gone[operator.output])
                pruning.limit(operator.output, pruning.gone[name])
        return
    start = 0
    for name in operator.inputs:
        part = slice(start, start + len(pruning.gone[name]))
        pruning.limit(name, pruning.gone[operator.output][part])
        allowed = pruning.gone[operator.output].copy()
        allowed[part] = pruning.gone[name]
        pruning.limit(operator.output, allowed)
        start = part.stop


@singledispatch
def without(operator: ops.Operator, pruning: _Pruning) -> ops.Operator:
    """An operator for inputs and an output that have lost channels; the same one by default."""
    return operator


def _narrowest(integers: NDArray[np.integer], operator: ops.Weighted, kept: Gone) -> Weights:
    """Weights of the channels that are kept."""
    codes = np.ascontiguousarray(integers, dtype=np.int8)
    return Weights.narrowest(codes, operator.weights.scales[kept])


def _without_summed(
    operator: ops.Conv2D | ops.FullyConnected, pruning: _Pruning
) -> ops.Conv2D | ops.FullyConnected:
    gone, kept = pruning.gone[operator.inputs[0]], ~pruning.gone[operator.output]
    columns = _columns(operator, len(gone))[kept][..., ~gone]
    shape = operator.weights.codes.shape
    if len(shape) == 2:
        integers = columns.reshape(len(columns), -1)
    else:
        integers = columns.reshape(len(columns), *shape[1:3], -1)
    return replace(
        operator,
        weights=_narrowest(integers, operator, kept),
        bias=_bias(operator, pruning, gone)[kept].astype(np.int32),
    )


@without.register
def _without_conv2d(operator: ops.Conv2D, pruning: _Pruning) -> ops.Operator:
    return _without_summed(operator, pruning)


@without.register
def _without_fully_connected(operator: ops.FullyConnected, pruning: _Pruning) -> ops.Operator:
    return _without_summed(operator, pruning)


@without.register
def _without_depthwise_conv2d(operator: ops.DepthwiseConv2D, pruning: _Pruning) -> ops.Operator:
    kept = ~pruning.gone[operator.output]
    return replace(
        operator,
        weights=_narrowest(operator.weights.integers[kept], operator, kept),
        bias=operator.bias[kept],
    )


@without.register
def _without_reshape(operator: ops.Reshape, pruning: _Pruning) -> ops.Operator:
    last = int((~pruning.gone[operator.output]).sum())
    return replace(operator, shape=(*operator.shape[:-1], last))
