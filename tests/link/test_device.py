"""The device half of the link, on an emulated board."""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from tests.conftest import require
from tests.graph.random_graphs import RandomGraph
from tinyedge.boards import load_board
from tinyedge.errors import DeviceError, LinkError
from tinyedge.evaluation.devices import Device
from tinyedge.exporters.converted import ConvertedModel, write_converted
from tinyedge.firmware.project import build_firmware
from tinyedge.graph import reference
from tinyedge.link.client import Client
from tinyedge.link.frames import Frame, FrameReader
from tinyedge.link.line import open_line
from tinyedge.link.protocol import Answer, Hello, Message, Stats
from tinyedge.targets import available_emulators, open_emulator
from tinyedge.targets.target import Target

pytestmark = pytest.mark.needs_tool

BOARD = load_board("netduinoplus2")
SESSION = 77


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> tuple[ConvertedModel, RandomGraph]:
    built = RandomGraph(3)
    return write_converted(built.graph, tmp_path_factory.mktemp("link"), "test"), built


@pytest.fixture
def target(small: tuple[ConvertedModel, RandomGraph]) -> Iterator[Target]:
    found = available_emulators(BOARD)
    require(found, found[0] if found else "an emulator")
    with open_emulator(BOARD, build_firmware(small[0], BOARD).elf) as opened:
        yield opened


class RawLink:
    """The wire, without the client's repairs."""

    def __init__(self, port: str) -> None:
        with Client(port, BOARD.uart.baud) as client:
            # The first HELLO may come before the firmware listens.
            client.hello()
        self._line = open_line(port, BOARD.uart.baud)
        self._reader = FrameReader()

    def send(self, raw: bytes) -> None:
        self._line.write(raw)

    def request(
        self, kind: int, sequence: int, payload: bytes = b"", session: int = SESSION
    ) -> Frame:
        """The answer to a request; what it says of damaged frames is passed over."""
        self.send(Frame(kind, session, sequence, payload).encode())
        while True:
            received = self._line.read(5.0)
            assert received, "no answer"
            for frame in self._reader.feed(received):
                assert isinstance(frame, Frame)
                if frame.type != Message.DAMAGED:
                    return frame

    def stats(self) -> Stats:
        return Stats.parse(self.request(Message.STATS, 10_000).payload)

    def close(self) -> None:
        self._line.close()


@pytest.fixture
def link(target: Target) -> Iterator[RawLink]:
    opened = RawLink(target.port)
    yield opened
    opened.close()


def test_hello_says_who_is_there(link: RawLink, small: tuple[ConvertedModel, RandomGraph]) -> None:
    hello = Hello.parse(link.request(Message.HELLO, 1).payload)
    graph = small[0].graph
    assert hello.board == BOARD.name
    assert hello.model_hash == graph.hash
    assert hello.firmware_hash == build_firmware(small[0], BOARD).hash
    assert hello.input_shape == graph.input_tensor.shape
    assert hello.output_size == graph.output_tensor.size
    assert hello.tick_hz > 0


def test_repeated_request_is_answered_again_but_not_computed_again(
    link: RawLink, small: tuple[ConvertedModel, RandomGraph]
) -> None:
    model, built = small
    samples = built.inputs(4)
    expected = reference.run(model.graph, samples).reshape(4, -1)
    link.request(Message.HELLO, 1)
    answers = [link.request(Message.INFER, 2, samples[0].tobytes()) for _ in range(3)]
    assert len({answer.payload for answer in answers}) == 1
    assert link.stats().inferences == 1
    for sequence, sample in enumerate(samples):
        answer = Answer.parse(link.request(Message.INFER, 3 + sequence, sample.tobytes()).payload)
        assert np.array_equal(answer.logits, expected[sequence])
        assert answer.input_crc == zlib.crc32(sample.tobytes())
    assert link.stats().inferences == 5


def test_damaged_frames_are_counted_and_never_computed(
    link: RawLink, small: tuple[ConvertedModel, RandomGraph]
) -> None:
    model, built = small
    sample = built.inputs(4)[3]
    link.request(Message.HELLO, 1)
    before = link.stats()
    good = Frame(Message.INFER, SESSION, 2, sample.tobytes()).encode()
    random = np.random.default_rng(0)
    for _ in range(60):
        damaged = bytearray(good[:-1])
        kind = random.integers(4)
        at = int(random.integers(len(damaged)))
        if kind == 0:
            damaged[at] ^= int(1 << random.integers(8))
        elif kind == 1:
            del damaged[at:]
        elif kind == 2:
            damaged[at:at] = random.integers(1, 256, 5).astype(np.uint8).tobytes()
        else:
            damaged *= 2  # longer than the device's buffer
        link.send(bytes(byte or 1 for byte in damaged) + b"\0")
    after = link.stats()
    assert after.inferences == before.inferences
    assert after.damaged_frames >= before.damaged_frames + 55
    answer = Answer.parse(link.request(Message.INFER, 3, sample.tobytes()).payload)
    assert np.array_equal(answer.logits, reference.run(model.graph, sample[None]).ravel())


def test_device_refuses_what_it_does_not_understand(
    link: RawLink, small: tuple[ConvertedModel, RandomGraph]
) -> None:
    link.request(Message.HELLO, 1)
    size = small[0].graph.input_tensor.size
    for kind, payload, session, code in (
        (0x55, b"", SESSION, 1),
        (Message.INFER, bytes(size - 1), SESSION, 2),
        (Message.INFER, bytes(size), SESSION + 1, 3),
    ):
        answer = link.request(kind, 2, payload, session)
        assert answer.type == Message.ERROR
        assert int.from_bytes(answer.payload, "little") == code


def test_another_model_is_refused_before_the_first_sample(target: Target, tmp_path: Path) -> None:
    other = write_converted(RandomGraph(4).graph, tmp_path, "test")
    with (
        Client(target.port, BOARD.uart.baud) as client,
        pytest.raises(LinkError, match="holds model"),
    ):
        Device(client, target, other)


def test_silence_is_an_error() -> None:
    with Client("loop://", 115200, timeout_s=0.5) as client:
        with pytest.raises(LinkError, match="no sign of the device"):
            client.stats()
        assert client.statistics.retransmissions


def test_missing_port_is_a_device_error() -> None:
    with pytest.raises(DeviceError, match="nonexistent"):
        Client("/dev/nonexistent", 115200)
