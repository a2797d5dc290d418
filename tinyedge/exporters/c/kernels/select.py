"""The choice of a kernel, by the core's instructions and by what is to be optimized."""

from __future__ import annotations

from collections.abc import Callable

from tinyedge.exporters.c.kernels import depthwise, dsp, lut, patch, quad
from tinyedge.exporters.c.kernels.kernel import CodeOptions, Kernel
from tinyedge.exporters.c.kernels.plain import plain_kernel
from tinyedge.graph import operators as ops
from tinyedge.graph.graph import Graph

_CANDIDATES: dict[type[ops.Operator], tuple[Callable[..., Kernel | None], ...]] = {
    ops.Conv2D: (quad.conv1x1, lut.conv2d, dsp.conv2d, patch.conv2d),
    ops.FullyConnected: (quad.fully_connected, dsp.fully_connected),
    ops.DepthwiseConv2D: (depthwise.depthwise_conv2d,),
}
"""Fast kernels, the first that applies is taken; what none computes is left to the plain ones."""


def select_kernel(
    graph: Graph, operator: ops.Operator, identifier: str, options: CodeOptions
) -> Kernel | None:
    """The kernel for an operator, or None for one that needs no code.

    Args:
        graph: that the operator is in.
        operator: the operator.
        identifier: prefix of the layer's arrays in C.
        options: what the code is made for.
    """
    inputs, output = graph.inputs_of(operator), graph.tensors[operator.output]
    if options.features.flash_apart:
        return plain_kernel(operator, inputs, output, identifier, options)
    for kind, candidates in _CANDIDATES.items():
        if isinstance(operator, kind):
            for candidate in candidates:
                if kernel := candidate(operator, inputs[0], output, identifier, options):
                    return kernel
    return plain_kernel(operator, inputs, output, identifier, options)
