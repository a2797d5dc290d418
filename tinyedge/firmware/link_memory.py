"""The link's share of a board's RAM."""

from __future__ import annotations

from dataclasses import dataclass

from tinyedge.boards import Board
from tinyedge.boards.families.avr import AvrBoard
from tinyedge.link.frames import encoded_size
from tinyedge.toolchains.arduino import serial_rings

_ANSWERS_BYTES = 512
_MOST_ANSWERS, _FEWEST_ANSWERS = 8, 2
_ANSWER_OVERHEAD = 24
_SMALLEST_RING = 64
_VARIABLES, _ARDUINO_VARIABLES = 1024, 512
"""Bytes of RAM that the harness's other variables may take; with Arduino's."""


@dataclass(frozen=True)
class LinkMemory:
    """Sizes that are compiled into the device half of the link.

    Attributes:
        ring: bytes that are received while the model runs.
        answers: that the device remembers; so many requests may be on their way.
        changes: whether it keeps an input, so that only changes to it need to be sent.
    """

    ring: int = _SMALLEST_RING
    answers: int = _FEWEST_ANSWERS
    changes: bool = False


def link_memory(board: Board, input_size: int, output_size: int, taken: int) -> LinkMemory:
    """The link's share of what a model leaves of a board's RAM.

    Two requests are received while the model runs where there is room, so that the line is never
    idle; else none is sent before the last one is answered.

    Args:
        board: with its RAM.
        input_size: bytes of an input.
        output_size: bytes of the logits.
        taken: bytes of RAM that are taken already: arena, stack.
    """
    answers = _ANSWERS_BYTES // (output_size + _ANSWER_OVERHEAD)
    answers = min(max(answers, _FEWEST_ANSWERS), _MOST_ANSWERS)
    request = encoded_size(input_size)
    variables = _ARDUINO_VARIABLES if isinstance(board, AvrBoard) else _VARIABLES
    free = board.ram.size - taken - variables - input_size
    free -= answers * (output_size + _ANSWER_OVERHEAD)
    both, smallest = 2 * request, _SMALLEST_RING
    if isinstance(board, AvrBoard):
        rings = serial_rings()
        smallest = rings[0]
        both = next((each for each in rings if each >= both), smallest)
    for ring, changes in ((both, True), (both, False), (smallest, True)):
        if ring + changes * input_size <= free:
            return LinkMemory(ring, answers, changes)
    return LinkMemory(smallest)
