"""The instructions of a firmware for a Cortex-M, as far as their time depends on them."""

from __future__ import annotations

import functools
from collections.abc import Iterable
from dataclasses import dataclass
from enum import Enum, auto
from pathlib import Path
from typing import Any

from elftools.elf.elffile import ELFFile
from elftools.elf.sections import SymbolTableSection

from tinyedge.distribution import install_hint
from tinyedge.errors import ToolchainError

_LONGEST = 4


class Kind(Enum):
    """The kind of an instruction, by its cost."""

    PLAIN = auto()
    """Arithmetic, logic, moves, shifts, packed halfwords, and whatever is not named below."""
    MULTIPLY = auto()
    """One product of 32 bits."""
    MULTIPLY_ADD = auto()
    """``mla`` and ``mls``."""
    MULTIPLY_PACKED = auto()
    """Products of halfwords: of the DSP extension."""
    MULTIPLY_LONG = auto()
    """A result of 64 bits, or the upper half of one."""
    DIVIDE = auto()
    LOAD = auto()
    STORE = auto()
    LOAD_MULTIPLE = auto()
    """``ldm``, ``pop``, ``ldrd``."""
    STORE_MULTIPLE = auto()
    """``stm``, ``push``, ``strd``."""
    BRANCH = auto()
    """``b``, conditional or not, ``cbz``."""
    CALL = auto()
    """``bl``."""
    BRANCH_REGISTER = auto()
    """``bx``, ``blx``, ``mov pc``."""
    TABLE_BRANCH = auto()
    CONDITION = auto()
    """``it``."""
    SYSTEM = auto()
    """Barriers, and the special registers."""


@dataclass(frozen=True)
class Instruction:
    """One instruction.

    Attributes:
        address: where it lies.
        size: 2 or 4 bytes.
        mnemonic: without a condition or width.
        kind: see ``Kind``.
        reads: registers that it reads, by name.
        writes: registers that it writes.
        address_from: registers that an address of memory is made of; not the program counter.
        transfers: words that it moves between memory and registers.
        offset_in_register: whether an address has a second register in it.
        loads_pc: whether a load from memory is a branch.
        target: of a branch or call, where it is a constant.
    """

    address: int
    size: int
    mnemonic: str
    kind: Kind
    reads: frozenset[str] = frozenset()
    writes: frozenset[str] = frozenset()
    address_from: frozenset[str] = frozenset()
    transfers: int = 0
    offset_in_register: bool = False
    loads_pc: bool = False
    target: int | None = None


_KINDS: dict[str, Kind] = {
    "mul": Kind.MULTIPLY,
    "muls": Kind.MULTIPLY,
    "mla": Kind.MULTIPLY_ADD,
    "mls": Kind.MULTIPLY_ADD,
    **dict.fromkeys(("umull", "smull", "umlal", "smlal", "umaal"), Kind.MULTIPLY_LONG),
    **dict.fromkeys(("smmul", "smmulr", "smmla", "smmlar", "smmls"), Kind.MULTIPLY_LONG),
    **dict.fromkeys(("sdiv", "udiv"), Kind.DIVIDE),
    **dict.fromkeys(("b", "cbz", "cbnz"), Kind.BRANCH),
    "bl": Kind.CALL,
    **dict.fromkeys(("bx", "blx"), Kind.BRANCH_REGISTER),
    **dict.fromkeys(("tbb", "tbh"), Kind.TABLE_BRANCH),
    "it": Kind.CONDITION,
    **dict.fromkeys(("mrs", "msr", "dmb", "dsb", "isb", "cps"), Kind.SYSTEM),
    **dict.fromkeys(("ldm", "ldmdb", "ldrd", "pop", "ldmia"), Kind.LOAD_MULTIPLE),
    **dict.fromkeys(("stm", "stmdb", "strd", "push", "stmia"), Kind.STORE_MULTIPLE),
}
_PACKED = ("smla", "smul", "smua", "smus", "smls")


def _kind(mnemonic: str) -> Kind:
    if found := _KINDS.get(mnemonic):
        return found
    if mnemonic.startswith("ldr"):
        return Kind.LOAD
    if mnemonic.startswith("str"):
        return Kind.STORE
    return Kind.MULTIPLY_PACKED if mnemonic.startswith(_PACKED) else Kind.PLAIN


@functools.cache
def _disassembler() -> Any:
    """Capstone, which tells of registers too."""
    try:
        import capstone
    except ImportError as error:
        raise ToolchainError(
            "cycles are modelled from a disassembly, which needs capstone",
            install_hint("emulator"),
        ) from error
    disassembler = capstone.Cs(
        capstone.CS_ARCH_ARM, capstone.CS_MODE_THUMB | capstone.CS_MODE_MCLASS
    )
    disassembler.detail = True
    return disassembler


def _instruction(content: bytes, address: int) -> Instruction | None:
    """The first instruction of some bytes; None where Capstone knows none."""
    from capstone import arm_const

    found = next(_disassembler().disasm(content, address, 1), None)
    if found is None:
        return None
    mnemonic = str(found.insn_name())
    kind = _kind(mnemonic)
    reads, writes = (
        frozenset(str(found.reg_name(number)) for number in registers)
        for registers in found.regs_access()
    )
    parts: set[str] = set()
    indexed = False
    target: int | None = None
    registers = 0
    for operand in found.operands:
        if operand.type == arm_const.ARM_OP_MEM:
            indexed = indexed or operand.mem.index != 0
            parts |= {
                str(found.reg_name(number))
                for number in (operand.mem.base, operand.mem.index)
                if number
            }
        elif operand.type == arm_const.ARM_OP_REG:
            registers += 1
        elif operand.type == arm_const.ARM_OP_IMM and kind in (Kind.BRANCH, Kind.CALL):
            target = int(operand.imm)
    transfers = 0
    if kind in (Kind.LOAD, Kind.STORE):
        transfers = 1
    elif mnemonic in ("ldrd", "strd"):
        transfers = 2
    elif mnemonic in ("push", "pop"):
        transfers = registers
        parts = {"sp"}
    elif kind in (Kind.LOAD_MULTIPLE, Kind.STORE_MULTIPLE):
        transfers = registers - 1
        parts = {str(found.reg_name(found.operands[0].reg))}
    elif kind == Kind.PLAIN and "pc" in writes:
        kind = Kind.BRANCH_REGISTER
    return Instruction(
        address,
        found.size,
        mnemonic,
        kind,
        reads,
        writes,
        frozenset(parts - {"pc"}),
        transfers,
        indexed,
        kind in (Kind.LOAD, Kind.LOAD_MULTIPLE) and "pc" in writes,
        target,
    )


class Code:
    """The machine code of a firmware, decoded on demand.

    Args:
        loaded: addresses, and the bytes from there on.
        functions: name, address and size in bytes.

    Raises:
        ToolchainError: Capstone, which decodes it, is not installed.
    """

    def __init__(
        self, loaded: Iterable[tuple[int, bytes]], functions: Iterable[tuple[str, int, int]] = ()
    ) -> None:
        self.require_disassembler()
        self._loaded = list(loaded)
        self._functions = list(functions)
        self._decoded: dict[int, Instruction] = {}

    @classmethod
    def read(cls, elf: Path) -> Code:
        """The code of a program; raises as the class does."""
        with elf.open("rb") as stream:
            segments = ELFFile(stream).iter_segments("PT_LOAD")
            loaded = [(segment["p_vaddr"], segment.data()) for segment in segments]
            table = ELFFile(stream).get_section_by_name(".symtab")
            symbols = table.iter_symbols() if isinstance(table, SymbolTableSection) else ()
            functions = [
                (symbol.name, symbol["st_value"] & ~1, symbol["st_size"])
                for symbol in symbols
                if symbol["st_info"]["type"] == "STT_FUNC"
            ]
        return cls(loaded, functions)

    @staticmethod
    def require_disassembler() -> None:
        """Raises ToolchainError where Capstone is not installed."""
        _disassembler()

    def at(self, address: int) -> Instruction:
        """The instruction at an address; one that is not known is a plain one of 4 bytes."""
        if address not in self._decoded:
            content = self._bytes(address)
            found = _instruction(content, address) if content else None
            self._decoded[address] = found or Instruction(address, _LONGEST, "?", Kind.PLAIN)
        return self._decoded[address]

    def function(self, name: str) -> int:
        """The address of a function.

        Raises:
            ToolchainError: the firmware has none of that name.
        """
        if (address := self.find(name)) is None:
            raise ToolchainError(f"the firmware has no function {name}")
        return address

    def find(self, name: str) -> int | None:
        """The address of a function; None where there is none of that name."""
        for found, address, _ in self._functions:
            if found == name:
                return int(address)
        return None

    def function_at(self, address: int) -> str | None:
        """The name of the function that an address lies in."""
        for name, start, size in self._functions:
            if start <= address < start + size:
                return str(name)
        return None

    def returns(self, name: str) -> list[int]:
        """Where the calls of a function by ``bl`` return to."""
        target = self.function(name)
        found = []
        for _, start, size in self._functions:
            address = start
            while address < start + size:
                instruction = self.at(address)
                address += instruction.size
                if instruction.kind == Kind.CALL and instruction.target == target:
                    found.append(address)
        return sorted(set(found))

    def sequence(self, addresses: Iterable[int]) -> list[Instruction]:
        """The instructions at some addresses, in the order of these."""
        return [self.at(address) for address in sorted(addresses)]

    def _bytes(self, address: int) -> bytes:
        for start, content in self._loaded:
            if start <= address < start + len(content):
                offset = address - start
                return bytes(content[offset : offset + _LONGEST])
        return b""
