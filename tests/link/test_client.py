"""The link over a line with faults, and what a run makes of it: every sample exactly once."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.conftest import require
from tests.draws import each_seed, spread
from tests.link.fakes import Behaviour, FakeDevice, hello_payload, logits
from tests.link.native import BOARD, NativeDevice, compile_native, dense_model, random_samples
from tinyedge.errors import DataError, FileError, FirmwareFaultError, LinkError
from tinyedge.evaluation.devices import Device, Fleet
from tinyedge.exporters.converted import ConvertedModel
from tinyedge.firmware.link_memory import LinkMemory
from tinyedge.firmware.project import build_firmware
from tinyedge.graph import reference
from tinyedge.link import line as line_module
from tinyedge.link.client import Client
from tinyedge.link.frames import Frame
from tinyedge.link.journal import Journal
from tinyedge.link.protocol import ERROR_NO_BASE, ERROR_NO_SESSION, Message
from tinyedge.link.proxy import Faults, Proxy
from tinyedge.targets import available_emulators, open_emulator
from tinyedge.targets.target import Target

pytestmark = pytest.mark.needs_tool

IMAGE = 784
SMALL = 16


class Setup:
    """A model, its device's program, samples and the logits that are right."""

    def __init__(self, folder: Path, inputs: int, count: int) -> None:
        self.model = dense_model(folder / "model", inputs)
        self.program = compile_native(self.model, folder / "native")
        self.samples = random_samples(self.model, count)
        self.expected = reference.run(self.model.graph, self.samples)


@pytest.fixture(scope="module")
def image(tmp_path_factory: pytest.TempPathFactory) -> Setup:
    return Setup(tmp_path_factory.mktemp("image"), IMAGE, 1000)


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Setup:
    return Setup(tmp_path_factory.mktemp("small"), SMALL, 3)


def fleet(
    model: ConvertedModel, *clients: Client, journal: Journal | None = None
) -> tuple[Fleet, list[Device]]:
    devices = [Device(client, Target("board", client.port), model) for client in clients]
    return Fleet(devices, journal), devices


@each_seed(20)
def test_faults_change_nothing_and_no_sample_is_computed_twice(image: Setup, seed: int) -> None:
    rate = (1e-5, 1e-4, 1e-3)[seed % 3]
    to_device, to_host = Faults(rate, 2 * seed), Faults(rate, 2 * seed + 1)
    count = 300 if rate == 1e-3 else 1000  # tools/soak_link.py runs more
    with (
        NativeDevice(image.program) as device,
        Proxy(device.port, to_device, to_host) as proxy,
        Client(proxy.port, 0) as client,
    ):
        run, _ = fleet(image.model, client)
        given: list[int] = []
        logits = run(image.samples[:count], given.append).logits
        assert np.array_equal(logits, image.expected[:count])
        assert given == [1] * count
        assert device.inferences == count
    assert sum(to_device.injected.values()) + sum(to_host.injected.values()) > 0
    assert client.statistics.retransmissions > 0


def test_a_line_that_is_too_bad_is_given_up_without_a_false_result(
    image: Setup, tmp_path: Path
) -> None:
    for seed in range(3):
        with (
            NativeDevice(image.program) as device,
            Proxy(device.port, Faults(1e-2, seed), Faults(1e-2, seed + 100)) as proxy,
            Journal(tmp_path / str(seed), {}, resume=False) as journal,
            Client(proxy.port, 0, timeout_s=3) as client,
        ):
            with pytest.raises(LinkError, match=r"the line is too bad|no sign of the device"):
                fleet(image.model, client, journal=journal)[0](image.samples)
            for number, entry in journal.entries.items():
                assert np.array_equal(entry.logits, image.expected[number])


@pytest.mark.parametrize("rate", [0, 2e-3])
def test_a_fault_is_told_also_over_a_bad_line(image: Setup, rate: float) -> None:
    for seed in range(5):
        with (
            NativeDevice(image.program, fault=True) as device,
            Proxy(device.port, Faults(rate, seed), Faults(rate, seed + 100)) as proxy,
            Client(proxy.port, 0, timeout_s=20) as client,
        ):
            with pytest.raises(FirmwareFaultError) as caught:
                fleet(image.model, client)[0](image.samples)
            assert str(caught.value).endswith(
                "UsageFault (division by zero) at 0x08001234; the stack has overflowed"
            )
            assert device.inferences == 0
        # The next request is told the same.
        with NativeDevice(image.program, fault=True) as device:
            for _ in range(2):
                with Client(device.port, 0) as client, pytest.raises(FirmwareFaultError):
                    client.infer(image.samples[0])


@pytest.mark.drawn
@pytest.mark.parametrize("kind", ["cut", "reset"])
def test_interrupted_at_every_byte_of_a_session(small: Setup, kind: str) -> None:
    """Interrupts a session of three samples; nothing is computed again unless memory was lost.

    'make test' interrupts at every third byte. A socket, other than a serial port, holds back up to
    two answers, which are computed again.
    """
    with NativeDevice(small.program) as device:
        with Proxy(device.port) as proxy, Client(proxy.port, 0) as client:
            fleet(small.model, client)[0](small.samples)
            length = proxy.to_device.carried + proxy.to_host.carried
        assert length > 300
        for after in spread(length):
            before = device.inferences
            with Proxy(device.port, cut_after=after) as proxy:

                def reset(proxy: Proxy = proxy) -> None:
                    device.reset()
                    proxy.upstream = device.port

                if kind == "reset":
                    proxy.on_cut = reset
                with Client(proxy.port, 0) as client:
                    logits = fleet(small.model, client)[0](small.samples).logits
                assert np.array_equal(logits, small.expected), after
                assert proxy.cuts == 1, after
                assert client.statistics.reconnections >= 1, after
            computed = device.inferences - before
            assert 3 <= computed <= (5 if kind == "reset" else 3), after


def test_journal_cut_at_every_byte_is_resumed(small: Setup, tmp_path: Path) -> None:
    path = tmp_path / "journal"
    with NativeDevice(small.program) as device:

        def run(*, resume: bool) -> int:
            before = device.inferences
            with (
                Journal(path, {"model": "a"}, resume=resume) as journal,
                Client(device.port, 0, session=journal.session) as client,
            ):
                logits = fleet(small.model, client, journal=journal)[0](small.samples).logits
            assert np.array_equal(logits, small.expected)
            return device.inferences - before

        assert run(resume=False) == 3
        whole = path.read_bytes()
        header = whole.index(b"\n") + 1
        for size in range(len(whole), -1, -1):
            path.write_bytes(whole[:size])
            # The device still remembers what the journal has lost, if that tells the session.
            assert run(resume=True) == (0 if size >= header else 3), size
            if size >= header:
                assert path.read_bytes() == whole
        assert run(resume=False) == 3
        assert path.with_name("journal.previous").exists()


def test_journal_of_another_run_or_damaged_or_in_use_is_refused(
    small: Setup, tmp_path: Path
) -> None:
    path = tmp_path / "journal"
    with (
        NativeDevice(small.program) as device,
        Journal(path, {"model": "a"}, resume=False) as journal,
        Client(device.port, 0) as client,
    ):
        fleet(small.model, client, journal=journal)[0](small.samples)
        with pytest.raises(FileError, match="another run writes"):
            Journal(path, {"model": "a"}, resume=True)
    with pytest.raises(DataError, match="its model is 'a', that of this one 'b'"):
        Journal(path, {"model": "b"}, resume=True)
    content = bytearray(path.read_bytes())
    content[content.index(b"\n") + 20] ^= 1
    path.write_bytes(content)
    with pytest.raises(DataError, match="line 2 is damaged"):
        Journal(path, {"model": "a"}, resume=True)


def test_boards_share_the_samples_and_take_over_from_each_other(image: Setup) -> None:
    with (
        NativeDevice(image.program) as first,
        NativeDevice(image.program) as second,
        NativeDevice(image.program) as third,
        Proxy(third.port, cut_after=20_000) as proxy,
    ):

        def unplug() -> None:
            proxy.upstream = "socket://127.0.0.1:1"

        proxy.on_cut = unplug
        with (
            Client(first.port, 0) as one,
            Client(second.port, 0) as two,
            Client(proxy.port, 0, timeout_s=0.3) as three,
        ):
            run, _ = fleet(image.model, one, two, three)
            assert np.array_equal(run(image.samples).logits, image.expected)
            record = run.record()
        assert list(run.failed) == [proxy.port]
        inferences = first.inferences + second.inferences + third.inferences
    computed = [device["computed"] for device in record["devices"]]
    assert sum(computed) == 1000
    assert all(computed)
    # The third's answers that were under way when its line was cut are lost with it.
    assert 1000 <= inferences <= 1002


def test_the_last_board_that_fails_is_an_error(image: Setup) -> None:
    with (
        NativeDevice(image.program) as device,
        Proxy(device.port, cut_after=20_000) as proxy,
        Client(proxy.port, 0, timeout_s=0.3) as client,
    ):
        proxy.on_cut = lambda: setattr(proxy, "upstream", "socket://127.0.0.1:1")
        with pytest.raises(LinkError, match="the connection broke"):
            fleet(image.model, client)[0](image.samples)


def test_changes_to_an_input_are_enough(image: Setup) -> None:
    """Neighbours of one image, over a line with faults, so that bases are lost too."""
    random = np.random.default_rng(0)
    samples = np.repeat(image.samples[:10], 20, axis=0)
    for sample in samples:
        at = random.integers(0, IMAGE, 12)
        sample[at] = random.integers(-128, 128, 12)
    expected = reference.run(image.model.graph, samples)
    for rate in (0.0, 1e-3):
        with (
            NativeDevice(image.program) as device,
            Proxy(device.port, Faults(rate, 1), Faults(rate, 2)) as proxy,
            Client(proxy.port, 0) as client,
        ):
            run, _ = fleet(image.model, client)
            assert np.array_equal(run(samples).logits, expected)
            assert device.inferences == len(samples)
            assert client.statistics.changes >= 180
            if not rate:
                assert client.statistics.bytes_sent < 0.2 * samples.size


@pytest.mark.parametrize(
    "link",
    [LinkMemory(64, 2, changes=False), LinkMemory(850, 2, changes=True), LinkMemory(5000, 8, True)],
)
def test_devices_with_less_memory(image: Setup, link: LinkMemory, tmp_path: Path) -> None:
    program = compile_native(image.model, tmp_path, link=link)
    with (
        NativeDevice(program) as device,
        Proxy(device.port, Faults(1e-4, 1), Faults(1e-4, 2)) as proxy,
        Client(proxy.port, 0) as client,
    ):
        run, [opened] = fleet(image.model, client)
        assert (opened.hello.buffer, opened.hello.answers) == (link.ring, link.answers)
        assert np.array_equal(run(image.samples[:300]).logits, image.expected[:300])
        assert device.inferences == 300


def test_one_byte_reads(image: Setup, monkeypatch: pytest.MonkeyPatch) -> None:
    def read(self: Any, timeout_s: float) -> bytes:
        self._socket.settimeout(timeout_s or 0.001)
        try:
            received: bytes = self._socket.recv(1)
        except TimeoutError:
            return b""
        return received

    monkeypatch.setattr(line_module._SocketLine, "read", read)
    with NativeDevice(image.program) as device, Client(device.port, 0) as client:
        logits = fleet(image.model, client)[0](image.samples[:20]).logits
    assert np.array_equal(logits, image.expected[:20])


@pytest.mark.parametrize("emulator", ["qemu", "unicorn"])
def test_faults_between_host_and_emulated_board(
    demo_model: ConvertedModel, demo_samples: np.ndarray, emulator: Any
) -> None:
    require(available_emulators(BOARD), emulator)
    firmware = build_firmware(demo_model, BOARD)
    samples = demo_samples[:40]
    with (
        open_emulator(BOARD, firmware.elf, emulator) as target,
        Proxy(target.port, Faults(5e-4, 1), Faults(5e-4, 2), cut_after=30_000) as proxy,
        Client(proxy.port, 0, timeout_s=20) as client,
    ):
        run, [device] = fleet(demo_model, client)
        logits = run(samples).logits
        assert device.stats().inferences == len(samples)
        assert proxy.cuts == 1
    assert np.array_equal(logits, reference.run(demo_model.graph, samples))


# ---- devices that never come to an end


def damaged(request: Frame) -> list[Frame]:
    return [Frame(Message.DAMAGED, request.session, 1)]


def answers_to_others(request: Frame) -> list[Frame]:
    """As many as there is time for: the host sends again what is not answered."""
    frame = logits(request, bytes(10))
    return [Frame(frame.type, frame.session ^ 1, frame.sequence, frame.payload)] * 1000


def damaged_for_others(request: Frame) -> list[Frame]:
    return [Frame(Message.DAMAGED, request.session ^ 1, 1)] * 1000


def other_numbers(request: Frame) -> list[Frame]:
    frame = logits(request, bytes(10))
    return [Frame(frame.type, frame.session, frame.sequence ^ 1, frame.payload)] * 100


def refusing(code: int) -> Behaviour:
    def refuse(request: Frame) -> list[Frame]:
        told = code.to_bytes(4, "little")
        return [Frame(Message.ERROR, request.session, request.sequence, told)]

    return refuse


@pytest.mark.parametrize("shape", [(4, 4), (96, 96, 3)])
@pytest.mark.parametrize(
    ("behaviour", "told"),
    [
        (damaged, "the line is too bad"),
        (answers_to_others, "only frames of another session"),
        (damaged_for_others, "only frames of another session"),
        (other_numbers, "no sign of the device|too bad"),
        (refusing(ERROR_NO_SESSION), "the device was reset 9 times before it gave an answer"),
        (refusing(ERROR_NO_BASE), "no answer to INFER 0 after"),
        (lambda _: [], "no sign of the device"),
    ],
)
def test_a_device_that_never_answers_is_given_up_in_time(
    behaviour: Behaviour, told: str, shape: tuple[int, ...]
) -> None:
    sample = np.zeros(shape, np.int8)
    with (
        FakeDevice(hello_payload(shape), behaviour) as device,
        Client(device.port, 0, timeout_s=1) as client,
    ):
        start = time.monotonic()
        with pytest.raises(LinkError, match=told):
            list(client.stream([(0, sample), (1, sample)]))
        assert time.monotonic() - start < 8
        assert device.requests <= 102 + 2 * 18  # both in the window, and probes


def test_a_device_that_knows_no_session_when_it_is_greeted_is_an_error() -> None:
    with (
        socket.create_server(("127.0.0.1", 0)) as server,
        Client(
            f"socket://127.0.0.1:{server.getsockname()[1]}", 0, timeout_s=1, session=5
        ) as client,
    ):
        line, _ = server.accept()
        with line:
            told = ERROR_NO_SESSION.to_bytes(4, "little")
            line.sendall(Frame(Message.ERROR, 5, 0x4000_0001, told).encode())
            with pytest.raises(LinkError, match="refused HELLO"):
                client.hello()


def test_progress_is_an_answer_taken_however_slow_the_device(small: Setup) -> None:
    """Eight answers of 0.3 s each, with a second for every one."""
    samples = random_samples(small.model, 8)
    with (
        NativeDevice(small.program, compute_us=300_000) as device,
        Client(device.port, 0, timeout_s=1) as client,
    ):
        assert len(list(client.stream(enumerate(samples)))) == 8


def test_ticks_of_no_known_frequency_are_none(small: Setup) -> None:
    graph = small.model.graph
    hello = hello_payload(graph.input_tensor.shape, 10, tick_hz=0, model=bytes.fromhex(graph.hash))
    with (
        FakeDevice(hello, lambda request: [logits(request, bytes(10), ticks=123)]) as device,
        Client(device.port, 0) as client,
    ):
        run, _ = fleet(small.model, client)
        assert run(small.samples).seconds is None


def test_another_shape_than_the_models_is_refused(small: Setup) -> None:
    graph = small.model.graph
    for shape, output in (((4, 4), 10), (graph.input_tensor.shape, 11)):
        hello = hello_payload(shape, output, model=bytes.fromhex(graph.hash))
        with (
            FakeDevice(hello, lambda _: []) as device,
            Client(device.port, 0) as client,
            pytest.raises(LinkError, match="HELLO says input"),
        ):
            fleet(small.model, client)


@pytest.mark.parametrize("baud", [0, 921_600])
def test_an_input_of_512x512x3_arrives(baud: int) -> None:
    sample = np.random.default_rng(0).integers(-128, 128, (512, 512, 3)).astype(np.int8)
    with (
        FakeDevice(
            hello_payload(sample.shape), lambda request: [logits(request, bytes(10))]
        ) as device,
        Proxy(device.port, baud=10 * baud or None) as proxy,
        Client(proxy.port, 10 * baud, timeout_s=2) as client,
    ):
        assert client.infer(sample).logits.size == 10
        assert client.statistics.retransmissions == 0


# ---- the command line


def tinyedge(*arguments: object) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "tinyedge", *map(str, arguments)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


@pytest.fixture
def inputs(image: Setup, tmp_path: Path) -> Path:
    path = tmp_path / "inputs.npy"
    np.save(path, image.samples)
    return path


@pytest.fixture
def run_on(image: Setup, inputs: Path, tmp_path: Path) -> Callable[..., subprocess.Popen[str]]:
    def start(port: str, *options: object) -> subprocess.Popen[str]:
        files = ("--data", inputs, "--logits", tmp_path / "logits.npy")
        where = ("--on", "board", "-p", port, "--json")
        return tinyedge("run", image.model.folder, *files, *where, *options)

    return start


def test_killed_host_resumes(
    image: Setup, run_on: Callable[..., subprocess.Popen[str]], tmp_path: Path
) -> None:
    """Over a paced line, killed again and again; nothing is computed twice."""
    journal = tmp_path / "journal.jsonl"
    with NativeDevice(image.program) as device, Proxy(device.port, baud=4_000_000) as proxy:
        grown = 0
        for _ in range(3):
            process = run_on(proxy.port, "--resume", "--journal", journal)
            while not journal.exists() or journal.stat().st_size < grown + 20_000:
                assert process.poll() is None, process.communicate()
                time.sleep(0.005)
            process.send_signal(signal.SIGKILL)
            process.communicate()
            grown = journal.stat().st_size
        process = run_on(proxy.port, "--resume", "--journal", journal)
        output, errors = process.communicate()
        assert process.returncode == 0, errors
        assert device.inferences == 1000
    record = json.loads(output)
    assert 100 < record["link"]["from_journal"] < 1000
    assert np.array_equal(np.load(tmp_path / "logits.npy"), image.expected)


def test_stalled_host_goes_on(
    image: Setup, run_on: Callable[..., subprocess.Popen[str]], tmp_path: Path
) -> None:
    journal = tmp_path / "journal.jsonl"
    with NativeDevice(image.program) as device, Proxy(device.port, baud=4_000_000) as proxy:
        process = run_on(proxy.port, "--timeout", 1, "--journal", journal)
        while not journal.exists():
            assert process.poll() is None, process.communicate()
            time.sleep(0.005)
        process.send_signal(signal.SIGSTOP)
        time.sleep(3)
        process.send_signal(signal.SIGCONT)
        _, errors = process.communicate()
        assert process.returncode == 0, errors
        assert device.inferences == 1000
    assert np.array_equal(np.load(tmp_path / "logits.npy"), image.expected)


@pytest.fixture
def silent_server() -> Iterator[tuple[str, list[bytes]]]:
    """A port that accepts, and says again and again what the list holds."""
    says: list[bytes] = []
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve() -> None:
            while True:
                try:
                    line, _ = server.accept()
                    with line:
                        while True:
                            time.sleep(0.02)
                            for each in says:
                                line.sendall(each)
                except OSError:
                    return

        threading.Thread(target=serve, daemon=True).start()
        yield f"socket://127.0.0.1:{server.getsockname()[1]}", says


@pytest.mark.parametrize("says", [b"", b"Hello from another firmware\r\n", bytes(range(256))])
def test_whoever_does_not_answer_is_reported(
    says: bytes,
    silent_server: tuple[str, list[bytes]],
    run_on: Callable[..., subprocess.Popen[str]],
) -> None:
    port, sayings = silent_server
    sayings.append(says)
    start = time.monotonic()
    process = run_on(port, "--timeout", 1)
    output, errors = process.communicate(timeout=60)
    assert process.returncode == 7, errors
    assert json.loads(output)["error"]["code"] == "link"
    assert "Traceback" not in errors
    assert time.monotonic() - start < 60


def test_another_model_is_reported(
    small: Setup, run_on: Callable[..., subprocess.Popen[str]]
) -> None:
    with NativeDevice(small.program) as device:
        process = run_on(device.port)
        output, _ = process.communicate()
    assert process.returncode == 7
    assert "the device holds model" in json.loads(output)["error"]["message"]


def test_a_port_that_another_program_holds_is_reported(
    run_on: Callable[..., subprocess.Popen[str]],
) -> None:
    primary, secondary = os.openpty()
    port = os.ttyname(secondary)
    holder = subprocess.Popen(["sleep", "60"], stdin=secondary)
    os.close(secondary)
    try:
        process = run_on(port)
        output, _ = process.communicate()
    finally:
        holder.kill()
        holder.wait()
        os.close(primary)
    assert process.returncode == 6
    message = json.loads(output)["error"]["message"]
    assert f"in use by sleep (process {holder.pid})" in message
