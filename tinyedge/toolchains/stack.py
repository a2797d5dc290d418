"""The stack that C code takes: counted by gcc function by function, along the deepest path."""

from __future__ import annotations

import re
import subprocess
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from elftools.elf.elffile import ELFFile
from elftools.elf.relocation import RelocationSection
from elftools.elf.sections import SymbolTableSection

from tinyedge.errors import ToolchainError
from tinyedge.toolchains.compilers import Compiler, run_compiler

FLAGS = ("-O2",)
"""Flags of code that is counted, beside those of the core."""
LIBRARY_STACK = 32
"""Bytes that ``memcpy`` and ``memset``, which are not ours, are taken to need."""

_LIBRARY = frozenset({"memcpy", "memset"})
_COUNT = ("-fstack-usage", "-fcallgraph-info=su")
_LINK = ("-nostdlib", "-Wl,--unresolved-symbols=ignore-all", "-Wl,--entry=0")
_NODE = re.compile(r'^node: \{ title: "([^"]*)" label: "[^"]*\\n(\d+) bytes \(([^)]*)\)', re.M)
_EDGE = re.compile(r'^edge: \{ sourcename: "([^"]*)" targetname: "([^"]*)"', re.M)
_FUNCTION = re.compile(r"^[0-9a-f]+ <([^>]+)>:$")
_INSTRUCTION = re.compile(r"^\s*[0-9a-f]+:\s+(\S+)\s*(.*)$")
_CALLED = re.compile(r"<([^>+]+)(?:\+0x[0-9a-f]+)?>")
_INDIRECT = "__indirect_call"
_ADDRESSES = frozenset({2, 47, 48})
"""Relocations that are an address: R_ARM_ABS32, R_ARM_THM_MOVW_ABS_NC, R_ARM_THM_MOVT_ABS."""


@dataclass(frozen=True)
class CountedStack:
    """A count of stack.

    Attributes:
        size: bytes, at most.
        compiler: that made the code, with its version.
        core: that the code is for.
    """

    size: int
    compiler: str
    core: str


@dataclass
class _Graph:
    """A call graph, with the bytes of stack of each function.

    Attributes:
        frames: bytes of every function.
        calls: functions that it calls by name.
        indirect: functions that call what a pointer leads to.
        taken: functions whose address is taken.
    """

    frames: dict[str, int] = field(default_factory=dict)
    calls: dict[str, set[str]] = field(default_factory=dict)
    indirect: set[str] = field(default_factory=set)
    taken: set[str] = field(default_factory=set)

    def depth(self, name: str, path: tuple[str, ...] = ()) -> int:
        """Bytes from a function's entry on, along the deepest path."""
        if name in _LIBRARY:
            return LIBRARY_STACK
        if name in path:
            raise ToolchainError(f"{name} calls itself: its stack has no bound")
        if name not in self.frames:
            raise ToolchainError(f"{path[-1]} calls {name}, whose stack is not known")
        called = set(self.calls.get(name, ()))
        if name in self.indirect:
            called |= self.taken
        inner = (self.depth(each, (*path, name)) for each in called)
        return self.frames[name] + max(inner, default=0)


def count_stack(
    compiler: Compiler, core: str, files: Mapping[str, str], entry: str
) -> CountedStack:
    """Counts the stack that the functions of a C file take at most.

    Every function's frame is what gcc says (``-fstack-usage``), or in assembly what it pushes. What
    a pointer leads to counts as the deepest function whose address is taken; pointers that
    ``entry`` itself calls are the caller's, and are not counted. gcc's own arithmetic is counted
    from its machine code, ``memcpy`` and ``memset`` as ``LIBRARY_STACK``.

    Args:
        compiler: ``arm-none-eabi-gcc`` for the core.
        core: what the code is compiled for.
        files: C files and headers by name.
        entry: the C file whose functions others call.

    Raises:
        ToolchainError: the compiler is not there, fails, or is older than 10; or a function's stack
            has no bound.
    """
    with tempfile.TemporaryDirectory(prefix="tinyedge-") as name:
        folder = Path(name)
        for path, text in files.items():
            (folder / path).write_text(text, encoding="utf-8")
        sources = sorted(path for path in files if path.endswith(".c"))
        flags = ["-std=c99", *FLAGS, *_COUNT, "-I.", "-c"]
        run_compiler(compiler.name, compiler.command, [*flags, *sources], folder)
        graph = _Graph()
        entries: list[str] = []
        for source in sources:
            names = _read_unit(graph, compiler, folder, Path(source).stem)
            if source == entry:
                entries = names
                graph.indirect -= set(names)
        graph.taken &= set(graph.frames)
        _read_libgcc(graph, compiler, folder)
        # A function of one file has its name in front, one of all files has not.
        offered = [each for each in entries if ":" not in each]
        return CountedStack(max(map(graph.depth, offered)), compiler.version(), core)


def _read_unit(graph: _Graph, compiler: Compiler, folder: Path, stem: str) -> list[str]:
    """Adds a compiled file to the graph; gives its functions."""
    path = folder / f"{stem}.ci"
    if not path.is_file():
        raise ToolchainError("gcc tells no calls of functions", hint="gcc 10 or later does")
    text = path.read_text(encoding="utf-8")
    nodes = _NODE.findall(text)
    pushed = _disassembled(compiler, folder / f"{stem}.o")
    for name, size, kind in nodes:
        if kind not in ("static", "dynamic,bounded"):
            raise ToolchainError(f"{name}: its stack has no bound")
        # gcc tells nothing of a naked function, whose own pushes count.
        plain = name.rpartition(":")[2]
        graph.frames[name] = int(size) or pushed.frames.get(plain, 0)
    for caller, called in _EDGE.findall(text):
        if called == _INDIRECT:
            graph.indirect.add(caller)
        else:
            graph.calls.setdefault(caller, set()).add(called)
    titles = {name.rpartition(":")[2]: name for name, _, _ in nodes}
    graph.taken |= {titles.get(name, name) for name in _addresses_taken(folder / f"{stem}.o")}
    return [name for name, _, _ in nodes]


def _addresses_taken(path: Path) -> set[str]:
    """Functions and data whose address an object file's code or data holds."""
    taken: set[str] = set()
    with path.open("rb") as file:
        elf = ELFFile(file)
        for section in elf.iter_sections():
            if not isinstance(section, RelocationSection) or ".debug" in section.name:
                continue
            symbols = elf.get_section(section["sh_link"])
            assert isinstance(symbols, SymbolTableSection)
            for relocation in section.iter_relocations():
                if relocation["r_info_type"] in _ADDRESSES:
                    taken.add(symbols.get_symbol(relocation["r_info_sym"]).name)
    return taken


def _read_libgcc(graph: _Graph, compiler: Compiler, folder: Path) -> None:
    """Adds what the compiler itself calls."""
    called = {name for names in graph.calls.values() for name in names}
    if not called - set(graph.frames) - _LIBRARY:
        return
    program = folder / "program.elf"
    objects = sorted(path.name for path in folder.glob("*.o"))
    run_compiler(
        compiler.name,
        compiler.command,
        [*_LINK, *objects, "-lgcc", "-o", program.name],
        folder,
    )
    linked = _disassembled(compiler, program)
    for name, other in _aliases(program, linked).items():
        if name not in graph.frames:
            graph.frames[name] = linked.frames[other]
            graph.calls[name] = linked.calls.get(other, set()) - {other}


def _aliases(program: Path, linked: _Graph) -> dict[str, str]:
    """Each name of a program's functions with the one that the disassembler calls it by."""
    with program.open("rb") as file:
        table = ELFFile(file).get_section_by_name(".symtab")
        assert isinstance(table, SymbolTableSection)
        symbols = [(symbol.name, symbol["st_value"] & ~1) for symbol in table.iter_symbols()]
    shown = {address: name for name, address in symbols if name in linked.frames}
    return {name: shown[address] for name, address in symbols if name and address in shown}


def _disassembled(compiler: Compiler, path: Path) -> _Graph:
    """Functions of machine code, with all that they push and whom they call."""
    objdump = Path(compiler.command[0]).with_name("arm-none-eabi-objdump")  # the compiler's own
    command = [str(objdump), "-d", "--no-show-raw-insn", str(path)]
    try:
        text = subprocess.run(
            command, capture_output=True, text=True, timeout=60, check=True
        ).stdout
    except (OSError, subprocess.SubprocessError) as error:
        raise ToolchainError(f"{command[0]} could not run: {error}") from error
    graph, name = _Graph(), ""
    for line in text.splitlines():
        if begins := _FUNCTION.match(line):
            name = begins[1]
            graph.frames[name] = 0
        elif found := _INSTRUCTION.match(line):
            operation, operands = found.groups()
            graph.frames[name] += _pushed(operation, operands)
            if operation.startswith("b") and (target := _CALLED.search(operands)):
                graph.calls.setdefault(name, set()).add(target[1])
    return graph


def _pushed(operation: str, operands: str) -> int:
    """Bytes by which an instruction lowers the stack pointer."""
    stores = operation.startswith("push") or (
        operation.startswith("stmdb") and operands.startswith("sp!")
    )
    if stores or operation.startswith("vpush"):
        count = 0
        for register in operands[operands.index("{") + 1 : operands.index("}")].split(", "):
            first, _, last = register.partition("-")
            count += int(last[1:]) - int(first[1:]) + 1 if last else 1
        return count * (8 if "{d" in operands else 4)
    if operation.startswith("sub") and (size := re.match(r"sp,(?: sp,)? #(\d+)", operands)):
        return int(size[1])
    if operation.startswith("str") and (size := re.search(r"\[sp, #-(\d+)\]!", operands)):
        return int(size[1])
    return 0
