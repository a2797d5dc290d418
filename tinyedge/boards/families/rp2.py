"""Raspberry Pi's RP2040 and RP2350."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, ClassVar, Literal, Self

from pydantic import Field, model_validator

from tinyedge.boards.board import Clock, Region
from tinyedge.boards.emulators import SerialRegisters
from tinyedge.boards.families.one_part import OnePartBoard, OnePartUart
from tinyedge.schema import Fault, refuse

_KB = 1024
_PIN = r"^GPIO([12]?\d)$"


class Rp2Clock(Clock):
    """A crystal and a PLL with two dividers behind it."""

    crystal_hz: Annotated[int, Field(ge=5_000_000, le=15_000_000)]
    sysclk_hz: Annotated[int, Field(gt=0, le=150_000_000)]
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


class Rp2040Clock(Rp2Clock):
    """The clock tree of an RP2040."""

    sysclk_hz: Annotated[int, Field(gt=0, le=133_000_000)]


class Rp2Uart(OnePartUart):
    """A PL011: pins, of which every fourth has the same function."""

    tx: Annotated[str, Field(pattern=_PIN)]
    rx: Annotated[str, Field(pattern=_PIN)]

    _bases: ClassVar[tuple[int, int]]
    _first_irq: ClassVar[int]

    def faults(self, clock: Clock) -> Iterator[Fault]:
        """Lists the demands that the part cannot meet, at a clock."""
        irq = self._first_irq + self.number
        if self.irq != irq:
            yield Fault("irq", self.irq, f"{irq} for UART{self.number}")
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
        return self._bases.index(self.base)

    @property
    def tx_pin(self) -> int:
        """Number of the transmit pin."""
        return int(self.tx.removeprefix("GPIO"))

    @property
    def rx_pin(self) -> int:
        """Number of the receive pin."""
        return int(self.rx.removeprefix("GPIO"))


class Rp2040Uart(Rp2Uart):
    """A serial port of an RP2040."""

    base: Literal[0x40034000, 0x40038000]

    _bases = (0x40034000, 0x40038000)
    _first_irq = 20


class Rp2350Uart(Rp2Uart):
    """A serial port of an RP2350."""

    base: Literal[0x40070000, 0x40078000]

    _bases = (0x40070000, 0x40078000)
    _first_irq = 33


class Rp2Board(OnePartBoard):
    """A board with an RP2040 or RP2350, which runs what its boot ROM finds in front of flash."""

    clock: Rp2Clock
    uart: Rp2Uart

    serial_registers = SerialRegisters(0x18, 0x00, 0x00, empty=1 << 4)

    _flash = Region(origin=0x10000000, size=16 * 1024 * _KB)

    @property
    def platform(self) -> tuple[str, ...]:
        """See ``Board.platform``."""
        return ("rp2", self.family)

    def _faults(self) -> Iterator[Fault]:
        yield from super()._faults()
        if self.flash.origin != self._flash.origin:
            allowed = f"{self._flash.origin}, where the boot ROM looks for firmware"
            yield Fault("memory.flash.origin", self.flash.origin, allowed)


class Rp2040Board(Rp2Board):
    """A board with an RP2040, whose Cortex-M0+ runs a Cortex-M0's code."""

    family: Literal["rp2040"]
    mcu: Literal["RP2040"]
    core: Literal["cortex-m0"]
    clock: Rp2040Clock
    uart: Rp2040Uart

    _ram = Region(origin=0x20000000, size=264 * _KB)

    @property
    def timing(self) -> str:
        """See ``Board.timing``."""
        return "cortex-m0plus"


class Rp2350Board(Rp2Board):
    """A board with an RP2350, of whose cores one of Arm's runs the firmware."""

    family: Literal["rp2350"]
    mcu: Literal["RP2350"]
    core: Literal["cortex-m33"]
    uart: Rp2350Uart

    _ram = Region(origin=0x20000000, size=520 * _KB)
