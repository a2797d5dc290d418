"""Float nodes with integer weights: what a model becomes before it is quantized throughout.

Each node stands for one integer operator, or is folded into another by ``fusion``. Shapes are
without the batch. Values are real numbers; ``grid`` is the int8 grid that the value lies on, as far
as it is known yet.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from tinyedge.graph.operators import Padding, Pair
from tinyedge.keras.grids import Float64, Grid


@dataclass(eq=False, kw_only=True)
class Node:
    """Base of all nodes.

    Attributes:
        name: unique; the layer's in the model, with a suffix where one becomes several nodes.
        inputs: the nodes whose values it takes.
        shape: of its value.
        grid: of its value; None until ``ranges`` assigns one, unless a quantizer set it.
        bounds: limits of a ReLU without a quantizer; infinite by default.
        layers: the model's layers whose work it does, in order; a layer that becomes several nodes
            has parts ``layer/part``.
        value_of: the one of them whose value it is; None where the model has no such value.
    """

    name: str
    inputs: list[Node]
    shape: tuple[int, ...]
    grid: Grid | None = None
    bounds: tuple[float, float] = (-np.inf, np.inf)
    layers: tuple[str, ...] = ()
    value_of: str | None = None


@dataclass(eq=False, kw_only=True)
class Input(Node):
    """The model's input."""


@dataclass(eq=False, kw_only=True)
class Linear(Node):
    """Convolution, depthwise convolution or matrix product.

    Attributes:
        kind: which one.
        codes: integer weights as ``graph.tensors.Weights`` lays them out.
        scales: (out,) real weight of a code of one; of any sign, zero for an empty channel.
        bias: (out,) real.
        stride, dilation, padding: of the window; unused for dense.
        spread: (out,) mean and standard deviation of the value over the training data, where batch
            normalization has told them.
        finer: whether few bits a weight may get a finer unit; else scales and bias stay as given.
    """

    kind: Literal["conv2d", "depthwise", "dense"]
    codes: NDArray[np.int16]
    scales: Float64
    bias: Float64
    stride: Pair = (1, 1)
    dilation: Pair = (1, 1)
    padding: Padding = (0, 0, 0, 0)
    spread: tuple[Float64, Float64] | None = None
    finer: bool = True


@dataclass(eq=False, kw_only=True)
class Affine(Node):
    """``scale * x + offset`` with one pair a channel (batch normalization, rescaling).

    Attributes:
        scale, offset: (channels,).
        spread: as in ``Linear``.
    """

    scale: Float64
    offset: Float64
    spread: tuple[Float64, Float64] | None = None


@dataclass(eq=False, kw_only=True)
class Activation(Node):
    """The same value on a grid (a quantizer) or inside bounds (a ReLU without one)."""


@dataclass(eq=False, kw_only=True)
class Elementwise(Node):
    """An operator on pairs of elements; an axis of one is repeated."""


@dataclass(eq=False, kw_only=True)
class Add(Elementwise):
    """Element-wise sum of two values."""


@dataclass(eq=False, kw_only=True)
class Sub(Elementwise):
    """Element-wise difference, the first less the second."""


@dataclass(eq=False, kw_only=True)
class Mul(Elementwise):
    """Element-wise product."""


@dataclass(eq=False, kw_only=True)
class Concatenation(Node):
    """Values one behind the other along ``axis``; each is put on the grid of the whole."""

    axis: int


@dataclass(eq=False, kw_only=True)
class Function(Node):
    """A function that TFLite computes by a table, or softmax over the last axis.

    Attributes:
        kind: which one. All but ``leaky_relu`` have a grid of their own.
        alpha: slope of ``leaky_relu`` below zero.
    """

    kind: Literal["leaky_relu", "logistic", "softmax", "tanh"]
    alpha: float = 0.0


@dataclass(eq=False, kw_only=True)
class Pool(Node):
    """Maximum or average over windows."""

    kind: Literal["max", "average"]
    kernel: Pair
    stride: Pair
    padding: Padding = (0, 0, 0, 0)


@dataclass(eq=False, kw_only=True)
class Mean(Node):
    """Average over rows and columns, to shape (1, 1, channels)."""


@dataclass(eq=False, kw_only=True)
class Pad(Node):
    """Zeros around the value.

    Attributes:
        padding: rows and columns.
        lowest: the smallest int8 in place of zeros, which no maximum heeds.
        value: an int8 in place of zeros, behind what lies on a grid.
    """

    padding: Padding
    lowest: bool = False
    value: int | None = None


@dataclass(eq=False, kw_only=True)
class Reshape(Node):
    """The same elements under another shape."""


KEEPS_GRID = (Pool, Pad, Reshape)
"""Nodes whose int8 operator has the quantization of its input."""


def ancestors(node: Node) -> set[int]:
    """The ids of a node and of all that its value depends on."""
    found: set[int] = set()
    pending = [node]
    while pending:
        current = pending.pop()
        if id(current) not in found:
            found.add(id(current))
            pending += current.inputs
    return found


@dataclass
class Consumers:
    """How often each node's value is used."""

    counts: dict[int, int] = field(default_factory=dict)

    @classmethod
    def of(cls, nodes: list[Node]) -> Consumers:
        """Counts the uses; the last node, the output, counts one more."""
        result = cls()
        for node in nodes:
            for source in node.inputs:
                result.counts[id(source)] = result.counts.get(id(source), 0) + 1
        result.counts[id(nodes[-1])] = result.counts.get(id(nodes[-1]), 0) + 1
        return result

    def single(self, node: Node) -> bool:
        """Whether exactly one node uses the value."""
        return self.counts.get(id(node), 0) == 1
