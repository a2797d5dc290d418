"""Convolution and matrix product of 8-bit weights by ``te_conv2d_patch_s8``: channels in pairs."""

from __future__ import annotations

import numpy as np

from tinyedge.exporters.c.kernels import layers
from tinyedge.exporters.c.kernels.kernel import CodeOptions, Fields, Kernel
from tinyedge.graph import operators as ops
from tinyedge.graph.tensors import Tensor

_STEP = 4
_MAXIMUM_COLUMNS = 2**14
"""Columns whose products are under 2**16 each, whose sum then stays under 2**30."""


def conv2d(
    operator: ops.Conv2D, source: Tensor, output: Tensor, identifier: str, options: CodeOptions
) -> Kernel | None:
    """The kernel for 8-bit weights without the DSP extension, or None where it does not apply."""
    if operator.dilation != (1, 1):
        return None
    _, height, width, _ = operator.weights.codes.shape
    shapes: Fields = {
        "input": layers.shape(source),
        "output": layers.shape(output),
        "window": layers.window(operator, (height, width), (1, 1)),
    }
    return _kernel(operator, source, output, identifier, options, shapes)


def fully_connected(
    operator: ops.FullyConnected,
    source: Tensor,
    output: Tensor,
    identifier: str,
    options: CodeOptions,
) -> Kernel | None:
    """The same for a matrix product, which is a convolution of one cell."""
    cell = {"height": 1, "width": 1}
    shapes: Fields = {
        "input": {**cell, "channels": source.size},
        "output": {**cell, "channels": output.size},
        "window": {
            **cell,
            **dict.fromkeys(("stride_height", "stride_width"), 1),
            **dict.fromkeys(("dilation_height", "dilation_width"), 1),
            **dict.fromkeys(("padding_top", "padding_left"), 0),
        },
    }
    return _kernel(operator, source, output, identifier, options, shapes)


def _kernel(
    operator: ops.Weighted,
    source: Tensor,
    output: Tensor,
    identifier: str,
    options: CodeOptions,
    shapes: Fields,
) -> Kernel | None:
    """The kernel of a layer, by the shapes that C is given; None where it does not apply."""
    codes = operator.weights.codes.reshape(len(operator.bias), -1)
    out = len(codes)
    columns = -(-codes.shape[1] // _STEP) * _STEP
    if options.features.dsp or operator.weights.bits != 8 or columns > _MAXIMUM_COLUMNS:
        return None
    # Inputs are 128 above their values: their offset is -(zero point + 128).
    rows = codes.astype(np.int64)
    steps = operator.weights.steps
    sums = rows.sum(axis=1) * (1 if steps is None else steps.astype(np.int64))
    bias = operator.bias - (source.quantization.zero_point + 128) * sums
    if np.abs(bias).max(initial=0) > 2**30:
        return None
    scale = layers.scale_of(operator, source, output, bias.astype(np.int32))
    if scale is None:
        return None
    packed = np.full((out + out % 2, columns), 128, dtype=np.uint8)
    packed[:out, : rows.shape[1]] = rows + 128
    pairs = packed.reshape(-1, 2, columns).transpose(0, 2, 1)
    fields: Fields = {
        **shapes,
        "activation": layers.activation(source, output, operator.clamp),
        "packed": f"{identifier}_weights",
        "scale": scale.fields(identifier),
        "columns": columns,
    }
    description = "pairs of output channels, a byte of each in turn, weight + 128"
    return Kernel(
        "te_conv2d_patch_s8",
        "te_conv2d_patch",
        fields,
        (
            layers.packed_array(operator, np.ascontiguousarray(pairs).ravel(), description),
            *scale.arrays,
        ),
        "int8_pairs",
        columns,
        header="te_conv2d_patch_s8.h",
    )
