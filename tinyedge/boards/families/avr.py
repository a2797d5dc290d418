"""AVRs, on Arduino boards."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Literal, NamedTuple, Self

from pydantic import Field, model_validator

from tinyedge.boards.board import Board, Memory, SerialPort
from tinyedge.schema import Fault, Section, refuse


class Part(NamedTuple):
    """An AVR microcontroller.

    Attributes:
        gcc: as avr-gcc's ``-mmcu`` and simavr spell it.
        flash: bytes.
        ram_origin: address of RAM, as GNU tools count: the data space begins at 0x800000.
        ram: bytes.
        clock: highest frequency in Hz.
    """

    gcc: str
    flash: int
    ram_origin: int
    ram: int
    clock: int


PARTS = {
    "ATmega328P": Part("atmega328p", 32768, 0x800100, 2048, 20_000_000),
    "ATmega2560": Part("atmega2560", 262144, 0x800200, 8192, 16_000_000),
}
"""By the name on the part."""

POINTER_REACH = 65536
"""Bytes of flash that pointers of 16 bits reach: constants lie there."""

_BAUD_ERROR = 0.022
"""The error that two serial ports of this kind bear; 115200 from 16 MHz is 2.1 % off."""


def baud_error(clock_hz: int, baud: int) -> float:
    """How far the serial port is from a rate, relative to it, with the divider Arduino sets."""
    divider = (clock_hz // 4 // baud - 1) // 2
    return abs(clock_hz / (8 * (divider + 1)) / baud - 1)


class AvrMemory(Memory):
    """Flash and RAM in address spaces of their own."""

    def _faults(self) -> Iterator[Fault]:
        if self.flash.origin:
            yield Fault("flash.origin", self.flash.origin, "0")


class AvrUart(SerialPort):
    """Arduino's ``Serial``, which is USART 0."""

    baud: Annotated[int, Field(ge=9600, le=2_000_000)]


class Arduino(Section):
    """Arduino's core, on which the firmware is built: the pins' variant and the board's macro."""

    variant: Annotated[str, Field(pattern=r"^\w+$")]
    board: Annotated[str, Field(pattern=r"^[A-Z0-9_]+$")]


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
        return min(self.flash.size, POINTER_REACH)

    @property
    def part(self) -> Part:
        """The properties of the board's microcontroller."""
        return PARTS[self.mcu]

    @model_validator(mode="after")
    def _possible(self) -> Self:
        refuse(self._faults())
        return self

    def _faults(self) -> Iterator[Fault]:
        if self.mcu not in PARTS:
            yield Fault("mcu", self.mcu, " or ".join(PARTS))
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
        elif baud_error(hz, self.uart.baud) > _BAUD_ERROR:
            allowed = f"{hz} Hz by a multiple of 8, within {100 * _BAUD_ERROR:g} %"
            yield Fault("uart.baud", self.uart.baud, allowed)
        simavr = self.emulator.simavr
        if simavr and simavr.mcu != part.gcc:
            yield Fault("emulator.simavr.mcu", simavr.mcu, repr(part.gcc))
