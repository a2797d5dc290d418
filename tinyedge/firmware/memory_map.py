"""Every byte that a firmware takes of flash and RAM, with the symbol it belongs to."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from elftools.common.exceptions import ELFError
from elftools.elf.constants import SH_FLAGS
from elftools.elf.elffile import ELFFile
from elftools.elf.sections import SymbolTableSection

from tinyedge.errors import ModelError

PADDING = "(padding)"
"""Name of the bytes that only align what follows."""
UNNAMED = "(unnamed)"
"""Name of the bytes that no symbol covers: literal strings, tables that a compiler made."""

_HINT = "name a linked program, as the firmware.elf that 'tinyedge build' wrote"
_LEAST_ALIGNMENT = 4
"""Bytes that the linker script aligns to, whatever a section itself asks for."""


@dataclass(frozen=True)
class Piece:
    """Bytes of one symbol in one section, or between symbols.

    Attributes:
        name: of the symbol, or ``PADDING`` or ``UNNAMED``.
        section: that it lies in; empty between sections.
        file: source file, as the compiler left it in the symbol table; None where it did not.
        flash: bytes written to flash.
        ram: bytes of RAM.
        aliases: other names of the same bytes.
    """

    name: str
    section: str
    file: str | None
    flash: int
    ram: int
    aliases: tuple[str, ...] = ()


@dataclass(frozen=True)
class Extent:
    """The part of one memory that the loaded segments take.

    Attributes:
        total: sum of their sizes in bytes.
        start: lowest address.
        end: behind the highest.
    """

    total: int
    start: int
    end: int


@dataclass(frozen=True)
class MemoryMap:
    """All bytes of an ELF that are loaded.

    Attributes:
        pieces: in the order of addresses; their bytes add up to exactly the extents' totals.
        written: address and size of what is written to flash, initial values of variables included.
        held: the same of what variables take, the stack not counted.
        order: names of all symbols, in the order of the symbol table, which is that of the source.
    """

    pieces: tuple[Piece, ...]
    written: tuple[tuple[int, int], ...]
    held: tuple[tuple[int, int], ...]
    order: tuple[str, ...]

    @property
    def flash(self) -> Extent:
        """All that is written to flash."""
        return extent(self.written)

    @property
    def ram(self) -> Extent:
        """All that variables take."""
        return extent(self.held)


@dataclass(frozen=True)
class _Symbol:
    """A stretch of a section, by the name that was chosen for it.

    Assembler code may have no size: it ends where it starts then.
    """

    name: str
    section: int
    start: int
    end: int
    file: str | None
    aliases: tuple[str, ...]


def read_memory_map(elf: Path) -> MemoryMap:
    """Reads which symbol every byte of a firmware belongs to.

    Each byte is counted once: of several names for the same bytes one is chosen, the others are its
    aliases; a symbol inside another takes nothing.

    Raises:
        ModelError: the file is not a readable ELF, or nothing of it is loaded.
    """
    try:
        with elf.open("rb") as file:
            image = ELFFile(file)
            symbols = _symbols(image)
            segments = loaded_segments(image)
            if any(segment["p_filesz"] > segment["p_memsz"] for segment in segments):
                raise ELFError("a segment is larger in the file than in memory")
            pieces = tuple(
                piece for segment in segments for piece in _pieces(image, segment, symbols)
            )
            written, held = tuple(map(_flash, segments)), tuple(map(_ram, segments))
    # A damaged ELF leads pyelftools anywhere.
    except (OSError, ELFError, ValueError, LookupError, TypeError, AttributeError) as error:
        raise ModelError(f"{elf}: not a readable ELF: {error}", _HINT) from error
    if not pieces:
        raise ModelError(f"{elf}: nothing of it is loaded; not a linked program", _HINT)
    return MemoryMap(pieces, written, held, tuple(symbol.name for symbol in symbols))


def loaded_segments(image: ELFFile) -> list[Any]:
    """The segments that take memory, in the order of addresses."""
    segments = [
        segment
        for segment in image.iter_segments()
        if segment["p_type"] == "PT_LOAD" and segment["p_memsz"]
    ]
    return sorted(segments, key=lambda segment: int(segment["p_vaddr"]))


def ram_bytes(segment: Any) -> int:
    """Bytes of RAM that a segment takes: none where it stays at the address it is written to."""
    moved = segment["p_vaddr"] != segment["p_paddr"] or not segment["p_filesz"]
    return int(segment["p_memsz"]) if moved else 0


def _flash(segment: Any) -> tuple[int, int]:
    return segment["p_paddr"], segment["p_filesz"]


def _ram(segment: Any) -> tuple[int, int]:
    return segment["p_vaddr"], ram_bytes(segment)


def extent(parts: Iterable[tuple[int, int]]) -> Extent:
    """The extent of parts of a memory, given by address and size."""
    taken = [(start, size) for start, size in parts if size]
    return Extent(
        total=sum(size for _, size in taken),
        start=min((start for start, _ in taken), default=0),
        end=max((start + size for start, size in taken), default=0),
    )


def _symbols(image: ELFFile) -> list[_Symbol]:
    """Functions and variables, each place once, in the table's order."""
    table = next((s for s in image.iter_sections() if isinstance(s, SymbolTableSection)), None)
    places: dict[tuple[int, int, int], list[tuple[bool, str, str | None]]] = {}
    files: dict[int, str | None] = {}
    current: str | None = None
    for symbol in table.iter_symbols() if table else ():
        kind, local = symbol["st_info"]["type"], symbol["st_info"]["bind"] == "STB_LOCAL"
        if kind == "STT_FILE":
            current = symbol.name or None
        elif isinstance(symbol["st_shndx"], int):
            if local and kind != "STT_SECTION":
                # Arm's mapping symbols among them, which tell the file of a global one, too.
                files.setdefault(symbol["st_value"] & ~1, current)
            if kind == "STT_FUNC" or (kind == "STT_OBJECT" and symbol["st_size"]):
                # The lowest bit of a function's address says that it is Thumb code.
                start = symbol["st_value"] & (~1 if kind == "STT_FUNC" else ~0)
                place = symbol["st_shndx"], start, start + symbol["st_size"]
                names = places.setdefault(place, [])
                names.append((local, symbol.name, current if local else None))
    symbols = []
    for (section, start, end), names in places.items():
        # A global name says more than a local one, a short one more than a long one.
        names.sort(key=lambda name: (name[0], len(name[1]), name[1]))
        _, chosen, file = names[0]
        aliases = tuple(sorted({name for _, name, _ in names} - {chosen}))
        symbols.append(_Symbol(chosen, section, start, end, file or files.get(start), aliases))
    return symbols


def _pieces(image: ELFFile, segment: Any, symbols: list[_Symbol]) -> Iterator[Piece]:
    """All bytes of a segment, in the order of addresses."""
    end = segment["p_vaddr"] + segment["p_memsz"]
    written = segment["p_vaddr"] + segment["p_filesz"]
    in_ram = ram_bytes(segment) > 0

    def piece(first: int, last: int, name: str, section: str, symbol: _Symbol | None) -> Piece:
        return Piece(
            name,
            section,
            symbol.file if symbol else None,
            flash=max(min(last, written) - first, 0),
            ram=last - first if in_ram else 0,
            aliases=symbol.aliases if symbol else (),
        )

    at = segment["p_vaddr"]
    for index, section in sorted(
        enumerate(image.iter_sections()), key=lambda item: int(item[1]["sh_addr"])
    ):
        first, last = section["sh_addr"], section["sh_addr"] + section["sh_size"]
        allocated = section["sh_flags"] & SH_FLAGS.SHF_ALLOC and section["sh_size"]
        if not allocated or first < at or last > end:
            continue
        if first > at:
            yield piece(at, first, PADDING, "", None)
        for start, stop, name, symbol in _stretches(section, index, symbols):
            yield piece(start, stop, name, section.name, symbol)
        at = last
    if at < end:
        yield piece(at, end, PADDING, "", None)


def _stretches(
    section: Any, index: int, symbols: list[_Symbol]
) -> Iterator[tuple[int, int, str, _Symbol | None]]:
    """A section from its first byte to its last: addresses, name and symbol."""
    at, end = section["sh_addr"], section["sh_addr"] + section["sh_size"]
    inside = [s for s in symbols if s.section == index and at <= s.start < end]
    inside.sort(key=lambda s: (s.start, -s.end))
    starts = [*(s.start for s in inside), end]
    for symbol, following in zip(inside, starts[1:], strict=True):
        unsized = symbol.end == symbol.start
        if unsized and symbol.start < at:
            continue
        if symbol.start > at:
            yield at, symbol.start, _gap(section, at, symbol.start), None
            at = symbol.start
        stop = following if unsized else min(symbol.end, end)
        if stop > at:
            yield at, stop, symbol.name, symbol
            at = stop
    if at < end:
        yield at, end, _gap(section, at, end), None


def _gap(section: Any, first: int, last: int) -> str:
    """A gap between symbols: padding, unless it is too long for that, or holds data."""
    if section["sh_type"] == "SHT_NOBITS":
        return PADDING
    if last - first >= max(section["sh_addralign"], _LEAST_ALIGNMENT):
        return UNNAMED
    executable = section["sh_flags"] & SH_FLAGS.SHF_EXECINSTR
    content = section.data()[first - section["sh_addr"] : last - section["sh_addr"]]
    return PADDING if executable or not any(content) else UNNAMED
