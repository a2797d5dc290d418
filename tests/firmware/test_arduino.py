"""Arduino's core found, and firmware for it refused where it cannot be."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest

from tests.cli.commands import failure, run_json
from tests.conftest import require
from tests.graph.random_graphs import RandomGraph
from tests.link.native import dense_model
from tinyedge.boards import load_board
from tinyedge.boards.families.avr import AvrBoard
from tinyedge.errors import DoesNotFitError, ModelError, ToolchainError, UsageError
from tinyedge.exporters.c import CodeOptions
from tinyedge.exporters.converted import ConvertedModel, write_converted
from tinyedge.firmware.link_memory import link_memory
from tinyedge.firmware.memory_map import read_memory_map
from tinyedge.firmware.project import build_firmware, firmware_compiler
from tinyedge.graph.graph import Graph
from tinyedge.toolchains import arduino, compilers
from tinyedge.toolchains.arduino import find_arduino_core, serial_buffer
from tinyedge.toolchains.compilers import available_compilers

pytestmark = pytest.mark.needs_tool

UNO, MEGA = load_board("arduino-uno"), load_board("arduino-mega2560")
assert isinstance(UNO, AvrBoard)


def for_avr(graph: Graph, folder: Path) -> ConvertedModel:
    return write_converted(graph, folder, "test", options=CodeOptions("avr"))


@pytest.fixture
def dense(tmp_path: Path) -> ConvertedModel:
    return for_avr(dense_model(tmp_path / "m4", 64).graph, tmp_path / "avr")


def test_build_writes_elf_image_and_hex(dense: ConvertedModel, tmp_path: Path) -> None:
    require(available_compilers("avr"), "gcc")
    firmware = build_firmware(dense, UNO, output=tmp_path / "out")
    footprint = firmware.footprint
    assert footprint.weights == dense.weight_bytes
    assert footprint.arena == dense.arena_bytes
    image = firmware.image.read_bytes()
    assert len(image) == footprint.flash
    lines = firmware.image.with_suffix(".hex").read_text().split()
    records = [bytes.fromhex(line[1:]) for line in lines]
    assert all(sum(record) % 256 == 0 for record in records)
    assert b"".join(record[4:-1] for record in records if record[3] == 0) == image


def test_constants_take_no_ram(dense: ConvertedModel, tmp_path: Path) -> None:
    require(available_compilers("avr"), "gcc")
    pieces = read_memory_map(build_firmware(dense, UNO, output=tmp_path / "out").elf).pieces
    constants = ("dense_weights", "dense_bias", "dense_mantissa", "dense_shift", "dense_layer")
    for name in (*constants, "tinyedge_model_hash", "nibbles", "firmware_hash", "board"):
        [piece] = [each for each in pieces if each.name.partition(".")[0] == name]
        assert piece.flash > 0 == piece.ram, name


def test_the_link_is_sized_by_the_board() -> None:
    assert link_memory(UNO, 64, 10, 100 + UNO.minimum_stack).ring == 255
    assert link_memory(UNO, 64, 10, 900 + UNO.minimum_stack).ring == 63
    assert (
        link_memory(UNO, 300, 10, 100 + UNO.minimum_stack).ring == 63
    )  # two requests are more than Serial takes
    assert link_memory(MEGA, 64, 10, 100 + MEGA.minimum_stack).changes
    assert [serial_buffer(ring) for ring in (0, 63, 64, 255, 256, 1000)] == [64, 64, 128, 256] + [
        256
    ] * 2


def test_code_for_other_cores_is_refused_and_told_how_to_convert_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    model = dense_model(tmp_path / "m", 64)
    with pytest.raises(ModelError, match="converted for cortex-m4") as refused:
        build_firmware(model, UNO)
    assert (
        refused.value.hint == f"tinyedge convert {tmp_path / 'm' / 'graph.npz'} -o DIR --core avr"
    )
    failure(capsys, 3, "build", tmp_path / "m", "-b", "arduino-uno")


def test_model_that_cannot_fit_is_refused_before_compiling(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(compilers, "run_compiler", lambda *_: pytest.fail("compiled"))
    monkeypatch.setattr(arduino, "run_compiler", lambda *_: pytest.fail("compiled"))
    model = for_avr(dense_model(tmp_path / "m", 1000).graph, tmp_path / "wide")
    needed = model.arena_bytes + 1000 + UNO.minimum_stack
    said = f"at least {needed:,} bytes of RAM, {needed - 2048:,} more than the board's 2,048"
    with pytest.raises(DoesNotFitError, match=said) as refused:
        build_firmware(model, UNO)
    larger = refused.value.hint.rpartition(": ")[2].split(", ")
    assert {"arduino-mega2560", "microbit"} <= set(larger)
    assert "arduino-uno" not in larger


def test_constants_beyond_the_reach_of_pointers_are_refused(tmp_path: Path) -> None:
    model = for_avr(dense_model(tmp_path / "m", 100).graph, tmp_path / "avr")
    model.manifest["weight_bytes"] = 65537
    with pytest.raises(
        DoesNotFitError, match="65,537 bytes of flash, 1 more than the board's 65,536"
    ):
        build_firmware(model, MEGA)


def test_overflow_that_only_the_linker_sees_is_refused(
    dense: ConvertedModel, tmp_path: Path
) -> None:
    require(available_compilers("avr"), "gcc")
    for key, size in (("flash", 4000), ("ram", 1024)):
        region = getattr(UNO.memory, key).model_copy(update={"size": size})
        memory = UNO.memory.model_copy(update={key: region})
        small = UNO.model_copy(update={"memory": memory})
        with pytest.raises(DoesNotFitError, match="FLASH too few" if key == "flash" else "stack"):
            build_firmware(dense, small, output=tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_what_does_not_compile_for_an_avr(dense: ConvertedModel, tmp_path: Path) -> None:
    with pytest.raises(ToolchainError, match="zig does not compile for ATmega328P"):
        firmware_compiler(UNO, "zig")
    from tinyedge.tflm.firmware import TflmLibrary, build_tflm_firmware

    with pytest.raises(ToolchainError, match="not linked for arduino-uno"):
        build_tflm_firmware(dense, UNO, TflmLibrary((), tmp_path))


def test_a_core_that_is_not_there_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(arduino.CORE_VARIABLE, str(tmp_path))
    with pytest.raises(ToolchainError, match="no Arduino core") as missing:
        find_arduino_core()
    assert "arduino-core-avr" in missing.value.hint
    assert available_compilers("avr") == []
    (tmp_path / "cores" / "arduino").mkdir(parents=True)
    (tmp_path / "cores" / "arduino" / "Arduino.h").touch()
    require([name for name in ("avr-g++",) if shutil.which(name)], "avr-g++")
    assert find_arduino_core().folder == tmp_path
    with pytest.raises(ToolchainError, match="lacks standard"):
        firmware_compiler(UNO)


def test_arduinos_own_core_comes_before_the_systems(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv(arduino.CORE_VARIABLE, raising=False)
    monkeypatch.setattr(arduino, "_ARDUINO15", (tmp_path,))
    monkeypatch.setenv("PATH", "")
    arduino_packages = tmp_path / "packages" / "arduino"
    for version in ("1.8.6", "1.8.10"):
        core = arduino_packages / "hardware" / "avr" / version / "cores" / "arduino"
        core.mkdir(parents=True)
        (core / "Arduino.h").touch()
    with pytest.raises(ToolchainError, match="avr-gcc is not installed"):
        find_arduino_core()
    tools = arduino_packages / "tools" / "avr-gcc" / "7.3.0-atmel3.6.1-arduino7" / "bin"
    tools.mkdir(parents=True)
    (tools / "avr-g++").touch()
    found = find_arduino_core()
    assert found.folder.name == "1.8.10"
    assert found.tool("avr-gcc") == str(tools / "avr-gcc")


def test_the_library_names_itself_as_c_does(tmp_path: Path) -> None:
    from tinyedge.firmware.export.arduino import export_arduino

    model = for_avr(RandomGraph(1).graph, tmp_path / "avr")
    assert export_arduino(model, tmp_path / "a").name == "tinyedge_random_1"
    with pytest.raises(UsageError, match="no name of a library"):
        export_arduino(model, tmp_path / "b", "my library")
    with pytest.raises(UsageError, match="sample's shape"):
        export_arduino(model, tmp_path / "b", sample=np.zeros(3, np.int8))
    assert not (tmp_path / "b").exists()


def test_a_footprint_tells_kernels_and_harness_from_libraries(
    dense: ConvertedModel, capsys: pytest.CaptureFixture[str]
) -> None:
    require(available_compilers("avr"), "gcc")
    record = run_json(capsys, "footprint", dense.folder, "-b", "arduino-uno")
    groups = {row["name"]: row["flash"] for row in record["groups"]}
    kernels = {row["name"]: row["layers"] for row in record["kernels"]}
    assert set(kernels) == {"te_fully_connected_s8", "te_unpack_ternary"}
    assert kernels["te_fully_connected_s8"] == ["dense"]
    assert groups["kernels"] > 500
    assert groups["harness"] > 1000
    symbols = {row["name"]: row["group"] for row in record["symbols"]}
    assert symbols["te_platform_ticks"] == symbols["te_server_run"] == "harness"
    assert symbols["main"] == symbols["Serial"] == "libraries"


def test_mlperfs_commands_are_refused(
    dense: ConvertedModel, capsys: pytest.CaptureFixture[str]
) -> None:
    command = ("build", dense.folder, "-b", "arduino-mega2560", "--protocol", "mlperf")
    assert "Cortex-M" in failure(capsys, 2, *command)["message"]
