"""Arm's FPGA prototypes MPS2 and MPS3."""

from __future__ import annotations

from typing import Literal

from pydantic import model_validator

from tinyedge.boards.board import Board, Uart
from tinyedge.boards.units import Hertz
from tinyedge.names import CortexMName
from tinyedge.schema import Fault, refuse


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


class Mps2Board(Board):
    """Arm's MPS2 or MPS3 with one of its FPGA images; also a smaller core's code on one."""

    family: Literal["mps2"]
    core: CortexMName
    uart: Mps2Uart
