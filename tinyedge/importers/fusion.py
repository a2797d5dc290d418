"""Folding normalization and activations into the nodes before them."""

from __future__ import annotations

import numpy as np

from tinyedge.graph.tensors import Quantization
from tinyedge.importers import nodes as n
from tinyedge.keras.grids import Grid

_BOUNDED = n.Linear | n.Affine | n.Elementwise | n.Concatenation | n.Activation
"""Nodes whose operator limits its result, so that an activation behind it becomes part of it."""


def fuse(nodes: list[n.Node]) -> list[n.Node]:
    """Folds until nothing more can be folded; the order and the last value stay."""
    nodes = list(nodes)
    steps = (_fold_affine, _hoist_activation, _fold_activation, _share_grid)
    while any(step(nodes) for step in steps):
        pass
    return nodes


def refine_averages(nodes: list[n.Node]) -> list[n.Node]:
    """Puts what an average pool reads on as fine a grid as int8 has for its values.

    A pool keeps the steps of its input. Behind a quantizer of few bits these are far larger than
    an average needs: the values are multiplied by a power of two, which is exact, before it.
    """
    result: list[n.Node] = []
    for node in nodes:
        if isinstance(node, n.Pool) and node.kind == "average":
            source = node.inputs[0]
            known = _known_grid(source)
            finer = _finest(known) if known else None
            if finer and finer != known:
                name = f"{node.name}/finer"
                spread = n.Activation(name=name, inputs=[source], shape=source.shape, grid=finer)
                node.inputs = [spread]
                result.append(spread)
        result.append(node)
    return result


def settle_means(nodes: list[n.Node]) -> list[n.Node]:
    """Puts averages over all rows and columns on the steps of the quantizer behind them.

    The quantizer only limits them then, and nothing is rounded twice.
    """
    consumers = n.Consumers.of(nodes)
    for node in nodes:
        if isinstance(node, n.Activation) and node.grid:
            source = node.inputs[0]
            if isinstance(source, n.Mean) and not source.grid and consumers.single(source):
                source.grid = Grid(node.grid.quantization)
    return nodes


def _finest(grid: Grid) -> Grid:
    """The grid of the same values with the smallest steps, by a power of two, that int8 holds."""
    scale, zero_point = grid.quantization.scale, grid.quantization.zero_point
    low, high = (value - zero_point for value in grid.clamp)
    factor = 1
    while 2 * factor * (high - low) <= 255 and low <= 0 <= high:
        factor *= 2
    if factor == 1:
        return grid
    zero_point = 127 - factor * high
    return Grid(Quantization(scale / factor, zero_point), (zero_point + factor * low, 127))


def _merge(nodes: list[n.Node], node: n.Node, source: n.Node) -> None:
    """Takes a node out whose work its source does now."""
    source.layers += node.layers
    source.value_of = node.value_of
    _remove(nodes, node, source)


def _remove(nodes: list[n.Node], node: n.Node, replacement: n.Node) -> None:
    """Takes a node out; whoever used its value uses the replacement's."""
    last = nodes[-1] is node
    nodes.remove(node)
    for other in nodes:
        other.inputs = [replacement if source is node else source for source in other.inputs]
    if last:  # the replacement now is the output
        nodes.remove(replacement)
        nodes.append(replacement)


def _fold_affine(nodes: list[n.Node]) -> bool:
    """Batch normalization and rescaling into the weights and the bias before them, all at once."""
    consumers = n.Consumers.of(nodes)
    folded: dict[int, n.Node] = {}
    kept: list[n.Node] = []
    for node in nodes:
        node.inputs = [folded.get(id(source), source) for source in node.inputs]
        if not isinstance(node, n.Affine) or not _takes_affine(node.inputs[0], consumers):
            kept.append(node)
            continue
        source = node.inputs[0]
        if isinstance(source, n.Linear):
            source.scales = source.scales * node.scale
            source.bias = source.bias * node.scale + node.offset
            source.finer = True  # neither is any longer what the model has
        else:
            assert isinstance(source, n.Affine)
            source.scale = source.scale * node.scale
            source.offset = source.offset * node.scale + node.offset
        source.spread = node.spread
        source.layers += node.layers
        source.value_of = node.value_of
        folded[id(node)] = source
        consumers.counts[id(source)] = consumers.counts[id(node)]
    if id(nodes[-1]) in folded:  # what took it in now is the output
        output = folded[id(nodes[-1])]
        kept.remove(output)
        kept.append(output)
    nodes[:] = kept
    return bool(folded)


def _takes_affine(source: n.Node, consumers: n.Consumers) -> bool:
    return (
        isinstance(source, n.Linear | n.Affine)
        and consumers.single(source)
        and source.grid is None
        and source.bounds == (-np.inf, np.inf)
    )


def hoist_scalings(nodes: list[n.Node]) -> list[n.Node]:
    """Moves scalings by channel from behind a ReLU, a pool or a padding to before it.

    These give the same either way; before them, a scaling can be folded into what computes the
    value. The order and the last value stay.
    """
    nodes = list(nodes)
    moved = True
    while moved:
        moved = False
        consumers = n.Consumers.of(nodes)
        for node in nodes:
            if (
                isinstance(node, n.Affine)
                and not node.offset.any()
                and (node.scale >= 0).all()
                and _scales(node.inputs[0])
                and consumers.single(node.inputs[0])
            ):
                middle = node.inputs[0]
                _remove(nodes, node, middle)
                middle.value_of, node.value_of = node.value_of, None
                (source,) = middle.inputs
                node.inputs, node.shape = [source], source.shape
                middle.inputs = [node]
                nodes.insert(nodes.index(middle), node)
                moved = True
                break
    return nodes


def _scales(node: n.Node) -> bool:
    """Whether a node's channels grow as its input's do."""
    match node:
        case n.Activation():
            return not node.grid and node.bounds == (0.0, np.inf)
        case n.Pool() | n.Mean():
            return True
        case n.Pad():
            return node.value is None
        case n.Reshape():
            return node.shape[-1] == node.inputs[0].shape[-1]
        case _:
            return False


def _hoist_activation(nodes: list[n.Node]) -> bool:
    """Activations from behind a maximum, a padding or a reshape to before it.

    They grow with their input and keep zero, so the value is the same; before it, they can be
    folded into what computes the value.
    """
    consumers = n.Consumers.of(nodes)
    for node in nodes:
        if not isinstance(node, n.Activation):
            continue
        middle = node.inputs[0]
        passes = (
            isinstance(middle, n.Reshape)
            or (isinstance(middle, n.Pad) and middle.value is None)
            or (isinstance(middle, n.Pool) and middle.kind == "max")
        )
        if not passes or not consumers.single(middle) or not consumers.single(middle.inputs[0]):
            continue
        if isinstance(middle.inputs[0], n.Input) or middle.inputs[0].grid:
            continue
        _remove(nodes, node, middle)
        middle.value_of, node.value_of = node.value_of, None
        source = middle.inputs[0]
        node.inputs, node.shape = [source], source.shape
        middle.inputs = [node]
        nodes.insert(nodes.index(middle), node)
        return True
    return False


def _fold_activation(nodes: list[n.Node]) -> bool:
    """Activations into the operator that computes their input, runs of them at once."""
    consumers = n.Consumers.of(nodes)
    folded: n.Node | None = None
    for node in list(nodes):
        if folded and folded not in node.inputs:
            return True
        if not isinstance(node, n.Activation):
            continue
        source = node.inputs[0]
        known = _known_grid(source) if _keeps_steps(source) else None
        if node.grid and known and _covers(node.grid, known):
            _merge(nodes, node, source)
            return True
        if not consumers.single(source) or source.grid:
            continue
        if isinstance(source, n.Input) and node.grid:
            source.grid = Grid(node.grid.quantization)
            return True
        plain = node.grid is not None and node.grid.clamp == (-128, 127)
        if isinstance(source, n.Mean | n.Function) and plain:
            source.grid = node.grid  # it has a scale of its own, and saturates as int8 does
            _merge(nodes, node, source)
            return True
        if isinstance(source, _BOUNDED):
            low, high = zip(source.bounds, node.bounds, strict=True)
            source.bounds = (max(low), min(high))
            source.grid = _bounded(node.grid, source.bounds) if node.grid else None
            _merge(nodes, node, source)
            consumers.counts[id(source)] = consumers.counts.get(id(node), 0)
            folded = source
    return folded is not None


def _share_grid(nodes: list[n.Node]) -> bool:
    """The grid of a concatenation for what nothing else uses and no quantizer has put on one."""
    consumers = n.Consumers.of(nodes)
    for node in nodes:
        if isinstance(node, n.Concatenation) and node.grid:
            for source in node.inputs:
                if consumers.single(source) and not source.grid and isinstance(source, _BOUNDED):
                    source.grid = _bounded(node.grid, source.bounds)
                    return True
    return False


def _known_grid(node: n.Node) -> Grid | None:
    """The grid that a value lies on, its own or its input's."""
    while isinstance(node, n.KEEPS_GRID):
        node = node.inputs[0]
    return node.grid


def _keeps_steps(node: n.Node) -> bool:
    """Whether a value still lies on its grid once averages have finer ones."""
    while isinstance(node, n.KEEPS_GRID):
        if isinstance(node, n.Pool) and node.kind == "average":
            known = _known_grid(node)
            return known is None or _finest(known) == known
        node = node.inputs[0]
    return True


def _covers(target: Grid, grid: Grid) -> bool:
    """Whether quantizing to ``target`` leaves every value of ``grid`` as it is."""
    return (
        target.quantization == grid.quantization
        and target.clamp[0] <= grid.clamp[0]
        and grid.clamp[1] <= target.clamp[1]
    )


def _bounded(grid: Grid, bounds: tuple[float, float]) -> Grid:
    """A grid whose values also keep a ReLU's limits."""
    return Grid(grid.quantization, clamp_of(grid.quantization, bounds, grid.clamp))


def clamp_of(
    quantization: Quantization, bounds: tuple[float, float], clamp: tuple[int, int] = (-128, 127)
) -> tuple[int, int]:
    """The int8 values inside real limits and a clamp."""
    low, high = (
        int(quantization.quantize(bound)) if np.isfinite(bound) else edge
        for bound, edge in zip(bounds, clamp, strict=True)
    )
    return max(low, clamp[0]), min(high, clamp[1])
