"""Frames of the link: COBS around a header, a payload and a CRC-32, ended by a zero byte.

``type u8, session u32, sequence u32, length u32, payload, crc32 u32``, all little-endian. The
device half is ``firmware_templates/harness/te_frame.c``.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass

from cobs import cobs

_HEADER = struct.Struct("<BIII")
_CRC = struct.Struct("<I")
OVERHEAD = _HEADER.size + _CRC.size
DELIMITER = b"\0"


def encoded_size(payload: int) -> int:
    """The most bytes that a frame of so many bytes of payload takes on the wire.

    COBS adds a byte, and one more for every 254; a delimiter stands at either end.
    """
    content = payload + OVERHEAD
    return content + content // 254 + 1 + 2 * len(DELIMITER)


class FrameError(ValueError):
    """Bytes between two delimiters that are not a frame."""


@dataclass(frozen=True)
class Frame:
    """One message.

    Attributes:
        type: message type, 0 to 255.
        session: chosen by the host for each run, 32 bits.
        sequence: counts the requests of a session, 32 bits.
        payload: the message's content.
    """

    type: int
    session: int
    sequence: int
    payload: bytes = b""

    def encode(self) -> bytes:
        """The bytes for the wire, delimiter included."""
        body = _HEADER.pack(self.type, self.session, self.sequence, len(self.payload))
        body += self.payload
        encoded: bytes = cobs.encode(body + _CRC.pack(zlib.crc32(body)))
        return encoded + DELIMITER

    @classmethod
    def decode(cls, encoded: bytes) -> Frame:
        """Decodes the bytes between two delimiters.

        Raises:
            FrameError: they are cut, too long or of a wrong checksum.
        """
        try:
            content: bytes = cobs.decode(encoded)
        except cobs.DecodeError as error:
            raise FrameError(str(error)) from error
        if len(content) < OVERHEAD:
            raise FrameError(f"{len(content)} bytes are too few for a frame")
        body, (crc,) = content[: -_CRC.size], _CRC.unpack(content[-_CRC.size :])
        kind, session, sequence, length = _HEADER.unpack_from(body)
        if zlib.crc32(body) != crc or length != len(body) - _HEADER.size:
            raise FrameError("wrong checksum or length")
        return cls(kind, session, sequence, body[_HEADER.size :])


class FrameReader:
    """Cuts a stream of bytes into frames.

    Args:
        limit: bytes without an end that are thrown away.
    """

    def __init__(self, limit: int = 2**20) -> None:
        self._pending = bytearray()
        self._limit = limit

    def feed(self, received: bytes) -> Iterator[Frame | FrameError]:
        """Takes bytes from the wire; gives the frames that they complete, or what is wrong."""
        self._pending += received
        while (end := self._pending.find(DELIMITER)) >= 0:
            encoded = bytes(self._pending[:end])
            del self._pending[: end + 1]
            if not encoded:
                continue
            try:
                yield Frame.decode(encoded)
            except FrameError as error:
                yield error
        if len(self._pending) > self._limit:
            self._pending.clear()
            yield FrameError(f"more than {self._limit} bytes without an end")
