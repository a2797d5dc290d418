"""Each operator of the integer graph as a ``.tflite`` file has it."""

from __future__ import annotations

import json
from collections.abc import Sequence
from functools import singledispatch
from typing import Any

import numpy as np
import tflite
from numpy.typing import NDArray

import tinyedge
from tinyedge.exporters.tflite.recurrent import absorbed
from tinyedge.exporters.tflite.writer import Options, Writer
from tinyedge.graph import operators as ops
from tinyedge.graph.activations import FUSED, clamp_of
from tinyedge.graph.graph import METADATA_NAME, Graph
from tinyedge.graph.memory import assignments
from tinyedge.graph.recurrent import Lstm, Svdf, SvdfNarrow
from tinyedge.graph.tensors import Tensor

Builtin = tflite.BuiltinOperator

Call = tuple[int, int, Options | None, list[int]]
"""Builtin operator, its version, its options, and indices of the constants it reads."""


def metadata_of(graph: Graph) -> dict[str, Any]:
    """The description of an exported file in itself."""
    return {
        "version": 1,
        "producer": f"tinyedge {tinyedge.__version__}",
        "name": graph.name,
        "graph_sha256": graph.hash,
        "source": graph.source,
        "weight_bits": {
            operator.name: operator.weights.bits
            for operator in graph.operators
            if isinstance(operator, ops.Weighted)
        },
    }


def export_tflite(graph: Graph, outputs: Sequence[str] = ()) -> bytes:
    """Writes a graph as a ``.tflite`` file without changing any integer, scale or zero point.

    TFLite-Micro gives the graph's own bytes. What the format cannot say in one operator takes
    more: a clamp that is no activation becomes MAXIMUM and MINIMUM, a padding that is neither SAME
    nor VALID becomes PAD.

    Args:
        graph: the graph.
        outputs: tensors that the file's model gives out, for looking inside; the graph's results
            by default.

    Raises:
        ModelError: the format cannot express an operator; says which.
    """
    model = _Model(graph)
    if missing := set(outputs) & hidden_tensors(graph):
        raise ValueError(f"{sorted(missing)} are not in the file")
    model.read_states()
    assigned = assignments(graph)
    for index, operator in enumerate(graph.operators):
        if isinstance(operator, Lstm | Svdf):
            model.add_recurrent(operator)
        elif operator.name not in model.left_out and not isinstance(operator, ops.Join | ops.Part):
            model.add(operator)
        for name, state in graph.states.items():
            if assigned[name] == index and name not in model.own_states:
                model.assign(name, state.next)
    return model.serialize(list(outputs) or [tensor.name for tensor in graph.results])


def hidden_tensors(graph: Graph) -> set[str]:
    """Tensors of a graph that its file does not have.

    That are all inputs, or all outputs, in one, and parts of what recurrent operators give.
    """
    found = {graph.output} - {tensor.name for tensor in graph.results}
    found |= {graph.input} - {tensor.name for tensor in graph.inputs}
    for each in absorbed(graph):
        outputs = {other.output for other in graph.operators if other.name in each.others}
        found |= {each.operator.output, *outputs} - {each.part, each.result}
    return found


class _Model:
    """A graph on its way into a writer."""

    def __init__(self, graph: Graph) -> None:
        self.graph = graph
        self.writer = Writer()
        self._names = set(graph.tensors)
        self._variables: dict[str, int] = {}
        self._absorbed = {each.operator.name: each for each in absorbed(graph)}
        self.left_out = {name for each in self._absorbed.values() for name in each.others}
        self.own_states = {
            name for each in self._absorbed.values() for name in each.operator.inputs[1:]
        }
        absent = hidden_tensors(graph) | self.own_states
        words = graph.int32_results
        self._indices = {
            tensor.name: self.int32s(tensor)
            if tensor.name in words
            else self.activation(tensor, tensor.name, graph.constants.get(tensor.name))
            for tensor in graph.tensors.values()
            if tensor.name not in absent
        }

    def activation(self, like: Tensor, name: str, values: NDArray[np.int8] | None = None) -> int:
        """Adds a tensor of the quantization of another, constant where it has values."""
        shape = (1, *(like.shape if values is None else values.shape))
        scale = np.array([like.quantization.scale], np.float32)
        return self.writer.add_tensor(name, shape, values, scale, like.quantization.zero_point)

    def int32s(self, tensor: Tensor) -> int:
        """Adds a tensor of int32, each of which is four bytes of the graph's."""
        return self.writer.add_tensor(tensor.name, (1, *tensor.shape[:-1]), kind=np.int32)

    def numbers(self, name: str, values: Any) -> int:
        """Adds a constant of int32."""
        array = np.asarray(values, dtype=np.int32)
        return self.writer.add_tensor(self.unique(name), array.shape, array)

    def weights(
        self,
        operator: ops.Weighted,
        integers: NDArray[np.int16],
        axis: int,
        source: Tensor,
        scales: NDArray[np.float32] | None = None,
    ) -> list[int]:
        """Adds integers, in TFLite's layout with the output channel at ``axis``, and the bias.

        There is a scale a channel, unless ``scales`` holds the one of all.
        """
        scales = operator.weights.scales if scales is None else scales
        bias_scales = scales * np.float32(source.quantization.scale)
        return [
            self.writer.add_tensor(
                self.unique(f"{operator.name}/weights"),
                integers.shape,
                integers.astype(np.int8),
                scales,
                axis=axis,
            ),
            self.writer.add_tensor(
                self.unique(f"{operator.name}/bias"),
                operator.bias.shape,
                operator.bias,
                bias_scales,
            ),
        ]

    def unique(self, name: str) -> str:
        """The name, or the nearest one that is free; taken from then on."""
        candidate, count = name, 1
        while candidate in self._names:
            count += 1
            candidate = f"{name}_{count}"
        self._names.add(candidate)
        return candidate

    def add(self, operator: ops.Operator) -> None:
        """Adds an operator, with what it needs around it."""
        inputs = self.graph.inputs_of(operator)
        output = self.graph.tensors[operator.output]
        read = [self._indices[tensor.name] for tensor in inputs]
        if isinstance(operator, ops.Conv2D | ops.DepthwiseConv2D):
            read = [self._padded(operator, inputs[0], read[0])]
        rest = _rest_of_clamp(operator, output)
        written = self._indices[output.name]
        if isinstance(operator, ops.Requantize) and inputs[0].quantization == output.quantization:
            written = read[0]  # nothing but its clamp is left of it
            rest = rest or [(Builtin.MAXIMUM, -128)]
        else:
            if rest:
                written = self.activation(output, self.unique(f"{output.name}/unclamped"))
            code, version, options, constants = _call(operator, self, inputs, output)
            self.writer.add_operator(code, version, options, [*read, *constants], written)
        for position, (code, limit) in enumerate(rest):
            last = position == len(rest) - 1
            source, written = (
                written,
                (
                    self._indices[output.name]
                    if last
                    else self.activation(output, self.unique(f"{output.name}/floored"))
                ),
            )
            value = self.activation(
                output,
                self.unique(f"{operator.name}/limit"),
                np.array(limit, dtype=np.int8),
            )
            options = Options("MaximumMinimumOptions")
            self.writer.add_operator(code, 2, options, [source, value], written)

    def _padded(
        self, operator: ops.Conv2D | ops.DepthwiseConv2D, source: Tensor, index: int
    ) -> int:
        """The input, padded beforehand where neither SAME nor VALID does it."""
        if _padding(operator, source) is not None:
            return index
        top, bottom, left, right = operator.padding
        height, width, channels = source.shape
        shape = (height + top + bottom, width + left + right, channels)
        name = self.unique(f"{operator.name}/padded")
        padded = self.activation(Tensor(name, shape, source.quantization), name)
        amounts = self.numbers(
            f"{operator.name}/paddings", [(0, 0), (top, bottom), (left, right), (0, 0)]
        )
        self.writer.add_operator(Builtin.PAD, 2, Options("PadOptions"), [index, amounts], padded)
        return padded

    def read_states(self) -> None:
        """Has every state be read from a variable, which begins with its initial value."""
        states = {
            name: state for name, state in self.graph.states.items() if name not in self.own_states
        }
        if states:
            options = Options("CallOnceOptions", {"InitSubgraphIndex": 1})
            self.writer.add_operator(Builtin.CALL_ONCE, 1, options, [], None)
        for name, state in states.items():
            like = self.graph.tensors[name].quantization
            first = self.writer.add_variable(name, 1)
            scale = np.array([like.scale], np.float32)
            shape = (1, *state.initial.shape)
            value = self.writer.add_tensor(
                f"{name}/initial", shape, state.initial, scale, like.zero_point, body=1
            )
            self._assign(first, value, 1)
        self._variables = {name: self.writer.add_variable(name) for name in states}
        for name, handle in self._variables.items():
            options = Options("ReadVariableOptions")
            self.writer.add_operator(
                Builtin.READ_VARIABLE, 1, options, [handle], self._indices[name]
            )

    def add_recurrent(self, operator: Lstm | Svdf) -> None:
        """Adds an operator that keeps its states itself."""
        found = self._absorbed[operator.name]
        output = self.graph.tensors[operator.output]
        grid = output.quantization
        if found.written:
            written = self._indices[found.result]
        else:
            name = self.unique(found.result)
            written = self.activation(Tensor(name, found.shape, grid), name)
        read = [-1] * (24 if isinstance(operator, Lstm) else 5)
        read[0] = self._indices[operator.inputs[0]]
        if isinstance(operator, Lstm):
            arrays = [*operator.kernel, *operator.recurrent]
            for position, (values, scale) in enumerate(
                zip(arrays, operator.scales.ravel(), strict=True), 1
            ):
                read[position] = self._weights(f"{operator.name}/{position}", values, scale)
            for position, values in enumerate(operator.bias, 12):
                read[position] = self._weights(f"{operator.name}/{position}", values, np.float32(1))
            last, cells = operator.inputs[1:]
            read[18] = self.writer.add_own_state(
                last, (1, operator.units), np.int8, grid.scale, grid.zero_point
            )
            step = 2.0**operator.cell_power
            read[19] = self.writer.add_own_state(cells, (1, operator.units), np.int16, step, 0)
            tanh = tflite.ActivationFunctionType.TANH
            clip = operator.cell_clip * step
            options = Options(
                "UnidirectionalSequenceLSTMOptions",
                {"FusedActivationFunction": tanh, "CellClip": clip},
            )
            code = Builtin.UNIDIRECTIONAL_SEQUENCE_LSTM
        else:
            feature, time, memory = operator.scales
            product = np.float32(memory * time)
            read[1] = self._weights(f"{operator.name}/feature", operator.feature, feature)
            narrow = isinstance(operator, SvdfNarrow)
            zero = operator.memory_zero if isinstance(operator, SvdfNarrow) else 0
            cell = np.int8 if narrow else np.int16
            read[2] = self._weights(f"{operator.name}/time", operator.time.astype(cell), time)
            read[3] = self._weights(f"{operator.name}/bias", operator.bias, product)
            shape = (1, operator.time.size)
            read[4] = self.writer.add_own_state(
                operator.inputs[1], shape, cell, float(memory), zero
            )
            rank = len(operator.feature) // len(operator.bias)
            options = Options("SVDFOptions", {"Rank": rank})
            code = Builtin.SVDF
        self.writer.add_operator(code, 3 if code == Builtin.SVDF else 1, options, read, written)
        if not found.written:
            shape_of = [1, *self.graph.tensors[found.part].shape]
            constant = self.numbers(f"{operator.name}/shape", shape_of)
            options = Options("ReshapeOptions", {"NewShape": shape_of})
            part = self._indices[found.part]
            self.writer.add_operator(Builtin.RESHAPE, 1, options, [written, constant], part)

    def _weights(self, name: str, values: NDArray[Any], scale: np.float32) -> int:
        scales = np.array([scale], np.float32)
        return self.writer.add_tensor(self.unique(name), values.shape, values, scales)

    def assign(self, state: str, value: str) -> None:
        """Has a state take the value of a tensor from the next inference on."""
        self._assign(self._variables[state], self._indices[value], 0)

    def _assign(self, handle: int, value: int, body: int) -> None:
        options = Options("AssignVariableOptions")
        self.writer.add_operator(Builtin.ASSIGN_VARIABLE, 1, options, [handle, value], None, body)

    def serialize(self, outputs: list[str]) -> bytes:
        description = json.dumps(metadata_of(self.graph), sort_keys=True)
        return self.writer.serialize(
            self.graph.name,
            [self._indices[tensor.name] for tensor in self.graph.inputs],
            [self._indices[name] for name in outputs],
            {METADATA_NAME: description.encode()},
        )


def _rest_of_clamp(operator: ops.Operator, output: Tensor) -> list[tuple[int, int]]:
    """MAXIMUM and MINIMUM, with their limits, that no fused activation can replace."""
    if not isinstance(operator, ops.Clamped) or _activation(operator, output) is not None:
        return []
    (low, high), (lowest, highest) = operator.clamp, ops.FULL_RANGE
    return [(Builtin.MAXIMUM, low)] * (low > lowest) + [(Builtin.MINIMUM, high)] * (high < highest)


def _activation(operator: ops.Clamped, output: Tensor) -> int | None:
    """The fused activation whose clamp is exactly the operator's; None where there is none."""
    if operator.clamp == ops.FULL_RANGE:
        return int(tflite.ActivationFunctionType.NONE)
    if isinstance(operator, ops.Requantize | ops.Extreme | ops.Prelu):
        return None
    return next(
        (
            int(getattr(tflite.ActivationFunctionType, name))
            for name in FUSED
            if clamp_of(name, output.quantization) == operator.clamp
        ),
        None,
    )


def _padding(operator: ops.Windowed, source: Tensor) -> int | None:
    """VALID or SAME; None where the padding is neither."""
    height, width, _ = source.shape
    dilation = getattr(operator, "dilation", (1, 1))
    kernel = [
        (span - 1) // step + 1 for span, step in zip(operator.window(), dilation, strict=True)
    ]
    same = ops.same_padding((height, width), (kernel[0], kernel[1]), operator.stride, dilation)
    if operator.padding == (0, 0, 0, 0):
        return int(tflite.Padding.VALID)
    return int(tflite.Padding.SAME) if operator.padding == same else None


def _fused(operator: ops.Clamped, output: Tensor) -> dict[str, Any]:
    """The fused activation; NONE where a clamp follows as operators of its own."""
    return {"FusedActivationFunction": _activation(operator, output) or 0}


def _sliding(operator: ops.Windowed, source: Tensor) -> dict[str, Any]:
    padding = _padding(operator, source)
    return {
        "Padding": tflite.Padding.VALID if padding is None else padding,
        "StrideH": operator.stride[0],
        "StrideW": operator.stride[1],
    }


@singledispatch
def _call(operator: ops.Operator, model: _Model, inputs: list[Tensor], output: Tensor) -> Call:
    """Maps an operator onto TFLite's, adding its constants to the model."""
    raise NotImplementedError(type(operator).__name__)


def _dilation(operator: ops.Conv2D | ops.DepthwiseConv2D) -> dict[str, Any]:
    return {
        "DilationHFactor": operator.dilation[0],
        "DilationWFactor": operator.dilation[1],
    }


@_call.register
def _conv2d(operator: ops.Conv2D, model: _Model, inputs: list[Tensor], output: Tensor) -> Call:
    fields = _sliding(operator, inputs[0]) | _dilation(operator) | _fused(operator, output)
    constants = model.weights(operator, operator.weights.integers, 0, inputs[0])
    return Builtin.CONV_2D, 3, Options("Conv2DOptions", fields), constants


@_call.register
def _depthwise_conv2d(
    operator: ops.DepthwiseConv2D, model: _Model, inputs: list[Tensor], output: Tensor
) -> Call:
    fields = _sliding(operator, inputs[0]) | _dilation(operator) | _fused(operator, output)
    fields["DepthMultiplier"] = output.shape[2] // inputs[0].shape[2]
    integers = operator.weights.integers.transpose(1, 2, 0)[np.newaxis]
    constants = model.weights(operator, integers, 3, inputs[0])
    return Builtin.DEPTHWISE_CONV_2D, 3, Options("DepthwiseConv2DOptions", fields), constants


@_call.register
def _fully_connected(
    operator: ops.FullyConnected, model: _Model, inputs: list[Tensor], output: Tensor
) -> Call:
    scales = operator.weights.scales
    if np.all(scales == scales[0]):  # what every reader takes; not all know a scale a channel
        scales = scales[:1]
    constants = model.weights(operator, operator.weights.integers, 0, inputs[0], scales)
    options = Options("FullyConnectedOptions", _fused(operator, output))
    version = 4 if len(scales) == 1 else 12  # the first one with a scale a channel
    return Builtin.FULLY_CONNECTED, version, options, constants


@_call.register
def _add(operator: ops.Add, model: _Model, inputs: list[Tensor], output: Tensor) -> Call:
    return Builtin.ADD, 2, Options("AddOptions", _fused(operator, output)), []


@_call.register
def _sub(operator: ops.Sub, model: _Model, inputs: list[Tensor], output: Tensor) -> Call:
    return Builtin.SUB, 2, Options("SubOptions", _fused(operator, output)), []


@_call.register
def _mul(operator: ops.Mul, model: _Model, inputs: list[Tensor], output: Tensor) -> Call:
    return Builtin.MUL, 2, Options("MulOptions", _fused(operator, output)), []


@_call.register
def _maximum(operator: ops.Maximum, model: _Model, inputs: list[Tensor], output: Tensor) -> Call:
    return Builtin.MAXIMUM, 2, Options("MaximumMinimumOptions"), []


@_call.register
def _minimum(operator: ops.Minimum, model: _Model, inputs: list[Tensor], output: Tensor) -> Call:
    return Builtin.MINIMUM, 2, Options("MaximumMinimumOptions"), []


@_call.register
def _prelu(operator: ops.Prelu, model: _Model, inputs: list[Tensor], output: Tensor) -> Call:
    return Builtin.PRELU, 1, None, []


def _resized(
    operator: ops.Resize, model: _Model, options: str, output: Tensor
) -> tuple[int, Options, list[int]]:
    """Version, options and constants."""
    size = model.numbers(f"{operator.name}/size", output.shape[:2])
    fields = {"AlignCorners": operator.align_corners, "HalfPixelCenters": operator.half_pixel}
    return 3 if any(fields.values()) else 2, Options(options, fields), [size]


@_call.register
def _resize_nearest(
    operator: ops.ResizeNearest, model: _Model, inputs: list[Tensor], output: Tensor
) -> Call:
    rest = _resized(operator, model, "ResizeNearestNeighborOptions", output)
    return Builtin.RESIZE_NEAREST_NEIGHBOR, *rest


@_call.register
def _resize_bilinear(
    operator: ops.ResizeBilinear, model: _Model, inputs: list[Tensor], output: Tensor
) -> Call:
    return Builtin.RESIZE_BILINEAR, *_resized(operator, model, "ResizeBilinearOptions", output)


@_call.register
def _transpose(
    operator: ops.Transpose, model: _Model, inputs: list[Tensor], output: Tensor
) -> Call:
    axes = model.numbers(f"{operator.name}/axes", [0, *(1 + axis for axis in operator.axes)])
    return Builtin.TRANSPOSE, 2, Options("TransposeOptions"), [axes]


@_call.register
def _slice(operator: ops.Slice, model: _Model, inputs: list[Tensor], output: Tensor) -> Call:
    ends, open_ends = [], 0
    axes = zip(operator.begin, operator.size, operator.stride, strict=True)
    for axis, (begin, size, stride) in enumerate(axes, 1):
        last = begin + (size - 1) * stride
        ends.append(last + (1 if stride > 0 else -1))
        open_ends |= (ends[-1] < 0) << axis  # -1 would be the last element
    numbers = {"begin": operator.begin, "end": ends, "strides": operator.stride}
    constants = [
        model.numbers(f"{operator.name}/{name}", [int(name != "begin"), *values])
        for name, values in numbers.items()
    ]
    options = Options("StridedSliceOptions", {"EndMask": open_ends})
    return Builtin.STRIDED_SLICE, 2, options, constants


@_call.register
def _mat_mul(operator: ops.MatMul, model: _Model, inputs: list[Tensor], output: Tensor) -> Call:
    names = ("AdjX", "AdjY")
    fields = {name: bool(turned) for name, turned in zip(names, operator.transposed, strict=True)}
    return Builtin.BATCH_MATMUL, 4, Options("BatchMatMulOptions", fields), []


@_call.register
def _arg_max(operator: ops.ArgMax, model: _Model, inputs: list[Tensor], output: Tensor) -> Call:
    fields = {"OutputType": tflite.TensorType.INT32}
    name = "ArgMax" if operator.largest else "ArgMin"
    code = Builtin.ARG_MAX if operator.largest else Builtin.ARG_MIN
    axis = model.numbers(f"{operator.name}/axis", [1 + operator.axis])
    return code, 2, Options(f"{name}Options", fields), [axis]


@_call.register
def _concatenation(
    operator: ops.Concatenation, model: _Model, inputs: list[Tensor], output: Tensor
) -> Call:
    options = Options("ConcatenationOptions", {"Axis": 1 + operator.axis})
    return Builtin.CONCATENATION, 2, options, []


def _pool_options(operator: ops.Pool2D, source: Tensor, output: Tensor) -> Options:
    if _padding(operator, source) is None:
        raise operator.fail(f"a .tflite file has no padding {operator.padding} for pooling")
    fields = _sliding(operator, source) | _fused(operator, output)
    fields |= {"FilterHeight": operator.kernel[0], "FilterWidth": operator.kernel[1]}
    return Options("Pool2DOptions", fields)


@_call.register
def _average_pool2d(
    operator: ops.AveragePool2D, model: _Model, inputs: list[Tensor], output: Tensor
) -> Call:
    return Builtin.AVERAGE_POOL_2D, 2, _pool_options(operator, inputs[0], output), []


@_call.register
def _max_pool2d(
    operator: ops.MaxPool2D, model: _Model, inputs: list[Tensor], output: Tensor
) -> Call:
    return Builtin.MAX_POOL_2D, 2, _pool_options(operator, inputs[0], output), []


@_call.register
def _mean(operator: ops.Mean, model: _Model, inputs: list[Tensor], output: Tensor) -> Call:
    axes = model.numbers(f"{operator.name}/axes", [1, 2])
    return Builtin.MEAN, 2, Options("ReducerOptions", {"KeepDims": True}), [axes]


@_call.register
def _pad(operator: ops.Pad, model: _Model, inputs: list[Tensor], output: Tensor) -> Call:
    top, bottom, left, right = operator.padding
    amounts = [(0, 0), (top, bottom), (left, right), operator.channels]
    constants = [model.numbers(f"{operator.name}/paddings", amounts)]
    if operator.value is None:
        return Builtin.PAD, 2, Options("PadOptions"), constants
    value = np.array(operator.value, dtype=np.int8)
    constants.append(model.activation(output, model.unique(f"{operator.name}/value"), value))
    return Builtin.PADV2, 2, Options("PadV2Options"), constants


@_call.register
def _reshape(operator: ops.Reshape, model: _Model, inputs: list[Tensor], output: Tensor) -> Call:
    shape = [1, *operator.shape]
    constants = [model.numbers(f"{operator.name}/shape", shape)]
    return Builtin.RESHAPE, 1, Options("ReshapeOptions", {"NewShape": shape}), constants


@_call.register
def _requantize(
    operator: ops.Requantize, model: _Model, inputs: list[Tensor], output: Tensor
) -> Call:
    return Builtin.QUANTIZE, 2, Options("QuantizeOptions"), []


@_call.register
def _relu(operator: ops.Relu, model: _Model, inputs: list[Tensor], output: Tensor) -> Call:
    return Builtin.RELU, 2, None, []


@_call.register
def _relu6(operator: ops.Relu6, model: _Model, inputs: list[Tensor], output: Tensor) -> Call:
    return Builtin.RELU6, 2, None, []


@_call.register
def _leaky_relu(
    operator: ops.LeakyRelu, model: _Model, inputs: list[Tensor], output: Tensor
) -> Call:
    return Builtin.LEAKY_RELU, 2, Options("LeakyReluOptions", {"Alpha": operator.alpha}), []


@_call.register
def _hard_swish(
    operator: ops.HardSwish, model: _Model, inputs: list[Tensor], output: Tensor
) -> Call:
    return Builtin.HARD_SWISH, 1, Options("HardSwishOptions"), []


@_call.register
def _logistic(operator: ops.Logistic, model: _Model, inputs: list[Tensor], output: Tensor) -> Call:
    return Builtin.LOGISTIC, 2, None, []


@_call.register
def _tanh(operator: ops.Tanh, model: _Model, inputs: list[Tensor], output: Tensor) -> Call:
    return Builtin.TANH, 2, None, []


@_call.register
def _softmax(operator: ops.Softmax, model: _Model, inputs: list[Tensor], output: Tensor) -> Call:
    return Builtin.SOFTMAX, 2, Options("SoftmaxOptions", {"Beta": operator.beta}), []


@_call.register
def _log_softmax(
    operator: ops.LogSoftmax, model: _Model, inputs: list[Tensor], output: Tensor
) -> Call:
    return Builtin.LOG_SOFTMAX, 2, Options("LogSoftmaxOptions"), []
