"""Layers watched over the link: what the device answers, refuses, and what gets through faults."""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from tests.link.native import NativeDevice, compile_native, random_samples
from tinyedge.errors import LinkError
from tinyedge.evaluation.devices import Device
from tinyedge.evaluation.observation import Counter
from tinyedge.exporters.converted import ConvertedModel, write_converted
from tinyedge.firmware.observation import ObservedLayer, observed_layers
from tinyedge.graph import reference
from tinyedge.link.client import Client
from tinyedge.link.frames import Frame, FrameReader
from tinyedge.link.line import open_line
from tinyedge.link.protocol import Layers, Message, Output
from tinyedge.link.proxy import Faults, Proxy
from tinyedge.models.benchmark import NetworkBuilder
from tinyedge.targets.target import Target

pytestmark = pytest.mark.emulator


class Setup:
    """A model, its watching program, and every layer's output for some samples."""

    def __init__(self, folder: Path) -> None:
        build = NetworkBuilder("small", (12, 12, 4))
        at = build.conv("input", 16, (3, 3), 2)
        at = build.add(at, build.depthwise(at, (3, 3), 2))
        graph = build.graph(build.fully_connected(build.mean(at), 10, 8))
        self.model: ConvertedModel = write_converted(graph, folder / "model", "test")
        self.program = compile_native(self.model, folder / "native", observe=True)
        self.layers: list[ObservedLayer] = observed_layers(self.model)
        self.samples = random_samples(self.model, 3)
        values: dict[str, np.ndarray] = {}
        reference.run(graph, self.samples, tap=values.__setitem__)
        self.expected = [values[layer.tensor] for layer in self.layers]

    def crcs(self, sample: int) -> list[int]:
        return [zlib.crc32(values[sample].tobytes()) for values in self.expected]


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Setup:
    return Setup(tmp_path_factory.mktemp("observe"))


@pytest.fixture
def device(small: Setup) -> Iterator[NativeDevice]:
    with NativeDevice(small.program) as opened:
        yield opened


def test_every_layer_is_told_and_shown(small: Setup, device: NativeDevice) -> None:
    with Client(device.port, 0) as client:
        hello = client.hello()
        assert hello.model_hash == small.model.graph.hash
        for number, sample in enumerate(small.samples):
            told = client.layers(sample, len(small.layers))
            assert told.crcs.tolist() == small.crcs(number)
            assert told.ticks.max() < 10_000_000
            for layer, values in enumerate(small.expected):
                came: list[int] = []
                shown = client.output(sample, layer, values[number].size, came.append)
                assert np.array_equal(shown, values[number].ravel())
                assert sum(came) == values[number].size
        # A watching firmware infers as every other does.
        logits = client.infer(small.samples[0]).logits
        assert np.array_equal(logits, small.expected[-1][0])


def test_counter_of_1_mhz_counts_microseconds(small: Setup, device: NativeDevice) -> None:
    with Client(device.port, 0) as client:
        counter = Counter.of(Device(client, Target("board", device.port), small.model))
    assert counter == Counter("microseconds", hz=1_000_000)


def test_what_gets_lost_is_computed_again(small: Setup) -> None:
    with (
        NativeDevice(small.program) as device,
        Proxy(device.port, Faults(1e-3, 1), Faults(1e-3, 2)) as proxy,
        Client(proxy.port, 0) as client,
    ):
        client.hello()
        for number, sample in enumerate(small.samples):
            assert client.layers(sample, len(small.layers)).crcs.tolist() == small.crcs(number)
            shown = client.output(sample, 0, small.layers[0].size)
            assert np.array_equal(shown, small.expected[0][number].ravel())
        assert client.statistics.retransmissions > 0


def test_a_reset_in_between_changes_nothing(small: Setup) -> None:
    with (
        NativeDevice(small.program) as device,
        Proxy(device.port) as proxy,
        Client(proxy.port, 0) as client,
    ):
        client.layers(small.samples[0], len(small.layers))
        device.reset()
        proxy.upstream = device.port  # which cuts the line
        shown = client.output(small.samples[1], 1, small.layers[1].size)
        assert np.array_equal(shown, small.expected[1][1].ravel())
        assert client.statistics.reconnections > 0


def test_firmware_that_does_not_watch_says_so(small: Setup, tmp_path: Path) -> None:
    with (
        NativeDevice(compile_native(small.model, tmp_path / "ordinary")) as device,
        Client(device.port, 0) as client,
    ):
        client.hello()
        with pytest.raises(LinkError, match="unknown message type") as refused:
            client.layers(small.samples[0], len(small.layers))
        assert "--observe" in refused.value.hint


def test_answers_of_another_shape_are_refused(small: Setup, device: NativeDevice) -> None:
    with Client(device.port, 0) as client:
        client.hello()
        with pytest.raises(LinkError, match=f"not those of {len(small.layers) + 1} layers"):
            client.layers(small.samples[0], len(small.layers) + 1)
        size = small.layers[1].size
        with pytest.raises(LinkError, match=f"gives {size} bytes, not {size + 1}"):
            client.output(small.samples[0], 1, size + 1)
        with pytest.raises(LinkError, match="no such layer"):
            client.output(small.samples[0], len(small.layers), 1)


def test_device_checks_requests_and_answers_repeated_ones_alike(
    small: Setup, device: NativeDevice
) -> None:
    line, reader, session = open_line(device.port, 0), FrameReader(), 77

    def request(kind: int, payload: bytes, session: int = session) -> Frame:
        line.write(Frame(kind, session, 5, payload).encode())
        while True:
            received = line.read(5.0)
            assert received, "no answer"
            for frame in reader.feed(received):
                assert isinstance(frame, Frame)
                return frame

    sample = small.samples[0].tobytes()
    request(Message.HELLO, b"")
    for kind, payload, other, code in (
        (Message.LAYERS, sample[:-1], session, 2),
        (Message.LAYERS, sample + b"1", session, 2),
        (Message.OUTPUT, sample, session, 2),
        (Message.OUTPUT, Output.request(2**32 - 1, 0, 4) + sample, session, 16),
        (Message.LAYERS, sample, session + 1, 3),
    ):
        answer = request(kind, payload, other)
        assert answer.type == Message.ERROR
        assert int.from_bytes(answer.payload, "little") == code
    before = device.inferences
    answers = [request(Message.LAYERS, sample).payload for _ in range(2)]
    first, second = (Layers.parse(answer, len(small.layers)) for answer in answers)
    assert first.crcs.tolist() == second.crcs.tolist() == small.crcs(0)
    assert device.inferences == before + 2
    size = small.layers[0].size
    for offset, count, expected in (
        (0, 7, 7),
        (size - 3, 7, 3),
        (size, 7, 0),
        (2**32 - 1, 7, 0),
        (0, 2**32 - 1, size),
        (5, 0, 0),
    ):
        answer = request(Message.OUTPUT, Output.request(0, offset, count) + sample)
        output = Output.parse(answer.payload)
        assert (output.size, len(output.values)) == (size, expected)
        assert output.input_crc == zlib.crc32(sample)
        right = small.expected[0][0].ravel()[offset : offset + count]
        assert np.array_equal(output.values, right)
    line.close()
