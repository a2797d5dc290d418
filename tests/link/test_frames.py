from __future__ import annotations

import os
import random

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tinyedge.link.frames import Frame, FrameError, FrameReader

U32 = st.integers(0, 2**32 - 1)
FRAMES = st.builds(Frame, st.integers(0, 255), U32, U32, st.binary(max_size=700))


@given(st.lists(FRAMES, max_size=5), st.integers(1, 50))
def test_frames_survive_any_cutting_of_the_stream(frames: list[Frame], size: int) -> None:
    stream = b"".join(frame.encode() for frame in frames)
    reader = FrameReader()
    received = [
        frame
        for start in range(0, len(stream), size)
        for frame in reader.feed(stream[start : start + size])
    ]
    assert received == frames


@given(FRAMES, st.data())
def test_a_flipped_bit_is_noticed(frame: Frame, data: st.DataObject) -> None:
    encoded = bytearray(frame.encode())
    position = data.draw(st.integers(0, len(encoded) - 2))
    encoded[position] ^= 1 << data.draw(st.integers(0, 7))
    received = list(FrameReader().feed(bytes(encoded)))
    assert all(isinstance(each, FrameError) for each in received)


@given(st.binary(max_size=200))
def test_garbage_is_no_frame(garbage: bytes) -> None:
    with pytest.raises(FrameError):
        Frame.decode(garbage.replace(b"\0", b"\1"))


def test_reader_recovers_after_garbage() -> None:
    noise = bytes(np.random.default_rng(1).integers(0, 256, 300).astype(np.uint8))
    frame = Frame(2, 3, 4, b"payload")
    reader = FrameReader()
    received = list(reader.feed(noise + b"\0" + frame.encode()))
    assert received[-1] == frame
    assert any(isinstance(each, FrameError) for each in received)


def test_endless_frame_does_not_fill_memory() -> None:
    reader = FrameReader(limit=1000)
    given_up = [list(reader.feed(b"\1" * 100)) for _ in range(20)]
    assert [len(each) for each in given_up] == [0] * 10 + [1] + [0] * 9


def test_damaged_frames_are_never_taken_for_others() -> None:
    """As ``fuzz_frames.c`` does on the device's side."""
    draw = random.Random(0)  # noqa: S311 - a test
    good = [
        Frame(draw.randrange(256), draw.getrandbits(32), draw.getrandbits(32), draw.randbytes(size))
        for size in (0, 3, 20, 41, 250, 600)
    ]
    encoded = [(frame, frame.encode()[:-1]) for frame in good]
    for _ in range(int(os.environ.get("TINYEDGE_FUZZ_EXECUTIONS", "200000"))):
        frame, wire = encoded[draw.randrange(len(encoded))]
        damaged = bytearray(wire)
        for _fault in range(draw.randint(1, 4)):
            at = draw.randrange(len(damaged))
            match draw.randrange(4):
                case 0:
                    damaged[at] ^= 1 << draw.randrange(8)
                case 1:
                    del damaged[at]
                case 2:
                    damaged.insert(at, damaged[at])
                case _:
                    damaged[at : at + 8] = draw.randbytes(8)
        for received in FrameReader().feed(bytes(damaged) + b"\0"):
            assert isinstance(received, FrameError) or received == frame
