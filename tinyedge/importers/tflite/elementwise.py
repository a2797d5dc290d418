"""Functions of each element, of pairs of elements, and of the last axis."""

from __future__ import annotations

import numpy as np

from tinyedge.errors import ModelError
from tinyedge.graph import operators as ops
from tinyedge.graph.activations import clamp_of
from tinyedge.importers.tflite.builder import Builder
from tinyedge.importers.tflite.common import (
    axis_of,
    constant_numbers,
    fused_clamp,
    same_grid,
)
from tinyedge.importers.tflite.options import options_of
from tinyedge.importers.tflite.reader import TfliteOperator
from tinyedge.importers.tflite.registry import Handler, handles


def _elementwise(kind: type[ops.Elementwise], table: str) -> Handler:
    def handler(builder: Builder, operator: TfliteOperator) -> None:
        options = options_of(operator, table)
        builder.expect_repeated(operator)
        operands = [builder.operand(operator, i, strip=True).name for i in range(2)]
        clamp = fused_clamp(operator, options, builder.target(operator))
        shape = kind(name=operator.name, inputs=(), output="").output_shape(
            [builder.tensors[name].shape for name in operands]
        )
        builder.finish_reshaped(operator, shape, kind, *operands, clamp=clamp)

    return handler


handles("ADD")(_elementwise(ops.Add, "AddOptions"))


handles("SUB")(_elementwise(ops.Sub, "SubOptions"))


handles("MUL")(_elementwise(ops.Mul, "MulOptions"))


@handles("ARG_MAX", "ARG_MIN")
def _arg_max(builder: Builder, operator: TfliteOperator) -> None:
    """Gives int32; what has kept an axis of one counts as without it."""
    source = builder.source(operator)
    (axis, *rest) = constant_numbers(operator, 1).ravel().tolist() or [0, 0]
    along = axis_of(operator, axis, len(source.shape) + 1)
    if rest or along < 0:
        raise ModelError(f"{operator}: along axes {[axis, *rest]}, the batch among them or several")
    largest = operator.name == "ARG_MAX"
    builder.finish_int32(operator, ops.ArgMax, source.name, axis=along, largest=largest)


@handles("MAXIMUM", "MINIMUM")
def _limit(builder: Builder, operator: TfliteOperator) -> None:
    """With one constant value, a clamp; the integers are compared as they are."""
    sides = [tensor for tensor in operator.inputs if tensor and tensor.index not in builder.names]
    values = np.unique(sides[0].values) if sides and sides[0].values is not None else np.empty(0)
    if len(operator.inputs) != 2 or len(sides) != 1 or values.size != 1:
        kind = ops.Maximum if operator.name == "MAXIMUM" else ops.Minimum
        builder.expect_repeated(operator)
        operands = [builder.operand(operator, i, strip=True).name for i in range(2)]
        shape = kind(name=operator.name, inputs=(), output="").output_shape(
            [builder.tensors[name].shape for name in operands]
        )
        builder.finish_reshaped(operator, shape, kind, *operands)
        return
    if sides[0].type != "INT8":
        raise ModelError(f"{operator}: {sides[0]} has to be int8")
    position = next(i for i, tensor in enumerate(operator.inputs) if tensor is not sides[0])
    limit, (low, high) = int(values[0]), ops.FULL_RANGE
    clamp = (limit, high) if operator.name == "MAXIMUM" else (low, limit)
    same_grid(builder, operator, position, clamp)


@handles("QUANTIZE")
def _quantize(builder: Builder, operator: TfliteOperator) -> None:
    builder.finish(operator, ops.Requantize, builder.source(operator).name)


@handles("RELU")
def _relu(builder: Builder, operator: TfliteOperator) -> None:
    source = builder.source(operator)
    if source.quantization == builder.target(operator):
        same_grid(builder, operator, 0, clamp_of("RELU", source.quantization))
    else:
        builder.finish(operator, ops.Relu, source.name)


@handles("RELU6")
def _relu6(builder: Builder, operator: TfliteOperator) -> None:
    source = builder.source(operator)
    if source.quantization == builder.target(operator):
        same_grid(builder, operator, 0, clamp_of("RELU6", source.quantization))
    else:
        builder.notes.append(
            f"{operator}: input and output differ in scale, which TFLite-Micro's RELU6 does not "
            "heed; the result is TFLite-Micro's, and not TensorFlow Lite's"
        )
        builder.finish(operator, ops.Relu6, source.name)


@handles("LEAKY_RELU")
def _leaky_relu(builder: Builder, operator: TfliteOperator) -> None:
    alpha = float(options_of(operator, "LeakyReluOptions").Alpha())
    builder.finish(operator, ops.LeakyRelu, builder.source(operator).name, alpha=alpha)


@handles("HARD_SWISH")
def _hard_swish(builder: Builder, operator: TfliteOperator) -> None:
    builder.finish(operator, ops.HardSwish, builder.source(operator).name)


@handles("PRELU")
def _prelu(builder: Builder, operator: TfliteOperator) -> None:
    source, slope = builder.source(operator), builder.operand(operator, 1, strip=True)
    builder.finish(operator, ops.Prelu, source.name, slope.name)


@handles("LOGISTIC")
def _logistic(builder: Builder, operator: TfliteOperator) -> None:
    builder.finish(operator, ops.Logistic, builder.source(operator).name)


@handles("TANH")
def _tanh(builder: Builder, operator: TfliteOperator) -> None:
    builder.finish(operator, ops.Tanh, builder.source(operator).name)


@handles("SOFTMAX")
def _softmax(builder: Builder, operator: TfliteOperator) -> None:
    beta = float(options_of(operator, "SoftmaxOptions").Beta())
    builder.finish(operator, ops.Softmax, builder.source(operator).name, beta=beta)


@handles("LOG_SOFTMAX")
def _log_softmax(builder: Builder, operator: TfliteOperator) -> None:
    builder.finish(operator, ops.LogSoftmax, builder.source(operator).name)
