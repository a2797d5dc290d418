"""STM32 boards against ST's own data: constants, limits, and what start-up code really writes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.boards.vendor import PACKAGES, Device, Registers
from tests.conftest import require
from tinyedge.boards import board_names, load_board
from tinyedge.boards.families.stm32 import (
    Stm32Board,
    Stm32f1Board,
    Stm32f3Board,
    Stm32f4Board,
    Stm32f7Board,
    Stm32g4Board,
    Stm32h5Board,
    Stm32h7Board,
    Stm32l4Board,
    Stm32u5Board,
)
from tinyedge.boards.families.stm32_parts import FLASH_ORIGIN, PARTS
from tinyedge.firmware.project import build_project, harness_files
from tinyedge.toolchains.compilers import available_compilers, cross_compiler

pytestmark = pytest.mark.needs_tool

BOARDS = [board for board in map(load_board, board_names()) if isinstance(board, Stm32Board)]
LINES = [line for family in PARTS.values() for line in family]
LARGEST = {
    "STM32F103": "VB",
    "STM32F303": "VE",
    "STM32F401": "VE",
    "STM32F411": "VE",
    "STM32F446": "ZE",
    "STM32F767": "ZI",
    "STM32G431": "VB",
    "STM32G474": "QE",
    "STM32H563": "ZI",
    "STM32H735": "IG",
    "STM32H743": "ZI",
    "STM32H747": "XI",
    "STM32L432": "KC",
    "STM32U575": "ZI",
    "STM32U585": "AI",
}
"""The part with the most pins and memory of a line; else it is a ZG, of the L4 a VG."""

each_board = pytest.mark.parametrize("board", BOARDS, ids=lambda board: board.name)


@pytest.fixture(autouse=True)
def _packages() -> None:
    require(PACKAGES, "cmsis_svd")
    require(PACKAGES, "modm_devices")


@each_board
def test_memories_pins_and_interrupts(board: Stm32Board) -> None:
    device = Device(board.mcu)
    origin, size = device.flash
    if board.flash_tool.dfu and board.flash.origin > origin:  # behind a boot loader
        assert board.flash.end == origin + size
    else:
        assert (board.flash.origin, board.flash.size) == (origin, size)
    assert board.ram.size == device.ram_from(board.ram.origin)
    for name, region in board.memory.regions.items():
        assert device.memories[name] == (region.origin, region.size)
    uart = board.uart
    assert device.interrupts[uart.peripheral] == uart.irq
    for pin, signal, function in (
        (uart.tx, "tx", uart.alternate_function),
        (uart.rx, "rx", uart.rx_function),
    ):
        assert pin in device.pins
        assert device.signals[pin, uart.peripheral, signal] == function


@each_board
def test_the_flash_has_as_many_wait_states_as_it_needs(board: Stm32Board) -> None:
    limits = Device(board.mcu).wait_states
    needed = next(states for states, hz in enumerate(limits) if board.clock.ahb_hz <= hz)
    if isinstance(board, Stm32f7Board):
        # modm-devices lets 6 wait states do for all that a part can; RM0410 has 30 MHz each.
        assert (limits[5], limits[6]) == (180_000_000, 216_000_000)
        needed = 7
    elif isinstance(board, Stm32g4Board):
        # modm-devices has those without boost mode, 20 MHz each; RM0440 has 34 MHz each with it.
        assert limits[:2] == [20_000_000, 40_000_000]
        needed = -(-board.clock.ahb_hz // 34_000_000) - 1
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
    # With an option bit that is off as delivered the STM32H735 does 550 MHz.
    assert device.highest_hz == (550_000_000 if line == "STM32H735" else part.sysclk)
    assert part.ram == device.ram_from(part.ram_origin)
    assert device.flash[0] == FLASH_ORIGIN
    for name, port in part.serial.items():
        for signal, pins in (("tx", port.tx), ("rx", port.rx)):
            for pin in pins:
                function = port.rx_functions.get(pin, port.alternate_function)
                assert device.signals[pin, name, signal] == function
    if line in PARTS["stm32g4"]:
        return  # in boost mode; modm-devices has the other
    for limit, hz in zip(part.wait_states, device.wait_states, strict=False):
        assert hz >= min(part.sysclk, limit)


class Machine:
    """A part whose clocks are ready as soon as they are switched on, and a firmware running in it.

    Attributes:
        values: of the registers, by name, where the firmware stands still.
        enabled: interrupts, of those in the word that the serial port's is in.
        core_control: the core's own register CCR.
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
        cores = {
            "cortex-m3": arm_const.UC_CPU_ARM_CORTEX_M3,
            "cortex-m4": arm_const.UC_CPU_ARM_CORTEX_M4,
            "cortex-m7": arm_const.UC_CPU_ARM_CORTEX_M7,
            "cortex-m33": arm_const.UC_CPU_ARM_CORTEX_M33,
        }
        machine.ctl_set_cpu_model(cores[board.core])
        machine.mem_map(board.flash.origin, board.flash.size)
        machine.mem_map(board.ram.origin, board.ram.size)
        machine.mem_map(0xE000E000, 0x1000)
        for block in (0x40, 0x42, 0x44, 0x46, 0x48, 0x52, 0x58):
            base = block << 24
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
        self.core_control = int.from_bytes(machine.mem_read(0xE000ED14, 4), "little")

    def _read(self, _machine: object, offset: int, _size: int, base: int) -> int:
        return self.values.get(self._names.get(base + offset, ""), 0)

    def _write(self, _machine: object, offset: int, _size: int, value: int, base: int) -> None:
        name = self._names.get(base + offset, hex(base + offset))
        again = name in dict(self.writes)
        self.writes.append((name, value))
        if name == "PWR.CR3" and again:
            return  # it takes one write
        self.values[name] = value
        for field in self.registers.fields["RCC.CR"]:
            if field.endswith("ON") and f"{field[:-2]}RDY" in self.registers.fields["RCC.CR"]:
                self._set("RCC.CR", f"{field[:-2]}RDY", self.field("RCC.CR", field))
        switch = "RCC.CFGR1" if "RCC.CFGR1" in self.values else "RCC.CFGR"
        self._set(switch, "SWS", self.field(switch, "SW"))
        if "PWR.VOSR" in self.values:
            self._set("PWR.VOSR", "BOOSTRDY", self.field("PWR.VOSR", "BOOSTEN"))
            self._set("PWR.VOSR", "VOSRDY", 1)
        if "PWR.VOSSR" in self.values:
            self._set("PWR.VOSSR", "VOSRDY", 1)
        if "PWR.D3CR" in self.values:
            self._set("PWR.CSR1", "ACTVOSRDY", "PWR.CR3" in dict(self.writes))
            self._set("PWR.D3CR", "VOSRDY", self.field("PWR.CSR1", "ACTVOSRDY"))
            return
        for control, status in (("PWR.CR", "PWR.CSR"), ("PWR.CR1", "PWR.CSR1")):
            if "VOSRDY" in self.registers.fields.get(status, ()):
                self._set(status, "VOSRDY", self.field("RCC.CR", "PLLON"))
            if "ODEN" in self.registers.fields.get(control, ()):
                self._set(status, "ODRDY", self.field(control, "ODEN"))
                self._set(status, "ODSWRDY", self.field(control, "ODSWEN"))

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
    if isinstance(board, Stm32h7Board):
        check_h7(board, machine)
        return
    if isinstance(board, Stm32f1Board | Stm32f3Board):
        check_f1(board, machine)
        return
    if isinstance(board, Stm32h5Board):
        check_h5(board, machine)
        return
    if isinstance(board, Stm32u5Board):
        check_u5(board, machine)
        return
    pll = {name: machine.field("RCC.PLLCFGR", name) for name in ("PLLM", "PLLN", "PLLSRC")}
    if isinstance(board, Stm32f4Board | Stm32f7Board):
        source, hse = 1, board.clock.hse_hz
        sw = 2
        hz = hse * pll["PLLN"] / pll["PLLM"] / (2 * machine.field("RCC.PLLCFGR", "PLLP") + 2)
        assert machine.field("RCC.CR", "HSEON")
        assert machine.field("RCC.CR", "HSEBYP") == board.clock.hse_bypass
        voltage = "PWR.CR1" if isinstance(board, Stm32f7Board) else "PWR.CR"
        # With the voltage scale, only while the PLL is off.
        assert machine.first_write(voltage, "VOS", board.part.voltage_scale) < machine.first_write(
            "RCC.CR", "PLLON", 1
        )
        over_drive = "ODSWEN" in machine.registers.fields[voltage] and machine.field(
            voltage, "ODSWEN"
        )
        assert bool(over_drive) == (board.clock.sysclk_hz > 168_000_000)
    else:
        assert isinstance(board, Stm32l4Board | Stm32g4Board)
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
    accelerators = ("ARTEN",) if isinstance(board, Stm32f7Board) else ("ICEN", "DCEN")
    assert all(machine.field("FLASH.ACR", name) for name in ("PRFTEN", *accelerators))
    switched = machine.first_write("RCC.CFGR", "SW", sw)
    assert machine.first_write("FLASH.ACR", "LATENCY", states) < switched
    assert machine.first_write("RCC.PLLCFGR", "PLLN", pll["PLLN"]) < switched
    if isinstance(board, Stm32g4Board):
        # Boost mode, RM0440: half the bus's clock while the core's rises, and the whole behind it.
        assert machine.field("PWR.CR5", "R1MODE") == 0
        halved = machine.first_write("RCC.CFGR", "HPRE", 8)
        assert machine.first_write("PWR.CR5", "R1MODE", 0) < halved < switched
        assert machine.field("FLASH.ACR", "DBG_SWEN") == 1


def check_f1(board: Stm32f1Board | Stm32f3Board, machine: Machine) -> None:
    """The PLL's factor while it is off, wait states before the switch to it."""
    clock, field = board.clock, machine.field
    hz = clock.hse_hz / (field("RCC.CFGR", "PLLXTPRE") + 1) * (field("RCC.CFGR", "PLLMUL") + 2)
    assert hz == clock.sysclk_hz
    # The crystal: 1 of an STM32F1's one bit, 2 of an STM32F303's two.
    assert field("RCC.CFGR", "PLLSRC") == (1 if isinstance(board, Stm32f1Board) else 2)
    assert field("RCC.CR", "HSEON")
    assert field("RCC.CR", "HSEBYP") == clock.hse_bypass
    assert (field("RCC.CFGR", "SW"), field("RCC.CFGR", "HPRE")) == (2, 0)
    assert (field("RCC.CFGR", "PPRE1"), field("RCC.CFGR", "PPRE2")) == (4, 0)  # 2 and 1
    assert (clock.apb1_divider, clock.apb2_divider) == (2, 1)
    assert field("FLASH.ACR", "LATENCY") == clock.flash_wait_states
    assert field("FLASH.ACR", "PRFTBE")
    order = [
        machine.first_write("RCC.CR", "HSEON", 1),
        machine.first_write("FLASH.ACR", "LATENCY", clock.flash_wait_states),
        machine.first_write("RCC.CFGR", "PLLMUL", clock.pll_n - 2),
        machine.first_write("RCC.CR", "PLLON", 1),
        machine.first_write("RCC.CFGR", "SW", 2),
    ]
    assert order == sorted(order)


def check_h7(board: Stm32h7Board, machine: Machine) -> None:
    """The supply before the voltage, that before the PLL, everything before the switch to it."""
    clock, field = board.clock, machine.field
    hz = clock.hse_hz / field("RCC.PLLCKSELR", "DIVM1")
    assert 1 << field("RCC.PLLCFGR", "PLL1RGE") == max(n for n in (1, 2, 4, 8) if n * 1e6 <= hz)
    hz = hz * (field("RCC.PLL1DIVR", "DIVN1") + 1) / (field("RCC.PLL1DIVR", "DIVP1") + 1)
    assert hz == clock.sysclk_hz
    assert field("RCC.PLLCKSELR", "PLLSRC") == 2
    assert field("RCC.PLLCFGR", "DIVP1EN")
    assert not field("RCC.PLLCFGR", "PLL1VCOSEL")
    assert not field("RCC.PLLCFGR", "PLL1FRACEN")
    assert field("RCC.CR", "HSEBYP") == clock.hse_bypass
    assert field("RCC.CFGR", "SW") == 3
    assert (field("RCC.D1CFGR", "D1CPRE"), field("RCC.D1CFGR", "HPRE")) == (0, 8)  # 1, 2
    for register, name in (
        ("D1CFGR", "D1PPRE"),
        ("D2CFGR", "D2PPRE1"),
        ("D2CFGR", "D2PPRE2"),
        ("D3CFGR", "D3PPRE"),
    ):
        assert field(f"RCC.{register}", name) == 4  # 2
    assert clock.ahb_divider == clock.apb1_divider == clock.apb2_divider == 2
    assert field("FLASH.ACR", "LATENCY") == clock.flash_wait_states
    # RM0433, RM0399 and RM0468, programming delays at these frequencies.
    delays = {"STM32H735": 3, "STM32H743": 2, "STM32H747": 2}
    assert field("FLASH.ACR", "WRHIGHFREQ") == delays[board.mcu[:9]]
    # UM2679, UM2407 and Arduino's own start-up: the SMPS, the LDO, the LDO behind the SMPS.
    supplies = {
        "STM32H735": {"SDEN"},
        "STM32H743": {"LDOEN"},
        "STM32H747": {"SDEN", "LDOEN", "SDLEVEL"},
    }
    names = {"BYPASS", "LDOEN", "SDEN", "SDEXTHP", "SDLEVEL"}
    known = names & set(machine.registers.fields["PWR.CR3"])
    assert {name for name in known if field("PWR.CR3", name)} == supplies[board.mcu[:9]]
    if "SDLEVEL" in supplies[board.mcu[:9]]:
        assert field("PWR.CR3", "SDLEVEL") == 1  # 1.8 V
    assert [name for name, _ in machine.writes].count("PWR.CR3") == 1
    scale = board.part.voltage_scale
    assert scale == (0 if board.mcu.startswith("STM32H735") else 3)  # scale 0, or scale 1
    order = [
        machine.first_write("PWR.CR3", "LDOEN", field("PWR.CR3", "LDOEN")),
        machine.first_write("PWR.D3CR", "VOS", scale),
        machine.first_write("RCC.CR", "HSEON", 1),
        machine.first_write("RCC.PLL1DIVR", "DIVN1", clock.pll_n - 1),
        machine.first_write("RCC.CR", "PLL1ON", 1),
        machine.first_write("FLASH.ACR", "LATENCY", clock.flash_wait_states),
        machine.first_write("RCC.D1CFGR", "HPRE", 8),
        machine.first_write("RCC.CFGR", "SW", 3),
    ]
    assert order == sorted(order)
    if clock.sysclk_hz > 400_000_000 and scale == 3:
        assert order[1] < machine.first_write("SYSCFG.PWRCR", "ODEN", 1) < order[2]
    if clock.hse_enable:
        port, pin = f"GPIO{clock.hse_enable[1]}", clock.hse_enable[2:]
        assert machine.first_write(f"{port}.BSRR", f"BS{pin}", 1) < order[2]
        assert field(f"{port}.MODER", f"MODER{pin}") == 1


def check_h5(board: Stm32h5Board, machine: Machine) -> None:
    """As ST's own start-up of this board: the voltage before the PLL, all before the switch."""
    clock, field = board.clock, machine.field
    hz = clock.hse_hz / field("RCC.PLL1CFGR", "PLL1M")
    assert 1 << field("RCC.PLL1CFGR", "PLL1RGE") == max(n for n in (1, 2, 4, 8) if n * 1e6 <= hz)
    hz = hz * (field("RCC.PLL1DIVR", "PLL1N") + 1) / (field("RCC.PLL1DIVR", "PLL1P") + 1)
    assert hz == clock.sysclk_hz
    assert field("RCC.PLL1CFGR", "PLL1SRC") == 3
    assert field("RCC.PLL1CFGR", "PLL1PEN")
    assert not field("RCC.PLL1CFGR", "PLL1VCOSEL")
    assert not field("RCC.PLL1CFGR", "PLL1FRACEN")
    assert field("RCC.CR", "HSEBYP") == field("RCC.CR", "HSEEXT") == clock.hse_bypass
    assert field("RCC.CR", "HSIDIV") == 0
    assert field("PWR.VOSCR", "VOS") == 3
    buses = ("HPRE", "PPRE1", "PPRE2", "PPRE3")
    assert [field("RCC.CFGR2", name) for name in buses] == [0, 0, 0, 0]
    assert clock.apb1_divider == clock.apb2_divider == 1
    assert field("FLASH.ACR", "LATENCY") == clock.flash_wait_states
    assert field("FLASH.ACR", "WRHIGHFREQ") == clock.flash_programming_delay == 2
    assert field("FLASH.ACR", "PRFTEN")
    assert field("ICACHE.CR", "EN")
    assert not field("RCC.CCIPR1", f"{board.uart.peripheral}SEL")
    order = [
        machine.first_write("PWR.VOSCR", "VOS", 3),
        machine.first_write("RCC.CR", "HSEON", 1),
        machine.first_write("RCC.PLL1DIVR", "PLL1N", clock.pll_n - 1),
        machine.first_write("RCC.CR", "PLL1ON", 1),
        machine.first_write("FLASH.ACR", "LATENCY", clock.flash_wait_states),
        machine.first_write("RCC.CFGR1", "SW", 3),
    ]
    assert order == sorted(order)


def check_u5(board: Stm32u5Board, machine: Machine) -> None:
    """Wait states before 16 MHz; voltage, the booster's clock, the booster, the PLL, the switch."""
    clock, field = board.clock, machine.field
    hz = 16e6 / (field("RCC.PLL1CFGR", "PLL1M") + 1)
    assert field("RCC.PLL1CFGR", "PLL1RGE") == (3 if hz >= 8e6 else 0)
    assert 4e6 <= 16e6 / max(1, 2 * field("RCC.PLL1CFGR", "PLL1MBOOST")) <= 16e6
    hz = hz * (field("RCC.PLL1DIVR", "PLL1N") + 1) / (field("RCC.PLL1DIVR", "PLL1R") + 1)
    assert hz == clock.sysclk_hz
    assert field("RCC.PLL1CFGR", "PLL1SRC") == 2
    assert field("RCC.PLL1CFGR", "PLL1REN")
    assert not field("RCC.PLL1CFGR", "PLL1FRACEN")
    assert field("PWR.VOSR", "VOS") == 3
    assert field("PWR.VOSR", "BOOSTEN")
    assert [field("RCC.CFGR2", name) for name in ("HPRE", "PPRE1", "PPRE2")] == [0, 0, 0]
    assert clock.apb1_divider == clock.apb2_divider == 1
    assert field("FLASH.ACR", "LATENCY") == clock.flash_wait_states
    assert field("FLASH.ACR", "PRFTEN")
    assert field("ICACHE.CR", "EN")
    assert not field("RCC.CCIPR1", f"{board.uart.peripheral}SEL")
    order = [
        machine.first_write("FLASH.ACR", "LATENCY", clock.flash_wait_states),
        machine.first_write("RCC.CFGR1", "SW", 1),
        machine.first_write("PWR.VOSR", "VOS", 3),
        machine.first_write("RCC.PLL1CFGR", "PLL1SRC", 2),
        machine.first_write("PWR.VOSR", "BOOSTEN", 1),
        machine.first_write("RCC.CR", "PLL1ON", 1),
        machine.first_write("RCC.CFGR1", "SW", 3),
    ]
    assert order == sorted(order)


def test_a_cortex_m7_has_its_caches_on(started: tuple[Stm32Board, Machine]) -> None:
    board, machine = started
    # CCR, as the ARMv7-M manual has it: IC is bit 17, DC bit 16.
    assert (machine.core_control >> 16 & 3) == (3 if board.core == "cortex-m7" else 0)


def test_the_serial_port_is_connected(started: tuple[Stm32Board, Machine]) -> None:
    board, machine = started
    uart = board.uart
    small = isinstance(board, Stm32f1Board | Stm32f3Board)
    prefix = "IOP" if small else "GPIO"
    on = {f"{prefix}{pin[1]}EN" for pin in (uart.tx, uart.rx)} | {f"{uart.peripheral}EN"}
    if isinstance(board, Stm32h7Board):
        on |= {f"GPIO{board.clock.hse_enable[1]}EN"} if board.clock.hse_enable else set()
        on |= {"SYSCFGEN"} if board.clock.over_drive else set()
        selected = ("USART234578SEL", "USART16910SEL", "USART16SEL")
        fields = machine.registers.fields["RCC.D2CCIP2R"]
        assert not any(machine.field("RCC.D2CCIP2R", name) for name in selected if name in fields)
    elif not small and not isinstance(board, Stm32h5Board):
        on |= {"PWREN"}
    assert machine.switched_on() == on
    for pin, function in ((uart.tx, uart.alternate_function), (uart.rx, uart.rx_function)):
        port, number = f"GPIO{pin[1]}", int(pin[2:])
        if isinstance(board, Stm32f1Board):
            half = "CRL" if number < 8 else "CRH"
            # The peripheral's push-pull output up to 50 MHz; an input with a pull-up.
            mode, configuration = (3, 2) if pin == uart.tx else (0, 2)
            assert machine.field(f"{port}.{half}", f"MODE{number}") == mode
            assert machine.field(f"{port}.{half}", f"CNF{number}") == configuration
            assert (f"{port}.BSRR", 1 << number) in machine.writes
            continue
        half = "AFRL" if number < 8 else "AFRH"
        assert machine.field(f"{port}.MODER", f"MODER{number}") == 2
        assert machine.field(f"{port}.{half}", f"{half}{number}") == function
    clock = board.clock
    bus_hz = clock.ahb_hz / (clock.apb1_divider if uart.apb == 1 else clock.apb2_divider)
    divider = machine.values[f"{uart.peripheral}.BRR"]
    assert bus_hz / divider == pytest.approx(uart.baud, rel=0.01)
    fields = machine.registers.fields[f"{uart.peripheral}.CR1"]
    on = {name for name in fields if machine.field(f"{uart.peripheral}.CR1", name)}
    assert on == {"UE", "RE", "TE", "RXNEIE"}
    assert machine.enabled == 1 << uart.irq % 32
