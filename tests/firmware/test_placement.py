"""Buffers and weights in the memories that a board's description names, on an emulated board."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
from elftools.elf.elffile import ELFFile
from elftools.elf.sections import SymbolTableSection

from tests.conftest import require
from tests.graph.random_graphs import RandomGraph
from tests.graph.streaming import streaming_graph
from tinyedge.boards import Board, load_board
from tinyedge.errors import BoardError, DoesNotFitError
from tinyedge.evaluation.session import emulated_device
from tinyedge.exporters.converted import ConvertedModel, write_converted
from tinyedge.firmware.footprint import memory_record
from tinyedge.firmware.memory_map import read_memory_map
from tinyedge.firmware.project import Firmware, build_firmware
from tinyedge.graph import reference
from tinyedge.names import COMPILERS, CompilerName
from tinyedge.reports.footprint import footprint_record, network_line
from tinyedge.targets import available_emulators
from tinyedge.targets.flashing import plan
from tinyedge.templates import data_folder
from tinyedge.toolchains.compilers import available_compilers

pytestmark = pytest.mark.needs_tool

CCM = "[memory.regions.ccm]\norigin = 0x10000000\nsize = 65536\n"
DTCM = "[memory.regions.dtcm]\norigin = 0x20000000\nsize = 131072\n"
QSPI = '[memory.regions.qspi]\norigin = 0x90000000\nsize = 8388608\nkind = "flash"\n'


def placed(name: str, folder: Path, regions: str, place: dict[str, str]) -> Board:
    """The board of a name with other memories, and what its description places there."""
    text = (data_folder("boards") / f"{name}.toml").read_text()
    text = re.sub(r"\[memory\.regions\.\w+\]\norigin = \w+\nsize = \d+\n", "", text)
    text += f"\n{regions}\n[memory.place]\n" + "".join(f'{k} = "{v}"\n' for k, v in place.items())
    path = folder / f"{name}.toml"
    path.write_text(text)
    return load_board(str(path))


def addresses(elf: Path) -> dict[str, int]:
    """Where every symbol lies."""
    with elf.open("rb") as file:
        symbols = ELFFile(file).get_section_by_name(".symtab")
        assert isinstance(symbols, SymbolTableSection)
        return {symbol.name: symbol["st_value"] for symbol in symbols.iter_symbols()}


@pytest.fixture(scope="module")
def built() -> RandomGraph:
    return RandomGraph(278)


@pytest.fixture
def model(built: RandomGraph, tmp_path: Path) -> ConvertedModel:
    return write_converted(built.graph, tmp_path / "m", "test")


def arrays(model: ConvertedModel) -> list[str]:
    code = "".join(path.read_text() for path in model.sources)
    return [part.partition(")")[0] for part in code.split("\nTE_WEIGHTS(")[1:]]


PLACES: list[tuple[str, dict[str, str]]] = [
    (CCM, {"arena": "ccm"}),
    (CCM, {"weights": "ccm"}),
    (CCM, {"stack": "ccm"}),
    (CCM, {"weights": "ram"}),
    (CCM, {"arena": "ccm", "weights": "ccm", "stack": "ccm"}),
    (QSPI, {"weights": "qspi"}),
]


@pytest.mark.parametrize("compiler", COMPILERS)
@pytest.mark.parametrize(("regions", "place"), PLACES)
def test_the_same_bytes_from_other_memories(
    regions: str,
    place: dict[str, str],
    compiler: CompilerName,
    built: RandomGraph,
    model: ConvertedModel,
    tmp_path: Path,
) -> None:
    require(available_compilers(), compiler)
    board = placed("netduinoplus2", tmp_path, regions, place)
    require(available_emulators(board), "unicorn")
    samples = built.inputs(4)
    with emulated_device(model, board, "unicorn", compiler) as emulated:
        logits = emulated.device.run(samples).logits
        stats = emulated.device.stats()
    assert np.array_equal(logits, reference.run(built.graph, samples))
    firmware = build_firmware(model, board, compiler)
    at = addresses(firmware.elf)
    symbols = {"arena": "arena", "weights": arrays(model)[0], "stack": "_stack_top"}
    for what, symbol in symbols.items():
        region = board.memory.region(board.memory.at(what))
        assert region.origin <= at[symbol] - (symbol == "_stack_top") < region.end
    assert 0 < stats.stack_peak < stats.stack_size
    check_record(firmware, stats.stack_peak)


def check_record(firmware: Firmware, stack_peak: int) -> None:
    """Every byte is counted in the memory that it lies in, in both records."""
    board, footprint = firmware.board, firmware.footprint
    record = memory_record(footprint, board, stack_peak)
    with firmware.elf.open("rb") as file:
        segments = [s for s in ELFFile(file).iter_segments() if s["p_type"] == "PT_LOAD"]
    sizes = dict.fromkeys(("flash", "ram", *board.memory.regions), 0)
    for name in sizes:
        region = board.memory.region(name)
        for segment in segments:
            address = "p_paddr" if board.memory.is_flash(name) else "p_vaddr"
            size = "p_filesz" if board.memory.is_flash(name) else "p_memsz"
            if region.origin <= segment[address] < region.end:
                sizes[name] += segment[size]
    sizes[board.memory.at("stack")] += stack_peak
    told = {"flash": record["flash"]["total"], "ram": record["ram"]["total"]}
    told |= {region["name"]: region["total"] for region in record.get("regions", ())}
    assert told == {name: size for name, size in sizes.items() if size}
    full = footprint_record(read_memory_map(firmware.elf), board)
    sizes[board.memory.at("stack")] -= stack_peak
    assert ",-" not in network_line(full).replace(" ", ",")
    told = {"flash": full["flash"]["total"], "ram": full["ram"]["total"]}
    told |= {region["name"]: region["total"] for region in full["regions"]}
    assert told == {name: size for name, size in sizes.items() if size or name in told}


@pytest.mark.parametrize("compiler", COMPILERS)
def test_single_arrays_and_a_state(compiler: CompilerName, tmp_path: Path) -> None:
    require(available_compilers(), compiler)
    graph = streaming_graph()
    model = write_converted(graph, tmp_path / "m", "test")
    some = arrays(model)[:1]
    place = {"state": "ccm", **dict.fromkeys(some, "ccm")}
    board = placed("netduinoplus2", tmp_path, CCM, place)
    require(available_emulators(board), "unicorn")
    shape = (3, 8, *graph.input_tensor.shape)  # three sequences of frames
    samples = np.random.default_rng(1).integers(-128, 128, shape).astype(np.int8)
    with emulated_device(model, board, "unicorn", compiler) as emulated:
        logits = emulated.device.run(samples).logits
    assert np.array_equal(logits, reference.run(graph, samples))
    at = addresses(build_firmware(model, board, compiler).elf)
    ccm, ram, flash = (board.memory.region(name) for name in ("ccm", "ram", "flash"))
    assert ccm.origin <= at["states"] < ccm.end
    assert ram.origin <= at["arena"] < ram.end
    for name in arrays(model):
        region = ccm if name in some else flash
        assert region.origin <= at[name] < region.end


@pytest.mark.parametrize("name", ["nucleo-h743zi2", "nucleo-f767zi"])
@pytest.mark.parametrize("compiler", COMPILERS)
def test_an_external_flash_of_a_cortex_m7(
    name: str, compiler: CompilerName, built: RandomGraph, model: ConvertedModel, tmp_path: Path
) -> None:
    """Its content is a file of its own, and no tool that leaves it unwritten is let near."""
    require(available_compilers(), compiler)
    place, regions = {"weights": "qspi"}, QSPI
    if name == "nucleo-h743zi2":
        place |= {"arena": "dtcm", "stack": "dtcm"}
        regions += DTCM
    board = placed(name, tmp_path, regions, place)
    require(available_emulators(board), "unicorn")
    samples = built.inputs(4)
    with emulated_device(model, board, "unicorn", compiler) as emulated:
        logits = emulated.device.run(samples).logits
    assert np.array_equal(logits, reference.run(built.graph, samples))
    firmware = build_firmware(model, board, compiler)
    with firmware.elf.open("rb") as file:
        weights = ELFFile(file).get_section_by_name(".weights")
        assert weights
        assert weights["sh_addr"] == 0x90000000
        outside = firmware.elf.with_name("firmware.qspi.bin").read_bytes()
        assert outside[: weights["sh_size"]] == weights.data()
    assert (
        firmware.image.stat().st_size
        == memory_record(firmware.footprint, board, None)["flash"]["total"]
    )
    with pytest.raises(BoardError, match=r"firmware\.qspi\.bin"):
        plan(board, firmware.image)


@pytest.mark.parametrize(
    ("regions", "place", "said"),
    [
        (CCM, {"arena": "tcm"}, "memory.place.arena is 'tcm', allowed: ram or ccm"),
        (QSPI, {"stack": "qspi"}, "memory.place.stack is 'qspi', allowed: ram"),
        ("", {"weights": "ccm"}, "memory.place.weights is 'ccm', allowed: flash or ram"),
        (CCM.replace("0x1000", "0x2000"), {}, "regions.ccm.origin is 536870912, allowed: apart"),
        (CCM.replace("0x10000000", "0"), {}, "regions.ccm.origin is 0, allowed: from 8 on"),
        (CCM.replace("65536", "65535"), {}, "regions.ccm.end is 268500991, allowed: a multiple"),
        (CCM.replace(".ccm", ".ram"), {}, "regions.ram is 'ram', allowed: another name"),
    ],
)
def test_a_region_that_is_unknown_or_impossible_is_refused(
    regions: str, place: dict[str, str], said: str, tmp_path: Path
) -> None:
    with pytest.raises(BoardError) as caught:
        placed("netduinoplus2", tmp_path, regions, place)
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)


def test_an_avr_places_nothing(tmp_path: Path) -> None:
    with pytest.raises(BoardError, match=r"memory\.place is .*allowed: nothing in family avr"):
        placed("arduino-uno", tmp_path, "", {"arena": "ram"})


@pytest.mark.parametrize("what", ["arena", "weights"])
def test_a_region_that_is_too_small_is_refused(
    what: str, model: ConvertedModel, tmp_path: Path
) -> None:
    require(available_compilers(), "gcc")
    board = placed("netduinoplus2", tmp_path, CCM.replace("65536", "64"), {what: "ccm"})
    with pytest.raises(DoesNotFitError, match=f"{what} takes .* bytes of ccm, which has 64"):
        build_firmware(model, board, "gcc")


@pytest.mark.parametrize("compiler", COMPILERS)
def test_a_region_that_only_the_linker_finds_too_small_is_refused(
    compiler: CompilerName, model: ConvertedModel, tmp_path: Path
) -> None:
    require(available_compilers(), compiler)
    size = -(-max(model.arena_bytes, model.weight_bytes) // 8) * 8
    regions = CCM.replace("65536", str(size))
    board = placed("netduinoplus2", tmp_path, regions, {"arena": "ccm", "weights": "ccm"})
    with pytest.raises(DoesNotFitError, match=r"\d+ bytes of CCM too few"):
        build_firmware(model, board, compiler)
    board = placed("netduinoplus2", tmp_path, regions, {"arena": "ccm", "stack": "ccm"})
    with pytest.raises(DoesNotFitError, match="too little CCM for a stack"):
        build_firmware(model, board, compiler)


def test_an_array_that_the_model_lacks_is_refused(model: ConvertedModel, tmp_path: Path) -> None:
    board = placed("netduinoplus2", tmp_path, CCM, {"nothing_packed": "ccm"})
    with pytest.raises(BoardError, match=r"place\.nothing_packed: .* no such array") as found:
        build_firmware(model, board)
    assert arrays(model)[0] in found.value.hint
