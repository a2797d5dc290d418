"""Integer graphs as int8 ``.tflite`` models, so that TFLite-Micro can run the same integers."""

from __future__ import annotations

from functools import singledispatch
from typing import Any

import flatbuffers
import numpy as np
from numpy.typing import ArrayLike, NDArray
from tflite_micro.tensorflow.lite.micro.python import schema_py_generated as schema

from tinyedge.graph import operators as ops
from tinyedge.graph.fixed_point import INT8_MAX
from tinyedge.graph.graph import Graph
from tinyedge.graph.tensors import Tensor

FILE_IDENTIFIER = b"TFL3"
SCHEMA_VERSION = 3
TENSOR_TYPES = {
    np.dtype(np.int8): schema.TensorType.INT8,
    np.dtype(np.int32): schema.TensorType.INT32,
}

Call = tuple[int, Any, list[int]]
"""A builtin operator, its options and the indices of the constants it reads."""


def tflite_model(graph: Graph, *, per_tensor: bool = False) -> bytes:
    """Serialises a graph without changing any integer, scale or zero point.

    Args:
        graph: the graph; every clamp has to be a fused activation and every padding of a window
            has to be SAME or VALID.
        per_tensor: whether weights carry one scale instead of one an output channel; the scales
            of each operator have to be equal then.

    Raises:
        ValueError: a ``.tflite`` file cannot express the graph.
    """
    model = _Model(per_tensor=per_tensor)
    indices = {tensor.name: model.add_activation(tensor) for tensor in graph.tensors.values()}
    for operator in graph.operators:
        inputs, output = graph.inputs_of(operator), graph.tensors[operator.output]
        code, options, constants = _call(operator, model, inputs, output)
        read = [indices[tensor.name] for tensor in inputs] + constants
        model.add_operator(code, options, read, indices[output.name])
    return model.serialised(indices[graph.input], indices[graph.output])


class _Model:
    """A model under construction."""

    def __init__(self, *, per_tensor: bool) -> None:
        self.per_tensor = per_tensor
        self.buffers = [schema.BufferT()]  # The first one is empty: no data, an activation.
        self.tensors: list[Any] = []
        self.codes: list[Any] = []
        self.operators: list[Any] = []

    def add_activation(self, tensor: Tensor) -> int:
        quantization = tensor.quantization
        parameters = schema.QuantizationParametersT(
            scale=[quantization.scale], zeroPoint=[quantization.zero_point]
        )
        return self._add_tensor(tensor.name, (1, *tensor.shape), np.dtype(np.int8), 0, parameters)

    def add_constant(self, name: str, values: NDArray[Any], quantization: Any = None) -> int:
        self.buffers.append(schema.BufferT(data=np.frombuffer(values.tobytes(), dtype=np.uint8)))
        buffer = len(self.buffers) - 1
        return self._add_tensor(name, values.shape, values.dtype, buffer, quantization)

    def add_weights(
        self, operator: ops.Weighted, codes: NDArray[np.int8], axis: int, source: Tensor
    ) -> list[int]:
        """Adds codes, already in TFLite's layout with the output channel at ``axis``, and bias."""
        scales = operator.weights.scales
        if self.per_tensor:
            if np.any(scales != scales[0]):
                raise ValueError(f"'{operator.name}' has several weight scales")
            scales = scales[:1]
        bias_scales = scales * np.float32(source.quantization.scale)
        return [
            self.add_constant(f"{operator.name}/weights", codes, _symmetric(scales, axis)),
            self.add_constant(f"{operator.name}/bias", operator.bias, _symmetric(bias_scales, 0)),
        ]

    def add_operator(self, code: int, options: Any, inputs: list[int], output: int) -> None:
        self.codes.append(schema.OperatorCodeT(deprecatedBuiltinCode=code, builtinCode=code))
        # The union's tag is called like the record: Conv2DOptions, held in a Conv2DOptionsT.
        kind = getattr(schema.BuiltinOptions, type(options).__name__.removesuffix("T"))
        self.operators.append(
            schema.OperatorT(
                opcodeIndex=len(self.codes) - 1,
                inputs=inputs,
                outputs=[output],
                builtinOptionsType=kind,
                builtinOptions=options,
            )
        )

    def serialised(self, source: int, output: int) -> bytes:
        subgraph = schema.SubGraphT(
            tensors=self.tensors, operators=self.operators, inputs=[source], outputs=[output]
        )
        model = schema.ModelT(
            version=SCHEMA_VERSION,
            operatorCodes=self.codes,
            subgraphs=[subgraph],
            buffers=self.buffers,
        )
        builder = flatbuffers.Builder()
        builder.Finish(model.Pack(builder), FILE_IDENTIFIER)
        return bytes(builder.Output())

    def _add_tensor(
        self, name: str, shape: tuple[int, ...], kind: np.dtype[Any], buffer: int, parameters: Any
    ) -> int:
        self.tensors.append(
            schema.TensorT(
                name=name,
                shape=list(shape),
                type=TENSOR_TYPES[kind],
                buffer=buffer,
                quantization=parameters,
            )
        )
        return len(self.tensors) - 1


def _symmetric(scales: ArrayLike, axis: int) -> Any:
    values = np.atleast_1d(scales).tolist()
    return schema.QuantizationParametersT(
        scale=values, zeroPoint=[0] * len(values), quantizedDimension=axis
    )


def _activation(operator: ops.Clamped, output: Tensor) -> int:
    activations = {
        (output.quantization.zero_point, INT8_MAX): schema.ActivationFunctionType.RELU,
        ops.FULL_RANGE: schema.ActivationFunctionType.NONE,
    }
    if operator.clamp not in activations:
        raise ValueError(f"'{operator.name}': clamp {operator.clamp} is no fused activation")
    return int(activations[operator.clamp])


def _padding(operator: ops.Windowed, source: Tensor) -> int:
    height, width, _ = source.shape
    same = ops.same_padding((height, width), operator.window(), operator.stride)
    paddings = {same: schema.Padding.SAME, (0, 0, 0, 0): schema.Padding.VALID}
    if operator.padding not in paddings:
        raise ValueError(f"'{operator.name}': padding {operator.padding} is neither SAME nor VALID")
    return int(paddings[operator.padding])


@singledispatch
def _call(operator: ops.Operator, model: _Model, inputs: list[Tensor], output: Tensor) -> Call:
    """Maps an operator onto TFLite's, adding its constants to the model."""
    raise NotImplementedError(type(operator).__name__)


@_call.register
def _conv2d(operator: ops.Conv2D, model: _Model, inputs: list[Tensor], output: Tensor) -> Call:
    options = schema.Conv2DOptionsT(
        padding=_padding(operator, inputs[0]),
        strideH=operator.stride[0],
        strideW=operator.stride[1],
        dilationHFactor=operator.dilation[0],
        dilationWFactor=operator.dilation[1],
        fusedActivationFunction=_activation(operator, output),
    )
    constants = model.add_weights(operator, operator.weights.codes, 0, inputs[0])
    return schema.BuiltinOperator.CONV_2D, options, constants


@_call.register
def _depthwise_conv2d(
    operator: ops.DepthwiseConv2D, model: _Model, inputs: list[Tensor], output: Tensor
) -> Call:
    options = schema.DepthwiseConv2DOptionsT(
        padding=_padding(operator, inputs[0]),
        strideH=operator.stride[0],
        strideW=operator.stride[1],
        dilationHFactor=operator.dilation[0],
        dilationWFactor=operator.dilation[1],
        depthMultiplier=output.shape[2] // inputs[0].shape[2],
        fusedActivationFunction=_activation(operator, output),
    )
    codes = operator.weights.codes.transpose(1, 2, 0)[np.newaxis]
    constants = model.add_weights(operator, codes, 3, inputs[0])
    return schema.BuiltinOperator.DEPTHWISE_CONV_2D, options, constants


@_call.register
def _fully_connected(
    operator: ops.FullyConnected, model: _Model, inputs: list[Tensor], output: Tensor
) -> Call:
    options = schema.FullyConnectedOptionsT(fusedActivationFunction=_activation(operator, output))
    constants = model.add_weights(operator, operator.weights.codes, 0, inputs[0])
    return schema.BuiltinOperator.FULLY_CONNECTED, options, constants


@_call.register
def _add(operator: ops.Add, _model: _Model, _inputs: list[Tensor], output: Tensor) -> Call:
    options = schema.AddOptionsT(fusedActivationFunction=_activation(operator, output))
    return schema.BuiltinOperator.ADD, options, []


def _pool_options(operator: ops.Pool2D, source: Tensor, output: Tensor) -> Any:
    return schema.Pool2DOptionsT(
        padding=_padding(operator, source),
        strideH=operator.stride[0],
        strideW=operator.stride[1],
        filterHeight=operator.kernel[0],
        filterWidth=operator.kernel[1],
        fusedActivationFunction=_activation(operator, output),
    )


@_call.register
def _average_pool2d(
    operator: ops.AveragePool2D, _model: _Model, inputs: list[Tensor], output: Tensor
) -> Call:
    options = _pool_options(operator, inputs[0], output)
    return schema.BuiltinOperator.AVERAGE_POOL_2D, options, []


@_call.register
def _max_pool2d(
    operator: ops.MaxPool2D, _model: _Model, inputs: list[Tensor], output: Tensor
) -> Call:
    options = _pool_options(operator, inputs[0], output)
    return schema.BuiltinOperator.MAX_POOL_2D, options, []


@_call.register
def _mean(operator: ops.Mean, model: _Model, _inputs: list[Tensor], _output: Tensor) -> Call:
    axes = model.add_constant(f"{operator.name}/axes", np.array([1, 2], dtype=np.int32))
    return schema.BuiltinOperator.MEAN, schema.ReducerOptionsT(keepDims=True), [axes]


@_call.register
def _pad(operator: ops.Pad, model: _Model, _inputs: list[Tensor], _output: Tensor) -> Call:
    top, bottom, left, right = operator.padding
    amounts = np.array([(0, 0), (top, bottom), (left, right), (0, 0)], dtype=np.int32)
    paddings = model.add_constant(f"{operator.name}/paddings", amounts)
    return schema.BuiltinOperator.PAD, schema.PadOptionsT(), [paddings]


@_call.register
def _reshape(operator: ops.Reshape, model: _Model, _inputs: list[Tensor], _output: Tensor) -> Call:
    shape = np.array([1, *operator.shape], dtype=np.int32)
    options = schema.ReshapeOptionsT(newShape=shape.tolist())
    return (
        schema.BuiltinOperator.RESHAPE,
        options,
        [model.add_constant(f"{operator.name}/shape", shape)],
    )


@_call.register
def _requantize(
    operator: ops.Requantize, _model: _Model, _inputs: list[Tensor], _output: Tensor
) -> Call:
    if operator.clamp != ops.FULL_RANGE:
        raise ValueError(f"'{operator.name}': QUANTIZE has no fused activation")
    return schema.BuiltinOperator.QUANTIZE, schema.QuantizeOptionsT(), []
