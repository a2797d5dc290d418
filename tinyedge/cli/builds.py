"""Builds as ``footprint`` and ``report`` take them: what to read, compare with and hold against."""

from __future__ import annotations

import re
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from tinyedge.cli.options import PATH, Command, board_option
from tinyedge.cli.output import Output
from tinyedge.names import COMPILERS

if TYPE_CHECKING:
    from tinyedge.boards import Board
    from tinyedge.names import CompilerName
    from tinyedge.reports.footprint import Growth, Record

_SIZE = re.compile(r"(0x[0-9a-f]+)|(\d+)\s*(k|kib|m|mib)?", re.IGNORECASE)
_SHARE = re.compile(r"(\d+(?:\.\d+)?)\s*%")
_SIZES = "bytes as 65536, 64K, 64KiB, 1M, 1MiB or 0x10000 (K is 1,024)"
_PATHS = "name what 'tinyedge convert' or 'tinyedge build' wrote, or an .elf file"


class _Size(click.ParamType[Any]):
    """A number of bytes."""

    name = "size"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        found = _SIZE.fullmatch(str(value).strip())
        if not found:
            self.fail(f"{value!r} is no size: give {_SIZES}", param, ctx)
        hexadecimal, count, unit = found.groups()
        if hexadecimal:
            return int(hexadecimal, 16)
        return int(count) << {"": 0, "k": 10, "m": 20}[(unit or "")[:1].lower()]


class _Growth(_Size):
    """A number of bytes, or a percentage."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        from tinyedge.reports.footprint import Growth

        if share := _SHARE.fullmatch(str(value).strip()):
            return Growth(Fraction(share[1]), percent=True)
        if str(value).strip().endswith("%"):
            self.fail(f"{value!r} is no percentage: give one as 2% or 0.5%", param, ctx)
        return Growth(Fraction(super().convert(value, param, ctx)), percent=False)


def build_options(command: Command) -> Command:
    """--board, --compiler, --compare and the limits; a command takes them as ``BuildOptions``."""
    for decorate in (
        click.option(
            "--max-regression",
            type=_Growth(),
            metavar="SIZE|N%",
            help="Fail where flash or RAM grew by more against --compare.",
        ),
        click.option(
            "--max-ram", type=_Size(), metavar="SIZE", help="The same, the stack not counted."
        ),
        click.option(
            "--max-flash", type=_Size(), metavar="SIZE", help="Fail above so many bytes of flash."
        ),
        click.option(
            "--compare",
            type=PATH,
            metavar="OTHER",
            help="What the build was before: the same kinds of folders and files, or what "
            "'tinyedge footprint -o' wrote as .json.",
        ),
        click.option(
            "--compiler",
            type=click.Choice(COMPILERS),
            help="Of a converted model's build. Default: gcc, else zig.",
        ),
        board_option(),
    ):
        command = decorate(command)
    return command


@dataclass(frozen=True)
class BuildOptions:
    """The options of ``build_options``, all None where they were not given.

    Attributes:
        board_name: to build a converted model for, or that an ELF was built for.
        compiler: that a converted model is built with.
        compare: what it was before.
        max_flash, max_ram: bytes.
        max_regression: how much flash, and how much RAM, may have grown.
    """

    board_name: str | None
    compiler: CompilerName | None
    compare: Path | None
    max_flash: int | None
    max_ram: int | None
    max_regression: Growth | None

    def given(self) -> list[str]:
        """Those that were given, as they are written."""
        names = {"board_name": "board"}
        return [
            f"--{names.get(name, name).replace('_', '-')}"
            for name, value in vars(self).items()
            if value is not None
        ]

    def read(self, output: Output, path: Path) -> Record:
        """The footprint of what was named, compared and held against the limits.

        Args:
            output: for progress.
            path: a converted model, which is built; a build; an ELF; or a footprint's record, whose
                own comparison and limits stay where no others are given.

        Raises:
            UsageError: options that do not go with what was named.
            BoardError, DataError, ModelError, ToolchainError: what was named is not in order.
        """
        from tinyedge.boards import load_board
        from tinyedge.errors import UsageError
        from tinyedge.reports.footprint import check_gates, compare_records

        if self.max_regression and not self.compare:
            raise UsageError("--max-regression goes with --compare")
        if self.compiler and not any(map(_is_converted, (path, self.compare or path))):
            raise UsageError("--compiler goes with a converted model, which is built with it")
        board = load_board(self.board_name) if self.board_name else None
        record = _read(output, path, board, self.compiler)
        if board and record["board"] != board.name:
            raise UsageError(f"{path} was built for {record['board']}, not for {board.name}")
        if self.compare:
            other = _board_of(self.compare, board, record)
            before = _read(output, self.compare, other, self.compiler)
            record["compare"] = compare_records(before, record)
        limits = (self.max_flash, self.max_ram, self.max_regression)
        if self.compare or any(limit is not None for limit in limits):
            record["gates"] = check_gates(record, *limits)
        return record


def _board_of(other: Path, board: Board | None, record: Record) -> Board | None:
    """The board to build the other one for: that of the first; an ELF may be for any."""
    from tinyedge.boards import load_board

    if other.is_file():
        return None
    return board or (load_board(record["board"]) if record["board"] else None)


def _is_converted(path: Path) -> bool:
    from tinyedge.exporters.converted import MANIFEST_FILE

    return (path / MANIFEST_FILE).is_file()


def _read(output: Output, path: Path, board: Board | None, compiler: CompilerName | None) -> Record:
    """The footprint of a converted model, a build or an ELF; a build knows its board itself."""
    from tinyedge.boards import load_board
    from tinyedge.errors import ModelError, UsageError
    from tinyedge.exporters.converted import load_converted
    from tinyedge.firmware.memory_map import read_memory_map
    from tinyedge.firmware.project import build_firmware, read_build
    from tinyedge.reports.footprint import firmware_footprint, footprint_record
    from tinyedge.reports.footprint_record import load_footprint

    if path.suffix == ".json":
        return load_footprint(path)
    about: dict[str, Any] = {"compiler": None, "hash": None}
    model = None
    if _is_converted(path):
        if not board:
            raise UsageError(f"{path} is a converted model: --board says what to build it for")
        converted = load_converted(path)
        with output.step(f"compiling {path.name} for {board.name}"):
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
