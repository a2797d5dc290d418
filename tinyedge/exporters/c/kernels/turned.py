"""A depthwise convolution along one column, as the same along a row.

Bytes lie the same, and kernels go along a row fastest. Networks over time have such layers.
"""

from __future__ import annotations

from dataclasses import replace

from tinyedge.graph import operators as ops
from tinyedge.graph.tensors import Tensor


def along_a_row(
    operator: ops.DepthwiseConv2D, source: Tensor, output: Tensor
) -> tuple[ops.DepthwiseConv2D, Tensor, Tensor]:
    """The operator, its input and its output, with rows and columns exchanged.

    Where input, output or window have several columns, they are given as they are.
    """
    if not source.shape[1] == output.shape[1] == operator.weights.codes.shape[2] == 1:
        return operator, source, output
    top, bottom, left, right = operator.padding
    turned = replace(
        operator,
        weights=replace(operator.weights, codes=operator.weights.codes.transpose(0, 2, 1)),
        stride=operator.stride[::-1],
        padding=(left, right, top, bottom),
        dilation=operator.dilation[::-1],
    )
    return turned, _turned(source), _turned(output)


def _turned(tensor: Tensor) -> Tensor:
    height, width, channels = tensor.shape
    return replace(tensor, shape=(width, height, channels))
