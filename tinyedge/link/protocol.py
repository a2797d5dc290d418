"""The contents of the link's messages; the device half is ``te_server.c``."""

from __future__ import annotations

import math
import struct
from dataclasses import dataclass
from enum import IntEnum

import numpy as np
from numpy.typing import NDArray

from tinyedge.errors import LinkError
from tinyedge.naming import check_name

PROTOCOL_VERSION = 3

_LARGEST_INPUT = 2**24
_LARGEST_OUTPUT = 2**20 - 2**13
"""A frame that holds it is the longest that the host takes."""
_LARGEST_BUFFER = 2**25
_MOST_ANSWERS = 2**16
_MOST_TICKS = 2**63 - 1


class Message(IntEnum):
    """Message types; an answer has the type of its request with the top bit set.

    ``START`` is an ``INFER`` before which states begin anew: the first frame of a sequence.
    ``CHANGES`` is an ``INFER`` whose input is told as changes to an earlier one. ``LAYERS`` and
    ``OUTPUT`` watch an inference, in firmware that is built for it. No device knows ``PROBE``: the
    refusal tells of the line. ``DAMAGED`` answers no request, but a frame that the device could not
    read; ``FAULT`` tells that it answers no more.
    """

    HELLO = 0x01
    INFER = 0x02
    STATS = 0x03
    CHANGES = 0x04
    START = 0x05
    LAYERS = 0x10
    OUTPUT = 0x11
    PROBE = 0x7F
    ANSWER = 0x80
    FAULT = 0xFD
    DAMAGED = 0xFE
    ERROR = 0xFF


ERRORS = {
    1: "unknown message type",
    2: "wrong length of the input",
    3: "no such session",
    4: "the model cannot be set up, its arena is too small",
    5: "changes to an input that it does not have",
    6: "its stack has overflowed, what it computes may be wrong",
    7: "it is not at this frame of the sequence",
    16: "no such layer",
}
"""The reasons for which the device refuses a request."""

ERROR_UNKNOWN_TYPE = 1
ERROR_NO_SESSION = 3
ERROR_NO_BASE = 5
ERROR_OUT_OF_SEQUENCE = 7


def _unpack(layout: struct.Struct, payload: bytes, message: Message) -> tuple[int | bytes, ...]:
    if len(payload) < layout.size:
        raise LinkError(f"the device's {message.name} answer holds {len(payload)} bytes")
    return layout.unpack_from(payload)


def _check(what: str, value: int, least: int, most: int) -> None:
    """Refuses a number of HELLO's that no device can mean."""
    if not least <= value <= most:
        raise LinkError(
            f"the device's HELLO says {value} for {what}; allowed are {least} to {most}",
            hint="build and flash the firmware again, or name the port of the board",
        )


@dataclass(frozen=True)
class Hello:
    """The description that a device gives of itself.

    Attributes:
        protocol: version of the protocol.
        input_shape: NHWC without the batch.
        output_size: number of logits.
        tick_hz: frequency of the counter behind ``Answer.ticks``, 0 where the device has none.
        boot_id: changes, as a rule, with every boot.
        buffer: bytes that it receives while it computes.
        answers: how many it remembers.
        changes: whether it takes changes to an earlier input.
        model_hash: SHA-256 of the integer graph, hexadecimal.
        firmware_hash: SHA-256 of the firmware's sources, hexadecimal.
        board: name of the board.
    """

    protocol: int
    input_shape: tuple[int, ...]
    output_size: int
    tick_hz: int
    boot_id: int
    buffer: int
    answers: int
    changes: bool
    model_hash: str
    firmware_hash: str
    board: str

    _LAYOUT = struct.Struct("<13I32s32s24s")

    @property
    def answer_size(self) -> int:
        """Bytes of payload of the answer to an input."""
        return Answer.overhead() + self.output_size

    @classmethod
    def parse(cls, payload: bytes) -> Hello:
        """Reads the payload.

        Raises:
            LinkError: it is too short, of another version, or says what no device can mean.
        """
        if len(payload) >= 4 and (version := struct.unpack_from("<I", payload)[0]) != (
            PROTOCOL_VERSION
        ):
            raise LinkError(
                f"the device speaks version {version} of the protocol, this is {PROTOCOL_VERSION}",
                hint="build and flash the firmware again with this version of tinyedge",
            )
        fields = _unpack(cls._LAYOUT, payload, Message.HELLO)
        numbers = [int(value) for value in fields[:13] if isinstance(value, int)]
        model, firmware, board = (value for value in fields[13:] if isinstance(value, bytes))
        protocol, rank, *rest = numbers
        _check("the input's rank", rank, 1, 4)
        shape = tuple(rest[:rank])
        _check("the input's size", math.prod(shape), 1, _LARGEST_INPUT)
        _check("the number of logits", rest[4], 1, _LARGEST_OUTPUT)
        if rest[5] != math.prod(shape):
            told = "x".join(map(str, shape))
            raise LinkError(
                f"the device's HELLO says {rest[5]} bytes of input, and a shape of {told}"
            )
        _check("the receive buffer", rest[8], 0, _LARGEST_BUFFER)
        _check("the answers remembered", rest[9], 0, _MOST_ANSWERS)
        name = check_name(
            board.rstrip(b"\0").decode("ascii", "replace"),
            "the name of the board in the device's HELLO",
            LinkError,
        )
        return cls(
            protocol=protocol,
            input_shape=shape,
            output_size=rest[4],
            tick_hz=rest[6],
            boot_id=rest[7],
            buffer=rest[8],
            answers=max(rest[9], 1),
            changes=bool(rest[10]),
            model_hash=model.hex(),
            firmware_hash=firmware.hex(),
            board=name,
        )


@dataclass(frozen=True)
class Answer:
    """The result of one inference.

    Attributes:
        input_crc: CRC-32 of the input it was computed from.
        ticks: of the device's counter, 0 where it has none.
        logits: int8 (output_size,).
    """

    input_crc: int
    ticks: int
    logits: NDArray[np.int8]

    _LAYOUT = struct.Struct("<IQ")

    @classmethod
    def overhead(cls) -> int:
        """Bytes of payload before the logits."""
        return cls._LAYOUT.size

    @classmethod
    def parse(cls, payload: bytes) -> Answer:
        """Reads the payload; raises LinkError where it is too short, or counts beyond 2**63."""
        crc, ticks = _unpack(cls._LAYOUT, payload, Message.INFER)
        assert isinstance(crc, int)
        assert isinstance(ticks, int)
        if ticks > _MOST_TICKS:
            raise LinkError(f"the device counts {ticks} ticks; allowed are 0 to {_MOST_TICKS}")
        return cls(crc, ticks, np.frombuffer(payload, np.int8, offset=cls._LAYOUT.size))


@dataclass(frozen=True)
class Stats:
    """Counters of the device.

    Attributes:
        stack_size: bytes of RAM that the stack could take.
        stack_peak: the most bytes of stack ever in use.
        inferences: number of inferences since the boot.
        damaged_frames: number of damaged frames since the boot.
        arena_size: bytes set aside for activations.
        arena_smallest: the smallest arena that works, with TFLite-Micro found by trial on the
            device; 0 where the model cannot be set up.
        arena_head: of these, bytes used again inside an inference.
        arena_tail: of these, bytes that stay.
    """

    stack_size: int
    stack_peak: int
    inferences: int
    damaged_frames: int
    arena_size: int
    arena_smallest: int
    arena_head: int
    arena_tail: int

    _LAYOUT = struct.Struct("<8I")

    @classmethod
    def parse(cls, payload: bytes) -> Stats:
        """Reads the payload; raises LinkError where it is too short."""
        fields = _unpack(cls._LAYOUT, payload, Message.STATS)
        return cls(*(value for value in fields if isinstance(value, int)))


@dataclass(frozen=True)
class Layers:
    """The outcome of each layer in one inference.

    Attributes:
        input_crc: CRC-32 of the input it was computed from.
        ticks: uint64 (layers,) of the device's counter, 0 where it has none.
        crcs: uint32 (layers,), CRC-32 of each layer's output.
    """

    input_crc: int
    ticks: NDArray[np.uint64]
    crcs: NDArray[np.uint32]

    _LAYOUT = struct.Struct("<I")
    _LAYER = np.dtype([("ticks", "<u8"), ("crc", "<u4")])

    @classmethod
    def size(cls, layers: int) -> int:
        """Bytes of the payload."""
        return cls._LAYOUT.size + layers * cls._LAYER.itemsize

    @classmethod
    def parse(cls, payload: bytes, layers: int) -> Layers:
        """Reads the payload; raises LinkError where it is not of so many layers."""
        if len(payload) != cls.size(layers):
            raise LinkError(
                f"the device's LAYERS answer holds {len(payload)} bytes, not those of "
                f"{layers} layers"
            )
        (crc,) = cls._LAYOUT.unpack_from(payload)
        records = np.frombuffer(payload, cls._LAYER, offset=cls._LAYOUT.size)
        return cls(crc, records["ticks"].copy(), records["crc"].copy())


@dataclass(frozen=True)
class Output:
    """Bytes of one layer's output.

    Attributes:
        input_crc: CRC-32 of the input it was computed from.
        size: of the whole output.
        values: int8, from the offset that was asked for.
    """

    input_crc: int
    size: int
    values: NDArray[np.int8]

    _LAYOUT = struct.Struct("<II")
    _REQUEST = struct.Struct("<III")

    @classmethod
    def request(cls, layer: int, offset: int, count: int) -> bytes:
        """Gives the bytes before the input in a request for so many bytes at most."""
        return cls._REQUEST.pack(layer, offset, count)

    @classmethod
    def overhead(cls) -> int:
        """Bytes of payload before the values."""
        return cls._LAYOUT.size

    @classmethod
    def parse(cls, payload: bytes) -> Output:
        """Reads the payload; raises LinkError where it is too short."""
        crc, size = _unpack(cls._LAYOUT, payload, Message.OUTPUT)
        assert isinstance(crc, int)
        assert isinstance(size, int)
        return cls(crc, size, np.frombuffer(payload, np.int8, offset=cls._LAYOUT.size))
