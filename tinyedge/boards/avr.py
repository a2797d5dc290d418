"""What AVR parts have: their memories, and what is left of them on an Arduino."""

from __future__ import annotations

from typing import NamedTuple


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


def baud_error(clock_hz: int, baud: int) -> float:
    """How far the serial port is from a rate, relative to it, with the divider Arduino sets."""
    divider = (clock_hz // 4 // baud - 1) // 2
    return abs(clock_hz / (8 * (divider + 1)) / baud - 1)
