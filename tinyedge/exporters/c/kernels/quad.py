"""Ternary products four at a time; ``te_quad.h`` says how two output channels share a word.

The low field of a sum has 14 bits, the high one 18. For convolution it follows from the weights how
many columns the low field holds for any input; fully connected layers empty it after as many as it
always holds.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tinyedge.exporters.c.kernels import layers
from tinyedge.exporters.c.kernels.kernel import Array, CodeOptions, Fields, Kernel
from tinyedge.graph import operators as ops
from tinyedge.graph.tensors import Tensor

COLUMNS = 8
"""Elements of which a channel has a multiple; those of two channels share one word."""
BLOCK = 15
"""Cells of a convolution that are computed together, or twice as many."""
_BLOCK_BYTES = 4096
"""Bytes of scratch that twice as many may take."""
CHANNELS = 4
"""Output channels of a fully connected layer that are computed together."""
_NAMES = {1: "binary_quad", 2: "ternary_quad"}
_LOW_MAXIMUM = 2**13 - 1
_HIGH_MAXIMUM = 2**17 - 1
_START = 2**13
_LANES = (0, 2, 1, 3)
"""Columns of four in the order of their lanes."""


@dataclass(frozen=True)
class Pairs:
    """Pairs of output channels, packed.

    Attributes:
        words: uint32 (pairs / 2, columns / 4).
        order: channels, the low and the high one of every pair; some may be there twice.
        columns: of a channel, filled up to a multiple of 8.
        segment: columns that the low field holds for any input.
    """

    words: NDArray[np.uint32]
    order: NDArray[np.uint16]
    columns: int
    segment: int


def pack_words(low: NDArray[np.int64], high: NDArray[np.int64]) -> NDArray[np.uint32]:
    """Words (pairs, columns / 8) of the weights (pairs, columns) of low and high channels.

    Four pairs of lanes ``(low + 1) + 2**14 * high``, turned left by 0, 4, 8 and 12 bits.
    """
    lanes = _lanes(low, high)
    return _turned(lanes.reshape(len(low), -1, 4))


def _lanes(low: NDArray[np.int64], high: NDArray[np.int64]) -> NDArray[np.uint64]:
    """Pairs of lanes (pairs, steps of 4 columns, 2)."""
    lanes = ((low + 1) + (high << 14)).reshape(len(low), -1, 4)[:, :, _LANES] & 0xFFFF
    pairs: NDArray[np.uint64] = lanes.reshape(len(low), -1, 2, 2).astype(np.uint64) @ np.array(
        [1, 2**16], np.uint64
    )
    return pairs


def _turned(pairs: NDArray[np.uint64]) -> NDArray[np.uint32]:
    """Words (rows, n) of pairs of lanes (rows, n, 4), turned left by 0, 4, 8 and 12 bits."""
    turned = pairs << np.arange(0, 16, 4, dtype=np.uint64)
    words: NDArray[np.uint64] = np.bitwise_or.reduce(turned | turned >> np.uint64(32), axis=2)
    return words.astype(np.uint32)


def pack_two_pairs(low: NDArray[np.int64], high: NDArray[np.int64]) -> NDArray[np.uint32]:
    """Words (pairs / 2, columns / 4): of four columns, the lanes of two pairs in turn.

    Args:
        low: weights (pairs, columns) of low channels, an even number of pairs.
        high: of high ones.
    """
    lanes = _lanes(low, high)  # (pairs, steps of 4 columns, 2)
    steps = lanes.reshape(-1, 2, *lanes.shape[1:]).transpose(0, 2, 3, 1)
    return _turned(steps.reshape(*steps.shape[:2], 4))


def pack_pairs(codes: NDArray[np.int8]) -> Pairs | None:
    """Packs weights (out, columns) of -1, 0 and 1, or gives None where a high field overflows.

    The channels with the fewest weights that are not zero become low ones.
    """
    out, count = codes.shape
    columns = -(-count // COLUMNS) * COLUMNS
    padded = np.zeros((out, columns), dtype=np.int64)
    padded[:, :count] = codes
    ranked = np.argsort(np.abs(padded).sum(axis=1), kind="stable")
    half = -(-out // 2)
    low, high = np.sort(ranked[:half]), np.sort(ranked[half:])
    if len(high) < half:
        high = np.append(high, low[-1])
    if half % 2:
        low, high = np.append(low, low[-1]), np.append(high, high[-1])
    if layers.lane_bound(padded[high]) > _HIGH_MAXIMUM:
        return None
    return Pairs(
        pack_two_pairs(padded[low], padded[high]),
        np.stack([low, high], axis=1).ravel().astype(np.uint16),
        columns,
        _segment(padded[low]),
    )


def _segment(codes: NDArray[np.int64]) -> int:
    """The most columns, a multiple of 8, of which every stretch fits in the low field."""
    columns = codes.shape[1]
    for segment in range(columns, COLUMNS, -COLUMNS):
        stretches = (codes[:, start : start + segment] for start in range(0, columns, segment))
        if all(layers.lane_bound(stretch) <= _LOW_MAXIMUM for stretch in stretches):
            return segment
    return COLUMNS


def pack_fours(codes: NDArray[np.int8]) -> NDArray[np.uint8]:
    """Weights (out, columns) as the bytes of words: of two pairs of channels in turn."""
    out, columns = codes.shape
    padded = np.zeros((-(-out // CHANNELS) * CHANNELS, -(-columns // COLUMNS) * COLUMNS), np.int64)
    padded[:out, :columns] = codes
    words = pack_words(padded[::2], padded[1::2])
    fours = words.reshape(-1, CHANNELS // 2, words.shape[1]).transpose(0, 2, 1)
    return fours.astype("<u4").ravel().view(np.uint8)


def conv1x1(
    operator: ops.Conv2D, source: Tensor, output: Tensor, identifier: str, options: CodeOptions
) -> Kernel | None:
    """The kernel for a convolution with windows of one cell, or None where it does not apply."""
    codes, bits = operator.weights.codes, operator.weights.bits
    scale = layers.folded_scale(operator, source, output)
    if (
        not options.features.dsp
        or options.optimize == "size"
        or bits not in _NAMES
        or codes.shape[1:3] != (1, 1)
        or any(operator.padding)
        or scale is None
    ):
        return None
    pairs = pack_pairs(codes[:, 0, 0, :])
    if pairs is None:
        return None
    scale = _in_order(scale, pairs.order)
    cell_bytes = pairs.columns * 2 + -(-pairs.columns // pairs.segment) * 4
    cells = output.shape[0] * output.shape[1]
    block = BLOCK if cells <= BLOCK or 2 * BLOCK * cell_bytes > _BLOCK_BYTES else 2 * BLOCK
    fields: Fields = {
        "input": layers.shape(source),
        "output": layers.shape(output),
        "stride_height": operator.stride[0],
        "stride_width": operator.stride[1],
        "activation": layers.activation(source, output, operator.clamp),
        "packed": f"{identifier}_weights",
        "scale": scale.fields(identifier),
        "order": f"{identifier}_order",
        "ordered": len(pairs.order),
        "block": block,
        "columns": pairs.columns,
        "segment": pairs.segment,
    }
    sizes = "x".join(map(str, codes.shape))
    comment = f"{operator.name}: weights {sizes}, two pairs of output channels, 4 columns a word"
    return Kernel(
        "te_conv1x1_quad_s8",
        "te_conv1x1_quad",
        fields,
        (
            Array("weights", "uint32_t", pairs.words.ravel(), comment, weights=True),
            *scale.arrays,
            Array("order", "uint16_t", pairs.order),
        ),
        _NAMES[bits],
        cell_bytes * block,
        (_lead(operator, source.shape, output.shape, block),),
        "te_conv1x1_quad_s8.h",
        ("te_quad_dot.c",),
    )


def _in_order(scale: layers.Scale, order: NDArray[np.uint16]) -> layers.Scale:
    """The scales of pairs; the bias of low channels takes off what their field starts from."""
    ordered = scale.in_order(order)
    low = np.arange(len(order)) % 2 == 0
    return ordered.less(np.where(low, _START * ordered.step, 0))


def _lead(
    operator: ops.Conv2D, source: tuple[int, ...], output: tuple[int, ...], block: int
) -> int:
    """How far outputs may lie beyond the inputs that they are written over.

    So many cells as a block has are read before their outputs are written, and not read again.
    """
    cells = np.arange(output[0] * output[1])
    rows, columns = np.divmod(cells, output[1])
    starts = (rows * operator.stride[0] * source[1] + columns * operator.stride[1]) * source[2]
    unread = starts[block::block]
    written = (np.arange(len(unread)) + 1) * block * output[2]
    return int((unread - written).min(initial=source[0] * source[1] * source[2]))


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
    steps = -(-codes.shape[1] // COLUMNS)
    fields: Fields = {
        "inputs": source.size,
        "outputs": output.size,
        "activation": layers.activation(source, output, operator.clamp),
        "packed": f"{identifier}_weights",
        "scale": scale.fields(identifier),
        "steps": steps,
    }
    description = "output channels in fours, steps of 8 columns, 2 bits"
    return Kernel(
        "te_fully_connected_quad_s8",
        "te_fully_connected_quad",
        fields,
        (layers.packed_array(operator, pack_fours(codes), description), *scale.arrays),
        _NAMES[bits],
        steps * COLUMNS * 2,
        (source.size,),
        "te_fully_connected_quad_s8.h",
    )
