"""The emulators that can stand in for a board: a section each of its TOML file."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal

from pydantic import Field

from tinyedge.boards.units import Hertz
from tinyedge.schema import Section


class Qemu(Section):
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


class Unicorn(Section):
    """How Unicorn stands in."""

    cpu: Literal["cortex-m0", "cortex-m3", "cortex-m4", "cortex-m7", "cortex-m33"]


class Simavr(Section):
    """How simavr stands in: its name of the part."""

    mcu: Annotated[str, Field(pattern=r"^\w+$")]


class Rp2040js(Section):
    """rp2040js stands in; what it has to know is in the rest of the description."""


class Avr8js(Section):
    """avr8js stands in, likewise."""


class Emulator(Section):
    """The emulators that can stand in for the board."""

    qemu: Qemu | None = None
    unicorn: Unicorn | None = None
    simavr: Simavr | None = None
    rp2040js: Rp2040js | None = None
    avr8js: Avr8js | None = None


@dataclass(frozen=True)
class SerialRegisters:
    """The registers of a serial port that firmware uses to send and receive, for Unicorn.

    Attributes:
        status: tells whether a byte has arrived; an offset, as the next three.
        received, sent: hold the byte.
        sendable: another register that tells by a one that a byte can be sent.
        arrived: what is set in ``status`` where a byte has arrived.
        empty: what is set in it where none has.
        ready: what else is set in it, always: ready to send.
    """

    status: int
    received: int
    sent: int
    sendable: int | None = None
    arrived: int = 0
    empty: int = 0
    ready: int = 0
