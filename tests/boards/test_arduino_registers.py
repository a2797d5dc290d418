"""The start-up code of Arduino's and Raspberry Pi's boards writes what their vendors document.

Registers of the SAM3X8E and the nRF52 are read by their vendors' SVD files, the latter by that of
the nRF52832, which has one port of pins only. No package brings those of the RP2040, the RP2350 and
the RA4M1: their tests have the addresses from the data sheet, from Raspberry Pi's own headers
(github.com/raspberrypi/pico-sdk, src/rp2350/hardware_regs, commit a1438dff1d38), and from the
hardware manual.
"""

from __future__ import annotations

from collections.abc import Callable
from importlib import resources
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

from tests.boards.registers import Machine, Svd
from tests.boards.vendor import PACKAGES
from tests.conftest import require
from tinyedge.boards import load_board
from tinyedge.boards.families.nrf5 import Nrf5Board, Nrf51Board, Nrf52Board
from tinyedge.boards.families.ra4m1 import Ra4m1Board
from tinyedge.boards.families.rp2 import Rp2Board, Rp2040Board, Rp2350Board
from tinyedge.boards.families.sam3x import Sam3xBoard
from tinyedge.firmware.project import build_project, harness_files
from tinyedge.targets import available_emulators
from tinyedge.toolchains.compilers import available_compilers, cross_compiler

pytestmark = pytest.mark.needs_tool

Respond = Callable[[dict[int, int], int, int], None]


@pytest.fixture(autouse=True)
def _packages() -> None:
    require(PACKAGES, "cmsis_svd")
    require(PACKAGES, "modm_devices")


def start(name: str, folder: Path, reset: dict[int, int], respond: Respond) -> Machine:
    board = load_board(name)
    require(available_compilers(), "gcc")
    require(available_emulators(board), "unicorn")
    targets = Path(__file__).parents[1] / "targets"
    model = {f"model.{end}": (targets / f"probe_model.{end}").read_text() for end in "ch"}
    compiler = cross_compiler(board.core, "gcc")
    firmware = build_project(harness_files(board) | model, board, compiler, folder / "out")
    return Machine(board, firmware.elf, reset, respond)


def check_fields(machine: Machine, svd: Svd, whole: set[str]) -> None:
    """Registers and their fields exist; those of ``whole`` may be written as a whole."""
    names = {address: name for name, address in svd.addresses.items()}
    for address, value in machine.writes:
        name = names[address]
        changed = value ^ svd.reset[address]
        for offset, width in svd.fields[address].values():
            changed &= ~(((1 << width) - 1) << offset)
        assert changed == 0 or name in whole, name


RP2040_BOARDS = ("arduino-nano-rp2040", "raspberry-pi-pico")


def modm(file: str) -> ET.Element:
    path = resources.files("modm_devices") / "resources/devices" / file
    return ET.fromstring(path.read_bytes())  # noqa: S314 - a file of a pinned package


def test_memories_and_interrupts_of_the_nrf52840() -> None:
    board = load_board("arduino-nano-33-ble")
    assert isinstance(board, Nrf52Board)
    cores = [
        node
        for node in modm("nrf/nrf52820_840.xml").iter("driver")
        if node.get("device-series") == "840" and node.get("name") == "core"
    ]
    vectors = {v.get("name"): v.get("position") for core in cores for v in core.iter("vector")}
    assert vectors["UART0_UARTE0"] == str(board.uart.irq)
    memories = {m.attrib["name"]: m.attrib for core in cores for m in core.iter("memory")}
    for name, region in (("flash", board._flash), ("ram", board._ram)):
        assert int(memories[name]["start"], 0) == region.origin
        assert int(memories[name]["size"]) == region.size
    assert board.flash.end == board._flash.end
    assert board.ram == board._ram


@pytest.mark.parametrize("name", RP2040_BOARDS)
def test_memories_interrupts_and_pins_of_the_rp2040(name: str) -> None:
    board = load_board(name)
    assert isinstance(board, Rp2040Board)
    root = modm("rp/rp2040.xml")
    end = board.ram.origin
    for memory in root.iter("memory"):
        assert int(memory.attrib["start"], 0) == end  # they join
        end += int(memory.attrib["size"])
    assert board.ram.end == end
    vectors = {node.get("name"): node.get("position") for node in root.iter("vector")}
    assert vectors["UART0_IRQ"] == str(board.uart.irq)
    signals = {
        (int(pin.attrib["pin"]), signal.get("instance"), signal.get("name"))
        for pin in root.iter("gpio")
        for signal in pin.iter("signal")
        if pin.get("port") == "bank0" and signal.get("driver") == "uart" and signal.get("af") == "2"
    }
    for number in (0, 1):
        for key in ("tx", "rx"):
            for pin in range(30):
                base, irq = 0x40034000 + 0x4000 * number, 20 + number
                uart = board.uart.model_copy(update={"base": base, "irq": irq, key: f"GPIO{pin}"})
                faulty = key in {fault.key for fault in uart.faults(board.clock)}
                assert faulty == ((pin, str(number), key) not in signals)


def test_interrupts_and_pins_of_the_rp2350() -> None:
    """The pins are those of ``hardware/regs/io_bank0.h``, from GPIO0 on, of function 2."""
    board = load_board("raspberry-pi-pico-2")
    assert isinstance(board, Rp2350Board)
    vectors = {v.get("name"): v.get("position") for v in modm("rp/rp2350.xml").iter("vector")}
    assert vectors["UART0_IRQ"] == str(board.uart.irq)
    pins = {
        (0, "tx"): (0, 12, 16, 28),
        (0, "rx"): (1, 13, 17, 29),
        (1, "tx"): (4, 8, 20, 24),
        (1, "rx"): (5, 9, 21, 25),
    }
    for (number, key), allowed in pins.items():
        for pin in range(30):
            base, irq = 0x40070000 + 0x8000 * number, 33 + number
            assert vectors[f"UART{number}_IRQ"] == str(irq)
            uart = board.uart.model_copy(update={"base": base, "irq": irq, key: f"GPIO{pin}"})
            faulty = key in {fault.key for fault in uart.faults(board.clock)}
            assert faulty == (pin not in allowed)


@pytest.mark.parametrize(
    ("name", "file"),
    [("microbit", "Nordic/nrf51.svd"), ("arduino-nano-33-ble", "Nordic/nrf52.svd")],
)
def test_rates_of_nrf5(name: str, file: str) -> None:
    board = load_board(name)
    assert isinstance(board, Nrf5Board)
    svd = Svd(file, {"UART0"})
    rates = svd.named[svd.addresses["UART0.BAUDRATE"]]
    assert board.uart.baudrate == rates[f"Baud{board.uart.baud}".replace("1000000", "1M")]
    assert svd.addresses["UART0.TASKS_STARTRX"] == board.uart.base
    if isinstance(board, Nrf51Board):
        assert svd.interrupts["UART0"] == board.uart.irq


def test_start_of_an_nrf52840(tmp_path: Path) -> None:
    board = load_board("arduino-nano-33-ble")
    assert isinstance(board, Nrf52Board)
    svd = Svd("Nordic/nrf52.svd", {"CLOCK", "NVMC", "P0", "UART0"})
    at = svd.addresses
    for register in ("OUTSET", "PIN_CNF3", "PIN_CNF10"):  # the second port is like the first
        address = at[f"P1.{register}"] = at[f"P0.{register}"] + 0x300
        svd.reset[address] = svd.reset[at[f"P0.{register}"]]
        svd.fields[address] = svd.fields[at[f"P0.{register}"]]

    def respond(values: dict[int, int], address: int, _value: int) -> None:
        if address == at["CLOCK.TASKS_HFCLKSTART"]:
            values[at["CLOCK.EVENTS_HFCLKSTARTED"]] = 1

    machine = start("arduino-nano-33-ble", tmp_path, svd.reset, respond)
    # Events and tasks have no fields in this file.
    events = {name for name in at if "EVENTS" in name or "TASKS" in name}
    check_fields(machine, svd, {"UART0.INTENCLR", *events})
    values = {name: machine.values[address] for name, address in at.items()}
    assert values["UART0.ENABLE"] == 4
    assert values["UART0.PSELTXD"] == 32 + 3
    assert values["UART0.PSELRXD"] == 32 + 10
    assert values["UART0.PSELRTS"] == values["UART0.PSELCTS"] == 0xFFFFFFFF
    assert values["UART0.INTENSET"] == 1 << svd.fields[at["UART0.INTENSET"]]["RXDRDY"][0]
    assert values["P1.OUTSET"] == 1 << 3
    assert values["P1.PIN_CNF3"] & 1
    assert not values["P1.PIN_CNF10"] & 3
    assert values["NVMC.ICACHECNF"] == 1
    assert machine.when(at["CLOCK.TASKS_HFCLKSTART"], 1) < machine.when(at["UART0.ENABLE"], 4)
    assert machine.enabled == 1 << board.uart.irq


def test_start_of_a_sam3x(tmp_path: Path) -> None:
    board = load_board("arduino-due")
    assert isinstance(board, Sam3xBoard)
    svd = Svd("Atmel/ATSAM3X8E.svd", {"PMC", "EFC0", "EFC1", "WDT", "PIOA", "UART"})
    at = svd.addresses

    def field(values: dict[int, int], register: str, name: str) -> int:
        offset, width = svd.fields[at[register]][name]
        return values.get(at[register], 0) >> offset & ((1 << width) - 1)

    def respond(values: dict[int, int], _address: int, _value: int) -> None:
        ready = {
            "MOSCXTS": field(values, "PMC.CKGR_MOR", "MOSCXTEN"),
            "MOSCRCS": field(values, "PMC.CKGR_MOR", "MOSCRCEN"),
            "MOSCSELS": 1,
            "LOCKA": int(field(values, "PMC.CKGR_PLLAR", "MULA") > 0),
            "MCKRDY": 1,
        }
        fields = svd.fields[at["PMC.PMC_SR"]]
        values[at["PMC.PMC_SR"]] = sum(bit << fields[name][0] for name, bit in ready.items())

    machine = start("arduino-due", tmp_path, svd.reset, respond)
    # MCKR keeps reserved bits of its own, and interrupts are disabled all at once.
    check_fields(machine, svd, {"UART.IDR"})
    assert machine.writes[0] == (at["WDT.MR"], 1 << svd.fields[at["WDT.MR"]]["WDDIS"][0])

    def value(register: str, name: str) -> int:
        return field(machine.values, register, name)

    assert value("PMC.CKGR_MOR", "MOSCXTEN") == value("PMC.CKGR_MOR", "MOSCSEL") == 1
    assert value("PMC.CKGR_PLLAR", "ONE") == 1
    vco = board.clock.crystal_hz * (value("PMC.CKGR_PLLAR", "MULA") + 1)
    assert value("PMC.PMC_MCKR", "CSS") == svd.named[at["PMC.PMC_MCKR"]]["PLLA_CLK"]
    assert value("PMC.PMC_MCKR", "PRES") == svd.named[at["PMC.PMC_MCKR"]]["CLK_2"]
    assert vco / value("PMC.CKGR_PLLAR", "DIVA") / 2 == board.clock.sysclk_hz
    switched = machine.when(at["PMC.PMC_MCKR"], machine.values[at["PMC.PMC_MCKR"]])
    for bank in ("EFC0", "EFC1"):
        assert value(f"{bank}.FMR", "FWS") == board.clock.flash_wait_states
        assert machine.when(at[f"{bank}.FMR"], machine.values[at[f"{bank}.FMR"]]) < switched
    keys = [v >> 16 & 0xFF for address, v in machine.writes if address == at["PMC.CKGR_MOR"]]
    assert set(keys) == {0x37}

    assert svd.interrupts["UART"] == board.uart.irq
    assert at["UART.CR"] == board.uart.base
    assert machine.values[at["PMC.PMC_PCER0"]] == 1 << board.uart.irq
    assert machine.values[at["PIOA.PDR"]] == 1 << 8 | 1 << 9
    assert machine.values[at["PIOA.ABSR"]] == 0
    assert value("UART.MR", "PAR") == svd.named[at["UART.MR"]]["NO"]
    assert board.clock.sysclk_hz / 16 / value("UART.BRGR", "CD") == board.uart.baud
    assert machine.values[at["UART.IER"]] == 1 << svd.fields[at["UART.IER"]]["RXRDY"][0]
    assert value("UART.CR", "RXEN") == value("UART.CR", "TXEN") == 1
    assert machine.enabled == 1 << board.uart.irq


RP2040 = {
    "RESET": 0x4000C000,
    "RESET_DONE": 0x4000C008,
    "CLK_REF_CTRL": 0x40008030,
    "CLK_REF_SELECTED": 0x40008038,
    "CLK_SYS_CTRL": 0x4000803C,
    "CLK_SYS_SELECTED": 0x40008044,
    "CLK_PERI_CTRL": 0x40008048,
    "XOSC_CTRL": 0x40024000,
    "XOSC_STATUS": 0x40024004,
    "PLL_CS": 0x40028000,
    "PLL_PWR": 0x40028004,
    "PLL_FBDIV_INT": 0x40028008,
    "PLL_PRIM": 0x4002800C,
    "GPIO0_CTRL": 0x40014004,
    "GPIO1_CTRL": 0x4001400C,
    "PADS_GPIO1": 0x4001C008,
    "UARTFR": 0x40034018,
    "UARTIBRD": 0x40034024,
    "UARTFBRD": 0x40034028,
    "UARTLCR_H": 0x4003402C,
    "UARTCR": 0x40034030,
    "UARTIMSC": 0x40034038,
}


RP2350 = {
    "RESET": 0x40020000,
    "RESET_DONE": 0x40020008,
    "CLK_REF_CTRL": 0x40010030,
    "CLK_REF_SELECTED": 0x40010038,
    "CLK_SYS_CTRL": 0x4001003C,
    "CLK_SYS_SELECTED": 0x40010044,
    "CLK_PERI_CTRL": 0x40010048,
    "XOSC_CTRL": 0x40048000,
    "XOSC_STATUS": 0x40048004,
    "PLL_CS": 0x40050000,
    "PLL_PWR": 0x40050004,
    "PLL_FBDIV_INT": 0x40050008,
    "PLL_PRIM": 0x4005000C,
    "GPIO0_CTRL": 0x40028004,
    "GPIO1_CTRL": 0x4002800C,
    "PADS_GPIO0": 0x40038004,
    "PADS_GPIO1": 0x40038008,
    "UARTFR": 0x40070018,
    "UARTIBRD": 0x40070024,
    "UARTFBRD": 0x40070028,
    "UARTLCR_H": 0x4007002C,
    "UARTCR": 0x40070030,
    "UARTIMSC": 0x40070038,
}


@pytest.mark.parametrize("name", [*RP2040_BOARDS, "raspberry-pi-pico-2"])
def test_start_of_an_rp2040_or_rp2350(name: str, tmp_path: Path) -> None:
    board = load_board(name)
    assert isinstance(board, Rp2Board)
    newer = isinstance(board, Rp2350Board)
    at = RP2350 if newer else RP2040
    every = 0x1FFFFFFF if newer else 0x01FFFFFF
    # IO_BANK0, PADS_BANK0, PLL_SYS, UART0.
    bits = (6, 9, 14, 26) if newer else (5, 8, 12, 22)

    def respond(values: dict[int, int], address: int, value: int) -> None:
        if address - 0x3000 in at.values():  # the alias that clears
            values[address - 0x3000] &= ~value
        values[at["RESET_DONE"]] = ~values[at["RESET"]] & every
        values[at["XOSC_STATUS"]] = int(values.get(at["XOSC_CTRL"], 0) >> 12 == 0xFAB) << 31
        for clock, mask in (("CLK_REF", 3), ("CLK_SYS", 1)):
            selected = 1 << (values[at[f"{clock}_CTRL"]] & mask)
            values[at[f"{clock}_SELECTED"]] = selected
        powered = not values[at["PLL_PWR"]] & 0x21 and not values[at["RESET"]] >> bits[2] & 1
        values[at["PLL_CS"]] = values[at["PLL_CS"]] & ~(1 << 31) | powered << 31

    reset = {at["RESET"]: every, at["PLL_PWR"]: 0x2D, at["PLL_CS"]: 1}
    reset |= {at["CLK_REF_CTRL"]: 0, at["CLK_SYS_CTRL"]: 0, at["UARTFR"]: 0x90}
    machine = start(name, tmp_path, reset, respond)
    values = {name: machine.values.get(address, 0) for name, address in at.items()}
    assert values["XOSC_CTRL"] == 0xFABAA0
    assert values["CLK_REF_CTRL"] == 2
    assert values["CLK_SYS_CTRL"] == 1
    assert values["PLL_PWR"] == 1 << 2  # all but the modulator
    assert values["PLL_CS"] & 0x3F == 1
    vco = board.clock.crystal_hz * values["PLL_FBDIV_INT"]
    dividers = (values["PLL_PRIM"] >> 16 & 7) * (values["PLL_PRIM"] >> 12 & 7)
    assert vco / dividers == board.clock.sysclk_hz
    assert ~values["RESET"] & every == sum(1 << bit for bit in bits)
    for clock in ("REF", "SYS"):
        assert machine.values[at[f"CLK_{clock}_CTRL"] + 4] == (1 << 16 if newer else 1 << 8)  # 1
    assert values["CLK_PERI_CTRL"] == 1 << 11
    divider = values["UARTIBRD"] + values["UARTFBRD"] / 64
    assert board.clock.sysclk_hz / 16 / divider == pytest.approx(board.uart.baud, rel=0.001)
    assert machine.when(at["UARTFBRD"], values["UARTFBRD"]) < machine.when(
        at["UARTLCR_H"], values["UARTLCR_H"]
    )
    assert values["UARTLCR_H"] == 3 << 5 | 1 << 4
    assert values["UARTCR"] == 1 << 9 | 1 << 8 | 1
    assert values["UARTIMSC"] == 1 << 6 | 1 << 4
    assert values["GPIO0_CTRL"] == values["GPIO1_CTRL"] == 2
    assert values["PADS_GPIO1"] & 0xCC == 1 << 6 | 1 << 3  # input, pull-up
    if newer:  # whose pads are cut off after a reset
        assert not (values["PADS_GPIO0"] | values["PADS_GPIO1"]) & 1 << 8
    assert machine.enabled == 1 << board.uart.irq


@pytest.mark.parametrize(
    ("name", "pins", "event", "stop_bit"),
    [
        ("arduino-uno-r4-minima", {0x400408C8: 4, 0x400408C4: 4}, 163, 29),  # P302, P301
        ("arduino-uno-r4-wifi", {0x40040864: 5, 0x40040868: 5}, 168, 22),  # P109, P110
    ],
)
def test_start_of_an_ra4m1(
    name: str, pins: dict[int, int], event: int, stop_bit: int, tmp_path: Path
) -> None:
    board = load_board(name)
    assert isinstance(board, Ra4m1Board)
    uart = board.uart
    sckdivcr, sckscr, memwait, hococr = 0x4001E020, 0x4001E026, 0x4001E031, 0x4001E036
    oscsf, opccr, prcr = 0x4001E03C, 0x4001E0A0, 0x4001E3FE
    pwpr, mstpcrb, ielsr, fcachee = 0x40040D03, 0x40047000, 0x40006300, 0x4001C100
    protected = {sckdivcr, sckscr, memwait, hococr, opccr, mstpcrb}

    def respond(values: dict[int, int], address: int, _value: int) -> None:
        values[oscsf] = int(values[hococr] == 0)
        values[0x4001C104] = 0  # the cache is invalid at once
        values[uart.base + 4] = 0x84  # nothing has been received
        if address in protected:
            assert values[prcr] == 0xA503
        if address in pins:
            assert values[pwpr] == 1 << 6

    reset = {hococr: 0, mstpcrb: 0xFFFFFFFF, opccr: 2, prcr: 0, pwpr: 0x80}
    machine = start(name, tmp_path, reset, respond)
    values = machine.values
    assert (values[sckscr], values[opccr], values[memwait]) == (0, 0, 1)
    # ICLK, PCLKA, C and D at 48 MHz, FCLK, PCLKB and what has to be like it at 24 MHz.
    assert values[sckdivcr] == 1 << 28 | 1 << 16 | 1 << 8
    fast = machine.when(sckscr, 0)
    assert machine.when(memwait, 1) < fast
    assert machine.when(opccr, 0) < fast
    assert machine.when(sckdivcr, values[sckdivcr]) < fast
    assert values[prcr] == 0xA500
    assert values[fcachee] == 1
    assert values[mstpcrb] == 0xFFFFFFFF & ~(1 << stop_bit)
    for address, function in pins.items():
        assert values[address] & ~(1 << 4) == function << 24 | 1 << 16
        assert machine.when(address, function << 24, 0xFF010000) < machine.when(
            address, function << 24 | 1 << 16, 0xFF010000
        )
    assert values[pwpr] == 0x80
    rates = board.clock.sysclk_hz / 8 / (values[uart.base + 1] + 1)
    assert rates == pytest.approx(uart.baud, rel=0.01)
    assert values[uart.base + 7] == 1 << 6 | 1 << 4
    assert values[uart.base + 2] == 1 << 6 | 1 << 5 | 1 << 4
    assert values[ielsr + 4 * uart.irq] == event
    assert values[ielsr + 4 * (uart.irq + 1)] == event + 3
    assert machine.enabled == 3 << uart.irq
