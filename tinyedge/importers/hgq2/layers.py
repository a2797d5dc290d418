"""HGQ2's layers, one function a kind, into float nodes."""

from __future__ import annotations

import dataclasses
import io
import math
import zipfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tinyedge.errors import ModelError
from tinyedge.importers import nodes as n
from tinyedge.importers import plain
from tinyedge.importers.hgq2.fixed import Fixed, codes_of
from tinyedge.keras.contents import LARGEST_VALUE, WEIGHTS, KerasContents, open_hdf5
from tinyedge.keras.grids import Float64, Grid
from tinyedge.keras.keras3 import HGQ2
from tinyedge.keras.weights import layer_groups, numbered

_DAMAGE = (
    ArithmeticError,
    AttributeError,
    IndexError,
    KeyError,
    MemoryError,
    OSError,
    RuntimeError,
    TypeError,
    ValueError,
)
"""Errors that settings or weights raise which do not fit a layer."""
_MOST_PRODUCTS = 2**30
_STEPS = 256


class Layer(SimpleNamespace):
    """A layer as the file has it: its settings as attributes.

    Attributes:
        name, kind: as the file has them; HGQ2's kinds begin with ``hgq>``.
        group: of the file, with its weights; None where it has none.
    """

    name: str
    kind: str
    group: Any


@dataclass(frozen=True)
class Value:
    """A layer's value.

    Attributes:
        node: what computes it, but for ``factors``.
        factors: (channels,) what the node's channels have to be multiplied with, powers of two or
            zero; None where all are one. The channels of a quantizer with bits of their own lie on
            steps of their own; in the node they lie on one.
        low, high: (channels,) the smallest and largest multiple of ``step`` that the node's
            channels can have, where there are factors.
        step: of the node's grid, where there are factors.
    """

    node: n.Node
    factors: Float64 | None = None
    low: Float64 | None = None
    high: Float64 | None = None
    step: float = 0.0


def trace(path: Path, contents: KerasContents) -> tuple[list[n.Node], list[str]]:
    """Turns a file into nodes in execution order, the last of which is the logits.

    Args:
        path: of the file.
        contents: of it, as ``read_contents`` gives them.

    Returns:
        The nodes, and notes for the user.

    Raises:
        ModelError: a layer or a quantizer is not supported; it is named.
    """
    with zipfile.ZipFile(path) as archive:
        stream = io.BytesIO(archive.read(WEIGHTS))
    with open_hdf5(path, stream, "hgq2") as file:
        with _reading("the file"):
            tracer = _Tracer(layer_groups(file))
        logits = tracer.follow(contents.config)
    needed = n.ancestors(logits)
    ordered = [node for node in tracer.nodes if id(node) in needed and node is not logits]
    notes = tracer.notes
    if tracer.wrapping:
        names = ", ".join(tracer.wrapping)
        notes.append(f"values beyond their range saturate, where HGQ2 wraps them (WRAP): {names}")
    return [*ordered, logits], notes


@contextmanager
def _reading(where: str) -> Iterator[None]:
    """Makes one error of whatever damage raises."""
    try:
        yield
    except _DAMAGE as error:
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise ModelError(
            f"{where}: settings or weights that do not fit it: {reason[:120]}",
            hint="the file is damaged, or of another version of HGQ2; 0.2 is read",
        ) from error


@dataclass
class _Tracer:
    groups: Mapping[str, Any]
    nodes: list[n.Node] = field(default_factory=list)
    wrapping: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    _nonnegative: set[int] = field(default_factory=set)
    _quantized: dict[tuple[int, bytes, Grid], n.Node] = field(default_factory=dict)
    _products: int = 0

    def follow(self, config: dict[str, Any]) -> n.Node:
        """Adds the nodes of a model's layers; gives that of the logits."""
        inner = config["config"]
        values: dict[tuple[str, int], Value] = {}
        with _reading("the model"):
            ends = inner.get("input_layers", [None]), inner.get("output_layers", [None])
            if any(len(end) != 1 for end in ends):
                raise ModelError("a model with several inputs or outputs", "save one of one each")
            calls = list(_calls(config))
            output = tuple(ends[1][0][:2]) if ends[1][0] else calls[-1][:2]
        for name, count, entry, references in calls:
            given = {"name": name, "kind": entry["class_name"], "group": self.groups.get(name)}
            layer = Layer(**(entry["config"] | given))
            start = len(self.nodes)
            with _reading(f"layer '{name}'"):
                inputs = [values[reference] for reference in references]
                value = self._build(layer, inputs, final=(name, count) == output)
            suffix = f"/call{count + 1}" if count else ""
            for node in self.nodes[start:]:
                node.name += suffix
                node.value_of = node.name if node.name != name else f"{name}/inner"
                if node is value.node and value.factors is None:
                    node.value_of = name + suffix
                node.layers = (node.value_of,)
            values[name, count] = value
        with _reading("the output"):
            return self.plain_value(Layer(name="output"), values[output]).node

    def _build(self, layer: Layer, inputs: list[Value], *, final: bool) -> Value:
        kind = layer.kind
        if getattr(layer, "data_format", "channels_last") != "channels_last":
            raise ModelError(f"layer '{layer.name}': channels come first", "use channels_last")
        if kind == "InputLayer":
            shape = tuple(layer.batch_input_shape[1:])
            if not shape or any(not isinstance(size, int) or size < 1 for size in shape):
                raise ModelError(
                    f"layer '{layer.name}': the input shape {shape} is not fixed",
                    hint="give the input layer a full shape",
                )
            return Value(self.add(n.Input(name=layer.name, inputs=[], shape=shape)))
        if kind in ("Softmax", f"{HGQ2}QSoftmax") or _ends_in_probability(layer, inputs):
            if not final:
                raise ModelError(
                    f"layer '{layer.name}': softmax or sigmoid before the end of the model",
                    hint="a softmax, or the sigmoid of one output, is supported at the end only",
                )
            if kind in ("Softmax", "Activation"):
                return inputs[0]
            if getattr(layer, "enable_oq", False):
                self.notes.append(
                    f"layer '{layer.name}': the quantizer of its probabilities is left out "
                    "with its softmax or sigmoid"
                )
            if kind == f"{HGQ2}QSoftmax":
                return _input(self, layer, inputs[0])
            layer.activation, layer.enable_oq = None, False
        if kind not in _BUILDERS:
            raise ModelError(
                f"layer '{layer.name}': unsupported layer {kind.removeprefix(HGQ2)}",
                hint=f"supported: {', '.join(supported_layers())}",
            )
        return _BUILDERS[kind](self, layer, inputs)

    def add(self, node: n.Node) -> n.Node:
        """Adds a node; raises ModelError for a value too large for any microcontroller."""
        if not 0 < math.prod(node.shape) <= LARGEST_VALUE:
            raise ModelError(
                f"layer '{node.name}': a value of shape {node.shape}",
                hint=f"values of up to {LARGEST_VALUE} elements can be read",
            )
        inputs = [id(source) in self._nonnegative for source in node.inputs]
        match node:
            case n.Activation():
                grid = node.grid
                low = grid.clamp[0] - grid.quantization.zero_point if grid else node.bounds[0]
                nonnegative = low >= 0 or inputs[0]
            case n.Add() | n.Mul() | n.Mean() | n.Pool() | n.Pad() | n.Reshape():
                nonnegative = all(inputs)
            case n.Affine():
                nonnegative = inputs[0] and min(node.scale.min(), node.offset.min()) >= 0
            case n.Function():
                nonnegative = node.kind == "logistic"
            case _:
                nonnegative = False
        if nonnegative:
            self._nonnegative.add(id(node))
        self.nodes.append(node)
        return node

    def plain_value(self, layer: Layer, value: Value, part: str = "input") -> Value:
        """A value whose node needs no factors any more."""
        if value.factors is None:
            return value
        assert value.low is not None
        assert value.high is not None
        low, high = (value.low * value.factors).min(), (value.high * value.factors).max()
        if id(value.node) in self._nonnegative:
            low = 0
        if high - low >= _STEPS:
            raise ModelError(
                f"layer '{layer.name}': its {part} takes {high - low + 1:.0f} steps of the channel "
                f"with the finest ones; int8 has {_STEPS}",
                hint="give the quantizer before it one step for all: heterogeneous_axis=()",
            )
        grid = Grid.of_steps(value.step, int(low), int(high))
        name = f"{layer.name}/{part}/channels"
        return Value(self._on_grid(name, value.node, value.factors, grid))

    def _on_grid(self, name: str, source: n.Node, factors: Float64, grid: Grid) -> n.Node:
        """A value times factors (channels,), on a grid; the same one for all who ask for it."""
        key = id(source), factors.tobytes(), grid
        if key not in self._quantized:
            if (factors != 1).any():
                zeros = np.zeros_like(factors)
                scaled = n.Affine(
                    name=f"{name}/scaled",
                    inputs=[source],
                    shape=source.shape,
                    scale=factors,
                    offset=zeros,
                )
                source = self.add(scaled)
            quantized = n.Activation(name=name, inputs=[source], shape=source.shape, grid=grid)
            self._quantized[key] = self.add(quantized)
        return self._quantized[key]

    def quantized(self, layer: Layer, part: str, value: Value, given: Any, group: Any) -> Value:
        """A value behind a quantizer.

        Where channels have steps of their own, each is scaled so that all lie on the finest one.

        Args:
            layer: that the quantizer belongs to.
            part: what it does there.
            value: before it.
            given: its configuration; None for no quantizer.
            group: of the file, with its bits.
        """
        if given is None:
            return value
        where = f"layer '{layer.name}': its {part}"
        fixed = Fixed.read(where, given, group, value.node.shape)
        if fixed is None:
            return value
        if not fixed.to_nearest:
            raise ModelError(
                f"{where} rounds by {fixed.rounding}", hint="train with round_mode='RND'"
            )
        channels = value.node.shape[-1]
        of_channels = dataclasses.replace(
            fixed,
            negative=_per_channel(where, fixed.negative, channels),
            integer=_per_channel(where, fixed.integer, channels),
            fraction=_per_channel(where, fixed.fraction, channels),
        )
        alive = of_channels.alive
        low, high = (np.where(alive, steps, 0.0) for steps in of_channels.steps)
        if id(value.node) in self._nonnegative:
            low = np.zeros(channels)
        if fixed.overflow == "WRAP":
            self.wrapping.append(f"{layer.name}/{part}")
        elif len(set(zip(low[alive], high[alive], strict=True))) > 1:
            raise ModelError(
                f"{where} saturates at other steps from channel to channel",
                hint="use overflow_mode='WRAP', or one number of bits: heterogeneous_axis=()",
            )
        lowest, highest = int(low.min()), int(high.max())
        if highest - lowest >= _STEPS:
            raise ModelError(
                f"{where} has values of {highest - lowest + 1} steps; int8 has {_STEPS}",
                hint="limit its bits in training: QuantizerConfig('kbi', 'datalane', "
                "bc=MinMax(0, 7)), or 8 where no value is negative",
            )
        finest = of_channels.fraction[alive].max(initial=-np.inf) if alive.any() else 0.0
        coarser = np.where(alive, np.exp2(finest - of_channels.fraction), 1.0)
        before = 1.0 if value.factors is None else value.factors
        step = fixed.scaler * 2.0**-finest
        grid = Grid.of_steps(step, lowest, highest)
        node = self._on_grid(f"{layer.name}/{part}", value.node, before / coarser, grid)
        factors = np.where(alive, coarser, 0.0)
        if (factors == 1).all():
            return Value(node)
        return Value(node, factors, low, high, step)

    def count_products(self, layer: Layer, outputs: int, window: int) -> None:
        """Counts what windows take in; raises ModelError for too much."""
        self._products += outputs * window
        if self._products > _MOST_PRODUCTS:
            raise ModelError(
                f"layer '{layer.name}': {outputs * window:,} products, all together "
                f"{self._products:,}; allowed: {_MOST_PRODUCTS:,}",
                hint="a network for a microcontroller takes a hundredth of it",
            )

    def spread(self, layer: Layer, builder: plain.Builder, nodes: list[n.Node]) -> n.Node:
        """Adds what one of ``plain``'s builders makes; gives the last node."""
        built = builder(layer, nodes)
        for node in built:
            if node not in nodes:
                self.add(node)
        return built[-1]


def _calls(
    config: dict[str, Any],
) -> Iterator[tuple[str, int, dict[str, Any], list[tuple[str, int]]]]:
    """A model's calls in execution order: layer, which of its calls, its entry, what it takes."""
    entries = config["config"]["layers"]
    if config["class_name"] == "Sequential":
        before: list[tuple[str, int]] = []
        for entry in entries:
            name = str(entry["config"]["name"])
            yield name, 0, entry, before
            before = [(name, 0)]
        return
    calls = []
    for entry in entries:
        name = str(entry["name"])
        for count, call in enumerate(entry["inbound_nodes"] or [[]]):
            references = [(str(value[0]), int(value[1])) for value in call]
            if any(value[2] != 0 for value in call):
                raise ModelError(f"layer '{name}': takes another than a layer's first value")
            calls.append((name, count, entry, references))
    takers: dict[tuple[str, int], list[int]] = {}
    lacking = [len(set(call[3])) for call in calls]
    for index, call in enumerate(calls):
        for reference in set(call[3]):
            takers.setdefault(reference, []).append(index)
    ready = [index for index, number in enumerate(lacking) if not number]
    while ready:
        freed = []
        for index in ready:
            yield calls[index]
            for taker in takers.pop(calls[index][:2], ()):
                lacking[taker] -= 1
                if not lacking[taker]:
                    freed.append(taker)
        ready = sorted(freed)
    stuck = [call[0] for call, number in zip(calls, lacking, strict=True) if number]
    if stuck:
        raise ModelError(f"layer '{stuck[0]}': is called with a value that no layer gives")


def _per_channel(where: str, bits: Float64, channels: int) -> Float64:
    """Bits (channels,), which must not differ between rows or columns."""
    flat = bits.reshape(-1, bits.shape[-1])
    if (flat != flat[:1]).any():
        raise ModelError(
            f"{where} has other bits from row to row",
            hint="give it bits a channel, homogeneous_axis=(0, 1, 2), or heterogeneous_axis=()",
        )
    return np.array(np.broadcast_to(flat[0], channels))


def _ends_in_probability(layer: Layer, inputs: list[Value]) -> bool:
    given = getattr(layer, "activation", None)
    if given == "softmax":
        return True
    size = getattr(layer, "units", math.prod(inputs[0].node.shape) if inputs else 0)
    return given == "sigmoid" and size == 1


_Builder = Callable[[_Tracer, Layer, list[Value]], Value]
_BUILDERS: dict[str, _Builder] = {}


def _builds(*kinds: str) -> Callable[[_Builder], _Builder]:
    def register(builder: _Builder) -> _Builder:
        _BUILDERS.update(dict.fromkeys(kinds, builder))
        return builder

    return register


def supported_layers() -> list[str]:
    """The names of all layers that can be imported: HGQ2's begin with a Q, others are Keras'."""
    kinds = (*_BUILDERS, "InputLayer", "QSoftmax", "Softmax")
    return sorted(kind.removeprefix(HGQ2) for kind in kinds)


def _input(tracer: _Tracer, layer: Layer, value: Value) -> Value:
    """A layer's one input, behind its quantizer."""
    given = layer.iq_conf if layer.enable_iq else None
    return tracer.quantized(layer, "iq", value, given, given and layer.group["iq"])


def _output(tracer: _Tracer, layer: Layer, node: n.Node, *, activated: bool = False) -> Value:
    """A layer's result behind its activation, if it has one, and its quantizer."""
    value = Value(node)
    if activated:
        name = f"{layer.name}/activation"
        built = plain.activation(layer.activation, node, name)
        if built is None:
            raise ModelError(
                f"layer '{layer.name}': activation {str(layer.activation)[:80]!r}",
                hint=f"supported: linear, {', '.join((*plain.BOUNDS, *plain.LOOKED_UP))}",
            )
        for each in built:
            value = Value(tracer.add(each))
    return _quantized_output(tracer, layer, value)


def _quantized_output(tracer: _Tracer, layer: Layer, value: Value) -> Value:
    given = layer.oq_conf if layer.enable_oq else None
    return tracer.quantized(layer, "oq", value, given, given and layer.group["oq"])


def _weights(layer: Layer, shape: tuple[int, ...]) -> tuple[Float64, float, Float64]:
    """Kernel, the step that all of it are multiples of, and bias, as HGQ2 computes with them."""
    arrays = [np.asarray(each, np.float32) for each in numbered(layer.group)]
    if arrays[0].shape != shape or (layer.use_bias and arrays[1].shape != shape[-1:]):
        raise ValueError(f"a kernel of shape {arrays[0].shape}, its settings say {shape}")
    if not all(np.isfinite(array).all() for array in arrays):
        raise ValueError("weights that are not finite")
    where = f"layer '{layer.name}': its kernel"
    fixed = Fixed.read(where, layer.kq_conf, layer.group["kq"], shape)
    if fixed is None:
        raise ModelError(f"{where} has no quantizer")
    kernel = fixed.constants(arrays[0])
    bias = np.zeros(shape[-1])
    if layer.use_bias:
        own = Fixed.read(
            f"layer '{layer.name}': its bias", layer.bq_conf, layer.group["bq"], shape[-1:]
        )
        bias = arrays[1].astype(np.float64) if own is None else own.constants(arrays[1])
    return kernel, fixed.scaler * 2.0 ** -float(fixed.fraction.max()), bias


def _linear(
    tracer: _Tracer, layer: Layer, value: Value, kernel: Float64, finest: float, groups: int = 1
) -> tuple[n.Node, NDArray[np.int16], Float64]:
    """The node that a kernel (out, ..., in) takes, and its codes and scales (out,).

    What the value's channels have to be multiplied with goes into the weights, if these stay in
    8 bits.
    """
    if value.factors is not None:
        of_group = np.arange(len(kernel)) * groups // len(kernel)
        factors = value.factors.reshape(groups, -1)[of_group]
        factors = factors.reshape(len(kernel), *[1] * (kernel.ndim - 2), -1)
        codes, scales = codes_of(kernel * factors, finest)
        if _fits(codes):
            return value.node, codes.astype(np.int16), scales
    codes, scales = codes_of(kernel, finest)
    if not _fits(codes):
        raise ModelError(
            f"layer '{layer.name}': its kernel takes codes from {codes.min()} to {codes.max()} in "
            "one channel; int8 has -128 to 127",
            hint="limit its bits in training: QuantizerConfig('kbi', 'weight', bc=MinMax(0, 7), "
            "heterogeneous_axis=(-1,)), or for each weight QuantizerConfig('kif', 'weight', "
            "ic=MinMax(-7, 0), fc=MinMax(0, 7))",
        )
    return tracer.plain_value(layer, value).node, codes.astype(np.int16), scales


def _fits(codes: NDArray[np.int64]) -> bool:
    return bool(codes.min(initial=0) >= -128 and codes.max(initial=0) <= 127)


@_builds(f"{HGQ2}QConv1D", f"{HGQ2}QConv2D")
def _convolution(tracer: _Tracer, layer: Layer, inputs: list[Value]) -> Value:
    """A convolution; along one row for QConv1D, behind which values keep the row."""
    value = _input(tracer, layer, inputs[0])
    row = layer.kind == f"{HGQ2}QConv1D"
    if row:
        source = plain.as_image(layer, value.node)
        if source is not value.node:
            value = dataclasses.replace(value, node=tracer.add(source))
    shape, channels = value.node.shape, value.node.shape[-1]
    window, stride, dilation = (
        (1, int(given[0])) if row else plain.pair(given)
        for given in (layer.kernel_size, layer.strides, layer.dilation_rate)
    )
    if row:
        padding = plain.row_padding(layer, shape, window[1], stride[1], dilation[1])
    else:
        padding = plain.window_padding(layer, shape, window, dilation)
    rows, columns = plain.out_size(shape, window, stride, dilation, padding)
    outputs, groups = int(layer.filters), int(layer.groups)
    tracer.count_products(layer, rows * columns * outputs, math.prod(window) * channels)
    held = (*(window[1:] if row else window), channels // groups, outputs)
    kernel, finest, bias = _weights(layer, held)
    kernel = kernel.reshape(*window, channels // groups, outputs).transpose(3, 0, 1, 2)
    node, codes, scales = _linear(tracer, layer, value, kernel, finest, groups)
    linear = n.Linear(
        name=layer.name,
        inputs=[node],
        shape=(rows, columns, outputs),
        kind="conv2d",
        codes=codes,
        scales=scales,
        bias=bias,
        stride=stride,
        dilation=dilation,
        padding=padding,
    )
    built = tracer.add(plain.ungrouped(linear, channels, groups))
    return _output(tracer, layer, built, activated=True)


@_builds(f"{HGQ2}QDense")
def _dense(tracer: _Tracer, layer: Layer, inputs: list[Value]) -> Value:
    """A matrix product; on rows it is a convolution of one cell."""
    value = _input(tracer, layer, inputs[0])
    source = plain.as_image(layer, value.node)
    if source is not value.node:
        value = dataclasses.replace(value, node=tracer.add(source))
    *cells, channels = value.node.shape
    outputs = int(layer.units)
    tracer.count_products(layer, math.prod(cells) * outputs, channels)
    kernel, finest, bias = _weights(layer, (channels, outputs))
    node, codes, scales = _linear(tracer, layer, value, kernel.T, finest)
    linear = n.Linear(
        name=layer.name,
        inputs=[node],
        shape=(*cells, outputs),
        kind="conv2d" if cells else "dense",
        codes=codes[:, np.newaxis, np.newaxis] if cells else codes,
        scales=scales,
        bias=bias,
    )
    return _output(tracer, layer, tracer.add(linear), activated=True)


@_builds(f"{HGQ2}QBatchNormalization")
def _quantized_normalization(tracer: _Tracer, layer: Layer, inputs: list[Value]) -> Value:
    value = tracer.plain_value(layer, _input(tracer, layer, inputs[0]))
    _check_axis(layer, value)
    arrays = [np.asarray(each, np.float32) for each in numbered(layer.group)]
    gamma = arrays.pop(0) if layer.scale else np.float32(1)
    beta = arrays.pop(0) if layer.center else np.float32(1)  # as HGQ2 0.2 has it
    mean, variance = arrays[:2]
    scale = gamma / np.sqrt(variance + np.float32(layer.epsilon))
    offset = beta - mean * scale
    real = []
    for part, given, constants in (("kq", layer.kq_conf, scale), ("bq", layer.bq_conf, offset)):
        fixed = Fixed.read(
            f"layer '{layer.name}': its {part}", given, layer.group[part], value.node.shape[-1:]
        )
        real.append(
            np.asarray(constants, np.float64) if fixed is None else fixed.constants(constants)
        )
    node = n.Affine(
        name=layer.name,
        inputs=[value.node],
        shape=value.node.shape,
        scale=np.array(np.broadcast_to(real[0], value.node.shape[-1:])),
        offset=np.array(np.broadcast_to(real[1], value.node.shape[-1:])),
    )
    return _output(tracer, layer, tracer.add(node))


def _check_axis(layer: Layer, value: Value) -> None:
    axis = layer.axis if isinstance(layer.axis, int) else layer.axis[0]
    if axis not in (-1, len(value.node.shape)):
        raise ModelError(f"layer '{layer.name}': normalization over axis {layer.axis}")


@_builds("BatchNormalization")
def _normalization(tracer: _Tracer, layer: Layer, inputs: list[Value]) -> Value:
    value = tracer.plain_value(layer, inputs[0])
    _check_axis(layer, value)
    arrays = [np.asarray(each, np.float64) for each in numbered(layer.group)]
    layer.axis, layer.input_shape = -1, (None, *value.node.shape)
    layer.gamma = arrays.pop(0) if layer.scale else None
    layer.beta = arrays.pop(0) if layer.center else None
    layer.moving_mean, layer.moving_variance = arrays[:2]
    if layer.moving_mean.shape != value.node.shape[-1:]:
        raise ValueError(f"statistics of shape {layer.moving_mean.shape}")
    return Value(tracer.spread(layer, plain.PLAIN["BatchNormalization"], [value.node]))


@_builds(f"{HGQ2}Quantizer")
def _quantizer(tracer: _Tracer, layer: Layer, inputs: list[Value]) -> Value:
    return tracer.quantized(layer, "quantizer", inputs[0], layer.config, layer.group)


@_builds("Activation")
def _activation(tracer: _Tracer, layer: Layer, inputs: list[Value]) -> Value:
    layer.enable_oq = False
    value = tracer.plain_value(layer, inputs[0])
    return _output(tracer, layer, value.node, activated=True)


_MERGES = ("Add", "Multiply", "Subtract")


@_builds(*(f"{HGQ2}Q{kind}" for kind in _MERGES))
def _merge(tracer: _Tracer, layer: Layer, inputs: list[Value]) -> Value:
    given: list[Any] = layer.iq_confs if layer.enable_iq else [None] * len(inputs)
    nodes = []
    for index, (value, own) in enumerate(zip(inputs, given, strict=True)):
        part = f"iq{index + 1}"
        name = f"quantizer_{index}" if index else "quantizer"
        group = own and layer.group["iq"]["quantizers"][name]
        quantized = tracer.quantized(layer, part, value, own, group)
        nodes.append(tracer.plain_value(layer, quantized, part).node)
    kind = layer.kind.removeprefix(f"{HGQ2}Q")
    return _output(tracer, layer, tracer.spread(layer, plain.PLAIN[kind], nodes))


@_builds(*_MERGES, "LeakyReLU", "Rescaling")
def _plain(tracer: _Tracer, layer: Layer, inputs: list[Value]) -> Value:
    nodes = [
        tracer.plain_value(layer, value, f"input{index + 1}").node
        for index, value in enumerate(inputs)
    ]
    return Value(tracer.spread(layer, plain.PLAIN[layer.kind], nodes))


_POOLS = (
    "AveragePooling1D",
    "AveragePooling2D",
    "GlobalAveragePooling1D",
    "GlobalAveragePooling2D",
    "GlobalMaxPooling1D",
    "GlobalMaxPooling2D",
    "MaxPooling1D",
    "MaxPooling2D",
)


@_builds(*(f"{HGQ2}Q{kind}" for kind in _POOLS))
def _quantized_pooling(tracer: _Tracer, layer: Layer, inputs: list[Value]) -> Value:
    value = _input(tracer, layer, inputs[0])
    layer.kind = layer.kind.removeprefix(f"{HGQ2}Q")
    return _quantized_output(tracer, layer, _keeping(tracer, layer, [value]))


@_builds(
    *_POOLS,
    "ActivityRegularization",
    "Dropout",
    "Flatten",
    "GaussianDropout",
    "GaussianNoise",
    "ReLU",
    "Reshape",
    "SpatialDropout2D",
    "ZeroPadding2D",
)
def _keeping(tracer: _Tracer, layer: Layer, inputs: list[Value]) -> Value:
    """Layers that give the same whether channels are scaled before or behind them.

    Averages are among them, but theirs are no multiples of a step.
    """
    (value,) = inputs
    channels = value.node.shape[-1]
    limited = layer.kind == "ReLU" and (layer.max_value is not None or layer.negative_slope)
    mixed = layer.kind == "Reshape" and layer.target_shape[-1] not in (
        channels,
        math.prod(value.node.shape),
    )
    if limited or mixed or "Average" in layer.kind:
        value = tracer.plain_value(layer, value)
    node = tracer.spread(layer, plain.PLAIN[layer.kind], [value.node])
    if value.factors is None:
        return Value(node)
    factors, low, high = (
        np.tile(part, node.shape[-1] // channels)
        for part in (value.factors, value.low, value.high)
        if part is not None
    )
    return Value(node, factors, low, high, value.step)
