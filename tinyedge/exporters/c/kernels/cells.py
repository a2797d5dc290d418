"""Depthwise convolution of any shape with the DSP extension, four channels at a time.

``te_depthwise_conv2d_fours_s8`` makes all channels of an output cell in one piece of assembly, of
int8 weights; ``te_depthwise_conv2d_cells_s8`` does it for any weights and any activation. They take
next to no scratch. Besides what the kernels over a ring of rows do not compute, as dilations, they
are for what those compute more slowly, and where their ring would take too large an arena.
"""

from __future__ import annotations

import numpy as np

from tinyedge.exporters.c.kernels import layers
from tinyedge.exporters.c.kernels.kernel import CodeOptions, Kernel
from tinyedge.exporters.c.kernels.turned import along_a_row
from tinyedge.exporters.c.packing import densest, fastest
from tinyedge.graph import operators as ops
from tinyedge.graph.tensors import Tensor

FOURS = "te_depthwise_conv2d_fours_s8"
GROUP = 4
FEW_COLUMNS = 3
"""Outputs of a row that the dual kernel makes more slowly: it makes four of them at a time."""
FEW_APART = 6
"""The same of windows that lie two columns apart, where some of the four are made twice."""


def preferred(operator: ops.DepthwiseConv2D, output: Tensor, options: CodeOptions) -> bool:
    """Whether this kernel takes fewer modelled cycles of a Cortex-M4 than the dual one.

    That makes four outputs of a row at a time: with fewer, and words that they do not share, most
    of its work is for nothing.
    """
    few = output.shape[1] == 1 or (output.shape[1] <= FEW_COLUMNS and operator.stride[1] > 1)
    return options.features.dsp and len(operator.weights.codes) >= GROUP and few


def few_windows(
    operator: ops.DepthwiseConv2D,
    source: Tensor,
    output: Tensor,
    identifier: str,
    options: CodeOptions,
) -> Kernel | None:
    """The kernel of int8 weights for a layer that it computes faster than those over a ring."""
    kernel = depthwise_conv2d(operator, source, output, identifier, options)
    operator, _, output = along_a_row(operator, source, output)
    few = FEW_COLUMNS if operator.stride[1] == 1 else FEW_APART
    one_row = operator.weights.codes.shape[1] == 1
    if kernel and kernel.function == FOURS and (one_row or output.shape[1] <= few):
        return kernel
    return None


def depthwise_conv2d(
    operator: ops.DepthwiseConv2D,
    source: Tensor,
    output: Tensor,
    identifier: str,
    options: CodeOptions,
) -> Kernel | None:
    """The kernel for a depthwise convolution, or None where only the plain one applies."""
    channels = len(operator.weights.codes)
    if not options.features.dsp or channels < GROUP or channels != source.shape[2]:
        return None
    scale = layers.scale_of(operator, source, output)
    if scale is None:
        return None
    starts = [*range(0, channels - GROUP, GROUP), channels - GROUP]
    groups = np.stack([operator.weights.codes[at : at + GROUP] for at in starts])
    codes = np.ascontiguousarray(groups.transpose(0, 2, 3, 1))
    bits = operator.weights.bits
    packing = densest(codes, bits) if options.optimize == "size" else fastest(bits)
    operator, source, output = along_a_row(operator, source, output)
    _, height, width = operator.weights.codes.shape
    whole = (
        not packing.needs_scratch
        and scale.apart
        and scale.saturates(operator.clamp, output)
        and _meets_input(operator, source, output)
    )
    return Kernel(
        FOURS if whole else "te_depthwise_conv2d_cells_s8",
        "te_depthwise_cells",
        {
            "input": layers.shape(source),
            "output": layers.shape(output),
            "window": layers.window(operator, (height, width), operator.dilation),
            "activation": layers.activation(source, output, operator.clamp),
            "packed": f"{identifier}_weights",
            "unpack": "0" if whole else packing.unpack,
            "scale": scale.fields(identifier),
        },
        (
            layers.packed_array(
                operator,
                packing.pack(codes),
                f"ordered (four channels, height, width, channel), {packing.description}",
            ),
            *scale.arrays,
        ),
        packing.name,
        GROUP * height * width if packing.needs_scratch else 0,
        header="te_depthwise_conv2d_cells.h",
        unpack=() if whole else (f"{packing.unpack}.c",),
    )


def _meets_input(operator: ops.DepthwiseConv2D, source: Tensor, output: Tensor) -> bool:
    """Whether no window lies in the padding alone."""
    for axis in (0, 1):
        cells = np.arange(operator.weights.codes.shape[1 + axis]) * operator.dilation[axis]
        starts = np.arange(output.shape[axis]) * operator.stride[axis] - operator.padding[2 * axis]
        places = starts[:, np.newaxis] + cells
        if not ((places >= 0) & (places < source.shape[axis])).any(axis=1).all():
            return False
    return True
