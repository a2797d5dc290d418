"""Operators whose inputs and outputs are integers: ONNX's QLinear ones, and ONNX Runtime's."""

from __future__ import annotations

import numpy as np

from tinyedge.errors import ModelError
from tinyedge.importers import nodes as n
from tinyedge.importers.onnx import layers
from tinyedge.importers.onnx.folding import dequantized_constant
from tinyedge.importers.onnx.quantizers import dequantized, quantized_as
from tinyedge.importers.onnx.reader import OnnxNode
from tinyedge.importers.onnx.tracing import Flow, Quantized, Tracer, Value, grid_of, handles
from tinyedge.keras.grids import Float64


def _weights(tracer: Tracer, each: OnnxNode, position: int, axis: int) -> Quantized:
    """Integer weights, whose scales and zero points follow them among the inputs.

    Args:
        tracer: follows the file.
        each: the file's node.
        position: of the weights.
        axis: of the output channels.
    """
    value = dequantized_constant(tracer, each, position, axis)
    return layers.weights_of(each, value)


def _bias(tracer: Tracer, each: OnnxNode, position: int, flow: Flow, scales: Float64) -> Float64:
    """A bias of int32, whose scale is the product of the others."""
    if tracer.optional(each, position) is None:
        return np.zeros(len(scales))
    values = tracer.constant(each, position)
    quantization = grid_of(flow)
    if values.dtype != np.int32 or values.size != len(scales) or quantization is None:
        raise ModelError(f"{each}: a bias of {values.dtype} {values.shape}, allowed: int32")
    unit = quantization.scale * scales.astype(np.float32).astype(np.float64)
    return np.asarray(values.ravel() * unit)


@handles("QLinearConv")
def _conv(tracer: Tracer, each: OnnxNode) -> Value:
    flow = dequantized(tracer, each, 0)
    weights = _weights(tracer, each, 3, 0)
    bias = _bias(tracer, each, 8, flow, layers.channel_scales(each, weights, 0))
    return quantized_as(tracer, each, layers.convolution(tracer, each, flow, weights, bias), 6, 7)


@handles("QLinearMatMul")
def _matmul(tracer: Tracer, each: OnnxNode) -> Value:
    flow = dequantized(tracer, each, 0)
    weights = layers.transposed(each, _weights(tracer, each, 3, 1))
    bias = np.zeros(len(weights.codes))
    return quantized_as(tracer, each, layers.product(tracer, each, flow, weights, bias), 6, 7)


@handles("com.microsoft.QGemm")
def _gemm(tracer: Tracer, each: OnnxNode) -> Value:
    flow = dequantized(tracer, each, 0)
    turned = bool(each.attributes.get("transB", 0))
    if each.attributes.get("transA", 0) or each.attributes.get("alpha", 1.0) != 1.0:
        raise ModelError(f"{each}: transA or alpha")
    weights = _weights(tracer, each, 3, 0 if turned else 1)
    weights = weights if turned else layers.transposed(each, weights)
    bias = _bias(tracer, each, 6, flow, layers.channel_scales(each, weights, 0))
    return quantized_as(tracer, each, layers.product(tracer, each, flow, weights, bias), 7, 8)


@handles("com.microsoft.QLinearAdd", "com.microsoft.QLinearMul")
def _arithmetic(tracer: Tracer, each: OnnxNode) -> Value:
    kind = n.Add if each.kind.endswith("Add") else n.Mul
    sides = [tracer.optional(each, position) for position in (0, 3)]
    if all(isinstance(side, Flow) for side in sides):
        flows = [dequantized(tracer, each, position) for position in (0, 3)]
        return quantized_as(tracer, each, layers.elementwise(tracer, each, kind, flows), 6, 7)
    position = 0 if isinstance(sides[0], Flow) else 3
    flow = dequantized(tracer, each, position)
    constant = dequantized_constant(tracer, each, 3 - position, 0).real
    one, zero = np.ones(1), np.zeros(1)
    scale, offset = (one, constant) if kind is n.Add else (constant, zero)
    return quantized_as(tracer, each, layers.affine(tracer, each, flow, scale, offset), 6, 7)


@handles("com.microsoft.QLinearConcat")
def _concat(tracer: Tracer, each: OnnxNode) -> Value:
    flows = [dequantized(tracer, each, position) for position in range(2, len(each.inputs), 3)]
    if not flows:
        raise ModelError(f"{each}: joins nothing")
    return quantized_as(tracer, each, layers.concatenated(tracer, each, flows), 0, 1)


@handles("com.microsoft.QLinearSigmoid", "com.microsoft.QLinearLeakyRelu")
def _function(tracer: Tracer, each: OnnxNode) -> Value:
    kind = each.kind.removeprefix("com.microsoft.QLinear")
    flow = layers.function(tracer, each, dequantized(tracer, each, 0), kind)
    return quantized_as(tracer, each, flow, 3, 4)


@handles("com.microsoft.QLinearSoftmax")
def _softmax(tracer: Tracer, each: OnnxNode) -> Value:
    flow = layers.function(tracer, each, dequantized(tracer, each, 0), "Softmax")
    return quantized_as(tracer, each, flow, 3, 4)


@handles("com.microsoft.QLinearAveragePool", "com.microsoft.QLinearGlobalAveragePool")
def _average(tracer: Tracer, each: OnnxNode) -> Value:
    if each.attributes.get("channels_last", 0):
        raise ModelError(f"{each}: channels_last")
    flow = dequantized(tracer, each, 0)
    if each.kind.endswith("GlobalAveragePool"):
        made = layers.global_average(tracer, each, flow)
    else:
        made = layers.pool(tracer, each, flow, "AveragePool")
    return quantized_as(tracer, each, made, 3, 4)
