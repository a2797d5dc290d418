"""TFLite-Micro beside our runtime: its arena, and its firmware where a build of it is at hand."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest

from tests.conftest import require
from tests.importers import tflite_models as tm
from tinyedge.boards import load_board
from tinyedge.errors import DoesNotFitError, ModelError, ToolchainError
from tinyedge.evaluation.session import emulated_firmware
from tinyedge.evaluation.witnesses import random_inputs
from tinyedge.exporters.converted import ConvertedModel, write_converted
from tinyedge.graph import reference
from tinyedge.importers import import_model
from tinyedge.targets import available_emulators
from tinyedge.tflm.arena import ALIGNMENT, measure_arena, read_usage, smallest_arena
from tinyedge.tflm.firmware import TflmLibrary, build_tflm_firmware, resolver_methods

pytestmark = pytest.mark.keras

BOARD = load_board("netduinoplus2")
TREE = os.environ.get("TINYEDGE_TFLM")


def tflite(name: str, folder: Path) -> Path:
    path = folder / f"{name}.tflite"
    path.write_bytes(tm.converted(name))
    return path


@pytest.mark.parametrize("needed", [1, 15, 16, 17, 1000, 55_001, 65_536])
def test_smallest_arena(needed: int) -> None:
    tried: list[int] = []

    def fits(size: int) -> bool:
        tried.append(size)
        return size >= needed

    found = smallest_arena(fits, 65_536)
    assert needed <= found < needed + ALIGNMENT
    assert len(tried) < 14


def test_arena_of_a_model(tmp_path: Path) -> None:
    """The arena that the trial finds holds what the allocator records, and hardly more."""
    usage = measure_arena(tflite("mobilenet_v1", tmp_path))
    assert usage.head + usage.tail == usage.total
    assert sum(usage.parts.values()) < usage.tail
    assert usage.total <= usage.smallest < usage.total + 1024
    largest = 16 * 16 * 8 + 16 * 16 * 16  # input and output of its largest layer
    assert usage.head >= largest


def test_arena_of_no_model(tmp_path: Path) -> None:
    (tmp_path / "bad.tflite").write_bytes(b"\x1c\x00\x00\x00TFL3" + bytes(64))
    with pytest.raises(ModelError, match="TFLite-Micro refuses"):
        measure_arena(tmp_path / "bad.tflite")
    with pytest.raises(ModelError, match="something else"):
        read_usage(1, "nothing of that kind")


def test_resolver_methods(tmp_path: Path) -> None:
    """As TFLite-Micro's resolver calls them."""
    assert resolver_methods(tflite("arithmetic", tmp_path)) == [
        *("AveragePool2D", "Concatenation", "Conv2D", "FullyConnected", "LeakyRelu", "Logistic"),
        *("MaxPool2D", "Mean", "Mul", "Reshape", "Sub", "Tanh"),
    ]


def test_what_is_not_tflm_is_refused(tmp_path: Path, demo_model: ConvertedModel) -> None:
    library = tmp_path / "libtensorflow-microlite.a"
    with pytest.raises(ToolchainError, match="no such file"):
        TflmLibrary.find((tmp_path,), library)
    library.write_bytes(b"!<arch>\n")
    with pytest.raises(ToolchainError, match=r"lacks .*micro_interpreter\.h"):
        TflmLibrary.find((tmp_path,), library)
    header = tmp_path / "tensorflow/lite/micro/micro_interpreter.h"
    header.parent.mkdir(parents=True)
    header.write_text("")
    flatbuffers = tmp_path / "tensorflow/lite/micro/tools/make/downloads/flatbuffers/include"
    flatbuffers.mkdir(parents=True)
    found = TflmLibrary.find((tmp_path,), library)
    assert found.includes == (tmp_path.resolve(), flatbuffers.resolve())
    with pytest.raises(DoesNotFitError, match="RAM"):
        build_tflm_firmware(demo_model, BOARD, found, arena=200_000)
    with pytest.raises(ToolchainError):
        build_tflm_firmware(demo_model, BOARD, found)
    assert not list(demo_model.folder.glob("*tflm*"))


def library() -> TflmLibrary:
    if not TREE:
        pytest.skip("a tree of TFLite-Micro with its library is looked for in $TINYEDGE_TFLM")
    libraries = sorted(Path(TREE).glob("gen/*/lib/libtensorflow-microlite.a"))
    return TflmLibrary.find((Path(TREE),), libraries[0])


@pytest.mark.parametrize("name", ["mobilenet_v1", "arithmetic", "ternary"])
def test_firmware_with_tflm(name: str, tmp_path: Path) -> None:
    """The same logits in an emulated board, and an arena that its own trials have found."""
    tflm = library()
    require(available_emulators(BOARD), "qemu")
    graph = import_model(tflite(name, tmp_path)).graph
    model = write_converted(graph, tmp_path / "model", "test")
    firmware = build_tflm_firmware(model, BOARD, tflm)
    samples = random_inputs(graph, 10, seed=0)
    with emulated_firmware(model, firmware, "qemu") as emulated:
        run = emulated.device.run(samples)
        stats = emulated.device.stats()
    np.testing.assert_array_equal(run.logits, reference.run(graph, samples))
    assert run.instructions is not None
    assert 0 < stats.arena_head + stats.arena_tail <= stats.arena_smallest < stats.arena_size
    assert firmware.footprint.weights >= model.tflite.stat().st_size
    tight = build_tflm_firmware(model, BOARD, tflm, stats.arena_smallest, tmp_path / "tight")
    assert tight.footprint.arena == stats.arena_smallest
    with emulated_firmware(model, tight, "qemu") as emulated:
        np.testing.assert_array_equal(emulated.device.run(samples[:2]).logits, run.logits[:2])
