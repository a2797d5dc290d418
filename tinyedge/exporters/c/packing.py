"""How small integer weights become bytes. Each packing has one reader, ``te_unpack_<name>.c``."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Int8 = NDArray[np.int8]
Bytes = NDArray[np.uint8]


def _grouped(digits: NDArray[np.int64], per_byte: int, base: int) -> Bytes:
    """Packs digits into bytes, the first digit lowest; the last byte is filled with zeros."""
    padded = np.zeros(-(-digits.size // per_byte) * per_byte, dtype=np.int64)
    padded[: digits.size] = digits
    powers = base ** np.arange(per_byte, dtype=np.int64)
    return (padded.reshape(-1, per_byte) @ powers).astype(np.uint8)


def _pack_binary(codes: Int8) -> Bytes:
    return _grouped((codes.ravel().astype(np.int64) + 1) // 2, 8, 2)


def _pack_ternary(codes: Int8) -> Bytes:
    return _grouped(codes.ravel().astype(np.int64) + 1, 4, 4)


def _pack_ternary_base3(codes: Int8) -> Bytes:
    return _grouped(codes.ravel().astype(np.int64) + 1, 5, 3)


def _pack_ternary_prefix(codes: Int8) -> Bytes:
    flat = codes.ravel()
    bits = np.stack([flat != 0, flat < 0], axis=1)
    used = np.stack([np.ones(flat.shape, dtype=bool), flat != 0], axis=1)
    return np.packbits(bits[used], bitorder="little")


def _pack_int4(codes: Int8) -> Bytes:
    return _grouped(codes.ravel().astype(np.int64) & 15, 2, 16)


def _pack_int8(codes: Int8) -> Bytes:
    return codes.ravel().view(np.uint8)


@dataclass(frozen=True)
class Packing:
    """One way to store weights.

    Attributes:
        name: ``te_unpack_<name>`` reads it back in C.
        bits: the ``Weights.bits`` it is for.
        pack: from codes, in the order of the kernel, to bytes.
        needs_scratch: whether reading fills a scratch buffer of one int8 a weight.
        description: for the comment beside the array.
    """

    name: str
    bits: int
    pack: Callable[[Int8], Bytes]
    needs_scratch: bool
    description: str

    @property
    def unpack(self) -> str:
        """The C function that reads it."""
        return f"te_unpack_{self.name}"


PACKINGS = {
    packing.name: packing
    for packing in (
        Packing("binary", 1, _pack_binary, True, "1 bit, 8 a byte, weight = 2 * bit - 1"),
        Packing("ternary", 2, _pack_ternary, True, "2 bits, 4 a byte, weight = field - 1"),
        Packing(
            "ternary_base3", 2, _pack_ternary_base3, True, "base 3, 5 a byte, weight = digit - 1"
        ),
        Packing(
            "ternary_prefix", 2, _pack_ternary_prefix, True, "prefix code: 0, 1 0 for 1, 1 1 for -1"
        ),
        Packing("int4", 4, _pack_int4, True, "4 bits, 2 a byte, two's complement"),
        Packing("int8", 8, _pack_int8, False, "8 bits, two's complement"),
    )
}
"""Every packing by name; of those for the same bits, the first is the quickest to read."""


def fastest(bits: int) -> Packing:
    """The packing for weights of so many bits that is read in the fewest instructions."""
    return next(packing for packing in PACKINGS.values() if packing.bits == bits)


def densest(codes: Int8, bits: int) -> Packing:
    """The packing that stores these weights in the fewest bytes; of equals, the quickest."""
    candidates = [packing for packing in PACKINGS.values() if packing.bits == bits]
    return min(candidates, key=lambda packing: packing.pack(codes).size)
