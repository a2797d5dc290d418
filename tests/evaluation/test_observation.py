"""The first layer that differs, with faults planted in kernels."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest

from tests.conftest import require
from tests.draws import each_seed, some_of
from tests.exporters.options import OPTIONS
from tests.firmware.faults import first_layer_with, flip_output, templates_with
from tests.graph.random_graphs import RandomGraph
from tinyedge.boards import load_board
from tinyedge.errors import ModelError
from tinyedge.evaluation.observation import (
    DeviceObserver,
    Difference,
    Observer,
    TwinObserver,
    difference_message,
    differing_outputs,
    first_difference,
    watch,
)
from tinyedge.evaluation.session import emulated_firmware
from tinyedge.evaluation.witnesses import random_inputs
from tinyedge.exporters.c import export_c
from tinyedge.exporters.converted import ConvertedModel, write_converted
from tinyedge.firmware.observation import observed_layers
from tinyedge.firmware.project import build_firmware
from tinyedge.firmware.twin import Twin
from tinyedge.graph import reference
from tinyedge.models.benchmark import NetworkBuilder
from tinyedge.targets import available_emulators
from tinyedge.toolchains.compilers import available_compilers

pytestmark = pytest.mark.emulator

BOARDS = ("netduinoplus2", "mps2-an386")


def small_network(folder: Path) -> ConvertedModel:
    """Convolution, depthwise convolution, sum, mean and matrix product."""
    build = NetworkBuilder("small", (12, 12, 4))
    at = build.conv("input", 16, (3, 3), 2)
    at = build.add(at, build.depthwise(at, (3, 3), 8))
    at = build.conv(at, 24, (1, 1), 2)
    graph = build.graph(build.fully_connected(build.mean(at), 10, 8))
    return write_converted(graph, folder, "test")


def compare(model: ConvertedModel, observer: Observer, count: int = 3) -> Difference | None:
    samples, layers = random_inputs(model.graph, count, 0), observed_layers(model)
    _, crcs = watch(observer, samples, lambda _: None)
    differs = differing_outputs(model.graph, layers, samples, crcs)
    return first_difference(model.graph, layers, samples, differs, observer, lambda _: None)


@contextmanager
def on_board(model: ConvertedModel, name: str) -> Iterator[DeviceObserver]:
    board = load_board(name)
    found = available_emulators(board)
    require(found, found[0] if found else "an emulator")
    firmware = build_firmware(model, board, observe=True)
    with emulated_firmware(model, firmware) as emulated:
        yield DeviceObserver(emulated.device, observed_layers(model))


def overlapping(model: ConvertedModel) -> set[str]:
    """Layers whose output lies over an input of theirs."""
    plan, found = export_c(model.graph).plan, set()
    for operator in model.graph.operators:
        tensors = [model.graph.tensors[name] for name in (*operator.inputs, operator.output)]
        *inputs, output = (
            range(plan.offsets[t.name], plan.offsets[t.name] + t.size) for t in tensors
        )
        if any(set(each) & set(output) for each in inputs):
            found.add(operator.name)
    return found


@each_seed(20)
def test_twin_shows_what_the_reference_computes(seed: int, tmp_path: Path) -> None:
    built = RandomGraph(seed)
    options = OPTIONS[seed % len(OPTIONS)]
    model = write_converted(built.graph, tmp_path, "test", options=options)
    if not any(layer["kernel"] for layer in model.manifest["layers"]):
        with pytest.raises(ModelError, match="no layer that is computed"):
            Twin(model, observe=True)
        return
    twin = Twin(model, observe=True)
    for sample in built.inputs(4):
        seen: dict[str, np.ndarray] = {}
        reference.run(built.graph, sample[None], tap=seen.__setitem__)
        outputs = twin.outputs(sample)
        for layer, output in zip(observed_layers(model), outputs, strict=True):
            assert np.array_equal(output, seen[layer.tensor].ravel()), layer.name


@pytest.mark.parametrize("board", BOARDS)
def test_device_and_reference_agree_on_every_layer(demo_model: ConvertedModel, board: str) -> None:
    with on_board(demo_model, board) as observer:
        assert compare(demo_model, observer) is None


@pytest.mark.parametrize(
    "kernel",
    some_of(
        [
            "te_conv2d_dsp_s8",
            "te_max_pool2d_s8",
            "te_conv2d_lut_s8",
            "te_depthwise_conv2d_dual_s8",
            "te_conv1x1_quad_s8",
            "te_add_s8",
            "te_average_pool2d_s8",  # a view of its output is what the next layer reads
            "te_fully_connected_quad_s8",
            "te_fully_connected_dsp_s8",
        ]
    ),
)
def test_twin_names_the_layer_with_a_fault(
    demo_model: ConvertedModel, kernel: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    flip_output(monkeypatch, tmp_path, kernel, 7)
    found = compare(demo_model, TwinObserver(demo_model))
    assert found
    assert found.layer.name == first_layer_with(demo_model, kernel)
    assert (found.sample, found.differing) == (0, 1)
    assert found.index == tuple(map(int, np.unravel_index(7, found.layer.shape)))
    assert found.host is not None
    assert found.device == found.host ^ 64


@pytest.mark.parametrize("board", BOARDS)
@pytest.mark.parametrize(
    ("kernel", "old", "new"),
    [
        ("te_conv2d_lut_s8", "output + y * layer", "output + (y ? y - 1 : y) * layer"),
        (
            "te_depthwise_conv2d_six_s8",
            "te_dual_load(&dual, input, y)",
            "te_dual_load(&dual, input, 0)",
        ),
        (
            "te_add_s8",
            "output[2] = add_usual(&terms, exact[2]",
            "output[2] = add_usual(&terms, exact[1]",
        ),
        ("te_mean_s8", "mean + layer->output_offset", "mean + layer->output_offset + 1"),
        ("te_fully_connected_whole_s8", "(uint32_t)*bias++", "(uint32_t)*bias++ + 5000"),
    ],
)
def test_board_names_the_layer_with_a_fault(
    board: str,
    kernel: str,
    old: str,
    new: str,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    model = small_network(tmp_path / "model")
    templates_with(monkeypatch, tmp_path, kernel, old, new)
    with on_board(model, board) as observer:
        found = compare(model, observer)
    assert found
    assert found.layer.name == first_layer_with(model, kernel)
    assert found.differing > 0
    assert f"'{found.layer.name}'" in difference_message(found.to_json())
    assert found.host != found.device


def test_faults_lie_in_outputs_that_overlap_their_inputs_too(
    demo_model: ConvertedModel, tmp_path: Path
) -> None:
    """The tests above rest on this: faulty layers over their inputs, and before a view."""
    assert "residual" in overlapping(demo_model)
    small = small_network(tmp_path)
    assert overlapping(small) & {first_layer_with(small, "te_add_s8")}
    views = [layer for layer in demo_model.manifest["layers"] if not layer["kernel"]]
    pool = first_layer_with(demo_model, "te_average_pool2d_s8")
    operators = {operator.name: operator for operator in demo_model.graph.operators}
    assert operators[views[0]["name"]].inputs == (operators[pool].output,)


def test_fault_that_only_one_sample_shows_is_found_in_the_earliest_layer(
    demo_model: ConvertedModel, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """The last layer is always wrong, an early one in a late sample only."""
    samples, layers = random_inputs(demo_model.graph, 6, 0), observed_layers(demo_model)
    seen: dict[str, np.ndarray] = {}
    reference.run(demo_model.graph, samples, tap=seen.__setitem__)
    firsts = seen[layers[0].tensor].reshape(6, -1)[:, 0].tolist()
    late = next(number for number in range(1, 6) if firsts.count(firsts[number]) == 1)
    flip_output(monkeypatch, tmp_path, "te_fully_connected_dsp_s8", 0)
    flip_output(monkeypatch, tmp_path, "te_max_pool2d_s8", 3, f"input[0] == {firsts[late]}")
    observer = TwinObserver(demo_model)
    _, crcs = watch(observer, samples, lambda _: None)
    differs = differing_outputs(demo_model.graph, layers, samples, crcs)
    assert differs[:, -1].all()
    assert np.flatnonzero(differs[:, 1]).tolist() == [late]
    found = first_difference(demo_model.graph, layers, samples, differs, observer, lambda _: None)
    assert found
    assert (found.layer.name, found.sample, found.index) == ("stem_pool", late, (0, 0, 3))


def test_fault_that_does_not_come_back_is_said(demo_model: ConvertedModel) -> None:
    samples, layers = random_inputs(demo_model.graph, 3, 0), observed_layers(demo_model)
    differs = np.zeros((3, len(layers)), bool)
    differs[2, 1] = True
    observer = TwinObserver(demo_model)
    found = first_difference(demo_model.graph, layers, samples, differs, observer, lambda _: None)
    assert found
    assert (found.layer.name, found.sample, found.index) == ("stem_pool", 2, None)
    assert "came right" in difference_message(found.to_json())


@pytest.mark.parametrize("compiler", ["gcc", "zig"])
def test_ordinary_firmware_holds_nothing_of_it(tmp_path: Path, compiler: str) -> None:
    """Without the hooks in its sources it is the same, byte for byte, but for its own hash."""
    require(available_compilers(), compiler)
    model = small_network(tmp_path / "model")
    board = load_board("netduinoplus2")
    with_hooks = build_firmware(model, board, compiler, tmp_path / "with")  # type: ignore[arg-type]
    source = model.folder / "model.c"
    lines = source.read_text().splitlines(keepends=True)
    source.write_text("".join(line for line in lines if "TE_OBSERVE(" not in line))
    without = build_firmware(model, board, compiler, tmp_path / "without")  # type: ignore[arg-type]
    images = [
        firmware.image.read_bytes().replace(bytes.fromhex(firmware.hash), b"")
        for firmware in (with_hooks, without)
    ]
    assert with_hooks.hash != without.hash
    assert images[0] == images[1]
