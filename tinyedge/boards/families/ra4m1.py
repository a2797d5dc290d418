"""Renesas' RA4M1."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, ClassVar, Literal, NamedTuple

from pydantic import Field

from tinyedge.boards.board import Clock, Region
from tinyedge.boards.emulators import SerialRegisters
from tinyedge.boards.families.one_part import OnePartBoard, OnePartUart
from tinyedge.schema import Fault

_KB = 1024


class Ra4m1Clock(Clock):
    """An RA4M1 on its high-speed oscillator."""

    sysclk_hz: Literal[48_000_000]


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
        if divider > 256 or not self.is_near(steps / divider):
            allowed = f"{steps:.0f} Hz by a whole number up to 256, within 2 %"
            yield Fault("baud", self.baud, allowed)

    @property
    def port(self) -> Sci:
        """The known facts of the port."""
        return self._ports[self.peripheral]

    @property
    def number(self) -> int:
        """Its number."""
        return int(self.peripheral.removeprefix("SCI"))


class Ra4m1Board(OnePartBoard):
    """A board with an RA4M1 of 256 KB."""

    family: Literal["ra4m1"]
    mcu: Literal["R7FA4M1AB"]
    core: Literal["cortex-m4"]
    clock: Ra4m1Clock
    uart: Ra4m1Uart

    serial_registers = SerialRegisters(0x04, 0x05, 0x03, arrived=1 << 6, ready=1 << 7)

    _flash = Region(origin=0, size=256 * _KB)
    _ram = Region(origin=0x20000000, size=32 * _KB)
