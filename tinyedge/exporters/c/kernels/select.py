"""The choice of a kernel, by the core's instructions and by what is to be optimized."""

from __future__ import annotations

from tinyedge.exporters.c.kernels import depthwise, dsp, fully_connected, lut, patch, quad
from tinyedge.exporters.c.kernels.kernel import CodeOptions, Kernel
from tinyedge.exporters.c.kernels.plain import plain_kernel
from tinyedge.graph import operators as ops
from tinyedge.graph.graph import Graph


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
    kernel = None
    if isinstance(operator, ops.Conv2D):
        for choose in (quad.conv1x1, lut.conv2d, dsp.conv2d, patch.conv2d):
            kernel = kernel or choose(operator, inputs[0], output, identifier, options)
    if isinstance(operator, ops.FullyConnected):
        for pick in (fully_connected.fully_connected, dsp.fully_connected):
            kernel = kernel or pick(operator, inputs[0], output, identifier, options)
    if isinstance(operator, ops.DepthwiseConv2D):
        kernel = depthwise.depthwise_conv2d(operator, inputs[0], output, identifier, options)
    return kernel or plain_kernel(operator, inputs, output, identifier, options)
