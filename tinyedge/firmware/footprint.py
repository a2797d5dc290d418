"""The bytes of a board's memories that a firmware takes, read from its ELF."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from elftools.common.exceptions import ELFError
from elftools.elf.elffile import ELFFile

from tinyedge.boards import Board
from tinyedge.errors import ToolchainError
from tinyedge.firmware.memory_map import loaded_segments, ram_bytes

_CODE_SECTIONS = (".boot", ".isr_vector", ".text")
_WEIGHT_SECTIONS = (".weights",)
_ARENA_SECTION = ".arena"


@dataclass(frozen=True)
class Footprint:
    """Bytes of flash and RAM.

    Attributes:
        code: machine code, the vector table, and what a boot ROM wants in front of it.
        weights: packed weights.
        other: all else in flash: biases, multipliers, other constants, initial values of data.
        arena: activations and scratch.
        static: all other variables.
    """

    code: int
    weights: int
    other: int
    arena: int
    static: int

    @property
    def flash(self) -> int:
        """All bytes that are written to flash."""
        return self.code + self.weights + self.other


def read_footprint(elf: Path) -> Footprint:
    """Reads the footprint of a firmware.

    ``flash`` is the sum of the ELF's loaded segments, so code, weights and other add up to exactly
    what is flashed, padding between sections being counted as other. In the same way arena and
    static add up to the RAM that the segments take.

    Raises:
        ToolchainError: the file is not a readable ELF.
    """
    try:
        with elf.open("rb") as file:
            image = ELFFile(file)
            segments = loaded_segments(image)
            loaded = sum(segment["p_filesz"] for segment in segments)
            variables = sum(map(ram_bytes, segments))
            sizes = {section.name: int(section["sh_size"]) for section in image.iter_sections()}
    except (OSError, ELFError) as error:
        raise ToolchainError(f"{elf}: not a readable ELF: {error}") from error
    code = sum(sizes.get(name, 0) for name in _CODE_SECTIONS)
    weights = sum(sizes.get(name, 0) for name in _WEIGHT_SECTIONS)
    arena = sizes.get(_ARENA_SECTION, 0)
    return Footprint(
        code=code,
        weights=weights,
        other=loaded - code - weights,
        arena=arena,
        static=variables - arena,
    )


def memory_record(footprint: Footprint, board: Board, stack_peak: int | None) -> dict[str, Any]:
    """Flash and RAM in bytes against the board's; the stack is None until it has been measured."""
    return {
        "flash": {
            "code": footprint.code,
            "weights": footprint.weights,
            "other": footprint.other,
            "total": footprint.flash,
            "size": board.flash.size,
        },
        "ram": {
            "arena": footprint.arena,
            "static": footprint.static,
            "stack_peak": stack_peak,
            "total": footprint.arena + footprint.static + (stack_peak or 0),
            "size": board.ram.size,
        },
    }
