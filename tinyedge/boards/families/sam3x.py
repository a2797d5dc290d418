"""Atmel's SAM3X."""

from __future__ import annotations

import bisect
from collections.abc import Iterator
from typing import Annotated, ClassVar, Literal, Self

from pydantic import Field, model_validator

from tinyedge.boards.board import Clock, Region
from tinyedge.boards.emulators import SerialRegisters
from tinyedge.boards.families.one_part import OnePartBoard, OnePartUart
from tinyedge.schema import Fault, refuse

_KB = 1024


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


class Sam3xUart(OnePartUart):
    """The UART of a SAM3X, which is on one pair of pins."""

    base: Literal[0x400E0800]
    irq: Literal[8]
    tx: Literal["PA9"]
    rx: Literal["PA8"]

    def faults(self, clock: Clock) -> Iterator[Fault]:
        """Lists the demands that the part cannot meet, at a clock."""
        steps = clock.sysclk_hz / 16
        if not self.is_near(steps / (round(steps / self.baud) or 1)):
            yield Fault("baud", self.baud, f"{steps:.0f} Hz by a whole number, within 2 %")


class Sam3xBoard(OnePartBoard):
    """A board with an ATSAM3X8E."""

    family: Literal["sam3x"]
    mcu: Literal["ATSAM3X8E"]
    core: Literal["cortex-m3"]
    clock: Sam3xClock
    uart: Sam3xUart

    serial_registers = SerialRegisters(0x14, 0x18, 0x1C, arrived=1, ready=1 << 1)

    _flash = Region(origin=0x00080000, size=512 * _KB)
    _ram = Region(origin=0x20070000, size=96 * _KB)
