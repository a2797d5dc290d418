"""Depthwise convolution of any shape with the DSP extension, four channels at a time.

It takes next to no scratch. It is for what the kernels over a ring of rows do not compute, as
dilations, for rows of few outputs, and where their ring would take too large an arena.
"""

from __future__ import annotations

import numpy as np

from tinyedge.exporters.c.kernels import layers
from tinyedge.exporters.c.kernels.kernel import CodeOptions, Kernel
from tinyedge.exporters.c.kernels.turned import along_a_row
from tinyedge.exporters.c.packing import densest, fastest
from tinyedge.graph import operators as ops
from tinyedge.graph.tensors import Tensor

GROUP = 4
FEW_COLUMNS = 3
"""Outputs of a row, at a stride above 1, that the dual kernel makes more slowly."""


def preferred(operator: ops.DepthwiseConv2D, output: Tensor, options: CodeOptions) -> bool:
    """Whether this kernel takes fewer modelled cycles of a Cortex-M4 than the dual one.

    That makes four outputs of a row at a time: with fewer, and words that they do not share, most
    of its work is for nothing.
    """
    few = output.shape[1] == 1 or (output.shape[1] <= FEW_COLUMNS and operator.stride[1] > 1)
    return options.features.dsp and len(operator.weights.codes) >= GROUP and few


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
    return Kernel(
        "te_depthwise_conv2d_cells_s8",
        "te_depthwise_cells",
        {
            "input": layers.shape(source),
            "output": layers.shape(output),
            "window": layers.window(operator, (height, width), operator.dilation),
            "activation": layers.activation(source, output, operator.clamp),
            "packed": f"{identifier}_weights",
            "unpack": packing.unpack,
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
        unpack=(f"{packing.unpack}.c",),
    )
