"""Reading and checking board descriptions."""

from __future__ import annotations

import bisect
import difflib
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal, NamedTuple, Self

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    ModelWrapValidatorHandler,
    PrivateAttr,
    ValidationInfo,
    field_validator,
    model_validator,
)

from tinyedge.boards import avr, stm32
from tinyedge.boards.cores import CORES, Core, CoreName, CortexMName
from tinyedge.boards.flash_tools import (
    ArduinoCliTool,
    AvrdudeTool,
    BossacTool,
    DfuTool,
    DriveTool,
    OpenOcdTool,
    PyocdTool,
    StlinkTool,
    ToolName,
    UsbId,
    Word,
)
from tinyedge.errors import BoardError
from tinyedge.schema import Fault, load_toml, refuse, validate
from tinyedge.templates import data_folder

DEFAULT_BOARD = "netduinoplus2"

_KB = 1024

Hertz = Annotated[int, Field(gt=0, le=1_000_000_000)]
Address = Annotated[int, Field(ge=0, lt=2**32)]
_PIN = r"^P[A-K](\d|1[0-5])$"


class _Record(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class Region(_Record):
    """A memory: address and size in bytes."""

    origin: Address
    size: Annotated[int, Field(gt=0, le=2**30)]

    @property
    def end(self) -> int:
        """The first address behind."""
        return self.origin + self.size

    @model_validator(mode="after")
    def _ends(self) -> Region:
        if self.end > 2**32:
            refuse([Fault("size", self.size, f"up to {2**32 - self.origin} from this origin on")])
        return self


class Memory(_Record):
    """Where code and data go."""

    flash: Region
    ram: Region

    @model_validator(mode="after")
    def _laid_out(self) -> Memory:
        refuse(self._faults())
        return self

    def _faults(self) -> Iterator[Fault]:
        flash, ram = self.flash, self.ram
        if ram.origin < flash.end and flash.origin < ram.end:
            apart = f"apart from flash, which is from 0x{flash.origin:08x} to 0x{flash.end - 1:08x}"
            yield Fault("ram.origin", ram.origin, apart)
        if flash.origin % 1024:
            yield Fault("flash.origin", flash.origin, "a multiple of 1024, for the vectors")
        if ram.end % 8:
            yield Fault("ram.size", ram.size, "a multiple of 8 behind the origin, for the stack")


class Clock(_Record):
    """The core's clock, in Hz."""

    sysclk_hz: Hertz


class Stm32Clock(Clock):
    """A PLL and the prescalers behind it, as the reference manual names the factors."""

    pll_m: int
    pll_n: int
    flash_wait_states: Annotated[int, Field(ge=0, le=7)]
    apb1_divider: Literal[1, 2, 4, 8, 16]
    apb2_divider: Literal[1, 2, 4, 8, 16]

    _pll_input: ClassVar[tuple[int, int]]
    _formula: ClassVar[str]

    @property
    def source_hz(self) -> int:
        """What the PLL multiplies."""
        raise NotImplementedError

    @property
    def output_divider(self) -> int:
        """What divides the frequency of the PLL's oscillator."""
        raise NotImplementedError

    def highest(self, part: stm32.Part) -> int:
        """The highest ``sysclk_hz`` of a part."""
        return part.sysclk

    @property
    def ahb_hz(self) -> int:
        """Of the bus that the flash and the peripheral buses are on."""
        return self.sysclk_hz

    def apb_hz(self, number: Literal[1, 2]) -> int:
        """Of a peripheral bus."""
        return self.ahb_hz // (self.apb1_divider if number == 1 else self.apb2_divider)

    @model_validator(mode="after")
    def _adds_up(self) -> Self:
        refuse(self._faults())
        return self

    def _faults(self) -> Iterator[Fault]:
        low, high = self._pll_input
        if not low <= self.source_hz / self.pll_m <= high:
            allowed = f"such that the PLL multiplies {low} to {high} Hz"
            yield Fault("pll_m", self.pll_m, allowed)
        given = self.source_hz * self.pll_n / (self.pll_m * self.output_divider)
        if given != self.sysclk_hz:
            yield Fault("sysclk_hz", self.sysclk_hz, f"{given:.0f}, which is {self._formula}")

    def faults(self, part: stm32.Part) -> Iterator[Fault]:
        """What a part cannot do."""
        hz = self.sysclk_hz
        if hz > self.highest(part):
            yield Fault("sysclk_hz", hz, f"up to {self.highest(part)}")
        if self.pll_n < part.pll_n:
            yield Fault("pll_n", self.pll_n, f"from {part.pll_n} on")
        low, high = part.vco
        if not low <= hz * self.output_divider <= high:
            allowed = f"such that the PLL's oscillator has {low} to {high} Hz"
            yield Fault("pll_n", self.pll_n, allowed)
        least = sum(self.ahb_hz > limit for limit in part.wait_states)
        if self.flash_wait_states < least:
            yield Fault("flash_wait_states", self.flash_wait_states, f"from {least} to 7")
        for key, bus, bus_hz, limit in (
            ("ahb_divider", "the AHB", self.ahb_hz, part.wait_states[-1]),
            ("apb1_divider", "APB1", self.apb_hz(1), part.apb1),
            ("apb2_divider", "APB2", self.apb_hz(2), part.apb2),
        ):
            highest = limit * self.highest(part) // part.sysclk
            if bus_hz > highest and hasattr(self, key):
                yield Fault(key, getattr(self, key), f"such that {bus} has up to {highest} Hz")


class _CrystalClock(Stm32Clock):
    """Driven by a crystal, or with ``hse_bypass`` by a clock signal."""

    hse_hz: Annotated[int, Field(ge=1_000_000, le=50_000_000)]
    hse_bypass: bool = False
    over_drive: bool = False
    pll_p: int

    _formula = "hse_hz * pll_n / (pll_m * pll_p)"

    @property
    def source_hz(self) -> int:
        return self.hse_hz

    @property
    def output_divider(self) -> int:
        return self.pll_p

    def highest(self, part: stm32.Part) -> int:
        return part.sysclk if self.over_drive else part.without_over_drive or part.sysclk

    def faults(self, part: stm32.Part) -> Iterator[Fault]:
        yield from super().faults(part)
        if self.over_drive and not part.without_over_drive:
            yield Fault("over_drive", self.over_drive, "false: the part has none")


class Stm32f4Clock(_CrystalClock):
    """The clock tree of an STM32F4 or F7."""

    pll_m: Annotated[int, Field(ge=2, le=63)]
    pll_n: Annotated[int, Field(ge=50, le=432)]
    pll_p: Literal[2, 4, 6, 8]
    pll_q: Annotated[int, Field(ge=2, le=15)]

    _pll_input = (950_000, 2_100_000)


class Stm32h7Clock(_CrystalClock):
    """The clock tree of an STM32H7, and what supplies the core.

    ``hse_enable`` is a pin that switches the oscillator on; ``flash_programming_delay`` belongs to
    the wait states.
    """

    hse_enable: Annotated[str, Field(pattern=_PIN)] | None = None
    supply: Literal["ldo", "smps", "smps-1v8-ldo", "smps-2v5-ldo"]
    pll_m: Annotated[int, Field(ge=1, le=63)]
    pll_n: Annotated[int, Field(ge=4, le=512)]
    pll_p: Literal[1, 2, 4, 6, 8]
    ahb_divider: Literal[1, 2, 4, 8, 16]
    flash_programming_delay: Annotated[int, Field(ge=0, le=3)]

    _pll_input = (2_000_000, 16_000_000)

    @property
    def ahb_hz(self) -> int:
        return self.sysclk_hz // self.ahb_divider

    @property
    def pll_range(self) -> int:
        """In which range the PLL's input is: 1 from 2 MHz on, 2 from 4 MHz on, 3 from 8 MHz on."""
        hz = self.hse_hz / self.pll_m
        return sum(hz >= limit for limit in (2_000_000, 4_000_000, 8_000_000))

    @property
    def hse_enable_port(self) -> int:
        """Index of the port of ``hse_enable``, A = 0."""
        return ord(str(self.hse_enable)[1]) - ord("A")

    @property
    def hse_enable_pin(self) -> int:
        """Number of ``hse_enable`` in its port."""
        return int(str(self.hse_enable)[2:])

    def faults(self, part: stm32.Part) -> Iterator[Fault]:
        yield from super().faults(part)
        if self.pll_p == 1 and not part.divided_once:
            yield Fault("pll_p", self.pll_p, "2 or 4 or 6 or 8 on this part")
        if self.supply not in part.supplies:
            yield Fault("supply", self.supply, " or ".join(part.supplies))
        elif self.over_drive and self.supply in part.slow_supplies:
            others = [name for name in part.supplies if name not in part.slow_supplies]
            yield Fault("supply", self.supply, f"{' or '.join(others)} with over_drive")


class Stm32l4Clock(Stm32Clock):
    """Driven by the internal oscillator of 16 MHz."""

    pll_m: Annotated[int, Field(ge=1, le=8)]
    pll_n: Annotated[int, Field(ge=8, le=86)]
    pll_r: Literal[2, 4, 6, 8]

    _pll_input = (4_000_000, 16_000_000)
    _formula = "16 MHz * pll_n / (pll_m * pll_r)"

    @property
    def source_hz(self) -> int:
        return 16_000_000

    @property
    def output_divider(self) -> int:
        return self.pll_r


class Nrf51Clock(Clock):
    """An nRF51 runs at 16 MHz, whatever its crystal."""

    sysclk_hz: Literal[16_000_000]


class Nrf52Clock(Clock):
    """An nRF52 runs at 64 MHz."""

    sysclk_hz: Literal[64_000_000]


class Sam3xClock(Clock):
    """A crystal and a PLL, half of whose frequency the core gets."""

    crystal_hz: Annotated[int, Field(ge=3_000_000, le=20_000_000)]
    sysclk_hz: Annotated[int, Field(ge=40_000_000, le=84_000_000)]
    pll_mul: Annotated[int, Field(ge=2, le=63)]
    pll_div: Annotated[int, Field(ge=1, le=2)]
    flash_wait_states: Annotated[int, Field(ge=0, le=15)]

    # Up to how many Hz each number of wait states goes, from none on.
    _wait_states: ClassVar = (22_500_000, 34_000_000, 53_000_000, 78_000_000)

    @model_validator(mode="after")
    def _adds_up(self) -> Self:
        refuse(self._faults())
        return self

    def _faults(self) -> Iterator[Fault]:
        if not 8_000_000 <= self.crystal_hz / self.pll_div <= 16_000_000:
            yield Fault(
                "pll_div", self.pll_div, "such that the PLL multiplies 8000000 to 16000000 Hz"
            )
        given = self.crystal_hz * self.pll_mul / (self.pll_div * 2)
        if given != self.sysclk_hz:
            formula = "crystal_hz * pll_mul / (pll_div * 2)"
            yield Fault("sysclk_hz", self.sysclk_hz, f"{given:.0f}, which is {formula}")
        least = bisect.bisect_left(self._wait_states, self.sysclk_hz)
        if self.flash_wait_states < least:
            yield Fault("flash_wait_states", self.flash_wait_states, f"from {least} to 15")


class Rp2040Clock(Clock):
    """A crystal and a PLL with two dividers behind it."""

    crystal_hz: Annotated[int, Field(ge=5_000_000, le=15_000_000)]
    sysclk_hz: Annotated[int, Field(gt=0, le=133_000_000)]
    pll_fbdiv: Annotated[int, Field(ge=16, le=320)]
    pll_postdiv1: Annotated[int, Field(ge=1, le=7)]
    pll_postdiv2: Annotated[int, Field(ge=1, le=7)]

    @model_validator(mode="after")
    def _adds_up(self) -> Self:
        refuse(self._faults())
        return self

    def _faults(self) -> Iterator[Fault]:
        vco = self.crystal_hz * self.pll_fbdiv
        if not 750_000_000 <= vco <= 1_600_000_000:
            allowed = "such that the PLL's oscillator has 750000000 to 1600000000 Hz"
            yield Fault("pll_fbdiv", self.pll_fbdiv, allowed)
        given = vco / (self.pll_postdiv1 * self.pll_postdiv2)
        if given != self.sysclk_hz:
            formula = "crystal_hz * pll_fbdiv / (pll_postdiv1 * pll_postdiv2)"
            yield Fault("sysclk_hz", self.sysclk_hz, f"{given:.0f}, which is {formula}")


class Ra4m1Clock(Clock):
    """An RA4M1 on its high-speed oscillator."""

    sysclk_hz: Literal[48_000_000]


class SerialPort(_Record):
    """The serial port that the link uses: bits per second."""

    baud: Annotated[int, Field(ge=9600, le=4_000_000)]


class Uart(SerialPort):
    """A serial port by its registers' address and interrupt."""

    base: Address
    irq: Annotated[int, Field(ge=0, le=239)]


def _within(given: float, baud: int) -> bool:
    """Whether a serial port's rate is near enough to the one that is asked for."""
    return abs(given - baud) <= baud / 50


class OnePartUart(Uart):
    """The serial port of a family of one part."""

    def faults(self, clock: Clock) -> Iterator[Fault]:
        """What it cannot do, at a clock."""
        raise NotImplementedError


class Stm32Uart(Uart):
    """A serial port of an STM32: bus, bit in the bus's enable register, pins."""

    peripheral: Annotated[str, Field(pattern=r"^US?ART[1-6]$")]
    apb: Literal[1, 2]
    enable_bit: Annotated[int, Field(ge=0, le=31)]
    tx: Annotated[str, Field(pattern=_PIN)]
    rx: Annotated[str, Field(pattern=_PIN)]
    alternate_function: Annotated[int, Field(ge=0, le=15)]

    def faults(self, part: stm32.Part, clock: Stm32Clock) -> Iterator[Fault]:
        """What a part cannot do at a clock."""
        port = part.serial.get(self.peripheral)
        if port is None:
            yield Fault("peripheral", self.peripheral, " or ".join(part.serial))
            return
        for key, pin, pins in (("tx", self.tx, port.tx), ("rx", self.rx, port.rx)):
            if pin not in pins:
                yield Fault(key, pin, f"{' or '.join(pins)} for {self.peripheral}")
        if self.alternate_function != port.alternate_function:
            allowed = f"{port.alternate_function} for {self.peripheral}"
            yield Fault("alternate_function", self.alternate_function, allowed)
        hz = clock.apb_hz(self.apb)
        divider = round(hz / self.baud)
        if divider < 16 or not _within(hz / divider, self.baud):
            yield Fault("baud", self.baud, f"{hz} Hz by a whole number from 16 on, within 2 %")

    @property
    def tx_port(self) -> int:
        """Index of the transmit pin's port, A = 0."""
        return ord(self.tx[1]) - ord("A")

    @property
    def tx_pin(self) -> int:
        """Number of the transmit pin in its port."""
        return int(self.tx[2:])

    @property
    def rx_port(self) -> int:
        """Index of the receive pin's port, A = 0."""
        return ord(self.rx[1]) - ord("A")

    @property
    def rx_pin(self) -> int:
        """Number of the receive pin in its port."""
        return int(self.rx[2:])


class Sam3xUart(OnePartUart):
    """The UART of a SAM3X, which is on one pair of pins."""

    base: Literal[0x400E0800]
    irq: Literal[8]
    tx: Literal["PA9"]
    rx: Literal["PA8"]

    def faults(self, clock: Clock) -> Iterator[Fault]:
        """What it cannot do at a clock."""
        steps = clock.sysclk_hz / 16
        if not _within(steps / (round(steps / self.baud) or 1), self.baud):
            yield Fault("baud", self.baud, f"{steps:.0f} Hz by a whole number, within 2 %")


_RP2040_PIN = r"^GPIO([12]?\d)$"


class Rp2040Uart(OnePartUart):
    """A PL011 of an RP2040: pins, of which every fourth has the same function."""

    base: Literal[0x40034000, 0x40038000]
    tx: Annotated[str, Field(pattern=_RP2040_PIN)]
    rx: Annotated[str, Field(pattern=_RP2040_PIN)]

    def faults(self, clock: Clock) -> Iterator[Fault]:
        """What it cannot do, at a clock."""
        if self.irq != 20 + self.number:
            yield Fault("irq", self.irq, f"{20 + self.number} for UART{self.number}")
        # From GPIO0 on: TX, RX, CTS, RTS of the ports 0, 1, 1, 0, and so on.
        for key, pin, first in (("tx", self.tx_pin, 0), ("rx", self.rx_pin, 1)):
            pins = [n for n in range(first, 30, 4) if (n // 4 + 1) // 2 % 2 == self.number]
            if pin not in pins:
                names = " or ".join(f"GPIO{n}" for n in pins)
                yield Fault(key, f"GPIO{pin}", f"{names} for UART{self.number}")
        highest = clock.sysclk_hz / 16
        if self.baud > highest:
            yield Fault("baud", self.baud, f"up to {highest:.0f}, a sixteenth of the clock")

    @property
    def number(self) -> int:
        """Which of the two ports it is."""
        return (self.base - 0x40034000) // 0x4000

    @property
    def tx_pin(self) -> int:
        """Number of the transmit pin."""
        return int(self.tx.removeprefix("GPIO"))

    @property
    def rx_pin(self) -> int:
        """Number of the receive pin."""
        return int(self.rx.removeprefix("GPIO"))


class Sci(NamedTuple):
    """A serial port of an RA4M1, of those that boards have on their pins.

    Attributes:
        base: of its registers.
        tx, rx: its pins there.
        event: number of the event that it has received a byte, as ``RXI``; ``ERI`` is 3 behind.
    """

    base: int
    tx: str
    rx: str
    event: int


class Ra4m1Uart(OnePartUart):
    """A serial port of an RA4M1; ``irq`` is the event link that its events are given."""

    peripheral: Literal["SCI2", "SCI9"]
    irq: Annotated[int, Field(ge=0, le=30)]
    tx: str
    rx: str

    _ports: ClassVar = {
        "SCI2": Sci(0x40070040, "P302", "P301", 163),
        "SCI9": Sci(0x40070120, "P109", "P110", 168),
    }

    def faults(self, clock: Clock) -> Iterator[Fault]:
        for key in ("base", "tx", "rx"):
            allowed = getattr(self.port, key)
            if getattr(self, key) != allowed:
                yield Fault(key, getattr(self, key), f"{allowed!r} for {self.peripheral}")
        steps = clock.sysclk_hz / 8
        divider = round(steps / self.baud) or 1
        if divider > 256 or not _within(steps / divider, self.baud):
            allowed = f"{steps:.0f} Hz by a whole number up to 256, within 2 %"
            yield Fault("baud", self.baud, allowed)

    @property
    def port(self) -> Sci:
        """What is known of it."""
        return self._ports[self.peripheral]

    @property
    def number(self) -> int:
        """Its number."""
        return int(self.peripheral.removeprefix("SCI"))


class Mps2Uart(Uart):
    """A CMSDK APB UART: ``clock_hz`` is the frequency of its bus."""

    clock_hz: Hertz

    @property
    def divider(self) -> int:
        """Clocks that a bit takes."""
        return round(self.clock_hz / self.baud)

    @model_validator(mode="after")
    def _divides(self) -> Mps2Uart:
        if not 16 <= self.divider < 2**20:
            allowed = f"such that clock_hz / baud is from 16 to {2**20 - 1}"
            refuse([Fault("baud", self.baud, allowed)])
        return self


class Nrf5Uart(OnePartUart):
    """The serial port without DMA of an nRF51 or nRF52: pins."""

    base: Literal[0x40002000]
    irq: Literal[2]
    baud: Annotated[int, Field(ge=9600, le=1_000_000)]
    tx: str
    rx: str

    def faults(self, clock: Clock) -> Iterator[Fault]:  # noqa: ARG002 - it has a clock of its own
        if self.tx_pin == self.rx_pin:
            yield Fault("rx", self.rx, "another pin than tx")
        # A bit takes a whole number of cycles of 16 MHz, as the rates show that Nordic gives.
        if not _within(16_000_000 / (16_000_000 // self.baud), self.baud):
            yield Fault("baud", self.baud, "16000000 Hz by a whole number from 16 on, within 2 %")

    @property
    def tx_pin(self) -> int:
        """Number of the transmit pin, counted over all ports."""
        return _nrf_pin(self.tx)

    @property
    def rx_pin(self) -> int:
        """Number of the receive pin, counted over all ports."""
        return _nrf_pin(self.rx)

    @property
    def baudrate(self) -> int:
        """The register's value: ``baud / 16 MHz`` as a fraction of 2**32, in steps of 2**12."""
        return ((self.baud << 32) // 16_000_000 + 0x800) & ~0xFFF


def _nrf_pin(name: str) -> int:
    port, _, pin = name[1:].partition(".")
    return 32 * int(port) + int(pin)


class Nrf51Uart(Nrf5Uart):
    """The serial port of an nRF51."""

    tx: Annotated[str, Field(pattern=r"^P0\.([12]?\d|3[01])$")]
    rx: Annotated[str, Field(pattern=r"^P0\.([12]?\d|3[01])$")]


class Nrf52Uart(Nrf5Uart):
    """The serial port of an nRF52840, whose second port has 16 pins."""

    tx: Annotated[str, Field(pattern=r"^P(0\.([0-2]?\d|3[01])|1\.(0?\d|1[0-5]))$")]
    rx: Annotated[str, Field(pattern=r"^P(0\.([0-2]?\d|3[01])|1\.(0?\d|1[0-5]))$")]


class Arduino(_Record):
    """Arduino's core, on which the firmware is built: the pins' variant and the board's macro."""

    variant: Annotated[str, Field(pattern=r"^\w+$")]
    board: Annotated[str, Field(pattern=r"^[A-Z0-9_]+$")]


class FlashTool(_Record):
    """How the board's flash can be written: a section a tool, the preferred one first."""

    arduino_cli: Annotated[ArduinoCliTool | None, Field(alias="arduino-cli")] = None
    avrdude: AvrdudeTool | None = None
    bossac: BossacTool | None = None
    dfu: DfuTool | None = None
    drive: DriveTool | None = None
    openocd: OpenOcdTool | None = None
    pyocd: PyocdTool | None = None
    stlink: StlinkTool | None = None

    _names: tuple[ToolName, ...] = PrivateAttr(default=())

    @property
    def names(self) -> tuple[ToolName, ...]:
        """The tools that the file has a section for, in its order."""
        return self._names

    @model_validator(mode="wrap")
    @classmethod
    def _in_order(cls, content: Any, check: ModelWrapValidatorHandler[Self]) -> Self:
        tools = check(content)
        if isinstance(content, dict):
            tools._names = tuple(content)  # noqa: SLF001 - its own
        return tools


class PlatformIo(_Record):
    """PlatformIO's names of the board and of the platform that has it."""

    platform: Word
    board: Word


class Qemu(_Record):
    """How QEMU stands in: machine, serial port, and what a tick of the counter is worth.

    The counter is SysTick, on an nRF51 TIMER0; ``systick_hz`` is what it counts at.
    """

    machine: str
    serial: Annotated[int, Field(ge=0, le=7)]
    icount_shift: Annotated[int, Field(ge=0, le=10)]
    systick_hz: Hertz

    @property
    def ticks_per_instruction(self) -> float:
        """Ticks of the counter that pass in one instruction under ``-icount``."""
        return float(self.systick_hz << self.icount_shift) * 1e-9


class Unicorn(_Record):
    """How Unicorn stands in."""

    cpu: Literal["cortex-m0", "cortex-m3", "cortex-m4", "cortex-m7", "cortex-m33"]


class Simavr(_Record):
    """How simavr stands in: its name of the part."""

    mcu: Annotated[str, Field(pattern=r"^\w+$")]


_IN_UNICORN = ("nrf52", "ra4m1", "rp2040", "sam3x", "stm32f4", "stm32f7", "stm32h7", "stm32l4")
"""The families whose serial port ``targets/unicorn_server.py`` has."""


class Emulator(_Record):
    """The emulators that can stand in for the board."""

    qemu: Qemu | None = None
    unicorn: Unicorn | None = None
    simavr: Simavr | None = None


class Board(_Record):
    """A board, as its TOML file describes it; see ``docs/boards.md``."""

    schema_version: Annotated[Literal[1], Field(alias="schema")]
    name: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9-]{0,22}$")]
    title: str
    mcu: str
    family: str
    core: CoreName
    sources: Annotated[list[str], Field(min_length=1)]
    memory: Memory
    clock: Clock
    uart: SerialPort
    usb: UsbId | None = None
    flash_tool: FlashTool = FlashTool()
    platformio: PlatformIo | None = None
    emulator: Emulator = Emulator()

    @field_validator("name")
    @classmethod
    def _named_after_its_file(cls, name: str, info: ValidationInfo) -> str:
        if info.context and name != info.context["path"].stem:
            refuse([Fault("", name, f"{info.context['path'].stem!r}, as its file is called")])
        return name

    @model_validator(mode="after")
    def _emulated(self) -> Self:
        unicorn = self.emulator.unicorn
        if unicorn and self.family not in _IN_UNICORN:
            allowed = f"nothing but in family {' or '.join(_IN_UNICORN)}"
            refuse([Fault("emulator.unicorn.cpu", unicorn.cpu, allowed)])
        simavr = self.emulator.simavr
        if simavr and self.family != "avr":
            refuse([Fault("emulator.simavr.mcu", simavr.mcu, "nothing but in family avr")])
        return self

    @property
    def platform(self) -> tuple[str, ...]:
        """The folders of its platform code."""
        return (self.family,)

    @property
    def linker_script(self) -> str:
        """The template of its linker script."""
        return "cortex_m/linker.ld.j2"

    @property
    def minimum_stack(self) -> int:
        """Bytes of RAM that a firmware keeps for its stack."""
        return 2048

    @property
    def constants_size(self) -> int:
        """Bytes of flash in which constants can lie."""
        return self.flash.size

    @property
    def instruction_set(self) -> Core:
        """What the core's compilers call it, and which instructions it has."""
        return CORES[self.core]

    @property
    def flash(self) -> Region:
        """Flash memory."""
        return self.memory.flash

    @property
    def ram(self) -> Region:
        """Main memory."""
        return self.memory.ram


def _outside(key: str, region: Region, part: Region) -> Iterator[Fault]:
    """What lies outside a part's memory."""
    if not part.origin <= region.origin < part.end:
        allowed = f"from {part.origin} to {part.end - 1} (0x{part.origin:08x} on)"
        yield Fault(f"{key}.origin", region.origin, allowed)
    elif region.end > part.end:
        yield Fault(f"{key}.size", region.size, f"up to {part.end - region.origin} on this part")


class Stm32Board(Board):
    """A board with an STM32."""

    core: Literal["cortex-m4", "cortex-m7"]
    clock: Stm32Clock
    uart: Stm32Uart

    @property
    def platform(self) -> tuple[str, ...]:
        return ("stm32", self.family)

    @property
    def part(self) -> stm32.Part:
        """What its line of parts can do."""
        return stm32.PARTS[self.family][self.mcu[:9]]

    @model_validator(mode="after")
    def _possible(self) -> Self:
        refuse(self._faults())
        return self

    def _faults(self) -> Iterator[Fault]:
        lines = stm32.PARTS[self.family]
        flash = stm32.FLASH_SIZES.get(self.mcu[10:11])
        if self.mcu[:9] not in lines or not flash:
            sizes = ", ".join(stm32.FLASH_SIZES)
            allowed = f"{', '.join(lines)}, then a letter for the pins and one of {sizes}"
            yield Fault("mcu", self.mcu, allowed)
            return
        ram = Region(origin=self.part.ram_origin, size=self.part.ram)
        yield from _outside(
            "memory.flash", self.flash, Region(origin=stm32.FLASH_ORIGIN, size=flash)
        )
        yield from _outside("memory.ram", self.ram, ram)
        for fault in self.clock.faults(self.part):
            yield fault._replace(key=f"clock.{fault.key}")
        for fault in self.uart.faults(self.part, self.clock):
            yield fault._replace(key=f"uart.{fault.key}")


class Stm32f4Board(Stm32Board):
    """A board with an STM32F401, F405, F407, F411, F415, F417 or F446."""

    family: Literal["stm32f4"]
    core: Literal["cortex-m4"]
    clock: Stm32f4Clock

    @property
    def platform(self) -> tuple[str, ...]:
        return ("stm32", "stm32f4_f7", self.family)


class Stm32f7Board(Stm32Board):
    """A board with an STM32F767."""

    family: Literal["stm32f7"]
    core: Literal["cortex-m7"]
    clock: Stm32f4Clock

    @property
    def platform(self) -> tuple[str, ...]:
        return ("cortex_m7", "stm32", "stm32f4_f7", self.family)


class Stm32h7Board(Stm32Board):
    """A board with an STM32H735, H743 or H747, whose Cortex-M7 runs the firmware."""

    family: Literal["stm32h7"]
    core: Literal["cortex-m7"]
    clock: Stm32h7Clock

    @property
    def platform(self) -> tuple[str, ...]:
        return ("cortex_m7", "stm32", self.family)


class Stm32l4Board(Stm32Board):
    """A board with an STM32L475 or L476."""

    family: Literal["stm32l4"]
    core: Literal["cortex-m4"]
    clock: Stm32l4Clock


class Mps2Board(Board):
    """Arm's MPS2 or MPS3 with one of its FPGA images; also a smaller core's code on one."""

    family: Literal["mps2"]
    core: CortexMName
    uart: Mps2Uart


class OnePartBoard(Board):
    """A board of a family of one part, whose memories are known."""

    uart: OnePartUart

    _flash: ClassVar[Region]
    _ram: ClassVar[Region]

    @model_validator(mode="after")
    def _possible(self) -> Self:
        refuse(self._faults())
        return self

    def _faults(self) -> Iterator[Fault]:
        yield from _outside("memory.flash", self.flash, self._flash)
        yield from _outside("memory.ram", self.ram, self._ram)
        for fault in self.uart.faults(self.clock):
            yield fault._replace(key=f"uart.{fault.key}")


class Nrf5Board(OnePartBoard):
    """A board with an nRF5."""

    uart: Nrf5Uart

    @property
    def platform(self) -> tuple[str, ...]:
        return ("nrf5", self.family)


class Nrf51Board(Nrf5Board):
    """A board with an nRF51."""

    family: Literal["nrf51"]
    core: Literal["cortex-m0"]
    clock: Nrf51Clock
    uart: Nrf51Uart

    _flash = Region(origin=0, size=256 * _KB)
    _ram = Region(origin=0x20000000, size=32 * _KB)


class Nrf52Board(Nrf5Board):
    """A board with an nRF52840."""

    family: Literal["nrf52"]
    mcu: Literal["nRF52840"]
    core: Literal["cortex-m4"]
    clock: Nrf52Clock
    uart: Nrf52Uart

    _flash = Region(origin=0, size=1024 * _KB)
    _ram = Region(origin=0x20000000, size=256 * _KB)


class Sam3xBoard(OnePartBoard):
    """A board with an ATSAM3X8E."""

    family: Literal["sam3x"]
    mcu: Literal["ATSAM3X8E"]
    core: Literal["cortex-m3"]
    clock: Sam3xClock
    uart: Sam3xUart

    _flash = Region(origin=0x00080000, size=512 * _KB)
    _ram = Region(origin=0x20070000, size=96 * _KB)


class Ra4m1Board(OnePartBoard):
    """A board with an RA4M1 of 256 KB."""

    family: Literal["ra4m1"]
    mcu: Literal["R7FA4M1AB"]
    core: Literal["cortex-m4"]
    clock: Ra4m1Clock
    uart: Ra4m1Uart

    _flash = Region(origin=0, size=256 * _KB)
    _ram = Region(origin=0x20000000, size=32 * _KB)


class Rp2040Board(OnePartBoard):
    """A board with an RP2040, whose Cortex-M0+ runs a Cortex-M0's code."""

    family: Literal["rp2040"]
    mcu: Literal["RP2040"]
    core: Literal["cortex-m0"]
    clock: Rp2040Clock
    uart: Rp2040Uart

    _flash = Region(origin=0x10000000, size=16 * 1024 * _KB)
    _ram = Region(origin=0x20000000, size=264 * _KB)

    def _faults(self) -> Iterator[Fault]:
        yield from super()._faults()
        if self.flash.origin != self._flash.origin:
            allowed = f"{self._flash.origin}, where the boot ROM looks for the second stage"
            yield Fault("memory.flash.origin", self.flash.origin, allowed)


class AvrMemory(Memory):
    """Flash and RAM in address spaces of their own."""

    def _faults(self) -> Iterator[Fault]:
        if self.flash.origin:
            yield Fault("flash.origin", self.flash.origin, "0")


class AvrUart(SerialPort):
    """Arduino's ``Serial``, which is USART 0."""

    baud: Annotated[int, Field(ge=9600, le=2_000_000)]


class AvrBoard(Board):
    """An Arduino board with an AVR."""

    family: Literal["avr"]
    core: Literal["avr"]
    memory: AvrMemory
    uart: AvrUart
    arduino: Arduino

    @property
    def platform(self) -> tuple[str, ...]:
        return ("arduino",)

    @property
    def linker_script(self) -> str:
        return "avr/linker.ld.j2"

    @property
    def minimum_stack(self) -> int:
        return 448

    @property
    def constants_size(self) -> int:
        return min(self.flash.size, avr.POINTER_REACH)

    @property
    def part(self) -> avr.Part:
        """What its microcontroller has."""
        return avr.PARTS[self.mcu]

    @model_validator(mode="after")
    def _possible(self) -> Self:
        refuse(self._faults())
        return self

    def _faults(self) -> Iterator[Fault]:
        if self.mcu not in avr.PARTS:
            yield Fault("mcu", self.mcu, " or ".join(avr.PARTS))
            return
        part = self.part
        if self.flash.size > part.flash:
            yield Fault("memory.flash.size", self.flash.size, f"up to {part.flash} on this part")
        if self.ram.origin != part.ram_origin:
            allowed = f"{part.ram_origin} (0x{part.ram_origin:06x}) on this part"
            yield Fault("memory.ram.origin", self.ram.origin, allowed)
        if self.ram.size > part.ram:
            yield Fault("memory.ram.size", self.ram.size, f"up to {part.ram} on this part")
        hz = self.clock.sysclk_hz
        if hz > part.clock:
            yield Fault("clock.sysclk_hz", hz, f"up to {part.clock}")
        elif avr.baud_error(hz, self.uart.baud) > _BAUD_ERROR:
            allowed = f"{hz} Hz by a multiple of 8, within {100 * _BAUD_ERROR:g} %"
            yield Fault("uart.baud", self.uart.baud, allowed)
        simavr = self.emulator.simavr
        if simavr and simavr.mcu != part.gcc:
            yield Fault("emulator.simavr.mcu", simavr.mcu, repr(part.gcc))


_BAUD_ERROR = 0.022
"""What two serial ports of this kind bear; 115200 from 16 MHz is 2.1 % off."""

_FAMILIES: dict[str, type[Board]] = {
    "avr": AvrBoard,
    "mps2": Mps2Board,
    "nrf51": Nrf51Board,
    "nrf52": Nrf52Board,
    "ra4m1": Ra4m1Board,
    "rp2040": Rp2040Board,
    "sam3x": Sam3xBoard,
    "stm32f4": Stm32f4Board,
    "stm32f7": Stm32f7Board,
    "stm32h7": Stm32h7Board,
    "stm32l4": Stm32l4Board,
}


class _AnyClock(Clock):
    model_config = ConfigDict(extra="ignore")


class _AnyUart(SerialPort):
    model_config = ConfigDict(extra="ignore")


class _NoFamilyBoard(Board):
    """Refuses a family that is missing or unknown, along with the description's other faults."""

    family: Literal[
        "avr",
        "mps2",
        "nrf51",
        "nrf52",
        "ra4m1",
        "rp2040",
        "sam3x",
        "stm32f4",
        "stm32f7",
        "stm32h7",
        "stm32l4",
    ]
    clock: _AnyClock
    uart: _AnyUart


def board_names() -> list[str]:
    """Names of all boards that tinyedge brings along."""
    return sorted(path.stem for path in data_folder("boards").glob("*.toml"))


def read_board(path: Path) -> Board:
    """Reads one board file.

    Raises:
        BoardError: the file is missing or wrong; the message lists every fault with its key.
    """
    content = load_toml(path, BoardError)
    record = _FAMILIES.get(str(content.get("family")), _NoFamilyBoard)
    return validate(content, path, record, BoardError)


def load_board(name: str) -> Board:
    """Loads a board by name, or from a ``.toml`` file.

    Raises:
        BoardError: there is no such board, or its description is wrong.
    """
    if name.endswith(".toml"):
        return read_board(Path(name))
    names = board_names()
    if name not in names:
        close = difflib.get_close_matches(name, names, n=1)
        raise BoardError(
            f"unknown board '{name}'",
            hint=(f"did you mean '{close[0]}'? " if close else "") + f"known: {', '.join(names)}",
        )
    return read_board(data_folder("boards") / f"{name}.toml")
