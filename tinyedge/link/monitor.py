"""The output of a device, as people read it: text, bytes, or the link's frames."""

from __future__ import annotations

import codecs
from collections.abc import Callable
from typing import Protocol

from tinyedge.errors import LinkError
from tinyedge.link.frames import Frame, FrameError, FrameReader
from tinyedge.link.protocol import ERRORS, Answer, Hello, Message, Stats

_BYTES_A_LINE = 16


class Format(Protocol):
    """Makes text of bytes as they come."""

    def feed(self, received: bytes) -> str:
        """Gives the text that these bytes add; may be empty, where they complete nothing."""

    def end(self) -> str:
        """Gives the text that is left when no more bytes come."""


class TextFormat:
    """UTF-8 text. What would steer a terminal is shown as its code."""

    def __init__(self) -> None:
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")
        self._in_line = False

    def feed(self, received: bytes) -> str:
        text = self._decoder.decode(received).replace("\r", "")
        self._in_line = not text.endswith("\n") if text else self._in_line
        return "".join(
            each if each.isprintable() or each in "\n\t" else f"\\x{ord(each):02x}" for each in text
        )

    def end(self) -> str:
        return "\n" if self._in_line else ""


class HexFormat:
    """Lines of 16 bytes: how many came before, their values, and the characters they may be."""

    def __init__(self) -> None:
        self._pending = b""
        self._before = 0

    def feed(self, received: bytes) -> str:
        self._pending += received
        whole = len(self._pending) // _BYTES_A_LINE * _BYTES_A_LINE
        starts = range(0, whole, _BYTES_A_LINE)
        lines = "".join(self._line(self._pending[at : at + _BYTES_A_LINE]) for at in starts)
        self._pending = self._pending[whole:]
        return lines

    def end(self) -> str:
        return self._line(self._pending) if self._pending else ""

    def _line(self, data: bytes) -> str:
        characters = "".join(chr(each) if 32 <= each < 127 else "." for each in data)
        line = f"{self._before:08x}  {data.hex(' '):47}  {characters}\n"
        self._before += len(data)
        return line


class FrameFormat:
    """A line for each frame of the link, of either direction."""

    def __init__(self) -> None:
        self._reader = FrameReader()

    def feed(self, received: bytes) -> str:
        return "".join(f"{_describe(each)}\n" for each in self._reader.feed(received))

    def end(self) -> str:
        return ""


FORMATS: dict[str, Callable[[], Format]] = {
    "text": TextFormat,
    "hex": HexFormat,
    "frames": FrameFormat,
}


def _describe(frame: Frame | FrameError) -> str:
    if isinstance(frame, FrameError):
        return f"no frame: {frame}"
    kind, answers = frame.type, ""
    if kind not in (Message.ERROR, Message.DAMAGED) and kind & Message.ANSWER:
        kind, answers = kind & ~Message.ANSWER, " answer"
    name = Message(kind).name if kind in set(Message) else f"type 0x{frame.type:02x}"
    where = f"session {frame.session:08x} number {frame.sequence}"
    return f"{name}{answers}, {where}: {_payload(frame)}"


def _payload(frame: Frame) -> str:
    content = frame.payload
    try:
        match frame.type:
            case Message.ERROR:
                code = int.from_bytes(content[:4], "little")
                return ERRORS.get(code, f"error {code}")
            case kind if kind == Message.HELLO | Message.ANSWER:
                hello = Hello.parse(content)
                shape = "x".join(map(str, hello.input_shape))
                return (
                    f"{hello.board}, input {shape}, {hello.output_size} logits, "
                    f"model {hello.model_hash[:12]}, firmware {hello.firmware_hash[:12]}"
                )
            case kind if kind in (Message.INFER | Message.ANSWER, Message.CHANGES | Message.ANSWER):
                answer = Answer.parse(content)
                return (
                    f"input {answer.input_crc:08x}, {answer.ticks} ticks, logits "
                    f"{' '.join(map(str, answer.logits))}"
                )
            case kind if kind == Message.STATS | Message.ANSWER:
                stats = Stats.parse(content)
                return (
                    f"stack {stats.stack_peak} of {stats.stack_size} bytes, "
                    f"{stats.inferences} inferences, {stats.damaged_frames} damaged frames"
                )
    except LinkError as error:
        return str(error)
    return f"{len(content)} bytes"
