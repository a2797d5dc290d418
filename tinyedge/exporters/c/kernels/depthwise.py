"""Depthwise convolution over a ring of input rows.

``te_depthwise_conv2d_pair_s8`` has two columns share a word and the product with a weight, where
the proof below keeps their sums apart; ``te_depthwise_conv2d_dual_s8`` sums in 32 bits, and so does
``te_depthwise_conv2d_six_s8``, in less code, for rows that it makes six outputs at a time.

Both hold inputs as ``x + 128``, which is never negative; what that adds to a sum is taken off the
bias.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from tinyedge.exporters.c.kernels import cells, layers
from tinyedge.exporters.c.kernels.kernel import CodeOptions, Kernel
from tinyedge.exporters.c.kernels.turned import along_a_row
from tinyedge.exporters.c.packing import densest, fastest
from tinyedge.graph import operators as ops
from tinyedge.graph.fixed_point import INT8_MAX, INT8_MIN
from tinyedge.graph.tensors import Tensor

HALF = 2**15
"""The start of a half, and so how far down a sum may go."""
LARGEST_VALUE = INT8_MAX - INT8_MIN
GROUP = 32
"""Channels whose pairs of sums exist at one time."""
BLOCK = 16
"""Bytes of a channel's sums."""
WORD = 4
_DUAL_FILES = tuple(f"te_dual_{part}.c" for part in ("load", "make_six", "put_three", "unpack"))


def _fits_half(weights: NDArray[np.int64]) -> bool:
    """Whether 16 bits hold every sum of weights (out, ...) times values from 0 to 255."""
    rows = weights.reshape(len(weights), -1)
    highest = np.where(rows > 0, rows, 0).sum(axis=1) * LARGEST_VALUE
    lowest = np.where(rows < 0, rows, 0).sum(axis=1) * LARGEST_VALUE
    return bool(np.all(highest < HALF) and np.all(lowest >= -HALF))


def depthwise_conv2d(
    operator: ops.DepthwiseConv2D,
    source: Tensor,
    output: Tensor,
    identifier: str,
    options: CodeOptions,
) -> Kernel | None:
    """The kernel for a depthwise convolution, or None where another one applies."""
    operator, source, output = along_a_row(operator, source, output)
    codes = operator.weights.codes.astype(np.int64)
    channels, height, width = codes.shape
    if channels != source.shape[2] or operator.dilation != (1, 1):
        return None
    sums = operator.weights.integers.astype(np.int64).sum(axis=(1, 2))
    offset = INT8_MIN - source.quantization.zero_point
    scale = layers.scale_of(operator, source, output, operator.bias + sums * offset)
    if scale is None:
        return None
    step = scale.step.reshape(-1, 1, 1)

    columns, stride = output.shape[1], operator.stride[1]
    half, stepped = -(-columns // 2), False
    scratch = -(-channels // WORD) * WORD
    files: tuple[str, ...] = ()
    fits = _fits_half(codes)
    sixes = options.features.dsp and _sixes(operator, output, scale)
    faster = sixes and options.optimize in ("speed", "fastest") and _fits_word(codes * step)
    if fits and not faster:
        function = "te_depthwise_conv2d_pair_s8"
        stepped = bool(np.abs(codes * step).max() <= INT8_MAX) and _fits_half(codes * step)
        start = HALF * (np.ones(channels, dtype=np.int64) if stepped else step.ravel())
        scale = scale.less(start)
        words = (half - 1) * stride + width
        scratch += BLOCK * min(channels, GROUP) + channels * (2 * height - 1) * width
        scratch += height * width
    elif _fits_word(codes * step) and not cells.preferred(operator, output, options):
        function = f"te_depthwise_conv2d_{'six' if sixes else 'dual'}_s8"
        files = _DUAL_FILES
        words, row = _dual_words(columns, stride, width)
        scratch += channels * (2 * height - 1) * row * WORD + height * width
    else:
        return None
    scratch += channels * height * words * WORD

    if options.optimize == "size":
        packing = densest(operator.weights.codes, operator.weights.bits)
    else:
        packing = fastest(operator.weights.bits)
    packed = packing.pack(operator.weights.codes)
    return Kernel(
        function,
        "te_depthwise_ring",
        {
            "input": layers.shape(source),
            "output": layers.shape(output),
            "window": layers.window(operator, (height, width), (1, 1)),
            "activation": layers.activation(source, output, operator.clamp),
            "packed": f"{identifier}_weights",
            "unpack": packing.unpack,
            "scale": scale.fields(identifier),
            "words": words,
            "half": half,
            "stepped": int(stepped),
        },
        (
            layers.packed_array(operator, packed, f"channel first, {packing.description}"),
            *scale.arrays,
        ),
        packing.name,
        scratch,
        (layers.row_lead(operator, height, source.shape, output.shape),),
        "te_depthwise_conv2d_ring.h",
        (f"{packing.unpack}.c", *files),
    )


def _fits_word(weights: NDArray[np.int64]) -> bool:
    """Whether 16 bits hold every weight."""
    return int(np.abs(weights).max()) <= layers.INT16_MAX


def _sixes(operator: ops.DepthwiseConv2D, output: Tensor, scale: layers.Scale) -> bool:
    """Whether every output of a row is one of six that are made at once.

    For a channel's six outputs that takes 116 modelled cycles of a Cortex-M4; pairs take 137, and
    less scratch.
    """
    return (
        operator.weights.codes.shape[1:] == (3, 3)
        and operator.stride[1] == 1
        and -(-output.shape[1] // 2) % 3 == 0
        and scale.apart
        and operator.clamp == (INT8_MIN, INT8_MAX)
        and output.quantization.zero_point == INT8_MIN
    )


def _dual_words(columns: int, stride: int, width: int) -> ops.Pair:
    """Words of a channel in a row of the ring, and of its weights, for the dual kernel.

    Args:
        columns: of the output.
        stride: from one of them to the next.
        width: of the window.
    """
    words = (width + 1 + stride % 2) // 2
    if (stride, width) == (1, 3):
        return max(-(-columns // 2), 2) + 1, words  # four windows at least, an even number of them
    windows = 4 if (columns, stride, words) == (3, 2, 2) else columns
    return (windows - 1) * stride // 2 + words, words * (1 + stride % 2)
