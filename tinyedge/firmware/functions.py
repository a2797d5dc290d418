"""Which function of a program an address lies in."""

from __future__ import annotations

from pathlib import Path

from elftools.common.exceptions import ELFError
from elftools.elf.elffile import ELFFile
from elftools.elf.sections import SymbolTableSection


def function_at(elf: Path, address: int) -> str | None:
    """The function that an address is in, with what lies before the address in it, as ``f+0x12``.

    None where no function has it, or the program is none.
    """
    try:
        with elf.open("rb") as file:
            table = ELFFile(file).get_section_by_name(".symtab")
            symbols = table.iter_symbols() if isinstance(table, SymbolTableSection) else ()
            for symbol in symbols:
                start = symbol["st_value"] & ~1  # the lowest bit says that it is Thumb code
                is_function = symbol["st_info"]["type"] == "STT_FUNC"
                if is_function and start <= address < start + max(symbol["st_size"], 1):
                    return f"{symbol.name}+0x{address - start:x}"
    except (OSError, ELFError):
        pass
    return None
