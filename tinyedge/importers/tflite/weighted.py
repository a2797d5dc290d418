"""Convolutions and matrix products."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import numpy as np
import tflite
from numpy.typing import NDArray

from tinyedge.errors import ModelError
from tinyedge.graph import operators as ops
from tinyedge.graph.description import MAXIMUM_OPERATORS
from tinyedge.graph.tensors import Tensor, Weights
from tinyedge.importers.tflite.builder import Builder
from tinyedge.importers.tflite.common import (
    fused_clamp,
    part_of,
    window_of,
)
from tinyedge.importers.tflite.options import options_of
from tinyedge.importers.tflite.reader import TfliteOperator
from tinyedge.importers.tflite.registry import Handler, handles

_MOST_MATRIX_AXES = 5
"""The most axes of BATCH_MATMUL, as in TFLite-Micro."""


def _weights(
    operator: TfliteOperator, axis: int, order: tuple[int, ...], behind: int = 2
) -> tuple[Weights, NDArray[np.int32]]:
    """Weights with the output channel, now at ``axis``, in front, and the bias.

    Args:
        operator: input 1 is its weights.
        axis: of the output channels in the file.
        order: transposes the file's layout into the graph's; axes left out have a size of one.
        behind: which input is its bias, which may be missing.
    """
    given = operator.inputs[1] if len(operator.inputs) > 1 else None
    if given is None or given.values is None or given.type not in ("INT8", "INT4"):
        raise ModelError(f"{operator}: weights, {given}, have to be a constant of int8 or int4")
    if len(given.shape) != max(*order, axis) + 1 or not math.prod(given.shape):
        raise ModelError(f"{operator}: weights, {given}, are of the wrong shape")
    if np.any(given.zero_points):
        raise ModelError(f"{operator}: weights, {given}, have a zero point other than 0")
    left_out = set(range(len(given.shape))) - set(order)
    if any(given.shape[i] != 1 for i in left_out):
        raise ModelError(f"{operator}: weights, {given}, are of the wrong shape")
    channels = given.shape[axis]
    if given.scales.size not in (1, channels) or (given.scales.size > 1 and given.axis != axis):
        raise ModelError(
            f"{operator}: weights, {given}, have {given.scales.size} scales along axis {given.axis}"
        )
    integers = given.values.transpose(*order, *sorted(left_out)).reshape(
        [given.shape[i] for i in order]
    )
    weights = Weights.narrowest(
        np.ascontiguousarray(integers, dtype=np.int8),
        np.broadcast_to(given.scales, channels).astype(np.float32),
    )
    bias = operator.inputs[behind] if len(operator.inputs) > behind else None
    if bias is None:
        return weights, np.zeros(channels, np.int32)
    if bias.type != "INT32" or (bias.values is None and bias.constant):
        raise ModelError(f"{operator}: bias, {bias}, has to be int32")
    if bias.values is None or bias.values.size != channels:
        raise ModelError(f"{operator}: bias, {bias}, has to hold {channels} constants")
    return weights, bias.values.reshape(channels)


def _convolution(
    kind: type[ops.Conv2D | ops.DepthwiseConv2D], table: str, axis: int, order: tuple[int, ...]
) -> Handler:
    """``axis`` and ``order`` as ``_weights`` takes them."""

    def handler(builder: Builder, operator: TfliteOperator) -> None:
        options = options_of(operator, table)
        source = builder.source(operator)
        weights, bias = _weights(operator, axis, order)
        if kind is ops.DepthwiseConv2D:
            multiplier = options.DepthMultiplier()
            if multiplier * source.shape[-1] != len(bias):
                raise ModelError(
                    f"{operator}: depth multiplier {multiplier} of {source.shape[-1]} channels, "
                    f"weights for {len(bias)}"
                )
        dilation = (options.DilationHFactor(), options.DilationWFactor())
        kernel = (weights.codes.shape[1], weights.codes.shape[2])
        rest = {
            "dilation": dilation,
            "clamp": fused_clamp(operator, options, builder.target(operator)),
            **window_of(operator, options, source, kernel, dilation),
        }
        if kind is ops.Conv2D and _groups(operator, source, weights) > 1:
            _grouped_convolution(builder, operator, source, weights, bias, rest)
        else:
            builder.finish(operator, kind, source.name, weights=weights, bias=bias, **rest)

    return handler


@handles("TRANSPOSE_CONV")
def _transpose_conv(builder: Builder, operator: TfliteOperator) -> None:
    """A convolution, with the window turned around, of the input with zeros between its cells."""
    options = options_of(operator, "TransposeConvOptions")
    if options.FusedActivationFunction() != tflite.ActivationFunctionType.NONE:
        raise ModelError(f"{operator}: a fused activation, which TFLite-Micro does not heed")
    source = builder.source(operator, 2)
    weights, bias = _weights(operator, 0, (0, 1, 2, 3), 3)
    kernel = (weights.codes.shape[1], weights.codes.shape[2])
    stride = (options.StrideH(), options.StrideW())
    given = operator.outputs[0]
    if len(source.shape) != 3 or len(given.shape) != 4 or not 1 <= min(stride) <= max(stride) <= 16:
        raise ModelError(f"{operator}: stride {stride} on {source.shape}")
    same = options.Padding() == tflite.Padding.SAME
    padding: list[int] = []
    for count, wanted, size, step in zip(
        source.shape[:2], given.shape[1:3], kernel, stride, strict=True
    ):
        total = (-(-wanted // step) - 1) * step + size - wanted if same else 0
        before = max(total, 0) // 2
        padding += [size - 1 - before, wanted + before - count * step]
    if min(padding) < 0:
        raise ModelError(f"{operator}: {given} of {source.shape} with windows of {kernel}")
    builder.finish(
        operator,
        ops.Conv2D,
        _spread(builder, source, stride).name,
        weights=replace(weights, codes=np.ascontiguousarray(weights.codes[:, ::-1, ::-1])),
        bias=bias,
        stride=(1, 1),
        padding=(padding[0], padding[1], padding[2], padding[3]),
    )


def _spread(builder: Builder, source: Tensor, stride: ops.Pair) -> Tensor:
    """A tensor with zeros behind each row and column, so that they lie a stride apart."""
    height, width, channels = source.shape
    if stride[1] > 1:
        cells = builder.reshaped(source, (height * width, 1, channels))
        padding = (0, 0, 0, stride[1] - 1)
        source = builder.between(source, "spread", ops.Pad, cells.name, padding=padding)
    width *= stride[1]
    if stride[0] > 1:
        rows = builder.reshaped(source, (height, 1, width * channels))
        padding = (0, 0, 0, stride[0] - 1)
        source = builder.between(source, "spread", ops.Pad, rows.name, padding=padding)
    return builder.reshaped(source, (height * stride[0], width, channels))


def _groups(operator: TfliteOperator, source: Tensor, weights: Weights) -> int:
    """Into how many groups a convolution divides the channels."""
    channels, each = source.shape[2], int(weights.codes.shape[3])
    groups = channels // each
    if groups < 1 or channels % each or len(weights.codes) % groups:
        raise ModelError(f"{operator}: {channels} input channels, weights for {each}")
    return groups


def _grouped_convolution(
    builder: Builder,
    operator: TfliteOperator,
    source: Tensor,
    weights: Weights,
    bias: NDArray[np.int32],
    rest: dict[str, Any],
) -> None:
    """A depthwise convolution for groups of one channel, else one convolution a group."""
    groups = _groups(operator, source, weights)
    integers = weights.integers.astype(np.int8)
    if groups == source.shape[2]:
        each = replace(weights, codes=weights.codes[..., 0])
        builder.finish(operator, ops.DepthwiseConv2D, source.name, weights=each, bias=bias, **rest)
        return
    if 2 * groups > MAXIMUM_OPERATORS:
        raise ModelError(
            f"{operator}: {groups:,} groups of several channels, allowed: up to "
            f"{MAXIMUM_OPERATORS // 2:,}"
        )
    output = Tensor(source.name, (), builder.target(operator))
    names = []
    for group, own in enumerate(np.split(np.arange(len(bias)), groups)):
        part = part_of(builder, source, 2, group * integers.shape[3], integers.shape[3])
        each = Weights.narrowest(np.ascontiguousarray(integers[own]), weights.scales[own])
        rest_of = {**rest, "weights": each, "bias": bias[own]}
        names.append(builder.between(output, "group", ops.Conv2D, part.name, **rest_of).name)
    names = builder.joined(output, names, 2)
    builder.finish(operator, ops.Concatenation, *names, axis=2)


handles("CONV_2D")(_convolution(ops.Conv2D, "Conv2DOptions", 0, (0, 1, 2, 3)))


handles("DEPTHWISE_CONV_2D")(
    _convolution(ops.DepthwiseConv2D, "DepthwiseConv2DOptions", 3, (3, 1, 2))
)


@handles("BATCH_MATMUL")
def _batch_matmul(builder: Builder, operator: TfliteOperator) -> None:
    """Matrix products of two activations, or of one and a constant, in groups."""
    options = options_of(operator, "BatchMatMulOptions")
    leads: list[ops.Shape] = []
    names: list[str] = []
    for position, given in enumerate(operator.inputs):
        if given is None or not 2 <= len(given.shape) <= _MOST_MATRIX_AXES:
            raise ModelError(f"{operator}: input {position}, {given}, needs 2 to 5 axes")
        lead = given.shape[:-2]
        leads.append((1,) * (_MOST_MATRIX_AXES - 2 - len(lead)) + lead)
        shape = (math.prod(lead), *given.shape[-2:])
        names.append(builder.operand(operator, position, strip=True, shape=shape).name)
    if len(names) != 2 or (leads[0] != leads[1] and 1 not in map(math.prod, leads)):
        raise ModelError(f"{operator}: groups of {' and '.join(map(str, leads))}")
    transposed = (int(options.AdjX()), int(options.AdjY()))
    product = ops.MatMul(name=str(operator), inputs=(), output="", transposed=transposed)
    shape = product.output_shape([builder.tensors[name].shape for name in names])
    rank = max(len(given.shape) for given in operator.inputs if given)
    lead = max(leads, key=math.prod)[_MOST_MATRIX_AXES - rank :]
    builder.expect(operator, (*lead, *shape[1:]))
    builder.finish_reshaped(operator, shape, ops.MatMul, *names, transposed=transposed)


@handles("FULLY_CONNECTED")
def _fully_connected(builder: Builder, operator: TfliteOperator) -> None:
    """A matrix product; with several rows it is a convolution of one cell."""
    options = options_of(operator, "FullyConnectedOptions")
    if options.WeightsFormat() != tflite.FullyConnectedOptionsWeightsFormat.DEFAULT:
        raise ModelError(f"{operator}: shuffled weights")
    source = builder.source(operator)
    weights, bias = _weights(operator, 0, (0, 1))
    outputs, inputs = weights.codes.shape
    clamp = fused_clamp(operator, options, builder.target(operator))
    if source.size % inputs or operator.outputs[0].shape[-1:] != (outputs,):
        raise ModelError(
            f"{operator}: {source.size} inputs and {operator.outputs[0]}, weights for {inputs} "
            f"inputs and {outputs} outputs"
        )
    rows = source.size // inputs
    if rows == 1:
        builder.finish_reshaped(
            operator,
            (outputs,),
            ops.FullyConnected,
            source.name,
            weights=weights,
            bias=bias,
            clamp=clamp,
        )
        return
    builder.finish_reshaped(
        operator,
        (1, rows, outputs),
        ops.Conv2D,
        builder.reshaped(source, (1, rows, inputs)).name,
        weights=replace(weights, codes=weights.codes.reshape(outputs, 1, 1, inputs)),
        bias=bias,
        stride=(1, 1),
        clamp=clamp,
    )
