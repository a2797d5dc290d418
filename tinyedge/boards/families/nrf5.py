"""Nordic's nRF51 and nRF52."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Literal

from pydantic import Field

from tinyedge.boards.board import Clock, Region
from tinyedge.boards.emulators import SerialRegisters
from tinyedge.boards.families.one_part import OnePartBoard, OnePartUart
from tinyedge.schema import Fault

_KB = 1024


class Nrf51Clock(Clock):
    """An nRF51 runs at 16 MHz, whatever its crystal."""

    sysclk_hz: Literal[16_000_000]


class Nrf52Clock(Clock):
    """An nRF52 runs at 64 MHz."""

    sysclk_hz: Literal[64_000_000]


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
        if not self.is_near(16_000_000 / (16_000_000 // self.baud)):
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

    serial_registers = SerialRegisters(0x108, 0x518, 0x51C, sendable=0x11C, arrived=1)

    _flash = Region(origin=0, size=1024 * _KB)
    _ram = Region(origin=0x20000000, size=256 * _KB)
