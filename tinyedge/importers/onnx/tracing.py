"""From the nodes of an ``.onnx`` file to float nodes with integer weights, in NHWC.

A value is a constant, a constant of integers with scales, or a *flow*: what a node computes from
the input. ONNX orders a flow's elements by channels first, the integer graph by channels last.
``places`` says where each element lies, so that Transpose, Reshape and Flatten move nothing: a
matrix product behind them gets its columns in the order that is there. Where an operator needs the
elements in another order than they lie, the file is refused.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from tinyedge.errors import ModelError
from tinyedge.graph.tensors import Quantization
from tinyedge.importers import nodes as n
from tinyedge.importers.onnx.reader import OnnxModel, OnnxNode, blocked, reading
from tinyedge.keras.grids import Float64, Grid

Array = NDArray[Any]
Places = NDArray[np.int32]

LARGEST_CONSTANT = 2**24
"""Elements of a constant that is computed."""
_LARGEST_ACTIVATION = 2**22
_MOST_ELEMENTS = 2**26
"""Elements of all activations together, and of all computed constants."""
_MOST_PRODUCTS = 2**30
"""Products of all windows together: ranges are estimated from some tens of inputs."""


@dataclass(frozen=True, eq=False)
class Quantized:
    """A constant of integers with scales: ``real = codes * scales``.

    Attributes:
        codes: integers, less the zero point; weights fit in int8.
        scales: float64, of as many axes; an axis along which nothing changes may be one.
        finer: whether the unit of a sum may become finer than these scales make it.
    """

    codes: NDArray[np.int64]
    scales: Float64
    finer: bool = False

    @property
    def real(self) -> Float64:
        """The numbers that the integers stand for."""
        real: Float64 = self.codes * self.scales
        return real


@dataclass(frozen=True, eq=False)
class Flow:
    """A value that a node computes from the input.

    Attributes:
        node: of the graph to come; its shape is as the integers lie.
        places: of ONNX's shape, the batch of one included: where in the node's value each is.
        moved: what the int8 is more than the file's integer; None where the file has real numbers.
    """

    node: n.Node
    places: Places
    moved: int | None = None

    @property
    def integer(self) -> bool:
        """Whether the file has the integers here, or the real numbers."""
        return self.moved is not None

    @property
    def shape(self) -> tuple[int, ...]:
        """ONNX's, with the batch."""
        return self.places.shape


Value = Array | Quantized | Flow
Handler = Callable[["Tracer", OnnxNode], Value]
Check = Callable[["Tracer", OnnxNode], object]
AnyCheck = TypeVar("AnyCheck", bound=Check)
HANDLERS: dict[str, Handler] = {}
"""Functions that import an operator, by its kind."""
CHECKS: dict[str, Check] = {}
"""Functions that refuse an operator by its constants alone, its input being refused already."""
FOLDERS: dict[str, Handler] = {}
"""Functions that compute an operator on constants, by its kind."""


def handles(*kinds: str) -> Callable[[Handler], Handler]:
    """Registers what imports operators of these kinds."""

    def register(handler: Handler) -> Handler:
        HANDLERS.update(dict.fromkeys(kinds, handler))
        return handler

    return register


def checks(*kinds: str) -> Callable[[AnyCheck], AnyCheck]:
    """Registers what refuses operators of these kinds by their constants alone."""

    def register(handler: AnyCheck) -> AnyCheck:
        CHECKS.update(dict.fromkeys(kinds, handler))
        return handler

    return register


def folds(*kinds: str) -> Callable[[Handler], Handler]:
    """Registers what computes operators of these kinds on constants."""

    def register(handler: Handler) -> Handler:
        FOLDERS.update(dict.fromkeys(kinds, handler))
        return handler

    return register


@dataclass
class Trace:
    """The nodes that a file became.

    Attributes:
        nodes: in the order they run; the first is the input, the last the output.
        notes: what the user should know.
        places: where the elements of each value lie, by the value's name.
        input_type: as the file has it.
    """

    nodes: list[n.Node]
    notes: list[str]
    places: dict[str, Places]
    input_type: str


@dataclass
class Tracer:
    """Follows the nodes of a file.

    Args:
        model: the file.
        channels_last: whether the input lies as the file has it, not with its channels moved last.
    """

    model: OnnxModel
    channels_last: bool = False
    nodes: list[n.Node] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    values: dict[str, Value] = field(default_factory=dict)
    misplaced: bool = False
    _names: set[str] = field(default_factory=set)
    _quantized: dict[tuple[int, Grid], n.Node] = field(default_factory=dict)
    _orders: dict[tuple[int, ...], Places] = field(default_factory=dict)
    _known: set[int] = field(default_factory=set)
    _elements: int = 0
    _computed: int = 0
    _products: int = 0

    def trace(self) -> Trace:
        """Follows all nodes.

        Raises:
            ModelError: tells all nodes that cannot be imported.
        """
        self.values.update(self.model.constants)
        source = self._input()
        reasons: list[str] = []
        hints: list[str] = []
        skipped: set[str] = set()
        for each in self.model.nodes:
            skip = bool(skipped.intersection(each.inputs))
            skipped.update(each.outputs if skip else ())
            try:
                with reading(str(each)), np.errstate(all="ignore"):
                    if not skip:
                        self._follow(each)
                    elif each.kind in CHECKS and skipped.isdisjoint(each.inputs[1:]):
                        CHECKS[each.kind](self, each)
            except ModelError as error:
                reasons.append(str(error))
                hints.append(error.hint)
                skipped.update(each.outputs)
        if reasons:
            raise blocked(reasons, next(filter(None, hints), ""))
        output = self.values.get(self.model.output)
        if not isinstance(output, Flow) or output.node is source.node:
            raise ModelError(f"the output '{self.model.output}' is not computed from the input")
        return self._finish(output)

    def _input(self) -> Flow:
        given = self.model.input
        shape = given.shape[1:]
        if self.channels_last or len(shape) < 2:
            places = self.in_order(shape)
        else:
            shape = (*shape[1:], shape[0])
            places = self.channels_first(shape)
        node = n.Input(name=given.name, inputs=[], shape=shape, value_of=given.name)
        flow = self.flow(node, places, moved={"UINT8": -128, "INT8": 0}.get(given.type))
        if given.type not in ("FLOAT", "FLOAT16", "UINT8", "INT8"):
            raise ModelError(
                f"input '{given.name}' is {given.type}, allowed: FLOAT, UINT8 and INT8"
            )
        self.values[given.name] = flow
        return flow

    def _follow(self, each: OnnxNode) -> None:
        missing = [name for name in each.inputs if name and name not in self.values]
        if missing:
            raise ModelError(f"{each}: input '{missing[0]}' is not computed before it")
        if not each.outputs or (not each.inputs and each.kind != "Constant"):
            raise ModelError(f"{each}: {len(each.inputs)} inputs, {len(each.outputs)} outputs")
        taken = [name for name in each.outputs if name and name in self.values]
        if taken:
            raise ModelError(f"{each}: '{taken[0]}' is computed twice")
        given = [self.values[name] for name in each.inputs if name]
        if any(isinstance(value, Flow) for value in given):
            if each.kind not in HANDLERS:
                raise ModelError(f"{each}: of a value that is computed: not supported")
            result = HANDLERS[each.kind](self, each)
        elif each.kind in FOLDERS:
            result = FOLDERS[each.kind](self, each)
        else:
            raise ModelError(f"{each}: has constant inputs only")
        if isinstance(result, Flow):
            if not result.node.value_of and result.node.layers[-1:] == (each.name,):
                result.node.value_of = each.outputs[0]
        else:
            self.count(result.codes.size if isinstance(result, Quantized) else result.size)
        self.values[each.outputs[0]] = result

    def count(self, elements: int) -> None:
        """Counts elements of constants that are computed; raises ModelError for too many."""
        self._computed += elements
        if elements > LARGEST_CONSTANT or self._computed > _MOST_ELEMENTS:
            raise ModelError(f"constants of more than {_MOST_ELEMENTS:,} elements are computed")

    def count_products(self, each: OnnxNode, outputs: int, window: int) -> None:
        """Counts what windows take in; raises ModelError for too much.

        Args:
            each: the file's node.
            outputs: elements of its result.
            window: elements that each is made from.
        """
        self._products += outputs * window
        if self._products > _MOST_PRODUCTS:
            raise ModelError(
                f"{each}: {outputs * window:,} products, all together {self._products:,}; allowed: "
                f"{_MOST_PRODUCTS:,}",
                hint="a network for a microcontroller takes a hundredth of it",
            )

    def _finish(self, output: Flow) -> Trace:
        node = output.node
        if isinstance(node, n.Function) and not node.grid and not output.integer:
            users = sum(each.inputs.count(node) for each in self.nodes)
            single = node.kind == "logistic" and math.prod(node.shape) == 1
            if not users and (node.kind == "softmax" or single):
                self.notes.append(f"the final {node.kind} is left out: the output is the logits")
                node = node.inputs[0]
        if not np.array_equal(output.places.ravel(), np.arange(output.places.size)):
            if output.places.ndim < 3 or not _last_to_first(output.places):
                raise self.misplacement(f"the output '{self.model.output}'")
            self.notes.append("the output lies with its channels last (NHWC)")
        needed = {id(node)}
        for each in reversed(self.nodes):
            if id(each) in needed:
                needed.update(map(id, each.inputs))
        kept = [each for each in self.nodes if id(each) in needed and each is not node]
        if id(self.nodes[0]) not in needed:
            raise ModelError("the output does not depend on the input")
        return Trace([*kept, node], self.notes, self.places, self.model.input.type)

    @property
    def places(self) -> dict[str, Places]:
        """Where the elements of each value lie, by the value's name."""
        return {
            name: value.places for name, value in self.values.items() if isinstance(value, Flow)
        }

    # Access of handlers to their inputs.

    def flow_of(self, each: OnnxNode, position: int = 0, *, integer: bool = False) -> Flow:
        """An input that is computed; raises ModelError where it is not, or of the other kind."""
        value = self.optional(each, position)
        if not isinstance(value, Flow):
            raise ModelError(f"{each}: input {position} has to be computed from the model's input")
        if value.integer != integer:
            needs = "quantized" if integer else "dequantized (DequantizeLinear)"
            raise ModelError(f"{each}: input {position} has to be {needs}")
        return value

    def constant(self, each: OnnxNode, position: int) -> Array:
        """An input that is constant; raises ModelError where it is not."""
        value = self.optional(each, position)
        if isinstance(value, Quantized):
            return value.real
        if value is None or isinstance(value, Flow):
            raise ModelError(f"{each}: input {position} has to be constant")
        return value

    def optional(self, each: OnnxNode, position: int) -> Value | None:
        """An input, or None where it is left out."""
        if position >= len(each.inputs) or not each.inputs[position]:
            return None
        return self.values[each.inputs[position]]

    def scalar(self, each: OnnxNode, position: int, default: float | None = None) -> float:
        """A constant of one element."""
        if default is not None and self.optional(each, position) is None:
            return default
        value = self.constant(each, position)
        if value.size != 1:
            raise ModelError(f"{each}: input {position} has {value.size} values, allowed: one")
        return float(value.ravel()[0])

    def integers(self, each: OnnxNode, name: str, position: int) -> list[int] | None:
        """A list of integers that newer operators take as an input, older as an attribute."""
        if self.optional(each, position) is not None:
            values = self.constant(each, position)
            return [int(value) for value in values.ravel()]
        given = each.attributes.get(name)
        return None if given is None else [int(value) for value in given]

    # The means of handlers to make results.

    def in_order(self, shape: tuple[int, ...]) -> Places:
        """The places of what lies as the file has it: (1, *shape)."""
        if shape not in self._orders:
            self._count_activation(shape)
            places = np.arange(math.prod(shape), dtype=np.int32).reshape(1, *shape)
            places.flags.writeable = False
            self._orders[shape] = places
        return self._orders[shape]

    def channels_first(self, shape: tuple[int, ...], axes: int | None = None) -> Places:
        """The places of an image that lies as ``shape``, channels last: (1, channels, ...).

        Args:
            shape: as it lies: (height, width, channels), or (width, channels).
            axes: of the file's shape, 3 where it lacks the height.
        """
        places = np.moveaxis(self.in_order(shape), -1, 1)
        return places.reshape(1, shape[-1], -1) if axes == 3 else places

    def unique(self, name: str) -> str:
        """The name, or the nearest one that no node has."""
        candidate, count = name, 1
        while candidate in self._names:
            count += 1
            candidate = f"{name}_{count}"
        self._names.add(candidate)
        return candidate

    def add(
        self, each: OnnxNode, made: type[n.Node], inputs: list[n.Node], /, **rest: Any
    ) -> n.Node:
        """A node of the graph that does the work of the file's."""
        name = each.name + rest.pop("part", "")
        return made(name=self.unique(name), inputs=inputs, layers=(name,), **rest)

    def flow(self, node: n.Node, places: Places, *, moved: int | None = None) -> Flow:
        """The value of a node, which joins the others."""
        if id(node) not in self._known:
            self._known.add(id(node))
            self._count_activation(node.shape)
            self.nodes.append(node)
        return Flow(node, places, moved)

    def _count_activation(self, shape: tuple[int, ...]) -> None:
        size = math.prod(shape)
        self._elements += size
        if size > _LARGEST_ACTIVATION or self._elements > _MOST_ELEMENTS:
            raise ModelError(
                f"an activation of {size:,} elements, all together {self._elements:,}; allowed: "
                f"{_LARGEST_ACTIVATION:,}, all together {_MOST_ELEMENTS:,}",
                hint="a network for a microcontroller takes a thousandth",
            )

    def misplacement(self, where: object) -> ModelError:
        """An error for elements that lie in another order than is needed."""
        self.misplaced = True
        return ModelError(
            f"{where}: its input would have to be transposed",
            hint="the integer graph has no Transpose; convolutions and pools need images whose "
            "channels come first in the file, and sums need both sides in one order",
        )

    def image(self, each: OnnxNode, flow: Flow) -> n.Node:
        """The node whose value is a flow of 3 or 4 axes, as (height, width, channels).

        Raises:
            ModelError: its elements lie in another order.
        """
        if len(flow.shape) not in (3, 4):
            raise ModelError(f"{each}: an input of shape {flow.shape}, allowed: 3 or 4 axes")
        channels, *size = flow.shape[1:]
        shape = (*([1] if len(size) == 1 else []), *size, channels)
        if not _last_to_first(flow.places):
            raise self.misplacement(each)
        return self.reshaped(each, flow.node, shape)

    def ordered(self, each: OnnxNode, flow: Flow, shape: tuple[int, ...]) -> n.Node:
        """The node whose value is a flow as it lies in the file, under a shape."""
        if not np.array_equal(flow.places.ravel(), np.arange(flow.places.size)):
            raise self.misplacement(each)
        return self.reshaped(each, flow.node, shape)

    def give_grid(self, each: OnnxNode, scale: float, zero_point: float) -> None:
        """The scale and zero point of an input of integers, as the file has them."""
        low, high = (0, 255) if self.model.input.type == "UINT8" else (-128, 127)
        if not (math.isfinite(scale) and np.float32(scale) > 0) or not low <= zero_point <= high:
            raise ModelError(f"{each}: a scale of {scale}, a zero point of {zero_point}")
        self.nodes[0].grid = Grid(Quantization(scale, int(zero_point) - low - 128))

    def reshaped(self, each: OnnxNode, node: n.Node, shape: tuple[int, ...]) -> n.Node:
        """The node under another shape."""
        if node.shape == shape:
            return node
        shaped = self.add(each, n.Reshape, [node], shape=shape, part="/reshaped")
        self.flow(shaped, self.in_order(shape))
        return shaped

    def quantized(
        self, each: OnnxNode, flow: Flow, grid: Grid, *, moved: int | None = None
    ) -> Flow:
        """A flow on a grid; the same one where the file puts it there twice."""
        key = (id(flow.node), grid)
        if key not in self._quantized:
            node = self.add(each, n.Activation, [flow.node], shape=flow.node.shape, grid=grid)
            self._quantized[key] = self.flow(node, flow.places).node
        return Flow(self._quantized[key], flow.places, moved)


def grid_of(flow: Flow) -> Quantization | None:
    """The quantization that a flow's value has, as far as it is known."""
    grid = known_grid(flow)
    return grid.quantization if grid else None


def known_grid(flow: Flow) -> Grid | None:
    """The grid that a flow's value lies on, as far as it is known."""
    node = flow.node
    while isinstance(node, n.KEEPS_GRID) and not node.grid:
        node = node.inputs[0]
    return node.grid


def _last_to_first(places: Places) -> bool:
    """Whether an image lies with its channels last."""
    return bool(np.array_equal(np.moveaxis(places, 1, -1).ravel(), np.arange(places.size)))
