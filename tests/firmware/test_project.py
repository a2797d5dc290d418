from __future__ import annotations

import hashlib
import json
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import require
from tests.graph.random_graphs import RandomGraph
from tinyedge.boards import Board, board_names, load_board
from tinyedge.errors import DoesNotFitError, ModelError, ToolchainError
from tinyedge.exporters.converted import ConvertedModel, write_converted
from tinyedge.firmware.project import build_firmware, check_memories, kernel_note
from tinyedge.names import COMPILERS, CompilerName
from tinyedge.toolchains import compilers
from tinyedge.toolchains.compilers import available_compilers

pytestmark = pytest.mark.needs_tool

BOARD = load_board("netduinoplus2")


def with_memories(flash: int, ram: int, board: Board = BOARD) -> Board:
    memory = board.memory.model_copy(
        update={
            "flash": board.flash.model_copy(update={"size": flash}),
            "ram": board.ram.model_copy(update={"size": ram}),
        }
    )
    return board.model_copy(update={"memory": memory})


@pytest.mark.parametrize("compiler", COMPILERS)
def test_footprint_of_the_demo(demo_model: ConvertedModel, compiler: CompilerName) -> None:
    require(available_compilers(), compiler)
    firmware = build_firmware(demo_model, BOARD, compiler)
    footprint = firmware.footprint
    assert footprint.weights == demo_model.weight_bytes
    assert footprint.arena == demo_model.arena_bytes
    assert footprint.flash < 128 * 1024
    # The bytes that are flashed are those that are counted.
    assert abs(firmware.image.stat().st_size - footprint.flash) < 64
    assert footprint.static >= 784  # the frame buffer holds an input


def test_footprint_adds_up_with_binutils(demo_model: ConvertedModel) -> None:
    require(available_compilers(), "gcc")
    firmware = build_firmware(demo_model, BOARD, "gcc")
    result = subprocess.run(
        ["arm-none-eabi-size", str(firmware.elf)], capture_output=True, text=True, check=True
    )
    text, data, bss = map(int, result.stdout.splitlines()[1].split()[:3])
    footprint = firmware.footprint
    assert footprint.flash == text + data
    assert footprint.arena + footprint.static == data + bss


def test_same_sources_are_compiled_once_and_changed_ones_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: list[Path] = []

    def counted(compiler: Any, sources: Any, script: Any, output: Path) -> None:
        calls.append(output)
        compilers.compile_firmware(compiler, sources, script, output)

    monkeypatch.setattr("tinyedge.firmware.project.compile_firmware", counted)
    model = write_converted(RandomGraph(1).graph, tmp_path, "test")
    first = build_firmware(model, BOARD)
    content = first.elf.read_bytes()
    assert build_firmware(model, BOARD).hash == first.hash
    assert len(calls) == 1
    first.elf.write_bytes(content[:-1])
    build_firmware(model, BOARD)
    assert len(calls) == 2
    assert first.elf.read_bytes() == content
    source = model.folder / "model.c"
    source.write_text(source.read_text() + "/* changed */\n")
    assert build_firmware(model, BOARD).hash != first.hash
    assert len(calls) == 3


@pytest.mark.parametrize("name", ["firmware.elf", "firmware.bin"])
def test_a_program_that_was_planted_is_built_again(name: str, tmp_path: Path) -> None:
    model = write_converted(RandomGraph(1).graph, tmp_path, "test")
    firmware = build_firmware(model, BOARD)
    path = firmware.elf.with_name(name)
    right = path.read_bytes()
    path.write_bytes(right + b"planted")
    record = firmware.elf.with_name("firmware.json")
    claimed = json.loads(record.read_text())
    claimed["elf_sha256"] = hashlib.sha256(firmware.elf.read_bytes()).hexdigest()
    forged: list[Any] = [claimed["seals"], {}, [], {name: 1}]
    for seals in forged:
        record.write_text(json.dumps(claimed | {"seals": seals}))
        path.write_bytes(right + b"planted")
        build_firmware(model, BOARD)
        assert path.read_bytes() == right


def test_model_that_cannot_fit_is_refused_before_compiling(
    demo_model: ConvertedModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(compilers, "run_compiler", lambda *_: pytest.fail("compiled"))
    needed = demo_model.arena_bytes + 784 + BOARD.minimum_stack
    said = rf"{needed:,} bytes of RAM, {needed - 16384:,} more"
    with pytest.raises(DoesNotFitError, match=said) as refused:
        build_firmware(demo_model, with_memories(2**20, 16384), output=tmp_path / "out")
    advised = refused.value.hint.rpartition(": ")[2].rpartition(" and ")[0].split(", ")
    memories = [load_board(name).ram.size for name in advised]
    assert len(memories) >= 2
    assert memories == sorted(memories)
    assert memories[0] >= needed
    with pytest.raises(DoesNotFitError, match="flash"):
        build_firmware(demo_model, with_memories(8192, 2**17), output=tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_where_kernels_of_the_board_s_own_core_fit_no_larger_board_is_advised(
    tmp_path: Path,
) -> None:
    model = write_converted(RandomGraph(9).graph, tmp_path, "test")
    uno = load_board("arduino-uno")
    with pytest.raises(ModelError, match="was converted for cortex-m4: --core avr") as refused:
        build_firmware(model, uno)
    assert "takes at least 1,599 of 2,048 bytes of RAM" in str(refused.value)
    assert "--core avr" in refused.value.hint
    with pytest.raises(ModelError, match="was converted for cortex-m4: --core avr; "):
        build_firmware(model, load_board("arduino-mega2560"))  # even as it is it would fit
    microbit = with_memories(2**18, 3500, load_board("microbit"))
    with pytest.raises(DoesNotFitError, match="cortex-m4: --core cortex-m0") as does_not:
        build_firmware(model, microbit)
    assert "--core cortex-m0" in does_not.value.hint
    for board in (with_memories(2**18, 3000, microbit), with_memories(2**15, 1500, uno)):
        with pytest.raises(DoesNotFitError, match="more than the board's") as does_not:
            build_firmware(model, board)
        assert "a larger board" in does_not.value.hint


def test_kernels_of_another_core_are_noted(tmp_path: Path) -> None:
    model = write_converted(RandomGraph(9).graph, tmp_path, "test")
    note = kernel_note(model, load_board("microbit"))
    assert note.startswith("kernels were made for cortex-m4; ")
    assert "--core cortex-m0" in note
    assert "--core cortex-m3" in kernel_note(model, load_board("arduino-due"))
    for alike in ("netduinoplus2", "nucleo-f767zi", "mps2-an505"):
        assert kernel_note(model, load_board(alike)) == ""


def test_the_smallest_boards_that_hold_a_model_are_suggested() -> None:
    def suggested(constants: int, variables: int) -> str:
        with pytest.raises(DoesNotFitError) as refused:
            check_memories(BOARD, constants, variables)
        return refused.value.hint.rpartition(": ")[2]

    named, _, others = suggested(0, 2**17).partition(" and ")
    ram = {name: load_board(name).ram.size for name in board_names()}
    large = sorted(size for size in ram.values() if size >= 2**17 + 2048)
    assert [ram[name] for name in named.split(", ")] == large[:5]
    assert others == f"{len(large) - 5} more"
    assert suggested(2**23, 0) == "arduino-nano-rp2040"
    assert suggested(2**24 + 1, 0) == "none that tinyedge knows is large enough"


@pytest.mark.parametrize("compiler", COMPILERS)
def test_overflow_that_only_the_linker_sees_is_refused(
    demo_model: ConvertedModel, compiler: CompilerName, tmp_path: Path
) -> None:
    require(available_compilers(), compiler)
    weights, arena = demo_model.weight_bytes, demo_model.arena_bytes
    for board in (
        with_memories(weights + 3000, 2**17),
        with_memories(2**20, arena + 784 + BOARD.minimum_stack + 64),
    ):
        with pytest.raises(DoesNotFitError):
            build_firmware(demo_model, board, compiler, tmp_path / "out")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("compiler", COMPILERS)
def test_code_with_a_warning_does_not_build(compiler: CompilerName, tmp_path: Path) -> None:
    require(available_compilers(), compiler)
    model = write_converted(RandomGraph(1).graph, tmp_path / "model", "test")
    source = model.folder / "model.c"
    source.write_text(source.read_text() + "static int unused;\n")
    with pytest.raises(ToolchainError, match=compiler):
        build_firmware(model, BOARD, compiler)
    assert sorted(path.name for path in model.folder.iterdir()) == sorted(
        ["arena.svg", "graph.npz", "model.c", "model.h", "model.json", "model.tflite"]
    )


def test_no_compiler_is_a_toolchain_error(
    demo_model: ConvertedModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(compilers, "available_compilers", list)
    with pytest.raises(ToolchainError) as caught:
        build_firmware(demo_model, BOARD, output=tmp_path / "out")
    assert "pip install" in caught.value.hint


def test_no_host_compiler_is_a_toolchain_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    monkeypatch.setattr(compilers, "_zig_installed", lambda: False)
    with pytest.raises(ToolchainError, match="this machine"):
        compilers.host_compiler()


def test_twin_builds_with_zig(
    demo_model: ConvertedModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A machine without a C compiler."""
    import numpy as np

    from tinyedge.firmware.twin import Twin
    from tinyedge.graph import reference

    monkeypatch.setattr("tinyedge.toolchains.compilers.shutil.which", lambda _name: None)
    folder = tmp_path / "model"
    model = write_converted(demo_model.graph, folder, "test")
    samples = np.zeros((2, 28, 28, 1), np.int8)
    assert compilers.host_compiler().name == "zig"
    assert np.array_equal(Twin(model).run(samples), reference.run(model.graph, samples))
