"""Convolution by tables of partial sums: ``te_conv2d_lut_s8``.

The eight positions of a table entry are 16-bit lanes, which the proof below keeps from overflowing:
the exporter knows the weights, so it knows how many of them a lane holds for any input.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from tinyedge.exporters.c.kernels import layers
from tinyedge.exporters.c.kernels.kernel import CodeOptions, Fields, Kernel
from tinyedge.exporters.c.packing import densest
from tinyedge.graph import operators as ops
from tinyedge.graph.tensors import Tensor

LANES = 8
WORD = 4
LANE_MAXIMUM = 2**15 - 1
DIGITS = {1: 8, 2: 4}
"""Weights that one index holds, by their bits."""
BASES = {1: 2, 2: 3}
CHUNK = 4
WIDE_CHUNK = 8
"""Tables at one time; the kernel's loops are unrolled for so many, and for the rest of four."""
RESIDENT_MAXIMUM = 10240
"""Bytes of scratch that the indices of a whole layer may take; larger ones are made by chunk."""


def kernel_order(codes: NDArray[np.int8], group: int, chunk: int) -> list[NDArray[np.int8]]:
    """The weights in the order of the kernel: for every chunk of input channels (rows, channels).

    Rows are ordered (height, width, out).

    Args:
        codes: (out, height, width, in).
        group: weights of one index.
        chunk: groups whose tables exist at one time.
    """
    rows = codes.transpose(1, 2, 0, 3).reshape(-1, codes.shape[3])
    step = group * chunk
    return [rows[:, first : first + step] for first in range(0, rows.shape[1], step)]


def _indices(chunk: NDArray[np.int8], bits: int) -> NDArray[np.uint8]:
    """The index of every group of one chunk; missing channels count as digit 0."""
    rows, channels = chunk.shape
    size = DIGITS[bits]
    digits = np.zeros((rows, -(-channels // size) * size), dtype=np.int64)
    digits[:, :channels] = (chunk.astype(np.int64) + 1) // (2 if bits == 1 else 1)
    powers = BASES[bits] ** np.arange(size)
    return (digits.reshape(rows, -1, size) @ powers).astype(np.uint8).ravel()


def _passes(codes: NDArray[np.int8], chunk_channels: int, zero_point: int) -> int | None:
    """How many chunks of one input row 16 bits hold for sure.

    Returns:
        0 where they hold the whole sum, None where they do not even hold one chunk.
    """
    if layers.lane_bound(codes, zero_point) <= LANE_MAXIMUM:
        return 0
    channels = codes.shape[3]
    chunks = -(-channels // chunk_channels)
    for passes in range(chunks, 0, -1):
        step = passes * chunk_channels
        bounds = (
            layers.lane_bound(codes[:, line, :, first : first + step], zero_point)
            for line in range(codes.shape[1])
            for first in range(0, channels, step)
        )
        if all(bound <= LANE_MAXIMUM for bound in bounds):
            return passes
    return None


def _chunk(groups: int, bits: int, options: CodeOptions) -> int:
    """Tables at one time.

    Twice as many halve how often sums are loaded and stored; they take 5 KB of scratch more.
    """
    if bits == 1:
        return 1
    core = options.features
    wide = core.thumb2 and not core.mve and options.optimize in ("speed", "fastest")
    if wide and groups >= WIDE_CHUNK and groups % WIDE_CHUNK <= CHUNK:
        return WIDE_CHUNK
    return min(groups, CHUNK)


def conv2d(
    operator: ops.Conv2D, source: Tensor, output: Tensor, identifier: str, options: CodeOptions
) -> Kernel | None:
    """The kernel for binary or ternary weights, or None where it does not apply."""
    codes, bits = operator.weights.codes, operator.weights.bits
    scale = layers.scale_of(operator, source, output)
    if bits not in DIGITS or operator.dilation != (1, 1) or scale is None:
        return None
    out, height, width, channels = codes.shape
    groups = -(-channels // DIGITS[bits])
    chunk = _chunk(groups, bits, options)
    passes = _passes(codes, chunk * DIGITS[bits], source.quantization.zero_point)
    if passes is None and chunk > CHUNK:
        chunk = CHUNK
        passes = _passes(codes, chunk * DIGITS[bits], source.quantization.zero_point)
    if passes is None:
        return None

    source_shape, output_shape = source.shape, output.shape
    lead = layers.row_lead(operator, height, source_shape, output_shape)
    last_width = output_shape[1]
    flat = height == width == 1 and operator.stride == (1, 1) and not any(operator.padding)
    if flat:
        cells = output_shape[0] * output_shape[1]
        rows = -(-cells // LANES)
        source_shape, output_shape = (rows, LANES, channels), (rows, LANES, out)
        last_width = cells - (rows - 1) * LANES
        lead = layers.row_lead(operator, height, source_shape, output_shape)
    blocks = -(-output_shape[1] // LANES)
    live_rows = (height - 1) // operator.stride[0] + 1

    chunks = kernel_order(codes, DIGITS[bits], chunk)
    indices = [_indices(part, bits) for part in chunks]
    ordered = np.concatenate([part.ravel() for part in chunks])
    packing = densest(ordered, bits) if options.optimize == "size" else None
    packed = packing.pack(ordered) if packing else np.concatenate(indices)

    sums = live_rows * blocks * out * LANES * 2
    entries = BASES[bits] ** DIGITS[bits]
    scratch = sums * (3 if passes else 1) + chunk * entries * LANES * 2 + channels
    resident = False
    if packing:
        total = sum(part.size for part in indices)
        resident = total <= RESIDENT_MAXIMUM
        scratch += total if resident else max(part.size for part in indices)

    fields: Fields = {
        "input": dict(zip(("height", "width", "channels"), source_shape, strict=True)),
        "output": dict(zip(("height", "width", "channels"), output_shape, strict=True)),
        "window": layers.window(operator, (height, width), (1, 1)),
        "activation": layers.activation(source, output, operator.clamp),
        "packed": f"{identifier}_weights",
        "unpack": packing.unpack if packing else "0",
        "scale": scale.fields(identifier),
        "resident": int(resident),
        "input_last_width": last_width if flat else source_shape[1],
        "output_last_width": last_width,
        "blocks": blocks,
        "base": BASES[bits],
        "digits": DIGITS[bits],
        "chunk": chunk,
        "passes": passes,
    }
    name = packing.name if packing else {1: "binary_index", 2: "ternary_index"}[bits]
    stored = packing.description if packing else f"{DIGITS[bits]} a byte, base {BASES[bits]}"
    description = f"input channels in chunks of {chunk * DIGITS[bits]}, {stored}"
    return Kernel(
        "te_conv2d_lut_s8",
        "te_conv2d_lut",
        fields,
        (layers.packed_array(operator, packed, description), *scale.arrays),
        name,
        scratch,
        (lead,),
        "te_conv2d_lut_s8.h",
        (f"{packing.unpack}.c",) if packing else (),
    )
