"""Fully connected layers with four products a multiplication: ``te_fully_connected_quad_s8``."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from tinyedge.exporters.c.kernels import layers
from tinyedge.exporters.c.kernels.kernel import CodeOptions, Fields, Kernel
from tinyedge.graph import operators as ops
from tinyedge.graph.tensors import Tensor

STEP = 8
"""Columns whose weights for one pair of output channels share a word."""
CHANNELS = 4
"""Output channels that are computed at once, two pairs."""
_NAMES = {1: "binary_quad", 2: "ternary_quad"}
_COLUMNS = ((0, 2), (1, 3), (4, 6), (5, 7))
"""Columns in the low and the high lane of a step's words."""


def pack(codes: NDArray[np.int8]) -> NDArray[np.uint8]:
    """Weights (out, columns), each -1, 0 or 1, as 2 bits: the kernel's header says how."""
    out, columns = codes.shape
    padded = np.zeros((-(-out // CHANNELS) * CHANNELS, -(-columns // STEP) * STEP), dtype=np.int64)
    padded[:out, :columns] = codes
    groups = padded.reshape(len(padded) // CHANNELS, CHANNELS // 2, 2, -1, STEP)
    low, high = groups[:, :, 0] + 1, groups[:, :, 1] & 3
    words = np.zeros(low.shape[:3], dtype=np.int64)
    for turn, lanes in enumerate(_COLUMNS):
        for lane, column in enumerate(lanes):
            position = 16 * lane + 4 * turn
            words |= low[..., column] << position % 32
            words |= high[..., column] << (position + 14) % 32
    return words.transpose(0, 2, 1).astype("<u4").ravel().view(np.uint8)


def fully_connected(
    operator: ops.FullyConnected,
    source: Tensor,
    output: Tensor,
    identifier: str,
    options: CodeOptions,
) -> Kernel | None:
    """The kernel for ternary or binary weights, or None where it does not apply.

    It stores 2 bits a weight. Where size matters more, the plain kernel reads fewer.
    """
    codes, bits = operator.weights.codes, operator.weights.bits
    scale = layers.folded_scale(operator, source, output)
    if (
        not options.features.dsp
        or options.optimize == "size"
        or bits not in _NAMES
        or scale is None
    ):
        return None
    steps = -(-codes.shape[1] // STEP)
    fields: Fields = {
        "inputs": source.size,
        "outputs": output.size,
        "activation": layers.activation(source, output, operator.clamp),
        "packed": f"{identifier}_weights",
        "scale": f"{identifier}_scale",
        "steps": steps,
    }
    description = "output channels in fours, steps of 8 columns, 2 bits"
    return Kernel(
        "te_fully_connected_quad_s8",
        "te_fully_connected_quad",
        fields,
        (layers.packed_array(operator, pack(codes), description), scale),
        _NAMES[bits],
        steps * STEP * 2,
        (source.size,),
        "te_fully_connected_quad_s8.h",
    )
