"""The bytes of flash in the formats that drives and tools take."""

from __future__ import annotations

import struct

_HEX_DATA, _HEX_END, _HEX_SEGMENT = 0, 1, 4
_UF2_PAYLOAD = 256
_UF2_MAGIC = (0x0A324655, 0x9E5D5157, 0x0AB16F30)
_UF2_HAS_FAMILY = 0x2000


def intel_hex(data: bytes, address: int) -> str:
    """Intel HEX, 16 bytes a line.

    Args:
        data: of flash.
        address: of its first byte.
    """
    lines, upper = [], 0
    for start in range(0, len(data), 16):
        where = address + start
        if where >> 16 != upper:
            upper = where >> 16
            lines.append(_record(_HEX_SEGMENT, 0, struct.pack(">H", upper)))
        room = 0x10000 - (where & 0xFFFF)
        assert room >= 16, "flash begins at a multiple of 16"
        lines.append(_record(_HEX_DATA, where & 0xFFFF, data[start : start + 16]))
    return "\n".join([*lines, _record(_HEX_END, 0, b"")]) + "\n"


def _record(kind: int, address: int, data: bytes) -> str:
    content = struct.pack(">BHB", len(data), address, kind) + data
    return f":{(content + bytes([-sum(content) & 0xFF])).hex().upper()}"


def uf2(data: bytes, address: int, family: int | None) -> bytes:
    """UF2: blocks of 512 bytes that each hold 256 bytes of flash.

    Args:
        data: of flash.
        address: of its first byte.
        family: which boards take it; all, if None.
    """
    flags = 0 if family is None else _UF2_HAS_FAMILY
    count = -(-len(data) // _UF2_PAYLOAD)
    begin, second, end = _UF2_MAGIC
    blocks = []
    for block in range(count):
        start = block * _UF2_PAYLOAD
        payload = data[start : start + _UF2_PAYLOAD].ljust(_UF2_PAYLOAD, b"\xff")
        header = struct.pack(
            *("<8I", begin, second, flags),
            *(address + start, _UF2_PAYLOAD, block, count, family or 0),
        )
        blocks.append(header + payload.ljust(476, b"\0") + struct.pack("<I", end))
    return b"".join(blocks)
