"""Convolution and matrix product with Helium: ``te_conv2d_mve_s8`` and others.

Sums have 32 bits, so nothing has to be proved of the weights.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from tinyedge.exporters.c.kernels import layers
from tinyedge.exporters.c.kernels.kernel import Array, CodeOptions, Fields, Kernel
from tinyedge.exporters.c.packing import densest
from tinyedge.graph import operators as ops
from tinyedge.graph.tensors import Tensor

COLUMNS = 16
"""Columns of a step, which a vector holds."""
CHANNELS = 4
"""Output channels that are multiplied at once."""
_CELLS = 4
"""Output cells of a convolution for which four channels' numbers are loaded once."""
_EXPANDED_CELLS = 16
"""The most for which packed weights are expanded once."""
_EXPANDED_BYTES = 6144
"""Bytes of scratch that the columns of more cells may take."""

_UNPACKED = 64
"""Weights that are unpacked at once."""

_DIGITS = 5
_TERNARY = 2
_FULL_BITS = 8
_PREFIX = "ternary_prefix"

Steps = NDArray[np.int64]
"""Weights (four channels, steps, CHANNELS, COLUMNS)."""


def in_steps(codes: NDArray[np.int8]) -> Steps:
    """Weights (out, columns) in the order of the kernels, filled with zeros."""
    out, columns = codes.shape
    padded = np.zeros((-(-out // CHANNELS) * CHANNELS, -(-columns // COLUMNS) * COLUMNS), np.int64)
    padded[:out, :columns] = codes
    return padded.reshape(-1, CHANNELS, padded.shape[1] // COLUMNS, COLUMNS).transpose(0, 2, 1, 3)


def pack_int8(steps: Steps) -> NDArray[np.uint8]:
    """One byte a weight."""
    return np.ascontiguousarray(steps).astype(np.int8).ravel().view(np.uint8)


def pack_int4(steps: Steps) -> NDArray[np.uint8]:
    """Packs 32 weights into 16 bytes: each of the first 16 shares one with one of the others."""
    nibbles = steps.reshape(-1, 2, COLUMNS) & 15
    return (nibbles[:, 0] | nibbles[:, 1] << 4).astype(np.uint8).ravel()


def pack_ternary(steps: Steps) -> NDArray[np.uint8]:
    """Packs 64 weights into 16 bytes: one of each 16 shares a byte, the first lowest."""
    fields = (steps.reshape(-1, 4, COLUMNS) & 3) << np.arange(0, 8, 2)[:, np.newaxis]
    packed: NDArray[np.uint8] = fields.sum(axis=1).astype(np.uint8).ravel()
    return packed


def pack_binary(steps: Steps) -> NDArray[np.uint8]:
    """Packs 64 weights, two neighbours of each 16 in a byte, the first highest; 1 for -1."""
    bits = (steps < 0).astype(np.int64).reshape(-1, 4, COLUMNS // 2, 2)
    places = 7 - np.arange(4)[:, np.newaxis, np.newaxis] - 4 * np.arange(2)
    packed: NDArray[np.uint8] = (bits << places).sum(axis=(1, 3)).astype(np.uint8).ravel()
    return packed


def pack_ternary_base3(steps: Steps) -> NDArray[np.uint8]:
    """Packs 80 weights, one of each 16 in a byte: a fraction with these five digits, in 256ths."""
    planes = steps.reshape(-1, COLUMNS) + 1
    filled = np.zeros((-(-len(planes) // _DIGITS) * _DIGITS, COLUMNS), dtype=np.int64)
    filled[: len(planes)] = planes
    powers = 3 ** np.arange(_DIGITS - 1, -1, -1)
    values = (filled.reshape(-1, _DIGITS, COLUMNS) * powers[:, np.newaxis]).sum(axis=1)
    packed: NDArray[np.uint8] = (-(-values * 256 // 3**_DIGITS)).astype(np.uint8).ravel()
    return packed


_PACKINGS: dict[int, tuple[str, Callable[[Steps], NDArray[np.uint8]]]] = {
    1: ("binary_mve", pack_binary),
    2: ("ternary_mve", pack_ternary),
    4: ("int4_mve", pack_int4),
    8: ("int8_mve", pack_int8),
}


def _scale(operator: ops.Weighted, source: Tensor, output: Tensor) -> tuple[Array, bool] | None:
    """Numbers of four channels after each other, as ``te_mve.h`` has them, and whether by steps.

    None where one does not fit.
    """
    checked = layers.folded_scale(operator, source, output)
    if checked is None:
        return None
    dead, right, zero_point = checked.dead, checked.right, output.quantization.zero_point
    mantissa = np.where(dead, 0, checked.mantissa)
    rounding = ((1 << right) >> 1) + (np.int64(zero_point) << right)
    rounding = np.where(dead, zero_point + checked.bias // 4, rounding)
    # Half of what ``te_scales`` holds, as the multiplication doubles; modulo 2**32 that has to be
    # worked out anew. A channel of one value has no mantissa, and needs no sum.
    integers = operator.weights.integers.astype(np.int64).reshape(len(operator.bias), -1)
    bias = operator.bias - source.quantization.zero_point * integers.sum(axis=1)
    _, shifts = operator.multipliers(source.quantization, output.quantization)
    left = np.maximum(shifts.astype(np.int64), 0)
    bias = np.where(dead, 0, layers.wrapped(bias << left))
    columns = [bias, mantissa, rounding, -right]
    stepped = bool(np.any(checked.step[~dead] != layers.SCALE_STEP))
    if stepped:
        columns = [np.zeros_like(bias), *columns[1:], checked.step >> 1, bias]
    numbers = np.zeros((len(columns), -(-len(bias) // CHANNELS) * CHANNELS), dtype=np.int64)
    numbers[:, : len(bias)] = columns
    fours = numbers.reshape(len(columns), -1, CHANNELS).transpose(1, 0, 2)
    return Array("scale", "int32_t", fours.ravel()), stepped


def conv2d(
    operator: ops.Conv2D, source: Tensor, output: Tensor, identifier: str, options: CodeOptions
) -> Kernel | None:
    """The kernel for a convolution, or None where it does not apply."""
    if operator.dilation != (1, 1):
        return None
    codes, bits = operator.weights.codes, operator.weights.bits
    out, height, width, channels = codes.shape
    flat = codes.reshape(out, -1)
    steps = -(-flat.shape[1] // COLUMNS)
    one_cell = (height, width) == (1, 1) and not any(operator.padding)
    gathered = not one_cell or bool(channels % COLUMNS)
    cells = _CELLS
    if bits < _FULL_BITS:
        most = _EXPANDED_BYTES // (steps * COLUMNS) if gathered else _EXPANDED_CELLS
        cells = min(_EXPANDED_CELLS, max(_CELLS, most // 2 * 2))
    count = output.shape[0] * output.shape[1]
    cells = min(cells, count)
    scratch = cells * steps * COLUMNS if gathered else 0
    return _kernel(
        "te_conv2d_mve",
        operator,
        source,
        output,
        identifier,
        options,
        {
            "input": layers.shape(source),
            "output": layers.shape(output),
            "window": layers.window(operator, (height, width), (1, 1)),
        },
        {
            "cells": cells,
            "gathering": "TE_GATHER_WINDOW"
            if not one_cell
            else "TE_GATHER_CELL"
            if gathered
            else "TE_GATHER_NOTHING",
        },
        scratch,
        (layers.block_lead(operator, source, output, cells, copied=gathered),),
        ("te_mve_dot1.c", "te_mve_dot2.c"),
    )


def fully_connected(
    operator: ops.FullyConnected,
    source: Tensor,
    output: Tensor,
    identifier: str,
    options: CodeOptions,
) -> Kernel | None:
    """The kernel for a matrix product, or None where it does not apply."""
    columns = -(-source.size // COLUMNS) * COLUMNS
    copied = columns > source.size
    return _kernel(
        "te_fully_connected_mve",
        operator,
        source,
        output,
        identifier,
        options,
        {"inputs": source.size, "outputs": output.size},
        {},
        columns if copied else 0,
        (source.size,) if copied else (),
        ("te_mve_dot1.c",),
    )


def depthwise_conv2d(
    operator: ops.DepthwiseConv2D,
    source: Tensor,
    output: Tensor,
    identifier: str,
    options: CodeOptions,
) -> Kernel | None:
    """The kernel for one output channel to an input channel, or None where it does not apply."""
    channels, height, width = operator.weights.codes.shape
    found = _scale(operator, source, output)
    if (
        not options.features.mve
        or channels != source.shape[2]
        or operator.dilation != (1, 1)
        or found is None
    ):
        return None
    scale, stepped = found
    blocks = -(-channels // COLUMNS)
    padded = np.zeros((blocks * COLUMNS, height, width), dtype=np.int64)
    padded[:channels] = operator.weights.codes
    weights = padded.reshape(blocks, COLUMNS, height, width).transpose(0, 2, 3, 1).ravel()
    columns = (output.shape[1] - 1) * operator.stride[1] + width
    scratch = height * blocks * columns * COLUMNS
    if operator.weights.bits < _FULL_BITS:
        weights = np.concatenate([weights, np.zeros(-weights.size % _UNPACKED, dtype=np.int64)])
        scratch += weights.size
    packed = _packed(operator, weights, options)
    description = f"channels in blocks of {COLUMNS}, {operator.weights.bits} bits"
    return Kernel(
        "te_depthwise_conv2d_mve_s8",
        "te_depthwise_mve",
        {
            "input": layers.shape(source),
            "output": layers.shape(output),
            "window": layers.window(operator, (height, width), (1, 1)),
            "activation": layers.activation(source, output, operator.clamp),
            "packed": f"{identifier}_weights",
            "unpack": packed.unpack or "0",
            "scale": f"{identifier}_scale",
            "stepped": int(stepped),
            "columns": columns,
        },
        (layers.packed_array(operator, packed.weights, description), scale),
        packed.name,
        scratch,
        (layers.row_lead(operator, height, source.shape, output.shape),),
        "te_depthwise_conv2d_mve_s8.h",
        (f"{packed.unpack}.c",) if packed.unpack else (),
    )


_PLAIN = {
    "te_add_s8": "te_add_mve_s8",
    "te_requantize_s8": "te_requantize_mve_s8",
    "te_mean_s8": "te_mean_mve_s8",
    "te_average_pool2d_s8": "te_average_pool2d_mve_s8",
    "te_max_pool2d_s8": "te_max_pool2d_mve_s8",
}
"""Plain kernels, and those that take what these take."""
_HALF = (2**30, 0)
"""Mantissa and shift of one half."""


def plain(kernel: Kernel, operator: ops.Operator, inputs: list[Tensor], output: Tensor) -> Kernel:
    """The vectors' kernel in place of a plain one, or that one where there is none.

    Args:
        kernel: the plain one.
        operator: that it computes.
        inputs: of the operator.
        output: of the operator.
    """
    if kernel.function not in _PLAIN:
        return kernel
    if isinstance(operator, ops.Add):
        first, second, (_, shift) = operator.multipliers(inputs, output)
        axes = operator.axes([tensor.shape for tensor in inputs])
        if (
            _HALF not in (first, second)
            or not -layers.LARGEST_RIGHT_SHIFT <= shift < 0
            or any(axes[-1][1])
        ):
            return kernel
    return replace(kernel, function=_PLAIN[kernel.function], header="te_elementwise_mve.h")


@dataclass(frozen=True)
class _Packed:
    """Weights as a kernel reads them.

    Attributes:
        name: of the packing.
        weights: packed.
        unpack: the function in C that reads them; none for int8.
    """

    name: str
    weights: NDArray[np.uint8]
    unpack: str


def _packed(operator: ops.Weighted, codes: Steps, options: CodeOptions) -> _Packed:
    """Codes in the order of a kernel, packed; the fewest bits where size matters most."""
    bits = operator.weights.bits
    if bits == _TERNARY and options.optimize == "size":
        flat = codes.ravel().astype(np.int8)
        if (dense := densest(flat, bits)).name == _PREFIX:
            return _Packed(_PREFIX, dense.pack(flat), dense.unpack)
        name = "ternary_base3_mve"
        return _Packed(name, pack_ternary_base3(codes), f"te_unpack_{name}")
    name, pack = _PACKINGS[bits]
    return _Packed(name, pack(codes), "" if bits == _FULL_BITS else f"te_unpack_{name}")


def _kernel(
    struct: str,
    operator: ops.Weighted,
    source: Tensor,
    output: Tensor,
    identifier: str,
    options: CodeOptions,
    shapes: Fields,
    rest: Fields,
    scratch: int,
    leads: tuple[int | None, ...],
    dots: tuple[str, ...],
) -> Kernel | None:
    """The kernel of a layer, by what is its own; None where it does not apply."""
    bits = operator.weights.bits
    if not options.features.mve:
        return None
    found = _scale(operator, source, output)
    if found is None:
        return None
    scale, stepped = found
    steps = in_steps(operator.weights.codes.reshape(len(operator.bias), -1))
    packed = _packed(operator, steps, options)
    if packed.unpack:
        scratch += steps[0].size
    fields: Fields = {
        **shapes,
        "activation": layers.activation(source, output, operator.clamp),
        "packed": f"{identifier}_weights",
        "unpack": packed.unpack or "0",
        "scale": f"{identifier}_scale",
        "stepped": int(stepped),
        "steps": steps.shape[1],
        **rest,
    }
    description = f"output channels in fours, steps of {COLUMNS} columns, {bits} bits"
    return Kernel(
        f"{struct}_s8",
        struct,
        fields,
        (layers.packed_array(operator, packed.weights, description), scale),
        packed.name,
        scratch,
        leads,
        f"{struct}_s8.h",
        (*dots, f"{packed.unpack}.c") if packed.unpack else dots,
    )
