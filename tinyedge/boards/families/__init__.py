"""The families of microcontrollers, one module each or a few that are alike.

A family's module says what its clock and serial port are, what its parts can do, and which folders
of platform code a board of it takes.
"""

from __future__ import annotations

from tinyedge.boards.board import Board
from tinyedge.boards.families.avr import AvrBoard
from tinyedge.boards.families.mps2 import Mps2Board
from tinyedge.boards.families.nrf5 import Nrf51Board, Nrf52Board
from tinyedge.boards.families.ra4m1 import Ra4m1Board
from tinyedge.boards.families.rp2 import Rp2040Board, Rp2350Board
from tinyedge.boards.families.sam3x import Sam3xBoard
from tinyedge.boards.families.stm32 import (
    Stm32f1Board,
    Stm32f3Board,
    Stm32f4Board,
    Stm32f7Board,
    Stm32g4Board,
    Stm32h5Board,
    Stm32h7Board,
    Stm32l4Board,
    Stm32u5Board,
)

FAMILIES: dict[str, type[Board]] = {
    "avr": AvrBoard,
    "mps2": Mps2Board,
    "nrf51": Nrf51Board,
    "nrf52": Nrf52Board,
    "ra4m1": Ra4m1Board,
    "rp2040": Rp2040Board,
    "rp2350": Rp2350Board,
    "sam3x": Sam3xBoard,
    "stm32f1": Stm32f1Board,
    "stm32f3": Stm32f3Board,
    "stm32f4": Stm32f4Board,
    "stm32f7": Stm32f7Board,
    "stm32g4": Stm32g4Board,
    "stm32h5": Stm32h5Board,
    "stm32h7": Stm32h7Board,
    "stm32l4": Stm32l4Board,
    "stm32u5": Stm32u5Board,
}
"""By what a description's ``family`` says."""
