"""The bytes of a board's memories that a firmware takes, read from its ELF."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from elftools.common.exceptions import ELFError
from elftools.elf.elffile import ELFFile

from tinyedge.boards import Board
from tinyedge.errors import ToolchainError
from tinyedge.firmware.memory_map import loaded_segments, ram_bytes

_CODE_SECTIONS = (".boot", ".isr_vector", ".text")
_WEIGHT_SECTION = ".weights"
_ARENA_SECTIONS = (".arena", ".state")


@dataclass(frozen=True)
class Footprint:
    """Bytes of flash and RAM.

    Attributes:
        code: machine code, the vector table, and what a boot ROM wants in front of it.
        weights: packed weights.
        other: all else in flash: biases, multipliers, other constants, initial values of data.
        arena: activations and scratch.
        static: all other variables, and weights that are copied to RAM.
        regions: of all these, bytes in each other memory that the board has, by its name.
    """

    code: int
    weights: int
    other: int
    arena: int
    static: int
    regions: Mapping[str, int] = field(default_factory=dict)

    @property
    def flash(self) -> int:
        """All bytes that are written to flash."""
        return self.code + self.weights + self.other


def read_footprint(elf: Path, board: Board | None = None) -> Footprint:
    """Reads the footprint of a firmware, with the share of each other memory of its board.

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
    # Those that are placed one by one have sections of their own.
    weights = sum(size for name, size in sizes.items() if name.startswith(_WEIGHT_SECTION))
    arena = sum(sizes.get(name, 0) for name in _ARENA_SECTIONS)
    return Footprint(
        code=code,
        weights=weights,
        other=loaded - code - weights,
        arena=arena,
        static=variables - arena,
        regions={
            name: sum(
                segment["p_memsz"]
                for segment in segments
                if region.origin <= segment["p_vaddr"] < region.end
            )
            for name, region in (board.memory.regions.items() if board else ())
        },
    )


def memory_record(footprint: Footprint, board: Board, stack_peak: int | None) -> dict[str, Any]:
    """Flash and RAM in bytes against the board's; the stack is None until it has been measured.

    Totals are of the board's flash and RAM. Other memories that hold something are listed behind
    them.
    """
    stack, regions = board.memory.at("stack"), board.memory.regions
    used = {name: count for name, count in footprint.regions.items() if count or name == stack}
    apart = {"flash": 0, "ram": 0}
    for name, count in used.items():
        apart[regions[name].kind] += count
    others = [
        {
            "name": name,
            "total": count + (stack_peak or 0 if name == stack else 0),
            "size": regions[name].size,
        }
        for name, count in used.items()
    ]
    in_ram = stack_peak or 0 if stack == "ram" else 0
    return {
        "flash": {
            "code": footprint.code,
            "weights": footprint.weights,
            "other": footprint.other,
            "total": footprint.flash - apart["flash"],
            "size": board.flash.size,
        },
        "ram": {
            "arena": footprint.arena,
            "static": footprint.static,
            "stack_peak": stack_peak,
            "total": footprint.arena + footprint.static - apart["ram"] + in_ram,
            "size": board.ram.size,
        },
        **({"regions": others} if others else {}),
    }
