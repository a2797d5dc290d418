"""Builds as ``footprint`` and ``report`` take them: what to read, compare with and hold against."""

from __future__ import annotations

import re
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

from tinyedge.boards import Board, load_board
from tinyedge.commands.arguments import AnyPath, one_of
from tinyedge.errors import ModelError, UsageError
from tinyedge.exporters.converted import MANIFEST_FILE, load_converted
from tinyedge.firmware.memory_map import read_memory_map
from tinyedge.firmware.project import build_firmware, read_build
from tinyedge.names import COMPILERS, CompilerName
from tinyedge.progress import Listener
from tinyedge.records.footprint import load_footprint
from tinyedge.reports.footprint import (
    Growth,
    Record,
    check_gates,
    compare_records,
    firmware_footprint,
    footprint_record,
)

_SIZE = re.compile(r"(0x[0-9a-f]+)|(\d+)\s*(k|kib|kb|m|mib|mb|b)?", re.IGNORECASE)
_UNITS = {
    **dict.fromkeys(("", "b"), 1),
    **dict.fromkeys(("k", "kib"), 2**10),
    **dict.fromkeys(("m", "mib"), 2**20),
    "kb": 10**3,
    "mb": 10**6,
}
"""Bytes of a unit: K and KiB are binary, as sizes of memories are; KB is decimal."""
_SHARE = re.compile(r"(\d+(?:\.\d+)?)\s*%")
_SIZES = "bytes as 65536, 64K, 64KiB, 64KB, 1M or 0x10000 (K and KiB are 1,024, KB is 1,000)"
_PATHS = "name what 'tinyedge convert' or 'tinyedge build' wrote, or an .elf file"


def parse_size(value: object) -> int:
    """A number of bytes, of a number or as people write it.

    Raises:
        UsageError: says how.
    """
    found = _SIZE.fullmatch(str(value).strip())
    if not found:
        raise UsageError(f"{value!r} is no size: give {_SIZES}")
    hexadecimal, count, unit = found.groups()
    if hexadecimal:
        return int(hexadecimal, 16)
    return int(count) * _UNITS[(unit or "").lower()]


def parse_growth(value: object) -> Growth:
    """A number of bytes, or a percentage as ``2%``.

    Raises:
        UsageError: says how.
    """
    if isinstance(value, Growth):
        return value
    text = str(value).strip()
    if share := _SHARE.fullmatch(text):
        return Growth(Fraction(share[1]), percent=True)
    if text.endswith("%"):
        raise UsageError(f"{value!r} is no percentage: give one as 2% or 0.5%")
    return Growth(Fraction(parse_size(value)), percent=False)


@dataclass(frozen=True)
class BuildOptions:
    """The settings by which builds are read, compared and limited; all None where not given.

    Attributes:
        board: to build a converted model for, or that an ELF was built for.
        compiler: that a converted model is built with.
        compare: what it was before.
        max_flash, max_ram: bytes.
        max_regression: how much flash, and how much RAM, may have grown.
    """

    board: str | None
    compiler: CompilerName | None
    compare: Path | None
    max_flash: int | None
    max_ram: int | None
    max_regression: Growth | None

    @classmethod
    def of(
        cls,
        board: str | None,
        compiler: CompilerName | None,
        compare: AnyPath | None,
        max_flash: int | str | None,
        max_ram: int | str | None,
        max_regression: Growth | int | str | None,
    ) -> BuildOptions:
        """The options, of a function's arguments.

        Raises:
            UsageError: a compiler is unknown, or a limit is no size.
        """
        one_of("compiler", compiler, COMPILERS)
        return cls(
            board,
            compiler,
            None if compare is None else Path(compare),
            None if max_flash is None else parse_size(max_flash),
            None if max_ram is None else parse_size(max_ram),
            None if max_regression is None else parse_growth(max_regression),
        )

    def given(self) -> list[str]:
        """Those that were given, as they are written."""
        return [
            f"--{name.replace('_', '-')}" for name, value in vars(self).items() if value is not None
        ]

    def read(self, listener: Listener, path: Path) -> Record:
        """The footprint of what was named, compared and held against the limits.

        Args:
            listener: for progress.
            path: a converted model, which is built; a build; an ELF; or a footprint's record, whose
                own comparison and limits stay where no others are given.

        Raises:
            UsageError: options that do not go with what was named.
            BoardError, DataError, ModelError, ToolchainError: what was named is not in order.
        """
        if self.max_regression and not self.compare:
            raise UsageError("--max-regression goes with --compare")
        if self.compiler and not any(map(_is_converted, (path, self.compare or path))):
            raise UsageError("--compiler goes with a converted model, which is built with it")
        board = load_board(self.board) if self.board else None
        record = _read(listener, path, board, self.compiler)
        if board and record["board"] != board.name:
            raise UsageError(f"{path} was built for {record['board']}, not for {board.name}")
        if self.compare:
            other = _board_of(self.compare, board, record)
            before = _read(listener, self.compare, other, self.compiler)
            record["compare"] = compare_records(before, record)
        limits = (self.max_flash, self.max_ram, self.max_regression)
        if self.compare or any(limit is not None for limit in limits):
            record["gates"] = check_gates(record, *limits)
        return record


def _board_of(other: Path, board: Board | None, record: Record) -> Board | None:
    """The board to build the other one for: that of the first; an ELF may be for any."""
    if other.is_file():
        return None
    return board or (load_board(record["board"]) if record["board"] else None)


def _is_converted(path: Path) -> bool:
    return (path / MANIFEST_FILE).is_file()


def _read(
    listener: Listener, path: Path, board: Board | None, compiler: CompilerName | None
) -> Record:
    """The footprint of a converted model, a build or an ELF; a build knows its board itself."""
    if path.suffix == ".json":
        return load_footprint(path)
    about: dict[str, Any] = {"compiler": None, "hash": None}
    model = None
    if _is_converted(path):
        if not board:
            raise UsageError(f"{path} is a converted model: --board says what to build it for")
        converted = load_converted(path)
        with listener.step(f"compiling {path.name} for {board.name}"):
            firmware = build_firmware(converted, board, compiler)
        return firmware_footprint(converted, firmware)
    if path.is_dir():
        build = read_build(path)
        if not build:
            raise ModelError(
                f"{path}: neither a converted model (model.json) nor a build (firmware.json)",
                hint=_PATHS,
            )
        elf, model = build.elf, build.model
        about = {"compiler": build.compiler, "hash": build.hash}
        if not (board and board.name == build.board):
            board = load_board(build.board)
    elif path.is_file():
        elf = path
    else:
        raise ModelError(f"{path}: no such file or folder", hint=_PATHS)
    return {"elf": str(elf), **about, **footprint_record(read_memory_map(elf), board, model)}
