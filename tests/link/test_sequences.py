"""Sequences of frames over the link: in order, each once, or from the first frame again."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from tests.graph.streaming import frames_of, streaming_graph
from tests.link.native import NativeDevice, compile_native
from tests.link.test_client import fleet
from tinyedge.errors import LinkError
from tinyedge.evaluation.observation import inference_ticks
from tinyedge.exporters.converted import ConvertedModel, write_converted
from tinyedge.graph import reference
from tinyedge.link.client import Client
from tinyedge.link.journal import Journal
from tinyedge.link.proxy import Faults, Proxy

pytestmark = pytest.mark.needs_tool


class Setup:
    """A streaming model, its device's program, and a sequence with the logits that are right."""

    def __init__(self, folder: Path) -> None:
        self.model: ConvertedModel = write_converted(streaming_graph(), folder / "model", "test")
        self.program = compile_native(self.model, folder / "native")

    def sequences(self, count: int, frames: int) -> np.ndarray:
        return frames_of(self.model.graph, count * frames).reshape(count, frames, 5)

    def expected(self, sequences: np.ndarray) -> np.ndarray:
        return reference.run(self.model.graph, sequences)


@pytest.fixture(scope="module")
def streaming(tmp_path_factory: pytest.TempPathFactory) -> Setup:
    return Setup(tmp_path_factory.mktemp("streaming"))


@pytest.mark.parametrize(
    "seed", [0, *(pytest.param(seed, marks=pytest.mark.slow) for seed in range(1, 8))]
)
def test_a_stream_over_a_bad_line_is_computed_once(streaming: Setup, seed: int) -> None:
    sequences = streaming.sequences(1, 1000)
    to_device, to_host = Faults(1e-3, 2 * seed), Faults(1e-3, 2 * seed + 1)
    with (
        NativeDevice(streaming.program) as device,
        Proxy(device.port, to_device, to_host) as proxy,
        Client(proxy.port, 0) as client,
    ):
        logits = fleet(streaming.model, client)[0](sequences).logits
        assert np.array_equal(logits, streaming.expected(sequences))
        assert device.inferences == 1000
    assert client.statistics.retransmissions > 0
    assert client.statistics.restarts == 0


@pytest.mark.parametrize("kind", ["cut", "reset"])
def test_interrupted_at_every_byte_of_a_sequence(streaming: Setup, kind: str) -> None:
    """A cut changes nothing; after a reset the sequence begins again, and that is counted."""
    sequences = streaming.sequences(1, 3)
    expected = streaming.expected(sequences)
    with NativeDevice(streaming.program) as device:
        with Proxy(device.port) as proxy, Client(proxy.port, 0) as client:
            fleet(streaming.model, client)[0](sequences)
            length = proxy.to_device.carried + proxy.to_host.carried
        restarts = 0
        for after in range(0, length, 7):
            before = device.inferences
            with Proxy(device.port, cut_after=after) as proxy:

                def reset(proxy: Proxy = proxy) -> None:
                    device.reset()
                    proxy.upstream = device.port

                if kind == "reset":
                    proxy.on_cut = reset
                with Client(proxy.port, 0) as client:
                    logits = fleet(streaming.model, client)[0](sequences).logits
                assert np.array_equal(logits, expected), after
                restarts += client.statistics.restarts
            computed = device.inferences - before
            assert 3 <= computed <= (6 if kind == "reset" else 3), after
    assert (restarts > 0) == (kind == "reset")


def test_another_board_begins_the_sequence_again(streaming: Setup, tmp_path: Path) -> None:
    sequences = streaming.sequences(6, 40)
    with (
        NativeDevice(streaming.program) as first,
        NativeDevice(streaming.program) as second,
        Proxy(second.port, cut_after=4000) as proxy,
        Client(first.port, 0) as one,
        Client(proxy.port, 0, timeout_s=0.3) as two,
        Journal(tmp_path / "journal", {}, resume=False) as journal,
    ):
        proxy.on_cut = lambda: setattr(proxy, "upstream", "socket://127.0.0.1:1")
        run, _ = fleet(streaming.model, one, two, journal=journal)
        assert np.array_equal(run(sequences).logits, streaming.expected(sequences))
        assert list(run.failed) == [proxy.port]
    # The journal answers whole sequences of what it keeps.
    with (
        NativeDevice(streaming.program) as device,
        Client(device.port, 0) as client,
        Journal(tmp_path / "journal", {}, resume=True) as journal,
    ):
        del journal.entries[4]
        run, _ = fleet(streaming.model, client, journal=journal)
        assert np.array_equal(run(sequences).logits, streaming.expected(sequences))
        assert device.inferences == 40


def test_frames_by_themselves_begin_anew_each(streaming: Setup) -> None:
    frames = streaming.sequences(1, 12)[0]
    with NativeDevice(streaming.program) as device, Client(device.port, 0) as client:
        logits = fleet(streaming.model, client)[0](frames).logits
    assert np.array_equal(logits, reference.run(streaming.model.graph, frames))


def test_another_host_takes_the_place_in_the_sequence(streaming: Setup) -> None:
    """The sequence begins again, and comes to the same end."""
    [sequence] = streaming.sequences(1, 6)
    with NativeDevice(streaming.program) as device:
        with Client(device.port, 0) as client:
            answers = client.sequence(sequence)
            found = [next(answers).logits for _ in range(3)]
            client._line.close()  # the device takes one host at a time
            with Client(device.port, 0) as other:
                fleet(streaming.model, other)[0](sequence[:2])
            found += [answer.logits for answer in answers]
            assert client.statistics.restarts == 1
        expected = streaming.expected(sequence[np.newaxis])[0]
        assert np.array_equal(found, expected)


def test_a_device_that_answers_otherwise_when_it_is_asked_again_is_an_error(
    streaming: Setup, monkeypatch: pytest.MonkeyPatch
) -> None:
    [sequence] = streaming.sequences(1, 4)
    with NativeDevice(streaming.program) as device, Client(device.port, 0) as client:
        answers = client.sequence(sequence)
        next(answers)
        sequence[0] = -1 - sequence[0]
        device.reset()
        monkeypatch.setattr(client, "port", device.port)
        with pytest.raises(LinkError, match="has other logits when it is repeated"):
            list(answers)


def test_a_single_frame_begins_anew(streaming: Setup) -> None:
    """As profiles ask for it; a frame that says nothing of a sequence is refused in words."""
    frames = streaming.sequences(1, 3)[0]
    with NativeDevice(streaming.program) as native, Client(native.port, 0) as client:
        _, [device] = fleet(streaming.model, client)
        expected = reference.run(streaming.model.graph, frames)
        ticks = inference_ticks(device, frames, lambda _: None)
        assert len(ticks) == 3
        assert np.array_equal(device.infer(frames[2]).logits, expected[2])
        with pytest.raises(LinkError, match="not at this frame of the sequence"):
            client.infer(frames[0])
