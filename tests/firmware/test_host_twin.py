"""The twin that turns from the board's C code to vector kernels, and does so only with reason."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from tests.firmware.faults import flip_output
from tests.firmware.test_vector_twin import one_convolution
from tests.graph.streaming import frames_of, streaming_graph
from tinyedge.errors import ToolchainError, UsageError
from tinyedge.exporters.converted import ConvertedModel, write_converted
from tinyedge.firmware import host_twin, vector_twin
from tinyedge.firmware.host_twin import HostTwin
from tinyedge.firmware.twin import Twin
from tinyedge.graph import reference
from tinyedge.toolchains.compilers import Compiler

pytestmark = pytest.mark.needs_tool


@pytest.fixture
def model(tmp_path: Path) -> ConvertedModel:
    return write_converted(one_convolution((6, 6, 3), 5), tmp_path / "model", "test")


@pytest.fixture
def samples() -> np.ndarray:
    return np.random.default_rng(0).integers(-128, 128, (50, 6, 6, 3)).astype(np.int8)


def libraries(model: ConvertedModel) -> set[str]:
    return {path.name.partition("-")[0] for path in (model.folder / "twin").glob("*.seal")}


def test_little_to_compute_takes_the_boards_code_alone(
    model: ConvertedModel, samples: np.ndarray
) -> None:
    np.testing.assert_array_equal(HostTwin(model).run(samples), reference.run(model.graph, samples))
    assert libraries(model) == {"model"}


def test_much_to_compute_takes_vector_kernels(
    model: ConvertedModel, samples: np.ndarray, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = reference.run(model.graph, samples)
    cost = host_twin._cost(model.graph)
    monkeypatch.setattr(host_twin, "_WORTH", 60 * cost)
    twin, done = HostTwin(model), list[int]()
    np.testing.assert_array_equal(twin.run(samples[:5], done.append), expected[:5])
    np.testing.assert_array_equal(twin.run(samples, done.append), expected)
    assert libraries(model) == {"model"}
    np.testing.assert_array_equal(twin.run(samples[:9], done.append), expected[:9])
    assert libraries(model) == {"model", "host"}
    np.testing.assert_array_equal(twin.run(samples[:1], done.append), expected[:1])
    assert sum(done) == 65
    assert twin.run(samples[:0]).shape == (0, *expected.shape[1:])


def test_a_fault_of_the_boards_code_shows_in_all_samples(
    model: ConvertedModel, samples: np.ndarray, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kernel = model.manifest["layers"][0]["kernel"]
    flip_output(monkeypatch, tmp_path, kernel, 0)
    monkeypatch.setattr(host_twin, "_WORTH", 0)
    found = HostTwin(model).run(samples)
    np.testing.assert_array_equal(found, Twin(model).run(samples))
    differs = found != reference.run(model.graph, samples)
    assert differs.reshape(len(samples), -1).any(axis=1).all()


def test_the_environment_names_the_path(
    model: ConvertedModel, samples: np.ndarray, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = reference.run(model.graph, samples)
    monkeypatch.setattr(host_twin, "_WORTH", 0)
    monkeypatch.setenv("TINYEDGE_TWIN_PATH", "board")
    np.testing.assert_array_equal(HostTwin(model).run(samples), expected)
    assert libraries(model) == {"model"}
    monkeypatch.setattr(host_twin, "_WORTH", 2**60)
    monkeypatch.setenv("TINYEDGE_TWIN_PATH", "plain")
    np.testing.assert_array_equal(HostTwin(model).run(samples), expected)
    assert libraries(model) == {"model", "host"}
    monkeypatch.setenv("TINYEDGE_TWIN_PATH", "fast")
    with pytest.raises(UsageError, match="'fast', allowed: board, "):
        HostTwin(model)
    monkeypatch.delenv("TINYEDGE_TWIN_PATH")
    for wrong in ("0", "99999", "\u0663"):
        monkeypatch.setenv("TINYEDGE_TWIN_WORKERS", wrong)
        with pytest.raises(UsageError, match=r"TINYEDGE_TWIN_WORKERS.*allowed: 1 to 1024"):
            HostTwin(model)


def test_a_named_path_is_not_left_in_silence(
    model: ConvertedModel, samples: np.ndarray, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    flip_output(monkeypatch, tmp_path, model.manifest["layers"][0]["kernel"], 0)
    monkeypatch.setenv("TINYEDGE_TWIN_PATH", "plain")
    with pytest.raises(ToolchainError, match=r"vector kernels .plain. give other bytes"):
        HostTwin(model).run(samples)


def test_a_compiler_that_knows_no_vectors_is_no_obstacle(
    model: ConvertedModel, samples: np.ndarray, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(host_twin, "_WORTH", 0)
    odd = Compiler("cc", ("cc", "-Dtarget=no_target", "-mno-such-thing"))
    monkeypatch.setattr(vector_twin, "host_compiler", lambda: odd)
    np.testing.assert_array_equal(HostTwin(model).run(samples), reference.run(model.graph, samples))
    monkeypatch.setenv("TINYEDGE_TWIN_PATH", "plain")
    with pytest.raises(ToolchainError):
        HostTwin(model).run(samples)


def test_states_go_on_from_frame_to_frame(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    graph = streaming_graph()
    model = write_converted(graph, tmp_path / "model", "test")
    frames = frames_of(graph, 20 * 9).reshape(20, 9, 5)
    monkeypatch.setattr(host_twin, "_WORTH", 0)
    twin = HostTwin(model)
    np.testing.assert_array_equal(twin.run(frames), reference.run(graph, frames))
    single = frames[:, 0]
    np.testing.assert_array_equal(twin.run(single), reference.run(graph, single))
    assert libraries(model) == {"model", "host"}
