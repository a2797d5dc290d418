"""``run --profile`` and ``run --trace``, and the firmware they take."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from tests.cli.commands import failure, run_cli, run_json
from tests.conftest import require
from tests.draws import some_of
from tests.firmware.faults import first_layer_with, flip_output
from tests.graph.random_graphs import RandomGraph
from tinyedge.boards import load_board
from tinyedge.cli.observe import observed_text
from tinyedge.exporters.c import CodeOptions
from tinyedge.exporters.converted import ConvertedModel, write_converted
from tinyedge.firmware.project import build_firmware
from tinyedge.models.benchmark import ds_cnn, resnet8
from tinyedge.targets import available_emulators, open_emulator

pytestmark = pytest.mark.emulator

BOARDS = ("netduinoplus2", "mps2-an386", "mps2-an385-m0")


@pytest.fixture(scope="module")
def models(
    demo_model: ConvertedModel, tmp_path_factory: pytest.TempPathFactory
) -> dict[str, ConvertedModel]:
    """Ternary with a sum and depthwise layers, 8 bits with depthwise layers, ternary with sums."""
    folder = tmp_path_factory.mktemp("profile")
    return {
        "demo": demo_model,
        "ds_cnn": write_converted(ds_cnn(8), folder / "ds_cnn", "test"),
        "resnet8": write_converted(resnet8(2), folder / "resnet8", "test"),
    }


@pytest.mark.parametrize(("name", "board"), some_of(["demo", "ds_cnn", "resnet8"], BOARDS))
def test_layers_add_up_to_the_ordinary_firmware_s_inference(
    models: dict[str, ConvertedModel],
    name: str,
    board: str,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
) -> None:
    require(available_emulators(load_board(board)), "qemu")
    model = models[name]
    random = np.random.default_rng(1)
    samples = random.integers(-128, 128, (2, *model.graph.input_tensor.shape)).astype(np.int8)
    np.save(tmp_path / "x.npy", samples)
    place = ("--on", "emulator", "--emulator", "qemu", "-b", board)
    given = ("--data", tmp_path / "x.npy")
    record = run_json(capsys, "run", model.folder, *place, *given, "--profile")
    ordinary = run_json(capsys, "run", model.folder, *place, *given, "--logits", tmp_path / "y.npy")
    profile = record["profile"]
    assert (record["board"], record["emulator"], record["samples"]) == (board, "qemu", 2)
    assert (profile["unit"], profile["hz"], profile["samples"]) == ("instructions", None, 2)
    whole = ordinary["instructions"]
    assert profile["whole"] == pytest.approx(whole, rel=1e-4)
    assert profile["total"] == pytest.approx(whole, rel=0.02)
    assert profile["overhead"] == pytest.approx(profile["total"] - profile["whole"])
    layers = profile["layers"]
    if profile["no_cycles"] is None:
        core = {"mps2-an385-m0": "Cortex-M0"}.get(board, "Cortex-M4")
        assert profile["cycle_model"] == core
        assert 1.1 < profile["cycles"] / profile["total"] < 1.8
        assert sum(layer["cycles"] for layer in layers) == pytest.approx(profile["cycles"])
        clock = load_board(board).clock.sysclk_hz
        assert profile["estimated_seconds"] == pytest.approx(profile["cycles"] / clock)
    assert sum(layer["count"] for layer in layers) == pytest.approx(profile["total"])
    assert sum(layer["share"] for layer in layers) == pytest.approx(1)
    manifest = model.manifest["layers"]
    for layer, described in zip(layers, manifest, strict=True):
        for key in ("name", "kernel", "packing", "macs"):
            assert layer[key] == described[key]
        assert layer["operator"] == described["kind"]
        assert layer["min"] <= layer["count"] <= layer["max"]
        assert (layer["count"] > 0) == (layer["kernel"] is not None)
        if layer["macs"]:
            assert layer["per_mac"] == pytest.approx(layer["count"] / layer["macs"])


def test_equal_layers_cost_the_same(
    models: dict[str, ConvertedModel], capsys: pytest.CaptureFixture[str]
) -> None:
    """DS-CNN's four blocks are alike: what one costs is not counted to another."""
    require(available_emulators(load_board("netduinoplus2")), "qemu")
    arguments = ("--on", "emulator", "--emulator", "qemu", "--profile", "--samples", 1)
    layers = run_json(capsys, "run", models["ds_cnn"].folder, *arguments)["profile"]["layers"]
    for kind in ("DepthwiseConv2D", "Conv2D"):
        counts = [layer["count"] for layer in layers[1:] if layer["operator"] == kind]
        assert len(counts) == 4
        assert max(counts) - min(counts) <= 16, kind


@pytest.mark.parametrize("place", ["twin", "unicorn"])
def test_where_nothing_is_counted_it_is_said(
    place: str, demo_model: ConvertedModel, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments: tuple[object, ...] = ("--on", "twin")
    if place == "unicorn":
        require(available_emulators(load_board("netduinoplus2")), "unicorn")
        arguments = ("--on", "emulator", "--emulator", "unicorn")
    arguments = (*arguments, "--profile", "--samples", 1)
    record = run_json(capsys, "run", demo_model.folder, *arguments)["profile"]
    assert {record[key] for key in ("unit", "total", "whole", "overhead", "hz")} == {None}
    for layer in record["layers"]:
        assert {layer[key] for key in ("count", "min", "max", "share", "per_mac")} == {None}
    code, out, _ = run_cli(capsys, "run", demo_model.folder, *arguments)
    assert code == 0
    assert f"{place} counts nothing" in out


@pytest.mark.parametrize(
    ("board", "counted_on", "model_of"),
    [
        ("nucleo-f446re", "mps2-an386", "Cortex-M4"),
        ("raspberry-pi-pico", "mps2-an385-m0", "Cortex-M0+"),
    ],
)
def test_a_board_whose_emulator_counts_nothing_is_counted_on_another_of_its_core(
    board: str, counted_on: str, model_of: str, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    require(available_emulators(load_board(board)), "unicorn")
    require(available_emulators(load_board(counted_on)), "qemu")
    core = CodeOptions(load_board(board).core)
    model = write_converted(RandomGraph(278).graph, tmp_path / "m", "test", options=core)
    arguments = ("run", model.folder, "--on", "emulator", "--profile", "--samples", 2)
    record = run_json(capsys, *arguments, "-b", board)
    profile = record["profile"]
    assert (record["board"], record["emulator"]) == (counted_on, "qemu")
    assert (profile["instead_of"], profile["unit"]) == (board, "instructions")
    assert profile["total"] > 0
    if profile["no_cycles"] is None:
        assert profile["cycle_model"] == model_of
        clock = load_board(board).clock.sysclk_hz
        assert profile["estimated_seconds"] == pytest.approx(profile["cycles"] / clock)
    said = [line for line in observed_text(record) if isinstance(line, str)]
    assert any(
        f"emulator of {board} counts nothing: the same kernels ran on QEMU's {counted_on}" in line
        for line in said
    )


def test_trace_of_a_right_model_finds_nothing(
    demo_model: ConvertedModel, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    random = np.random.default_rng(2)
    np.savez(tmp_path / "s.npz", x=random.random((3, 28, 28, 1), np.float32), y=np.zeros(3, int))
    given = ("--data", tmp_path / "s.npz", "--samples", 2)
    for place in ("twin", "emulator"):
        record = run_json(capsys, "run", demo_model.folder, "--on", place, "--trace", *given)
        assert record["samples"] == 2
        assert "profile" not in record
        assert record["trace"]["first_difference"] is None
        assert len(record["trace"]["layers"]) == 11
        assert all(layer["differing_samples"] == 0 for layer in record["trace"]["layers"])


@pytest.mark.parametrize(
    ("place", "kernel"),
    [
        ("twin", "te_conv2d_lut_s8"),
        ("emulator", "te_add_s8"),
        ("emulator", "te_depthwise_conv2d_dual_s8"),
    ],
)
def test_trace_names_the_faulty_layer(
    place: str,
    kernel: str,
    demo_model: ConvertedModel,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    flip_output(monkeypatch, tmp_path, kernel, 2000)
    arguments = ("run", demo_model.folder, "--on", place, "--trace", "--samples", 2)
    code, out, err = run_cli(capsys, *arguments)
    name = first_layer_with(demo_model, kernel)
    assert code == 8
    assert name in out
    assert f"error: layer '{name}' (" in err
    assert "is the first that differs: 1 of 6,272 values of sample 0, the first at [" in err
    code, out, _ = run_cli(capsys, *arguments, "--json")
    assert code == 8
    record = json.loads(out)
    assert record["error"]["code"] == "threshold"
    first = record["trace"]["first_difference"]
    assert (first["layer"], first["kernel"], first["sample"]) == (name, kernel, 0)
    assert (first["values"], first["differing"]) == (6272, 1)
    assert first["device"] == first["host"] ^ 64
    differing = {layer["name"]: layer["differing_samples"] for layer in record["trace"]["layers"]}
    assert next(name for name, count in differing.items() if count) == first["layer"]
    assert sum(count > 0 for count in differing.values()) > 1  # those that the fault has reached


@pytest.fixture
def flashed(demo_model: ConvertedModel, request: pytest.FixtureRequest) -> Iterator[str]:
    """The port of an emulated board, as a flashed one has it."""
    board = load_board("netduinoplus2")
    found = available_emulators(board)
    require(found, found[0] if found else "an emulator")
    firmware = build_firmware(demo_model, board, observe=request.param)
    with open_emulator(board, firmware.elf) as target:
        yield target.port


@pytest.mark.parametrize("flashed", [True], indirect=True)
def test_board_that_was_flashed_to_be_watched(
    flashed: str, demo_model: ConvertedModel, capsys: pytest.CaptureFixture[str]
) -> None:
    board = ("--on", "board", "-p", flashed)
    arguments = ("run", demo_model.folder, *board, "--profile", "--trace", "--samples", 2)
    record = run_json(capsys, *arguments)
    assert (record["on"], record["board"], record["port"]) == ("board", "netduinoplus2", flashed)
    # From outside it is a board, whose counter runs at the core's clock; without a crystal, 16 MHz.
    assert (record["profile"]["unit"], record["profile"]["hz"]) == ("cycles", 16000000)
    code, out, _ = run_cli(capsys, *arguments)
    assert code == 0
    assert "The same firmware, not watched, takes" in out
    assert record["trace"]["first_difference"] is None


@pytest.mark.parametrize("flashed", [False], indirect=True)
def test_board_with_ordinary_firmware_is_refused(
    flashed: str, demo_model: ConvertedModel, capsys: pytest.CaptureFixture[str]
) -> None:
    code, out, err = run_cli(
        capsys, "run", demo_model.folder, "--on", "board", "-p", flashed, "--trace"
    )
    assert code == 7
    assert out == ""
    assert "tinyedge flash DIR -b BOARD --observe" in err


def test_builds_do_not_get_into_each_other_s_way(
    demo_model: ConvertedModel, capsys: pytest.CaptureFixture[str]
) -> None:
    build = ("build", demo_model.folder, "-b", "netduinoplus2")
    ordinary, watched = run_json(capsys, *build), run_json(capsys, *build, "--observe")
    assert (ordinary["observe"], watched["observe"]) == (False, True)
    assert Path(watched["elf"]).parent.name == Path(ordinary["elf"]).parent.name + "-observe"
    assert ordinary["hash"] != watched["hash"]
    assert run_json(capsys, *build)["elf"] == ordinary["elf"]
    flash = run_json(
        capsys, "flash", demo_model.folder, "-b", "netduinoplus2", "--observe", "--dry-run"
    )
    assert any("-observe/" in argument for argument in flash["command"])


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--on", "numpy", "--trace"), "--on twin, emulator or board, not numpy"),
        (("--on", "tflite-micro", "--profile"), "not tflite-micro"),
        (("--on", "emulator", "--profile", "--runtime", "tflm"), "do not go with --runtime tflm"),
        (("--on", "emulator", "--trace", "--resume"), "do not go with --resume"),
        (("--on", "emulator", "--trace", "--journal", "j"), "do not go with --journal"),
        (("--on", "twin", "--trace", "--logits", "y.npy"), "do not go with --logits"),
        (("--on", "twin", "--trace", "--data", "x.npy", "--dataset", "digits"), "exclude"),
        (("--on", "board", "--profile", "-p", "a", "-p", "b"), "one board"),
    ],
)
def test_options_that_do_not_go_together(
    arguments: tuple[str, ...],
    said: str,
    demo_model: ConvertedModel,
    capsys: pytest.CaptureFixture[str],
) -> None:
    error = failure(capsys, 2, "run", demo_model.folder, *arguments)
    assert error["code"] == "usage"
    assert said in error["message"]


@pytest.mark.parametrize("with_option", [("--protocol", "mlperf"), ("--runtime", "tflm")])
def test_only_our_own_link_and_runtime_are_watched(
    with_option: tuple[str, str], demo_model: ConvertedModel, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ("build", demo_model.folder, "-b", "netduinoplus2", "--observe", *with_option)
    error = failure(capsys, 2, *arguments)
    assert f"--observe does not go with {' '.join(with_option)}" in error["message"]
