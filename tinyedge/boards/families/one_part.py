"""The common base of families of one part: all their abilities are known."""

from __future__ import annotations

from collections.abc import Iterator
from typing import ClassVar, Self

from pydantic import model_validator

from tinyedge.boards.board import Board, Clock, Region, Uart
from tinyedge.schema import Fault, below, refuse


class OnePartUart(Uart):
    """The serial port of a family of one part."""

    def faults(self, clock: Clock) -> Iterator[Fault]:
        """Lists the demands that the part cannot meet, at a clock."""
        raise NotImplementedError


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
        yield from below("memory", self.memory.faults_outside(self._flash, self._ram))
        yield from below("uart", self.uart.faults(self.clock))
