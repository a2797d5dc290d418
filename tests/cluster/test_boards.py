"""Boards on workers: each sample is computed by one of them, and a board that fails hands on."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.cluster.processes import Processes, Saying, free_port
from tests.conftest import require, require_packages
from tests.link.native import BOARD, NativeDevice, compile_native, dense_model, random_samples
from tests.link.remote import SerialServer
from tinyedge.boards import load_board
from tinyedge.cluster import ClusterAddress
from tinyedge.cluster.bench import Bench
from tinyedge.cluster.boards import (
    VARIABLE,
    BoardPool,
    BoardsGoneError,
    DeclaredBoard,
    declared_boards,
    pool,
)
from tinyedge.cluster.store import ChunkStore
from tinyedge.errors import ClusterError, DeviceError, LinkError, OtherModelError
from tinyedge.firmware.project import build_firmware
from tinyedge.graph import reference
from tinyedge.places import PlaceSpec, open_place
from tinyedge.progress import NOBODY
from tinyedge.targets import available_emulators, open_emulator

SAMPLES = 120


def test_boards_are_declared() -> None:
    text = "a=/dev/ttyACM0@066B, a=/dev/ttyACM1,b=socket://lab:3333?x=1"
    assert declared_boards(text) == {
        "a": [DeclaredBoard("/dev/ttyACM0", "066B"), DeclaredBoard("/dev/ttyACM1")],
        "b": [DeclaredBoard("socket://lab:3333?x=1")],
    }
    assert declared_boards("") == {}


@pytest.mark.parametrize("text", ["a", "a=", "=x", "a=x,b=x", "a=x@", "a=x@y,a=z@y"])
def test_what_is_no_declaration_is_refused(text: str) -> None:
    told = "allowed: BOARD=PORT or BOARD=PORT@PROBE, each port and probe once"
    with pytest.raises(DeviceError, match=told):
        declared_boards(text)


def test_a_board_serves_one_at_a_time_and_none_that_has_failed() -> None:
    pool = BoardPool({"a": [DeclaredBoard("one"), DeclaredBoard("two")]})
    with pool.one("a") as first, pool.one("a") as second:
        assert {first.port, second.port} == {"one", "two"}
        waiting: list[DeclaredBoard] = []

        def third() -> None:
            with pool.one("a") as port:
                waiting.append(port)

        thread = threading.Thread(target=third)
        thread.start()
        assert waiting == []
    thread.join(5)
    assert len(waiting) == 1
    with pytest.raises(LinkError), pool.one("a") as failed:
        raise LinkError("silent")
    assert pool.left("a") == 1
    with pool.one("a") as left:
        assert left != failed
    with pytest.raises(OtherModelError), pool.one("a"):
        raise OtherModelError("it answers, and holds another model")
    assert pool.left("a") == 1
    with pytest.raises(DeviceError), pool.one("a"):
        raise DeviceError("gone")
    with (
        pytest.raises(BoardsGoneError, match="all boards 'a' of a worker fail: gone"),
        pool.one("a"),
    ):
        pass
    pool.try_again()
    with pool.one("a") as first, pool.all_free() as free:
        assert free == [DeclaredBoard({"one": "two", "two": "one"}[first.port])]
    with pytest.raises(BoardsGoneError, match="has no board 'b'"), pool.one("b"):
        pass


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Any:
    folder = tmp_path_factory.mktemp("boards")
    model = dense_model(folder / "model", 16)
    return model, compile_native(model, folder / "native")


@pytest.fixture
def boards(made: Any) -> Iterator[list[NativeDevice]]:
    opened = [NativeDevice(made[1], compute_us=20_000) for _ in range(4)]
    yield opened
    for each in opened:
        if not each._log.closed:  # else a test has let it die
            each.__exit__()


@pytest.mark.needs_tool
def test_four_boards_on_two_workers_of_which_boards_and_a_worker_die(
    made: Any, boards: list[NativeDevice], tmp_path: Path
) -> None:
    require_packages("distributed")
    from tinyedge.cluster.engine import Engine
    from tinyedge.cluster.running import open_cluster_place

    model, _ = made
    samples = random_samples(model, SAMPLES)
    processes = Processes(tmp_path)
    done = by_the_first = 0

    def progress(count: int) -> None:
        nonlocal done, by_the_first
        done += count
        if done == 20:
            by_the_first = boards[0].inferences
            boards[0].__exit__()
        if done == 60:
            processes.kill_worker(1)

    try:
        processes.start_worker_with(BOARD.name, [each.port for each in boards[:2]])
        processes.start_worker_with(BOARD.name, [each.port for each in boards[2:]])
        address = ClusterAddress.parse(processes.address)
        spec = PlaceSpec("board", BOARD, timeout_s=2.0)
        with (
            Engine(address, ChunkStore(tmp_path / "chunks"), NOBODY) as engine,
            open_cluster_place(engine, model, spec, NOBODY) as place,
        ):
            logits = place.execute(samples, progress).logits
            record = place.finish()
    finally:
        processes.stop()
    assert np.array_equal(logits, reference.run(model.graph, samples))
    assert done == SAMPLES
    assert record["cluster"]["chunks_computed"] == SAMPLES
    # Only samples on their way to the board and the worker that died are computed again.
    computed = by_the_first + sum(each.inferences for each in boards[1:])
    assert SAMPLES - 2 <= computed <= SAMPLES + 4


@pytest.mark.needs_tool
@pytest.mark.slow
def test_four_emulated_boards_on_two_workers_of_which_a_board_and_a_worker_die(
    made: Any, tmp_path: Path
) -> None:
    """As above, with the firmware of a Cortex-M4 in QEMU."""
    require_packages("distributed")
    from tinyedge.cluster.engine import Engine
    from tinyedge.cluster.running import open_cluster_place

    model, board, count = made[0], load_board("netduinoplus2"), 60
    require(available_emulators(board), "qemu")
    samples, processes, done = random_samples(model, count), Processes(tmp_path), 0
    with contextlib.ExitStack() as stack:
        elf = build_firmware(model, board).elf
        opened = [contextlib.ExitStack() for _ in range(4)]
        ports = [
            stack.enter_context(each).enter_context(open_emulator(board, elf, "qemu")).port
            for each in opened
        ]

        def progress(finished: int) -> None:
            nonlocal done
            done += finished
            if done == 10:
                opened[0].close()
            if done == 30:
                processes.kill_worker(1)

        stack.callback(processes.stop)
        processes.start_worker_with(board.name, ports[:2])
        processes.start_worker_with(board.name, ports[2:])
        spec = PlaceSpec("board", board, timeout_s=5.0)
        with (
            Engine(ClusterAddress.parse(processes.address), ChunkStore(tmp_path), NOBODY) as engine,
            open_cluster_place(engine, model, spec, NOBODY) as place,
        ):
            logits = place.execute(samples, progress).logits
    assert np.array_equal(logits, reference.run(model.graph, samples))
    assert done == count


@pytest.mark.needs_tool
def test_a_board_that_no_worker_has_is_told(
    made: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    require_packages("distributed")
    from tinyedge.cluster import engine as module
    from tinyedge.cluster.running import open_cluster_place

    monkeypatch.setattr(module, "_PATIENCE_S", 15.0)
    model, _ = made
    processes = Processes(tmp_path)
    try:
        processes.start_workers(1)
        address = ClusterAddress.parse(processes.address)
        with (
            module.Engine(address, ChunkStore(tmp_path / "chunks"), NOBODY) as engine,
            open_cluster_place(engine, model, PlaceSpec("board", BOARD), NOBODY) as place,
            pytest.raises(ClusterError, match=f"no worker with a board {BOARD.name} in"),
        ):
            place.execute(random_samples(model, 2))
    finally:
        processes.stop()


@pytest.mark.needs_tool
def test_a_board_that_fails_is_told_and_tried_again_by_the_next_command(
    made: Any, tmp_path: Path
) -> None:
    """Each of two workers has one board; what waits for that of the other is handed on."""
    require_packages("distributed")
    from tinyedge.cluster.engine import Engine
    from tinyedge.cluster.running import open_cluster_place

    model, program = made
    samples, spec = random_samples(model, 60), PlaceSpec("board", BOARD, timeout_s=2.0)
    processes, at = Processes(tmp_path), free_port()
    missing, said = f"socket://127.0.0.1:{at}", list[str]()
    with NativeDevice(program) as one, NativeDevice(program) as other:
        processes.start_worker_with(BOARD.name, [missing])
        processes.start_worker_with(BOARD.name, [one.port])

        def run(chunks: str, held: Any = model) -> Any:
            address = ClusterAddress.parse(processes.address)
            with Engine(address, ChunkStore(tmp_path / chunks), Saying(said)) as engine:
                while len(engine._client.nthreads()) < 2:
                    engine._client.wait_for_workers(2, timeout=60)
                with open_cluster_place(engine, held, spec, NOBODY) as place:
                    return place.execute(samples).logits

        try:
            first = run("first")
            assert (one.inferences, other.inferences) == (60, 0)
            told = f"all boards '{BOARD.name}' of a worker fail: {missing}: "
            assert [remark.startswith(told) for remark in said] == [True]
            said.clear()
            with SerialServer(other.port, "socket", at=at):
                second = run("second")
            assert other.inferences > 0
            assert one.inferences + other.inferences == 120
            assert said == []
            with pytest.raises(OtherModelError, match=r"process \d+, .*: the device holds model "):
                run("third", dense_model(tmp_path / "other", 16, seed=1))
            # The workers let the ports go.
            with open_place(model, PlaceSpec("board", BOARD, (one.port,))) as here:
                assert len(here.execute(samples[:1]).logits) == 1
        finally:
            processes.stop()
    for logits in (first, second):
        assert np.array_equal(logits, reference.run(model.graph, samples))


def test_what_boards_are_declared_by_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    require_packages("distributed")
    from tinyedge.cluster.running import Site

    monkeypatch.setenv(VARIABLE, "nothing")
    pool.cache_clear()
    site = Site("", PlaceSpec("board", BOARD), None, {})
    with pytest.raises(DeviceError, match=f"{VARIABLE}: 'nothing', allowed: "):
        site.have(Bench(tmp_path), lambda *_: b"")
    pool.cache_clear()


def test_what_fails_at_closing_is_logged(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    @contextlib.contextmanager
    def opened() -> Iterator[int]:
        yield 1
        raise LinkError("does not say goodbye")

    bench = Bench(tmp_path)
    assert bench.opened("board", opened) == 1
    bench.close()
    assert caplog.messages == ["closing what was open: does not say goodbye"]
