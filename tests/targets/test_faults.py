"""Faults of a firmware, planted on emulated boards, and what the host says of them."""

from __future__ import annotations

import re
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from tests.cli.commands import failure
from tests.conftest import require
from tests.draws import some_of
from tests.graph.random_graphs import RandomGraph
from tinyedge.boards import load_board
from tinyedge.errors import FirmwareFaultError, LinkError
from tinyedge.exporters import converted
from tinyedge.exporters.c import CModel, CodeOptions, export_c
from tinyedge.exporters.converted import write_converted
from tinyedge.firmware.functions import function_at
from tinyedge.firmware.project import Firmware, build_project, harness_files
from tinyedge.graph.graph import Graph
from tinyedge.link.client import Client
from tinyedge.link.faults import Fault
from tinyedge.names import COMPILERS, CompilerName
from tinyedge.targets import available_emulators, open_emulator
from tinyedge.toolchains.compilers import available_compilers, cross_compiler

pytestmark = pytest.mark.emulator

LOOP, UNDEFINED, READ, STACK = 0, 4, 5, 6
WITHOUT_STATUS = ["microbit", "mps2-an385-m0"]
WITH_STATUS = [
    "mps2-an385",
    "mps2-an386",
    "netduinoplus2",
    "mps2-an500",
    "mps2-an505",
    "mps3-an547",
]
# Neither memory nor peripherals, as QEMU has these boards.
NOWHERE = dict.fromkeys([*WITHOUT_STATUS, *WITH_STATUS], 0xF0000000) | {"microbit": 0xC8000000}


def request(kind: int, value: int = 0) -> np.ndarray:
    """The probe's input: the kind of fault, and its value."""
    return np.frombuffer(struct.pack("<II", kind, value), np.int8)


class Planted:
    """A firmware with a probe in the place of a model, running."""

    def __init__(self, firmware: Firmware, port: str) -> None:
        self._firmware = firmware
        self._port = port

    def client(self) -> Client:
        def locate(firmware_hash: str, address: int) -> str | None:
            assert firmware_hash == self._firmware.hash
            return function_at(self._firmware.elf, address)

        return Client(self._port, 0, timeout_s=0.5, locate=locate)

    def fault(self, kind: int, value: int = 0) -> str:
        """Brings a fault about; what the host says of it."""
        with self.client() as client, pytest.raises(FirmwareFaultError) as caught:
            client.infer(request(kind, value))
        assert caught.value.exit_code == 7
        return str(caught.value).partition("the firmware has stopped: ")[2]


@contextmanager
def planted(name: str, compiler: CompilerName, folder: Path) -> Iterator[Planted]:
    board = load_board(name)
    require(available_compilers(), compiler)
    require(available_emulators(board), "qemu")
    here = Path(__file__).parent
    model = {f"model.{end}": (here / f"probe_model.{end}").read_text() for end in "ch"}
    files = harness_files(board) | model
    firmware = build_project(files, board, cross_compiler(board.core, compiler), folder / "out")
    with open_emulator(board, firmware.elf, "qemu") as target:
        yield Planted(firmware, target.port)


@pytest.mark.parametrize(("name", "compiler"), some_of([*WITHOUT_STATUS, *WITH_STATUS], COMPILERS))
def test_an_undefined_instruction_is_reported(
    name: str, compiler: CompilerName, tmp_path: Path
) -> None:
    with planted(name, compiler, tmp_path) as device:
        said = device.fault(UNDEFINED)
        kind = "HardFault" if name in WITHOUT_STATUS else r"UsageFault \(undefined instruction\)"
        where = r" at 0x[0-9a-f]{8} in (run_undefined|tinyedge_model_invoke)\+0x[0-9a-f]+"
        assert re.match(kind + where, said), said
        assert "overflow" not in said
        # As long as the board is not reset, whoever asks is told the same.
        with device.client() as client, pytest.raises(FirmwareFaultError, match=r"HardF|UsageF"):
            client.hello()


@pytest.mark.parametrize("name", [*WITHOUT_STATUS, *WITH_STATUS])
def test_a_read_of_no_memory_is_reported(name: str, tmp_path: Path) -> None:
    with planted(name, "gcc", tmp_path) as device:
        said = device.fault(READ, NOWHERE[name])
    if name in WITHOUT_STATUS:
        assert said.startswith("HardFault at 0x")
    else:
        told = "BusFault (a data access that the bus refused) of address 0xf0000000 at 0x"
        assert said.startswith(told)
    assert re.search(r" in (read_word|tinyedge_model_invoke)\+", said), said


@pytest.mark.parametrize("name", [*WITHOUT_STATUS, "mps2-an386", "mps2-an505"])
def test_a_stack_that_has_overflowed_is_reported(name: str, tmp_path: Path) -> None:
    with planted(name, "gcc", tmp_path) as device, device.client() as client:
        client.infer(request(STACK, 4))
        stats = client.stats()
        assert stats.stack_peak == stats.stack_size - 4
        for kind in (STACK, LOOP):  # and from then on
            with pytest.raises(LinkError, match="its stack has overflowed"):
                client.infer(request(kind, 0 if kind == STACK else 1))


def test_the_command_line_names_the_fault_and_its_function(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    require(available_compilers(), "gcc")
    require(available_emulators(load_board("mps2-an385")), "qemu")

    def faulty(graph: Graph, options: CodeOptions | None = None) -> CModel:
        exported = export_c(graph, options)
        text, start = exported.files["model.c"], "void tinyedge_model_invoke(void)\n{\n"
        assert start in text
        changed = text.replace(start, f'{start}    __asm volatile(".short 0xde00");\n')
        return replace(exported, files=exported.files | {"model.c": changed})

    monkeypatch.setattr(converted, "export_c", faulty)
    built = RandomGraph(1)
    write_converted(built.graph, tmp_path / "m", "test")
    np.save(tmp_path / "x.npy", built.inputs(4))
    command = ["run", tmp_path / "m", "--on", "emulator", "--data", tmp_path / "x.npy"]
    command += ["--logits", tmp_path / "y.npy", "--board", "mps2-an385"]
    error = failure(capsys, 7, *command)
    assert error["code"] == "fault"
    assert "UsageFault (undefined instruction) at 0x" in error["message"]
    assert " in tinyedge_model_invoke+0x" in error["message"]
    assert error["hint"].startswith("reset the board")
    assert not (tmp_path / "y.npy").exists()


def fault(**registers: int) -> Fault:
    names = ("exception", "pc", "lr", "xpsr", "sp", "cfsr", "hfsr", "mmfar", "bfar", "overflow")
    numbers = [{"exception": 3, **registers}.get(name, 0) for name in names]
    return Fault.parse(struct.pack("<10I", *numbers) + bytes(range(32)))


@pytest.mark.parametrize(
    ("registers", "said"),
    [
        ({}, "HardFault"),
        ({"exception": 2, "pc": 0x100}, "NMI at 0x00000100 in f+0x100"),
        ({"exception": 55}, "exception 55"),
        (
            {"cfsr": 1 << 1 | 1 << 7, "mmfar": 4, "bfar": 8},
            "MemManage (a data access that is not allowed) of address 0x00000004",
        ),
        ({"cfsr": 1 << 10, "bfar": 8}, "BusFault (an earlier write that the bus refused)"),
        ({"cfsr": 1 << 25}, "UsageFault (division by zero)"),
        (
            {"pc": 0x100, "lr": 0x901, "overflow": 1},
            "HardFault at 0x00000100 in f+0x100, called from g; the stack has overflowed",
        ),
    ],
)
def test_faults_in_words(registers: dict[str, int], said: str) -> None:
    def locate(address: int) -> str:
        return f"{'f' if address < 0x800 else 'g'}+0x{address:x}"

    assert fault(**registers).describe(locate) == said


def test_a_fault_that_is_cut_off_is_refused() -> None:
    with pytest.raises(LinkError, match="FAULT holds 71 bytes"):
        Fault.parse(bytes(71))


def test_functions_of_what_is_no_program(tmp_path: Path) -> None:
    (tmp_path / "a.elf").write_bytes(b"no program")
    assert function_at(tmp_path / "a.elf", 0) is None
    assert function_at(tmp_path / "none.elf", 0) is None
