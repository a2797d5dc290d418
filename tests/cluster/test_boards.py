"""Boards on workers: each sample is computed by one of them, and a board that fails hands on."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.cluster.processes import Processes
from tests.conftest import require_packages
from tests.link.native import BOARD, NativeDevice, compile_native, dense_model, random_samples
from tinyedge.cluster import ClusterAddress
from tinyedge.cluster.boards import BoardPool, BoardsGoneError, declared_boards
from tinyedge.cluster.store import ChunkStore
from tinyedge.errors import ClusterError, DeviceError, LinkError
from tinyedge.graph import reference
from tinyedge.places import PlaceSpec
from tinyedge.progress import NOBODY

SAMPLES = 120


def test_boards_are_declared() -> None:
    text = "a=/dev/ttyACM0, a=/dev/ttyACM1,b=socket://lab:3333?x=1"
    expected = {"a": ["/dev/ttyACM0", "/dev/ttyACM1"], "b": ["socket://lab:3333?x=1"]}
    assert declared_boards(text) == expected
    assert declared_boards("") == {}


@pytest.mark.parametrize("text", ["a", "a=", "=x", "a=x,b=x"])
def test_what_is_no_declaration_is_refused(text: str) -> None:
    with pytest.raises(DeviceError, match="allowed: BOARD=PORT, each port once"):
        declared_boards(text)


def test_a_board_serves_one_at_a_time_and_none_that_has_failed() -> None:
    pool = BoardPool({"a": ["one", "two"]})
    with pool.one("a") as first, pool.one("a") as second:
        assert {first, second} == {"one", "two"}
        waiting: list[str] = []

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
    with pytest.raises(DeviceError), pool.one("a"):
        raise DeviceError("gone")
    with (
        pytest.raises(BoardsGoneError, match="all boards 'a' of a worker fail: gone"),
        pool.one("a"),
    ):
        pass
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
    done = 0

    def progress(count: int) -> None:
        nonlocal done
        done += count
        if done == 20:
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
    # What was on its way to the board and the worker that died is computed again, no more.
    assert SAMPLES - 20 <= sum(each.inferences for each in boards[1:]) <= SAMPLES + 4


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
