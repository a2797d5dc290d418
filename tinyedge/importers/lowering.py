"""From nodes with grids to the integer graph."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tinyedge.graph import operators as ops
from tinyedge.graph.fixed_point import INT8_MAX, INT8_MIN
from tinyedge.graph.graph import Graph
from tinyedge.graph.simplify import simplify
from tinyedge.graph.tensors import Quantization, Tensor, Weights
from tinyedge.importers import nodes as n
from tinyedge.importers.result import Origin
from tinyedge.keras.grids import Float64, Grid
from tinyedge.naming import clean_name

_BIAS_LIMIT = 2**30
_CONSTANT_RESOLUTION = 2.0**-10
"""Step of the bias of a channel without weights, in steps of the output."""
_BIAS_RESOLUTION = 2.0**-10
"""Largest step of a bias, in steps of the output, where the weights leave room for a finer one."""

_ELEMENTWISE: dict[type[n.Node], type[ops.Elementwise]] = {
    n.Add: ops.Add,
    n.Sub: ops.Sub,
    n.Mul: ops.Mul,
}
FIXED_GRID: dict[str, type[ops.Sigmoidal | ops.Softmax]] = {
    "logistic": ops.Logistic,
    "softmax": ops.Softmax,
    "tanh": ops.Tanh,
}
"""Functions whose result lies on one grid, whatever their input's may be."""


@dataclass
class _Builder:
    tensors: dict[str, Tensor] = field(default_factory=dict)
    operators: list[ops.Operator] = field(default_factory=list)
    names: dict[int, str] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)

    def tensor(self, name: str, shape: tuple[int, ...], quantization: Quantization) -> str:
        """Adds a tensor under its name, or the nearest one that is free."""
        unique = name = clean_name(name)
        count = 1
        while unique in self.tensors:
            count += 1
            unique = f"{name}_{count}"
        self.tensors[unique] = Tensor(unique, shape, quantization)
        return unique

    def output(self, node: n.Node) -> str:
        """Adds the tensor of a node's value."""
        assert node.grid
        name = self.tensor(node.name, node.shape, node.grid.quantization)
        self.names[id(node)] = name
        return name


def lower(
    nodes: list[n.Node], name: str, source: dict[str, Any], notes: list[str]
) -> tuple[Graph, dict[str, Origin]]:
    """Makes the integer graph of nodes whose grids are all assigned; may add to ``notes``.

    Returns:
        The graph, and where each of its tensors comes from; those that only prepare another's
        computation come from nowhere.

    Raises:
        ModelError: the graph does not check, with the operator's name.
    """
    builder = _Builder(notes=notes)
    for node in nodes:
        _lower(builder, node)
    whole = Graph(
        clean_name(name),
        builder.tensors,
        tuple(builder.operators),
        builder.names[id(nodes[0])],
        builder.names[id(nodes[-1])],
        source,
    )
    graph = simplify(whole)
    return graph, _origins(whole, graph, {builder.names[id(node)]: node for node in nodes})


def _origins(whole: Graph, graph: Graph, nodes: dict[str, n.Node]) -> dict[str, Origin]:
    """Where the tensors of a simplified graph come from: a clamp may have joined its source."""
    clamps = {
        operator.inputs[0]: operator.output
        for operator in whole.operators
        if isinstance(operator, ops.Requantize)
    }
    layers: dict[str, tuple[str, ...]] = {}
    for name, node in nodes.items():
        kept = name
        while kept not in graph.tensors and kept in clamps:
            kept = clamps[kept]
        layers[kept] = layers.get(kept, ()) + node.layers
    return {
        name: Origin(layers[name], nodes[name].value_of) for name in graph.tensors if name in nodes
    }


def _lower(builder: _Builder, node: n.Node) -> None:
    assert node.grid
    inputs = tuple(builder.names[id(source)] for source in node.inputs)
    if isinstance(node, n.Affine):
        _lower_affine(builder, node, inputs[0])
        return
    if isinstance(node, n.Function):
        _lower_function(builder, node, inputs[0])
        return
    name = output = builder.output(node)
    clamp = node.grid.clamp
    operator: ops.Operator
    match node:
        case n.Input():
            return
        case n.Linear():
            operator = _linear(builder, node, name, inputs)
        case n.Activation():
            operator = ops.Requantize(name=name, inputs=inputs, output=output, clamp=clamp)
        case n.Elementwise():
            kind = _ELEMENTWISE[type(node)]
            operator = kind(name=name, inputs=inputs, output=output, clamp=clamp)
        case n.Concatenation():
            inputs = tuple(_on_grid(builder, node, source) for source in inputs)
            operator = ops.Concatenation(name=name, inputs=inputs, output=output, axis=node.axis)
        case n.Pool():
            pool = ops.MaxPool2D if node.kind == "max" else ops.AveragePool2D
            operator = pool(
                name=name,
                inputs=inputs,
                output=output,
                kernel=node.kernel,
                stride=node.stride,
                padding=node.padding,
            )
        case n.Mean():
            operator = ops.Mean(name=name, inputs=inputs, output=output)
        case n.Pad():
            value = INT8_MIN if node.lowest else node.value
            operator = ops.Pad(
                name=name, inputs=inputs, output=output, padding=node.padding, value=value
            )
        case n.Reshape():
            operator = ops.Reshape(name=name, inputs=inputs, output=output, shape=node.shape)
        case _:
            raise NotImplementedError(type(node).__name__)
    builder.operators.append(operator)


def _lower_function(builder: _Builder, node: n.Function, source: str) -> None:
    """A function whose grid is fixed is brought to the node's behind it, where they differ."""
    assert node.grid
    if node.kind == "leaky_relu":
        name = builder.output(node)
        builder.operators.append(
            ops.LeakyRelu(name=name, inputs=(source,), output=name, alpha=node.alpha)
        )
        return
    kind = FIXED_GRID[node.kind]
    fixed = kind.output_quantization
    if node.grid == Grid(fixed):
        name = builder.output(node)
    else:
        name = builder.tensor(f"{node.name}/{node.kind}", node.shape, fixed)
    builder.operators.append(kind(name=name, inputs=(source,), output=name))
    if node.grid != Grid(fixed):
        output = builder.output(node)
        builder.operators.append(
            ops.Requantize(name=output, inputs=(name,), output=output, clamp=node.grid.clamp)
        )


def _on_grid(builder: _Builder, node: n.Concatenation, source: str) -> str:
    """An input of a concatenation on the grid of the whole."""
    assert node.grid
    tensor = builder.tensors[source]
    if tensor.quantization == node.grid.quantization and node.grid.clamp == ops.FULL_RANGE:
        return source
    name = builder.tensor(f"{source}/requantized", tensor.shape, node.grid.quantization)
    builder.operators.append(
        ops.Requantize(name=name, inputs=(source,), output=name, clamp=node.grid.clamp)
    )
    return name


def _linear(builder: _Builder, node: n.Linear, name: str, inputs: tuple[str, ...]) -> ops.Weighted:
    assert node.grid
    weights, bias = _quantized(
        builder,
        name,
        node.codes,
        node.scales,
        node.bias,
        builder.tensors[inputs[0]].quantization,
        node.grid.quantization,
        finer=node.finer,
    )
    common: dict[str, Any] = {
        "name": name,
        "inputs": inputs,
        "output": name,
        "weights": weights,
        "bias": bias,
        "clamp": node.grid.clamp,
    }
    if node.kind == "dense":
        return ops.FullyConnected(**common)
    kind = ops.Conv2D if node.kind == "conv2d" else ops.DepthwiseConv2D
    return kind(**common, stride=node.stride, padding=node.padding, dilation=node.dilation)


def _lower_affine(builder: _Builder, node: n.Affine, source: str) -> None:
    """A scale and an offset a channel is a depthwise convolution of one cell.

    Its one weight is as large as 8 bits allow, which makes the steps of the bias fine.
    """
    assert node.grid
    channels = len(node.scale)
    flat = len(node.shape) != 3
    shape = (1, int(np.prod(node.shape[:-1])), channels) if flat else node.shape
    if flat:
        reshaped = builder.tensor(f"{node.name}/cells", shape, builder.tensors[source].quantization)
        builder.operators.append(
            ops.Reshape(name=reshaped, inputs=(source,), output=reshaped, shape=shape)
        )
        source = reshaped
    name = f"{node.name}/scaled" if flat else node.name
    output = builder.tensor(name, shape, node.grid.quantization)
    weights, bias = _quantized(
        builder,
        output,
        np.full((channels, 1, 1), INT8_MAX, dtype=np.int16),
        node.scale / INT8_MAX,
        node.offset,
        builder.tensors[source].quantization,
        node.grid.quantization,
    )
    builder.operators.append(
        ops.DepthwiseConv2D(
            name=output,
            inputs=(source,),
            output=output,
            weights=weights,
            bias=bias,
            stride=(1, 1),
            clamp=node.grid.clamp,
        )
    )
    if flat:
        final = builder.output(node)
        builder.operators.append(
            ops.Reshape(name=final, inputs=(output,), output=final, shape=node.shape)
        )
    else:
        builder.names[id(node)] = output


def _quantized(
    builder: _Builder,
    name: str,
    codes: NDArray[np.int16],
    scales: Float64,
    bias: Float64,
    source: Quantization,
    target: Quantization,
    *,
    finer: bool = True,
) -> tuple[Weights, NDArray[np.int32]]:
    """Weights with positive scales and an int32 bias.

    A negative scale (batch normalization with a negative gamma) goes into the codes. A channel that
    nothing but its bias reaches gets weights of zero and a fine scale of its own. The unit of a
    bias is that of the products; where this is coarse, as few bits a weight make it, the weights
    become multiples of a power of two (``Weights.steps``), and the unit is as much finer, unless
    the model's own integers are to stay (``finer``).
    """
    per_channel = (-1, *[1] * (codes.ndim - 1))
    signed = np.where(scales.reshape(per_channel) < 0, -codes, codes)
    if clipped := int((signed > INT8_MAX).sum()):
        builder.notes.append(
            f"{name}: {clipped} weights of +128, after a negative scale was folded, became +127"
        )
        signed = np.minimum(signed, INT8_MAX)
    magnitude = np.abs(scales)

    reach = np.abs(signed.reshape(len(signed), -1)).sum(axis=1) * 255.0
    step = source.scale * magnitude
    with np.errstate(divide="ignore", invalid="ignore"):
        needed = np.where(step > 0, np.abs(bias) / step, np.inf)
    negligible = (reach * step < 0.5 * target.scale) & (needed > _BIAS_LIMIT)
    constant = (step == 0) | (reach == 0) | negligible
    signed[constant] = 0
    magnitude = np.where(constant, target.scale * _CONSTANT_RESOLUTION / source.scale, magnitude)

    if finer:
        factors = _finer(signed, source.scale * magnitude / target.scale)
        signed *= factors.reshape(per_channel)
        magnitude /= factors
    float_scales = magnitude.astype(np.float32)
    quantized_bias = np.rint(bias / (source.scale * float_scales.astype(np.float64)))
    limited = np.clip(quantized_bias, -_BIAS_LIMIT, _BIAS_LIMIT).astype(np.int32)
    narrow = signed.astype(np.int8)
    return Weights.narrowest(narrow, float_scales), limited


def _finer(codes: NDArray[np.int16], unit: NDArray[np.float64]) -> NDArray[np.int16]:
    """Powers of two (out,) to multiply weights by, so that a sum has a fine enough unit.

    A bias is rounded to it; and so, at first, is the product of a sum and its multiplier, with a
    bias or without.

    Args:
        codes: (out, ...).
        unit: of each channel's sum, in steps of the output.
    """
    largest = np.abs(codes.reshape(len(codes), -1)).max(axis=1, initial=0)
    room = np.floor(np.log2(INT8_MAX / np.maximum(largest, 1)))
    needed = np.ceil(np.log2(np.maximum(unit / _BIAS_RESOLUTION, 1.0)))
    exponents = np.where(largest == 0, 0.0, np.minimum(room, needed))
    return np.exp2(np.maximum(exponents, 0.0)).astype(np.int16)
