"""ST's STM32F1, F3, F4, F7, G4, H5, H7, L4 and U5."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, ClassVar, Literal, Self

from pydantic import Field, model_validator

from tinyedge.boards.board import Board, Clock, Region, Uart
from tinyedge.boards.emulators import SerialRegisters
from tinyedge.boards.families.stm32_parts import FLASH_ORIGIN, FLASH_SIZES, PARTS, Part
from tinyedge.schema import Fault, below, refuse

_PIN = r"^P[A-K](\d|1[0-5])$"


def pll_range(hz: float) -> int:
    """Tells the range of a PLL's input: 1 from 2 MHz on, 2 from 4 MHz on, 3 from 8 MHz on."""
    return sum(hz >= limit for limit in (2_000_000, 4_000_000, 8_000_000))


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
        """The frequency that the PLL multiplies."""
        raise NotImplementedError

    @property
    def output_divider(self) -> int:
        """The divider of the frequency of the PLL's oscillator."""
        raise NotImplementedError

    def highest(self, part: Part) -> int:
        """The highest ``sysclk_hz`` of a part."""
        return part.sysclk

    @property
    def ahb_hz(self) -> int:
        """Frequency of the bus that the flash and the peripheral buses are on."""
        return self.sysclk_hz

    def apb_hz(self, number: Literal[1, 2]) -> int:
        """Frequency of a peripheral bus."""
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

    def faults(self, part: Part) -> Iterator[Fault]:
        """Lists the demands that a part cannot meet."""
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

    def highest(self, part: Part) -> int:
        return part.sysclk if self.over_drive else part.without_over_drive or part.sysclk

    def faults(self, part: Part) -> Iterator[Fault]:
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
        """In which range the PLL's input is; see ``pll_range``."""
        return pll_range(self.hse_hz / self.pll_m)

    @property
    def hse_enable_port(self) -> int:
        """Index of the port of ``hse_enable``, A = 0."""
        return ord(str(self.hse_enable)[1]) - ord("A")

    @property
    def hse_enable_pin(self) -> int:
        """Number of ``hse_enable`` in its port."""
        return int(str(self.hse_enable)[2:])

    def faults(self, part: Part) -> Iterator[Fault]:
        yield from super().faults(part)
        if self.pll_p == 1 and not part.divided_once:
            yield Fault("pll_p", self.pll_p, "2 or 4 or 6 or 8 on this part")
        if self.supply not in part.supplies:
            yield Fault("supply", self.supply, " or ".join(part.supplies))
        elif self.over_drive and self.supply in part.slow_supplies:
            others = [name for name in part.supplies if name not in part.slow_supplies]
            yield Fault("supply", self.supply, f"{' or '.join(others)} with over_drive")


class Stm32h5Clock(_CrystalClock):
    """The clock tree of an STM32H5; ``flash_programming_delay`` belongs to the wait states."""

    pll_m: Annotated[int, Field(ge=1, le=63)]
    pll_n: Annotated[int, Field(ge=4, le=512)]
    pll_p: Literal[2, 4, 6, 8]
    flash_programming_delay: Annotated[int, Field(ge=0, le=2)]

    _pll_input = (2_000_000, 16_000_000)

    @property
    def pll_range(self) -> int:
        """In which range the PLL's input is; see ``pll_range``."""
        return pll_range(self.hse_hz / self.pll_m)


class Stm32f1Clock(Stm32Clock):
    """The clock tree of an STM32F1 or F3, whose PLL has no divider behind it."""

    hse_hz: Annotated[int, Field(ge=1_000_000, le=32_000_000)]
    hse_bypass: bool = False
    pll_m: Literal[1, 2]
    pll_n: Annotated[int, Field(ge=2, le=16)]

    _pll_input = (1_000_000, 24_000_000)
    _formula = "hse_hz * pll_n / pll_m"

    @property
    def source_hz(self) -> int:
        return self.hse_hz

    @property
    def output_divider(self) -> int:
        return 1


class _InternalClock(Stm32Clock):
    """Driven by the internal oscillator of 16 MHz."""

    pll_r: Literal[2, 4, 6, 8]

    _formula = "16 MHz * pll_n / (pll_m * pll_r)"

    @property
    def source_hz(self) -> int:
        return 16_000_000

    @property
    def output_divider(self) -> int:
        return self.pll_r


class Stm32l4Clock(_InternalClock):
    """The clock tree of an STM32L4."""

    pll_m: Annotated[int, Field(ge=1, le=8)]
    pll_n: Annotated[int, Field(ge=8, le=86)]

    _pll_input = (4_000_000, 16_000_000)


class Stm32g4Clock(_InternalClock):
    """The clock tree of an STM32G4."""

    pll_m: Annotated[int, Field(ge=1, le=16)]
    pll_n: Annotated[int, Field(ge=8, le=127)]

    _pll_input = (2_660_000, 16_000_000)


class Stm32u5Clock(_InternalClock):
    """The clock tree of an STM32U5."""

    pll_m: Annotated[int, Field(ge=1, le=16)]
    pll_n: Annotated[int, Field(ge=4, le=512)]

    _pll_input = (4_000_000, 16_000_000)

    @property
    def pll_range(self) -> int:
        """In which range the PLL's input is; it has 3 from 8 MHz on, 0 to 2 alike below."""
        return pll_range(self.source_hz / self.pll_m)


class Stm32Uart(Uart):
    """A serial port of an STM32: bus, bit in the bus's enable register, pins.

    ``rx_alternate_function`` is given where the receive pin's is another.
    """

    peripheral: Annotated[str, Field(pattern=r"^US?ART[1-6]$")]
    apb: Literal[1, 2]
    enable_bit: Annotated[int, Field(ge=0, le=31)]
    tx: Annotated[str, Field(pattern=_PIN)]
    rx: Annotated[str, Field(pattern=_PIN)]
    alternate_function: Annotated[int, Field(ge=0, le=15)]
    rx_alternate_function: Annotated[int, Field(ge=0, le=15)] | None = None

    @property
    def rx_function(self) -> int:
        """The alternate function of the receive pin."""
        given = self.rx_alternate_function
        return self.alternate_function if given is None else given

    def faults(self, part: Part, clock: Stm32Clock) -> Iterator[Fault]:
        """Lists the demands that a part cannot meet, at a clock."""
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
        if self.rx_function != (other := port.rx_functions.get(self.rx, port.alternate_function)):
            yield Fault("rx_alternate_function", self.rx_function, f"{other} for {self.rx}")
        hz = clock.apb_hz(self.apb)
        divider = round(hz / self.baud)
        if divider < 16 or not self.is_near(hz / divider):
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


class Stm32Board(Board):
    """A board with an STM32."""

    core: Literal["cortex-m3", "cortex-m4", "cortex-m7", "cortex-m33"]
    clock: Stm32Clock
    uart: Stm32Uart

    serial_registers = SerialRegisters(0x1C, 0x24, 0x28, arrived=1 << 5, ready=3 << 6)

    @property
    def platform(self) -> tuple[str, ...]:
        return ("stm32", self.family)

    @property
    def part(self) -> Part:
        """The limits of the line of parts that the board's belongs to."""
        return PARTS[self.family][self.mcu[:9]]

    @model_validator(mode="after")
    def _possible(self) -> Self:
        refuse(self._faults())
        return self

    def _faults(self) -> Iterator[Fault]:
        lines = PARTS[self.family]
        flash = FLASH_SIZES.get(self.mcu[10:11])
        if self.mcu[:9] not in lines or not flash:
            sizes = ", ".join(FLASH_SIZES)
            allowed = f"{', '.join(lines)}, then a letter for the pins and one of {sizes}"
            yield Fault("mcu", self.mcu, allowed)
            return
        part = self.part
        memories = (
            Region(origin=FLASH_ORIGIN, size=flash),
            Region(origin=part.ram_origin, size=part.ram),
        )
        yield from below("memory", self.memory.faults_outside(*memories))
        yield from below("clock", self.clock.faults(part))
        yield from below("uart", self.uart.faults(part, self.clock))


class Stm32f1Board(Stm32Board):
    """A board with an STM32F103 of up to 128 KB of flash."""

    family: Literal["stm32f1"]
    core: Literal["cortex-m3"]
    clock: Stm32f1Clock

    serial_registers = SerialRegisters(0x00, 0x04, 0x04, arrived=1 << 5, ready=3 << 6)

    @property
    def platform(self) -> tuple[str, ...]:
        return ("stm32", "stm32f1_f3", self.family)


class Stm32f3Board(Stm32Board):
    """A board with an STM32F303."""

    family: Literal["stm32f3"]
    core: Literal["cortex-m4"]
    clock: Stm32f1Clock

    @property
    def platform(self) -> tuple[str, ...]:
        return ("stm32", "stm32f1_f3", self.family)


class Stm32f4Board(Stm32Board):
    """A board with an STM32F401, F405, F407, F411, F415, F417 or F446."""

    family: Literal["stm32f4"]
    core: Literal["cortex-m4"]
    clock: Stm32f4Clock

    serial_registers = SerialRegisters(0x00, 0x04, 0x04, arrived=1 << 5, ready=3 << 6)

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
    """A board with an STM32L432, L475 or L476."""

    family: Literal["stm32l4"]
    core: Literal["cortex-m4"]
    clock: Stm32l4Clock

    @property
    def platform(self) -> tuple[str, ...]:
        return ("stm32", "stm32l4_g4", self.family)


class Stm32g4Board(Stm32Board):
    """A board with an STM32G431 or G474."""

    family: Literal["stm32g4"]
    core: Literal["cortex-m4"]
    clock: Stm32g4Clock

    @property
    def platform(self) -> tuple[str, ...]:
        return ("stm32", "stm32l4_g4", self.family)


class Stm32h5Board(Stm32Board):
    """A board with an STM32H563."""

    family: Literal["stm32h5"]
    core: Literal["cortex-m33"]
    clock: Stm32h5Clock


class Stm32u5Board(Stm32Board):
    """A board with an STM32U575 or U585."""

    family: Literal["stm32u5"]
    core: Literal["cortex-m33"]
    clock: Stm32u5Clock
