from __future__ import annotations

import struct

import pytest

from tinyedge.link.frames import Frame
from tinyedge.link.monitor import FORMATS
from tinyedge.link.protocol import PROTOCOL_VERSION, Message


def shown(form: str, data: bytes, at_once: int) -> str:
    made = FORMATS[form]()
    parts = [made.feed(data[at : at + at_once]) for at in range(0, len(data), at_once)]
    return "".join([*parts, made.end()])


@pytest.mark.parametrize("at_once", [1, 3, 1000])
def test_text(at_once: int) -> None:
    sent = "m-ready\r\nGrüße\t1\n\x1b[2J\x00ü".encode() + b"\xff"
    assert shown("text", sent, at_once) == "m-ready\nGrüße\t1\n\\x1b[2J\\x00ü\ufffd\n"
    assert shown("text", b"", at_once) == ""


@pytest.mark.parametrize("at_once", [1, 7, 16, 1000])
def test_hex(at_once: int) -> None:
    assert shown("hex", bytes(range(0x3A, 0x4C)), at_once) == (
        "00000000  3a 3b 3c 3d 3e 3f 40 41 42 43 44 45 46 47 48 49  :;<=>?@ABCDEFGHI\n"
        "00000010  4a 4b" + " " * 44 + "JK\n"
    )


@pytest.mark.parametrize("at_once", [1, 1000])
def test_frames(at_once: int) -> None:
    hello = struct.pack(
        "<13I32s32s24s",
        *(PROTOCOL_VERSION, 3, 28, 28, 1, 1, 10, 784, 168_000_000, 7, 2000, 8, 1),
        *(b"\xab" * 32, b"\xcd" * 32, b"netduinoplus2"),
    )
    answer = struct.pack("<IQ", 0xC0FFEE, 12345) + bytes([1, 0xFF, 0x80])
    stats = struct.pack("<8I", 2048, 512, 3, 1, 100, 90, 80, 10)
    frames = [
        Frame(Message.HELLO, 1, 0),
        Frame(Message.HELLO | Message.ANSWER, 1, 0, hello),
        Frame(Message.INFER | Message.ANSWER, 1, 5, answer),
        Frame(Message.STATS | Message.ANSWER, 1, 6, stats),
        Frame(Message.ERROR, 2, 7, struct.pack("<I", 3)),
        Frame(Message.DAMAGED, 0, 0),
        Frame(Message.HELLO | Message.ANSWER, 1, 0, b"short"),
        Frame(0x42, 1, 8, b"??"),
    ]
    sent = b"\0garbage\0" + b"".join(frame.encode() for frame in frames)
    lines = shown("frames", sent, at_once).splitlines()
    assert lines[0].startswith("no frame: ")
    assert lines[1] == "HELLO, session 00000001 number 0: 0 bytes"
    assert lines[2].startswith(
        "HELLO answer, session 00000001 number 0: netduinoplus2, input 28x28"
    )
    assert lines[2].endswith("model abababababab, firmware cdcdcdcdcdcd")
    assert lines[3].endswith("number 5: input 00c0ffee, 12345 ticks, logits 1 -1 -128")
    assert lines[4].endswith("stack 512 of 2048 bytes, 3 inferences, 1 damaged frames")
    assert lines[5] == "ERROR, session 00000002 number 7: no such session"
    assert lines[6].startswith("DAMAGED, ")
    assert "version" in lines[7]
    assert lines[8] == "type 0x42, session 00000001 number 8: 2 bytes"
    assert len(lines) == 9
