"""Vector kernels against the numpy reference: every path, every byte."""

from __future__ import annotations

import os
import platform
import shutil
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.conftest import require
from tests.draws import each_seed
from tests.firmware.host_programs import SANITIZING, Objects
from tests.graph.random_graphs import RandomGraph, graph_of
from tests.graph.test_inputs import with_inputs
from tinyedge.errors import UsageError
from tinyedge.exporters.converted import write_converted
from tinyedge.firmware.vector_twin import PATHS, VectorTwin
from tinyedge.graph import operators as ops
from tinyedge.graph import reference
from tinyedge.graph.graph import Graph
from tinyedge.graph.tensors import Quantization, Tensor, Weights
from tinyedge.importers.tflite import import_tflite

pytestmark = pytest.mark.needs_tool

SHARED_MODELS = Path(os.environ.get("TINYEDGE_DATA", "/nonexistent")).parent / "models"
ARM64 = ("aarch64", "arm64")


@pytest.fixture(scope="session")
def objects(tmp_path_factory: pytest.TempPathFactory) -> Objects:
    """With the sanitizers, and with AVX-512 VNNI whatever the processor."""
    require([name for name in ("cc",) if shutil.which(name)], "cc")  # zig brings no sanitizers
    return Objects(tmp_path_factory.mktemp("host"), ("cc",), SANITIZING, emulating=True)


@pytest.fixture(scope="session")
def quick(tmp_path_factory: pytest.TempPathFactory) -> Objects:
    """Without the sanitizers."""
    require([name for name in ("cc",) if shutil.which(name)], "cc")
    return Objects(tmp_path_factory.mktemp("quick"), ("cc",), ("-O2",), emulating=True)


@pytest.fixture(scope="session")
def arm64(tmp_path_factory: pytest.TempPathFactory) -> Objects:
    """For 64-bit Arm, run by an emulator of programs."""
    pytest.importorskip("ziglang", reason="zig compiles for 64-bit Arm")
    emulator = next(filter(shutil.which, ("qemu-aarch64", "qemu-aarch64-static")), None)
    require(["qemu-aarch64"] if emulator else [], "qemu-aarch64")
    assert emulator
    command = (sys.executable, "-m", "ziglang", "cc", "-target", "aarch64-linux-musl")
    folder = tmp_path_factory.mktemp("arm64")
    return Objects(folder, command, ("-O2", "-static"), runner=(emulator,))


def paths_here() -> list[str]:
    """Those of this kind of processor."""
    return ["neon", "plain"] if platform.machine() in ARM64 else ["avx512vnni", "avx2", "plain"]


@each_seed(90)
def test_every_path_gives_the_bytes_of_the_reference_under_sanitizers(
    seed: int, objects: Objects
) -> None:
    """From odd addresses, with any number of samples at a time, the last ones fewer."""
    built = graph_of(seed)
    count = 3 + seed % 11
    samples = built.inputs(count)
    expected = reference.run(built.graph, samples)
    program = objects.program(built.graph)
    for at_a_time, path in zip((1, count, 1 + seed % 5), paths_here(), strict=False):
        found = program.run(samples, path, at_a_time)
        np.testing.assert_array_equal(found, expected, err_msg=path)


@pytest.mark.slow  # zig compiles its C library, too, the first time
@each_seed(30)
def test_arm64_gives_the_bytes_of_the_reference(seed: int, arm64: Objects) -> None:
    built = graph_of(seed)
    samples = built.inputs(7)
    expected = reference.run(built.graph, samples)
    found = arm64.program(built.graph).run(samples, "neon", 3)
    np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize("seed", [3, 14])
@pytest.mark.parametrize("at_a_time", [1, 4, 9])
def test_parts_of_a_sample_are_those_of_each_sample(
    seed: int, at_a_time: int, objects: Objects
) -> None:
    """Inputs are cut from their sample, wherever the next sample begins."""
    graph = with_inputs(seed)
    random = np.random.default_rng(seed)
    samples = random.integers(-128, 128, (9, *graph.input_tensor.shape)).astype(np.int8)
    expected = reference.run(graph, samples)
    for path in paths_here():
        found = objects.program(graph).run(samples, path, at_a_time)
        np.testing.assert_array_equal(found, expected, err_msg=path)


def wide_window() -> Graph:
    """A convolution whose gathered input would take 270 MB, of an input of 8,300 bytes."""
    channels, reach = 8_300, 32_766
    tensors = {
        "x": Tensor("x", (1, 1, channels), Quantization(1.0, 0)),
        "y": Tensor("y", (1, 1, 1), Quantization(1e3, 0)),
    }
    layer = ops.Conv2D(
        name="y",
        inputs=("x",),
        output="y",
        weights=Weights(np.ones((1, 1, 2, channels), np.int8), 8, np.ones(1, np.float32)),
        bias=np.zeros(1, np.int32),
        stride=(1, 1),
        padding=(0, 0, reach, 0),
        dilation=(1, reach),
    )
    return Graph("wide", tensors, (layer,), "x", "y")


@pytest.mark.slow  # the reference gathers it
def test_layers_that_would_gather_more_than_memory_are_left_to_plain_kernels(
    objects: Objects,
) -> None:
    graph = wide_window()
    samples = np.ones((2, *graph.input_tensor.shape), np.int8)
    expected = reference.run(graph, samples)
    for path in paths_here():
        found = objects.program(graph).run(samples, path, 2)
        np.testing.assert_array_equal(found, expected, err_msg=path)


def test_a_workspace_that_is_too_small_is_noticed(objects: Objects) -> None:
    """The tests under sanitizers rest on this."""
    program = objects.program(one_convolution((5, 5, 3), 4))
    samples = np.zeros((1, 5, 5, 3), np.int8)
    program.run(samples, paths_here()[-2], 1)
    with pytest.raises(AssertionError, match="AddressSanitizer"):
        program.run(samples, paths_here()[-2], 1, withheld=64)


def models_at_hand() -> list[Path]:
    return sorted(SHARED_MODELS.glob("*.tflite"))


@pytest.mark.parametrize("path", models_at_hand() or [None], ids=lambda p: p.stem if p else "none")
def test_models_of_others(path: Path | None, quick: Objects) -> None:
    if path is None:
        pytest.skip("models are looked for in $TINYEDGE_DATA/../models")
    graph = import_tflite(path).graph
    random = np.random.default_rng(0)
    axes = (3, 3) if graph.states else (7,)
    samples = random.integers(-128, 128, (*axes, *graph.input_tensor.shape)).astype(np.int8)
    expected = reference.run(graph, samples).reshape(-1, *graph.output_tensor.shape)
    program = quick.program(graph)
    for at_a_time, way in zip((5, 2, 1), paths_here(), strict=False):
        np.testing.assert_array_equal(program.run(samples, way, at_a_time), expected, err_msg=way)


def one_convolution(shape: tuple[int, int, int], channels: int, seed: int = 1) -> Graph:
    """A 3x3 convolution."""
    built = RandomGraph(seed)
    built.tensors, built.operators = {}, []
    source = built.add_tensor(shape, built.quantization(0.01, 1.0))
    built.weighted(ops.Conv2D, source, (channels, 3, 3, shape[2]), stride=(1, 1))
    first, last = list(built.tensors)
    return Graph("one", built.tensors, tuple(built.operators), first, last)


def test_a_processor_has_the_path_that_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    graph = one_convolution((6, 5, 3), 20)
    model = write_converted(graph, tmp_path / "model", "test")
    samples = np.random.default_rng(0).integers(-128, 128, (70, 6, 5, 3)).astype(np.int8)
    expected = reference.run(graph, samples)
    fastest = VectorTwin(model)
    assert fastest.path in PATHS
    monkeypatch.setenv("TINYEDGE_TWIN_PATH", "plain")
    monkeypatch.setenv("TINYEDGE_TWIN_WORKERS", "3")
    plain = VectorTwin(model)
    assert (plain.path, plain.workers) == ("plain", 3)
    counts: list[int] = []
    for twin in (fastest, plain):
        np.testing.assert_array_equal(twin.run(samples, counts.append), expected)
        assert twin.run(samples[:0]).shape == (0, *graph.output_tensor.shape)
    assert sum(counts) == 2 * len(samples)
    absent = "avx2" if platform.machine() in ARM64 else "neon"
    with pytest.raises(UsageError, match=f"TINYEDGE_TWIN_PATH.*{absent}"):
        VectorTwin(model, path=absent)


@pytest.mark.parametrize(
    ("variable", "value", "allowed"),
    [
        ("TINYEDGE_TWIN_PATH", "sse9", "board, avx512vnni, avx2, neon, plain"),
        ("TINYEDGE_TWIN_WORKERS", "0", "1 to 1024"),
        ("TINYEDGE_TWIN_WORKERS", "two", "1 to 1024"),
    ],
)
def test_what_the_environment_says_is_checked(
    variable: str, value: str, allowed: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = write_converted(one_convolution((6, 5, 3), 2), tmp_path / "model", "test")
    monkeypatch.setenv(variable, value)
    with pytest.raises(UsageError, match=f"{variable}: '{value}', allowed: {allowed}"):
        VectorTwin(model)


def test_one_twin_serves_several_threads(tmp_path: Path) -> None:
    """Each thread has memory of its own, and all share the weights."""
    graph: Any = one_convolution((9, 9, 4), 33)
    model = write_converted(graph, tmp_path / "model", "test")
    samples = np.random.default_rng(1).integers(-128, 128, (300, 9, 9, 4)).astype(np.int8)
    expected = reference.run(graph, samples)
    twin = VectorTwin(model, workers=4)
    for _ in range(5):
        np.testing.assert_array_equal(twin.run(samples), expected)
