"""The choice of a kernel, by the core's instructions and by what is to be optimized."""

from __future__ import annotations

from tinyedge.exporters.c.kernels import dsp, lut, quad
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
        kernel = lut.conv2d(operator, inputs[0], output, identifier, options)
        kernel = kernel or dsp.conv2d(operator, inputs[0], output, identifier, options)
    elif isinstance(operator, ops.FullyConnected):
        kernel = quad.fully_connected(operator, inputs[0], output, identifier, options)
        kernel = kernel or dsp.fully_connected(operator, inputs[0], output, identifier, options)
    return kernel or plain_kernel(operator, inputs, output, identifier, options)
