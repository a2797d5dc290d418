"""Convolution and matrix product by pairs of 16-bit lanes: ``te_conv2d_dsp_s8`` and others.

The sums of two output channels share multiplications, and so wrap around at fewer than 32 bits. The
exporter knows the weights, so it knows for how many columns (products of one sum) they do not.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tinyedge.exporters.c.kernels import layers
from tinyedge.exporters.c.kernels.kernel import CodeOptions, Fields, Kernel
from tinyedge.graph import operators as ops
from tinyedge.graph.tensors import Tensor

STEP = 4
"""Columns whose activations are widened at once."""
_MAXIMUM_CELLS = 16
"""Output cells that are multiplied before the outputs of each channel are scaled."""
_GROUPS_BYTES = 1024
"""Bytes of scratch that more than one such group may take."""
_LANES = (0, 2, 1, 3)
"""Columns of a step as two words hold them."""
_DESCRIPTION = f"output channels in pairs, steps of {STEP} columns, {{}} bits"
_SUM_BITS = {8: 24, 4: 20}
"""Bits in which a sum is exact, by the bits of its weights."""


@dataclass(frozen=True)
class _Block:
    """How many sums a dot product of a convolution makes at once.

    Attributes:
        pixels: output cells.
        channels: output channels.
        cycles: of a dual multiplication and what goes with it, modelled for the Cortex-M4.
    """

    pixels: int
    channels: int
    cycles: float


_THREE_BY_PAIR = _Block(3, 2, 1.10)
_TWO_BY_QUAD = _Block(2, 4, 1.00)


def _block(suffix: str, out: int) -> _Block:
    """The block for so many output channels that takes the fewest cycles."""
    blocks = (_TWO_BY_QUAD, _THREE_BY_PAIR) if suffix == "int8" else (_THREE_BY_PAIR,)
    return min(blocks, key=lambda each: each.cycles * -(-out // each.channels) * each.channels)


def _in_steps(codes: NDArray[np.int8]) -> NDArray[np.int64]:
    """Codes (out, columns) as (pairs of output channels, steps, 2, STEP), filled with zeros."""
    out, columns = codes.shape
    padded = np.zeros((-(-out // 2) * 2, -(-columns // STEP) * STEP), dtype=np.int64)
    padded[:out, :columns] = codes
    return padded.reshape(len(padded) // 2, 2, -1, STEP).transpose(0, 2, 1, 3)


def pack_int8(codes: NDArray[np.int8]) -> NDArray[np.uint8] | None:
    """Weights (out, columns) for ``te_dsp_dot3_int8``: lanes of ``a + 256 * b``.

    None where such a lane does not fit in 16 bits: b = -128 beside a negative a.
    """
    steps = _in_steps(codes)[..., _LANES]
    lanes = steps[:, :, 0] + 256 * steps[:, :, 1]
    if lanes.min(initial=0) < -(2**15):
        return None
    return lanes.astype("<i2").ravel().view(np.uint8)


def in_quads(packed: NDArray[np.uint8], pairs: int) -> NDArray[np.uint8]:
    """Weights as ``te_dsp_dot2_int8`` reads them: the words of two pairs in turn.

    Args:
        packed: as ``pack_int8`` gives them.
        pairs: of output channels; behind an odd number of them come zeros.
    """
    words = packed.reshape(pairs, -1, 4)
    if pairs % 2:
        words = np.concatenate([words, np.zeros_like(words[:1])])
    return words.reshape(-1, 2, words.shape[1], 4).transpose(0, 2, 1, 3).ravel()


def pack_int8_apart(codes: NDArray[np.int8]) -> NDArray[np.uint8]:
    """Weights (out, columns) for ``te_dsp_dot3_int8_apart``: words of each channel in turn."""
    return _in_steps(codes).astype(np.int8).ravel().view(np.uint8)


def pack_int4(codes: NDArray[np.int8]) -> NDArray[np.uint8]:
    """Weights (out, columns) for ``te_dsp_dot3_int4``: one word a pair and step."""
    nibbles = _in_steps(codes) & 15
    a, b = nibbles[:, :, 0], nibbles[:, :, 1]
    words = np.zeros(a.shape[:2], dtype=np.int64)
    for turns, (channel, (low, high)) in enumerate(
        [(a, (0, 2)), (b, (0, 2)), (a, (1, 3)), (b, (1, 3))]
    ):
        for column, position in ((low, 12), (high, 28)):
            words |= channel[:, :, column] << (position + 4 * turns) % 32
    return words.astype("<u4").ravel().view(np.uint8)


def _packed(
    operator: ops.Weighted, options: CodeOptions
) -> tuple[NDArray[np.uint8], str, int] | None:
    """The weights as a dot product of this module reads them, its suffix, and the safe steps.

    None where there is none for them.
    """
    bits = operator.weights.bits
    if not options.features.dsp or bits not in _SUM_BITS:
        return None
    codes = operator.weights.codes.reshape(len(operator.weights.codes), -1)
    if bits == 4:
        return pack_int4(codes), "int4", _safe_steps(codes, bits)
    if (packed := pack_int8(codes)) is not None:
        return packed, "int8", _safe_steps(codes, bits)
    return pack_int8_apart(codes), "int8_apart", -(-codes.shape[1] // STEP)


def _safe_steps(codes: NDArray[np.int8], bits: int) -> int:
    """For how many steps, from any multiple of them on, sums are exact for any input."""
    steps: int = -(-codes.shape[1] // STEP)
    largest = 2 ** (_SUM_BITS[bits] - 1) - 1
    while True:
        width = steps * STEP
        parts = (codes[:, at : at + width] for at in range(0, codes.shape[1], width))
        if all(layers.lane_bound(part) <= largest for part in parts):
            return steps
        steps = -(-steps // 2)


def conv2d(
    operator: ops.Conv2D, source: Tensor, output: Tensor, identifier: str, options: CodeOptions
) -> Kernel | None:
    """The kernel for a convolution of 8-bit or 4-bit weights, or None where it does not apply."""
    scale, found = layers.folded_scale(operator, source, output), _packed(operator, options)
    if scale is None or found is None or operator.dilation != (1, 1):
        return None
    packed, suffix, safe_steps = found
    codes, bits = operator.weights.codes, operator.weights.bits
    _, height, width, channels = codes.shape
    flat = codes.reshape(len(codes), -1)
    steps = -(-flat.shape[1] // STEP)
    block = _block(suffix, len(codes))
    if block == _TWO_BY_QUAD:
        packed = in_quads(packed, -(-len(codes) // 2))
    group_bytes = steps * STEP * 2 * block.pixels
    cells = output.shape[0] * output.shape[1]
    most = _MAXIMUM_CELLS // block.pixels
    groups = max(1, min(most, _GROUPS_BYTES // group_bytes, -(-cells // block.pixels)))
    dot = f"te_dsp_dot{block.pixels}_{suffix}"
    whole = block == _TWO_BY_QUAD and len(codes) % block.channels == 0 and steps <= safe_steps
    quads = whole and scale.saturates(operator.clamp, output)
    multiply = "te_dsp_quads_int8" if quads else "te_dsp_multiply"
    fields: Fields = {
        "input": layers.shape(source),
        "output": layers.shape(output),
        "window": layers.window(operator, (height, width), (1, 1)),
        "activation": layers.activation(source, output, operator.clamp),
        "packed": f"{identifier}_weights",
        "scale": scale.fields(identifier),
        "multiply": multiply,
        "dot": "0" if quads else dot,
        "pixels": block.pixels,
        "channels": block.channels,
        "groups": groups,
        "steps": steps,
        "safe_steps": safe_steps,
    }
    return Kernel(
        "te_conv2d_dsp_s8",
        "te_conv2d_dsp",
        fields,
        (layers.packed_array(operator, packed, _DESCRIPTION.format(bits)), *scale.arrays),
        f"{suffix}_dsp",
        groups * group_bytes + ((steps + 1) * STEP if channels % STEP else 0),
        (layers.block_lead(operator, source, output, groups * block.pixels),),
        "te_conv2d_dsp_s8.h",
        (f"{multiply}.c",) if quads else (f"{multiply}.c", f"{dot}.c"),
    )


def fully_connected(
    operator: ops.FullyConnected,
    source: Tensor,
    output: Tensor,
    identifier: str,
    options: CodeOptions,
) -> Kernel | None:
    """The kernel for 8-bit or 4-bit weights, or None where it does not apply."""
    scale, found = layers.folded_scale(operator, source, output), _packed(operator, options)
    if scale is None or found is None:
        return None
    packed, suffix, safe_steps = found
    codes, bits = operator.weights.codes, operator.weights.bits
    steps = -(-codes.shape[1] // STEP)
    dot = f"te_dsp_dot1_{suffix}"
    whole = steps <= safe_steps and scale.saturates(operator.clamp, output)
    fields: Fields = {
        "inputs": source.size,
        "outputs": output.size,
        "activation": layers.activation(source, output, operator.clamp),
        "packed": f"{identifier}_weights",
        "scale": scale.fields(identifier),
        "dot": dot,
        "steps": steps,
        "safe_steps": safe_steps,
    }
    return Kernel(
        f"te_fully_connected_{'whole' if whole else 'dsp'}_s8",
        "te_fully_connected_dsp",
        fields,
        (layers.packed_array(operator, packed, _DESCRIPTION.format(bits)), *scale.arrays),
        f"{suffix}_dsp",
        steps * STEP * 2,
        (source.size,),
        "te_fully_connected_dsp_s8.h",
        (f"{dot}.c",),
    )
