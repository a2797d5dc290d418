"""STM32 boards against ST's own data: constants, limits, and what start-up code really writes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.boards.vendor import PACKAGES, Device, Registers
from tests.conftest import require
from tinyedge.boards import board_names, load_board
from tinyedge.boards.board import Stm32Board, Stm32f4Board, Stm32l4Board
from tinyedge.boards.stm32 import FLASH_ORIGIN, PARTS, RAM_ORIGIN
from tinyedge.firmware.compilers import available_compilers, cross_compiler
from tinyedge.firmware.project import build_project, harness_files

BOARDS = [board for board in map(load_board, board_names()) if isinstance(board, Stm32Board)]
LINES = [line for family in PARTS.values() for line in family]
LARGEST = {"STM32F401": "VE", "STM32F411": "VE", "STM32F446": "ZE"}
"""The part with the most pins and memory of a line; else it is a ZG, of the L4 a VG."""

each_board = pytest.mark.parametrize("board", BOARDS, ids=lambda board: board.name)


@pytest.fixture(autouse=True)
def _packages() -> None:
    require(PACKAGES, "cmsis_svd")
    require(PACKAGES, "modm_devices")


@each_board
def test_memories_pins_and_interrupts(board: Stm32Board) -> None:
    device = Device(board.mcu)
    assert (board.flash.origin, board.flash.size) == device.memories["flash"]
    assert board.ram.size == device.ram_from(board.ram.origin)
    uart = board.uart
    assert device.interrupts[uart.peripheral] == uart.irq
    for pin, signal in ((uart.tx, "tx"), (uart.rx, "rx")):
        assert pin in device.pins
        assert device.signals[pin, uart.peripheral, signal] == uart.alternate_function


@each_board
def test_the_flash_has_as_many_wait_states_as_it_needs(board: Stm32Board) -> None:
    limits = Device(board.mcu).wait_states
    needed = next(states for states, hz in enumerate(limits) if board.clock.sysclk_hz <= hz)
    assert board.clock.flash_wait_states == needed


@each_board
def test_registers_of_the_serial_port(board: Stm32Board) -> None:
    registers, uart = Registers(board.mcu), board.uart
    assert registers.bases[uart.peripheral] == uart.base
    assert registers.interrupts.get(uart.peripheral, uart.irq) == uart.irq


@pytest.mark.parametrize("line", LINES)
def test_limits_of_parts(line: str) -> None:
    part = next(family[line] for family in PARTS.values() if line in family)
    device = Device(line + LARGEST.get(line, "VG" if "L4" in line else "ZG"))
    assert part.sysclk == device.highest_hz
    assert part.ram == device.ram_from(RAM_ORIGIN)
    assert device.memories["flash"][0] == FLASH_ORIGIN
    for name, port in part.serial.items():
        for signal, pins in (("tx", port.tx), ("rx", port.rx)):
            for pin in pins:
                assert device.signals[pin, name, signal] == port.alternate_function
    for states, hz in enumerate(device.wait_states):
        assert hz >= min(part.sysclk, part.wait_state * (states + 1))


class Machine:
    """A part whose clocks are ready as soon as they are switched on, and a firmware running in it.

    Attributes:
        values: of the registers, by name, where the firmware stands still.
        writes: what it has written, in order: register and value.
    """

    def __init__(self, board: Stm32Board, elf: Path) -> None:
        from elftools.elf.elffile import ELFFile
        from unicorn import UC_ARCH_ARM, UC_MODE_MCLASS, UC_MODE_THUMB, Uc, arm_const

        self.registers = Registers(board.mcu)
        self.values = dict(self.registers.reset)
        self.writes: list[tuple[str, int]] = []
        self._names = {address: name for name, address in self.registers.addresses.items()}
        machine: Any = Uc(UC_ARCH_ARM, UC_MODE_THUMB | UC_MODE_MCLASS)
        machine.ctl_set_cpu_model(arm_const.UC_CPU_ARM_CORTEX_M4)
        machine.mem_map(board.flash.origin, board.flash.size)
        machine.mem_map(board.ram.origin, board.ram.size)
        machine.mem_map(0xE000E000, 0x1000)
        for base in (0x40000000, 0x48000000):
            machine.mmio_map(base, 0x40000, self._read, base, self._write, base)
        with elf.open("rb") as file:
            for segment in ELFFile(file).iter_segments():
                if segment["p_type"] == "PT_LOAD" and segment["p_filesz"]:
                    machine.mem_write(segment["p_paddr"], segment.data())
        stack, reset = (
            int.from_bytes(machine.mem_read(board.flash.origin + at, 4), "little") for at in (0, 4)
        )
        machine.reg_write(arm_const.UC_ARM_REG_SP, stack)
        machine.emu_start(reset, 0xFFFFFFFF, timeout=20_000_000)  # up to the first wfi
        enabled = machine.mem_read(0xE000E100 + board.uart.irq // 32 * 4, 4)
        self.enabled = int.from_bytes(enabled, "little")

    def _read(self, _machine: object, offset: int, _size: int, base: int) -> int:
        return self.values.get(self._names.get(base + offset, ""), 0)

    def _write(self, _machine: object, offset: int, _size: int, value: int, base: int) -> None:
        name = self._names.get(base + offset, hex(base + offset))
        self.writes.append((name, value))
        self.values[name] = value
        for field in self.registers.fields["RCC.CR"]:
            if field.endswith("ON") and f"{field[:-2]}RDY" in self.registers.fields["RCC.CR"]:
                self._set("RCC.CR", f"{field[:-2]}RDY", self.field("RCC.CR", field))
        self._set("RCC.CFGR", "SWS", self.field("RCC.CFGR", "SW"))
        if "PWR.CSR" in self.values:
            self._set("PWR.CSR", "VOSRDY", self.field("RCC.CR", "PLLON"))
        if "ODEN" in self.registers.fields.get("PWR.CR", ()):
            self._set("PWR.CSR", "ODRDY", self.field("PWR.CR", "ODEN"))
            self._set("PWR.CSR", "ODSWRDY", self.field("PWR.CR", "ODSWEN"))

    def field(self, register: str, name: str) -> int:
        """The value of a field."""
        offset, width = self.registers.fields[register][name]
        return self.values[register] >> offset & ((1 << width) - 1)

    def _set(self, register: str, name: str, value: int) -> None:
        offset, width = self.registers.fields[register][name]
        mask = ((1 << width) - 1) << offset
        self.values[register] = self.values[register] & ~mask | value << offset

    def first_write(self, register: str, name: str, value: int) -> int:
        """When a field got a value."""
        offset, width = self.registers.fields[register][name]
        return next(
            at
            for at, (written, content) in enumerate(self.writes)
            if written == register and content >> offset & ((1 << width) - 1) == value
        )

    def switched_on(self) -> set[str]:
        """The peripherals whose clock has been enabled."""
        return {
            field
            for register, fields in self.registers.fields.items()
            if register.startswith("RCC.A") and "ENR" in register
            for field in fields
            if self.field(register, field)
            and not self.registers.reset[register] >> fields[field][0] & 1
        }


@pytest.fixture(params=BOARDS, ids=lambda board: board.name, scope="module")
def started(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Stm32Board, Machine]:
    board: Stm32Board = request.param
    require(PACKAGES, "cmsis_svd")
    require(available_compilers(), "gcc")
    targets = Path(__file__).parents[1] / "targets"
    model = {f"model.{end}": (targets / f"probe_model.{end}").read_text() for end in "ch"}
    compiler = cross_compiler(board.core, "gcc")
    folder: Path = tmp_path_factory.mktemp(board.name)
    firmware = build_project(harness_files(board) | model, board, compiler, folder / "out")
    return board, Machine(board, firmware.elf)


def test_only_fields_that_exist_are_written(started: tuple[Stm32Board, Machine]) -> None:
    _, machine = started
    for register, value in machine.writes:
        changed = value ^ machine.registers.reset[register]
        for offset, width in machine.registers.fields[register].values():
            changed &= ~(((1 << width) - 1) << offset)
        assert changed == 0, register


def test_the_core_runs_at_full_speed(started: tuple[Stm32Board, Machine]) -> None:
    board, machine = started
    pll = {name: machine.field("RCC.PLLCFGR", name) for name in ("PLLM", "PLLN", "PLLSRC")}
    if isinstance(board, Stm32f4Board):
        source, hse = 1, board.clock.hse_hz
        sw = 2
        hz = hse * pll["PLLN"] / pll["PLLM"] / (2 * machine.field("RCC.PLLCFGR", "PLLP") + 2)
        assert machine.field("RCC.CR", "HSEON")
        assert machine.field("RCC.CR", "HSEBYP") == board.clock.hse_bypass
        voltage = "PWR.CR"
        # With the voltage scale, only while the PLL is off.
        assert machine.first_write(voltage, "VOS", board.part.voltage_scale) < machine.first_write(
            "RCC.CR", "PLLON", 1
        )
        over_drive = "ODSWEN" in machine.registers.fields["PWR.CR"] and machine.field(
            "PWR.CR", "ODSWEN"
        )
        assert bool(over_drive) == (board.clock.sysclk_hz > 168_000_000)
    else:
        assert isinstance(board, Stm32l4Board)
        source, sw, voltage = 2, 3, "PWR.CR1"
        hz = 16e6 * pll["PLLN"] / (pll["PLLM"] + 1) / (2 * machine.field("RCC.PLLCFGR", "PLLR") + 2)
        assert machine.field("RCC.CR", "HSION")
        assert machine.field("RCC.PLLCFGR", "PLLREN")
    assert pll["PLLSRC"] == source
    assert hz == board.clock.sysclk_hz
    assert machine.field(voltage, "VOS") == board.part.voltage_scale
    assert machine.field("RCC.CFGR", "SW") == sw
    assert machine.field("RCC.CFGR", "HPRE") == 0
    for bus, divider in (("PPRE1", board.clock.apb1_divider), ("PPRE2", board.clock.apb2_divider)):
        code = machine.field("RCC.CFGR", bus)
        assert (2 << (code & 3) if code & 4 else 1) == divider
    states = board.clock.flash_wait_states
    assert machine.field("FLASH.ACR", "LATENCY") == states
    assert all(machine.field("FLASH.ACR", name) for name in ("PRFTEN", "ICEN", "DCEN"))
    switched = machine.first_write("RCC.CFGR", "SW", sw)
    assert machine.first_write("FLASH.ACR", "LATENCY", states) < switched
    assert machine.first_write("RCC.PLLCFGR", "PLLN", pll["PLLN"]) < switched


def test_the_serial_port_is_connected(started: tuple[Stm32Board, Machine]) -> None:
    board, machine = started
    uart = board.uart
    ports = {f"GPIO{pin[1]}EN" for pin in (uart.tx, uart.rx)}
    assert machine.switched_on() == {*ports, "PWREN", f"{uart.peripheral}EN"}
    for pin in (uart.tx, uart.rx):
        port, number = f"GPIO{pin[1]}", int(pin[2:])
        half = "AFRL" if number < 8 else "AFRH"
        assert machine.field(f"{port}.MODER", f"MODER{number}") == 2
        assert machine.field(f"{port}.{half}", f"{half}{number}") == uart.alternate_function
    clock = board.clock
    bus_hz = clock.sysclk_hz / (clock.apb1_divider if uart.apb == 1 else clock.apb2_divider)
    divider = machine.values[f"{uart.peripheral}.BRR"]
    assert bus_hz / divider == pytest.approx(uart.baud, rel=0.01)
    fields = machine.registers.fields[f"{uart.peripheral}.CR1"]
    on = {name for name in fields if machine.field(f"{uart.peripheral}.CR1", name)}
    assert on == {"UE", "RE", "TE", "RXNEIE"}
    assert machine.enabled == 1 << uart.irq % 32
