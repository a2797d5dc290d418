"""Operators that keep states of their own: variable tensors of a ``.tflite`` file.

They become states of the graph. What an operator of the graph gives is one tensor, of which the
results and the next states are cut.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import tflite
from numpy.typing import NDArray

from tinyedge.errors import ModelError
from tinyedge.graph import operators as ops
from tinyedge.graph.graph import State
from tinyedge.graph.recurrent import Lstm, Svdf, SvdfNarrow
from tinyedge.graph.tensors import Quantization, Tensor
from tinyedge.importers.tflite.builder import Builder, quantization_of
from tinyedge.importers.tflite.options import options_of
from tinyedge.importers.tflite.reader import TfliteOperator, TfliteTensor
from tinyedge.importers.tflite.registry import handles
from tinyedge.naming import clean_name

RECURRENT_OPERATORS = ("UNIDIRECTIONAL_SEQUENCE_LSTM", "SVDF")
"""Operators that may read and write int16."""

_LSTM_INPUTS = 24
_KERNELS, _RECURRENT, _BIASES = (1, 2, 3, 4), (5, 6, 7, 8), (12, 13, 14, 15)
_LAST, _CELLS = 18, 19


def _constant(
    operator: TfliteOperator, position: int, kind: str, shape: tuple[int, ...]
) -> tuple[NDArray[Any], float]:
    """Values and scale of a constant input, symmetric and with one scale."""
    given = operator.inputs[position] if position < len(operator.inputs) else None
    if given is None or given.values is None or given.type != kind or given.shape != shape:
        raise ModelError(
            f"{operator}: input {position}, {given}, has to be a constant of {kind.lower()}, "
            f"{'x'.join(map(str, shape))}"
        )
    scales = {1} if kind != "INT32" else {0, 1}  # that of a bias is told by the others
    if np.any(given.zero_points) or given.scales.size not in scales:
        raise ModelError(f"{operator}: {given} has a zero point, or not one scale")
    return given.values, float(given.scales[0]) if given.scales.size else 1.0


def _variable(
    builder: Builder, operator: TfliteOperator, position: int, kind: str, size: int
) -> TfliteTensor:
    """An input that keeps a state, of this operator alone."""
    given = operator.inputs[position] if position < len(operator.inputs) else None
    if given is None or not given.variable or given.type != kind or math.prod(given.shape) != size:
        raise ModelError(
            f"{operator}: input {position}, {given}, has to be a variable of {size} {kind.lower()}"
        )
    if given.scales.size != 1 or (kind == "INT16" and given.zero_points[0]):
        raise ModelError(f"{operator}: {given} needs one scale, and 16 bits no zero point")
    builder.take(operator, given)
    return given


def _part(builder: Builder, whole: Tensor, what: str, begin: int, size: int) -> str:
    return builder.between(
        whole, what, ops.Slice, whole.name, begin=(begin,), size=(size,), stride=(1,)
    ).name


def _state(builder: Builder, given: TfliteTensor, size: int, grid: Quantization) -> str:
    return builder.add_tensor(clean_name(given.name), (size,), grid)


@handles("UNIDIRECTIONAL_SEQUENCE_LSTM")
def _lstm(builder: Builder, operator: TfliteOperator) -> None:
    options = options_of(operator, "UnidirectionalSequenceLSTMOptions")
    source, given = builder.source(operator), operator.outputs[0]
    if len(operator.inputs) != _LSTM_INPUTS or len(source.shape) != 2:
        raise ModelError(f"{operator}: {len(operator.inputs)} inputs, a sequence of {source.shape}")
    used = {0, *_KERNELS, *_RECURRENT, *_BIASES, _LAST, _CELLS}
    for position, tensor in enumerate(operator.inputs):
        if (tensor is None) == (position in used):
            raise ModelError(
                f"{operator}: input {position} is {tensor}: coupled gates, peepholes, projections "
                "and normalization are not supported"
            )
    if options.TimeMajor() or options.ProjClip() > 0:
        raise ModelError(f"{operator}: time before the batch, or a clipped projection")
    if options.FusedActivationFunction() != tflite.ActivationFunctionType.TANH:
        raise ModelError(f"{operator}: another activation than TANH")
    first = operator.inputs[_KERNELS[0]]
    units = first.shape[0] if first and first.shape else 0
    steps, inputs = source.shape
    kernels = [_constant(operator, each, "INT8", (units, inputs)) for each in _KERNELS]
    loops = [_constant(operator, each, "INT8", (units, units)) for each in _RECURRENT]
    biases = [_constant(operator, each, "INT32", (units,)) for each in _BIASES]
    last = _variable(builder, operator, _LAST, "INT8", units)
    cells = _variable(builder, operator, _CELLS, "INT16", units)
    grid = quantization_of(last)
    if grid != builder.target(operator) or given.shape != (1, steps, units):
        raise ModelError(f"{operator}: {given} has to be as {last} is")
    mantissa, power = math.frexp(float(cells.scales[0]))
    if mantissa != 0.5:
        raise ModelError(f"{operator}: {cells} needs a scale that is a power of two")
    clip = int(min(max(options.CellClip(), 0.0) / float(cells.scales[0]), 32767.0))
    if options.CellClip() > 0 and not clip:  # in the graph, 0 stands for no clipping
        raise ModelError(
            f"{operator}: cells are clipped at {options.CellClip():g}, below their scale, "
            f"{float(cells.scales[0]):g}"
        )
    names = (_state(builder, last, units, grid), _state(builder, cells, 2 * units, grid))
    whole = builder.between(
        Tensor(clean_name(given.name), (), grid),
        "all",
        Lstm,
        source.name,
        *names,
        kernel=np.stack([values for values, _ in kernels]),
        recurrent=np.stack([values for values, _ in loops]),
        bias=np.stack([values for values, _ in biases]),
        scales=np.array(
            [[scale for _, scale in kernels], [scale for _, scale in loops]], np.float32
        ),
        cell_power=power - 1,
        cell_clip=clip,
    )
    nexts = (
        _part(builder, whole, "last", (steps - 1) * units, units),
        _part(builder, whole, "kept", steps * units, 2 * units),
    )
    builder.states[names[0]] = State(nexts[0], np.full(units, grid.zero_point, np.int8))
    builder.states[names[1]] = State(nexts[1], np.zeros(2 * units, np.int8))
    _result(builder, operator, whole, steps * units)


@handles("SVDF")
def _svdf(builder: Builder, operator: TfliteOperator) -> None:
    options = options_of(operator, "SVDFOptions")
    source, given = builder.source(operator), operator.outputs[0]
    feature, time = operator.inputs[1:3] if len(operator.inputs) == 5 else (None, None)
    rank = int(options.Rank())
    shapes = [each.shape if each else () for each in (feature, time)]
    if rank < 1 or any(len(shape) != 2 for shape in shapes) or shapes[0][0] % rank:
        raise ModelError(f"{operator}: {feature} and {time} of rank {rank}")
    (filters, inputs), length = shapes[0], shapes[1][1]
    features, feature_scale = _constant(operator, 1, "INT8", (filters, inputs))
    cells = "INT8" if time and time.type == "INT8" else "INT16"
    times, time_scale = _constant(operator, 2, cells, (filters, length))
    bias, _ = _constant(operator, 3, "INT32", (filters // rank,))
    memory = _variable(builder, operator, 4, cells, filters * length)
    grid, units = builder.target(operator), filters // rank
    kind: type[Svdf] = Svdf
    zero, rest = 0, {}
    if cells == "INT8":
        kind, zero = SvdfNarrow, int(memory.zero_points[0])
        rest["memory_zero"] = zero
    size = kind.cell_bytes * filters * length
    name = _state(builder, memory, size, grid)
    whole = builder.between(
        Tensor(clean_name(given.name), (), grid),
        "all",
        kind,
        source.name,
        name,
        feature=features,
        time=times.astype(np.int16),
        bias=bias,
        scales=np.array([feature_scale, time_scale, memory.scales[0]], np.float32),
        **rest,
    )
    kept = _part(builder, whole, "kept", units, size)
    builder.states[name] = State(kept, np.full(size, zero, np.int8))
    _result(builder, operator, whole, units)


def _result(builder: Builder, operator: TfliteOperator, whole: Tensor, size: int) -> None:
    """The part of what was computed that the file's operator gives."""
    builder.finish_reshaped(
        operator, (size,), ops.Slice, whole.name, begin=(0,), size=(size,), stride=(1,)
    )
