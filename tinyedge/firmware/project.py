"""From a converted model and a board to a firmware: rendered, compiled, measured."""

from __future__ import annotations

import hashlib
import json
import re
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from elftools.elf.elffile import ELFFile

from tinyedge.boards import Board, board_names, load_board
from tinyedge.boards.board import Region
from tinyedge.boards.cores import CORES, Core
from tinyedge.boards.families.avr import AvrBoard
from tinyedge.errors import BoardError, DoesNotFitError, ModelError, ToolchainError, UsageError
from tinyedge.exporters.c import CodeOptions, export_c
from tinyedge.exporters.converted import ConvertedModel
from tinyedge.files import folder_aside
from tinyedge.firmware.footprint import Footprint, read_footprint
from tinyedge.firmware.link_memory import LinkMemory, link_memory
from tinyedge.firmware.mlperf import Mlperf
from tinyedge.firmware.observation import (
    observed_layers,
    observer_files,
    observer_ram,
    observing,
)
from tinyedge.firmware.seal import is_sealed, seal_of
from tinyedge.graph.graph import GRAPH_FILE
from tinyedge.names import CompilerName
from tinyedge.templates import data_folder, render_template
from tinyedge.toolchains.arduino import arduino_compiler
from tinyedge.toolchains.compilers import (
    CXX_SUFFIXES,
    Compiler,
    compile_firmware,
    cross_compiler,
    run_compiler,
)

_ELF = "firmware.elf"
_SUGGESTED_BOARDS = 5
_IMAGE = "firmware.bin"
_HEX = "firmware.hex"
_RECORD = "firmware.json"


@dataclass(frozen=True)
class Firmware:
    """A compiled firmware.

    Attributes:
        elf: the linked program.
        image: the bytes of flash, from its first address on.
        board: what it is for.
        compiler: ``gcc`` or ``zig``, with its version.
        hash: SHA-256 of its sources, as the device tells it.
        footprint: flash and static RAM.
    """

    elf: Path
    image: Path
    board: Board
    compiler: str
    hash: str
    footprint: Footprint


@dataclass(frozen=True)
class Build:
    """The record of a program in its build's folder.

    Attributes:
        elf: the linked program.
        board: name of the board.
        compiler: as of ``Firmware``.
        hash: as of ``Firmware``.
        model: ``ConvertedModel.facts``, where it is the firmware of a converted model.
    """

    elf: Path
    board: str
    compiler: str
    hash: str
    model: dict[str, Any] | None


def read_build(folder: Path) -> Build | None:
    """Reads a folder that ``build_firmware`` wrote; None where it is none.

    Raises:
        ModelError: its record is damaged, or its program is another than the one that was built.
    """
    hint = "build it again with 'tinyedge build'"
    path = folder / _RECORD
    if not path.is_file():
        return None
    try:
        record = json.loads(path.read_text(encoding="utf-8"))
        content = (folder / _ELF).read_bytes()
        known = hashlib.sha256(content).hexdigest() == record["elf_sha256"]
        board, compiler, digest = (str(record[key]) for key in ("board", "compiler", "hash"))
        build = Build(folder / _ELF, board, compiler, digest, record.get("model"))
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ModelError(f"{path}: damaged, or not of a build: {error}", hint) from error
    if not known:
        raise ModelError(f"{build.elf}: not the program that {_RECORD} tells of", hint)
    return build


def build_firmware(
    model: ConvertedModel,
    board: Board,
    compiler_name: CompilerName | None = None,
    output: Path | None = None,
    mlperf: Mlperf | None = None,
    *,
    observe: bool = False,
) -> Firmware:
    """Renders and compiles the firmware of a model for a board.

    A firmware that this user built before from the same sources, with the same compiler, is used
    again.

    Args:
        model: what ``convert`` wrote.
        board: the board.
        compiler_name: by default ``gcc`` where installed, else ``zig``.
        output: folder for sources and program; ``<model>/<board>-<compiler>`` by default, with
            ``-mlperf`` behind it where that is spoken, ``-observe`` where layers are watched.
        mlperf: to speak MLPerf Tiny's command set instead of our link.
        observe: for ``run --profile`` and ``--trace``; not with ``mlperf``.

    Raises:
        DoesNotFitError: the board's flash or RAM is too small; says by how much.
        ModelError: see ``Mlperf.serve``, ``observed_layers``; or it was converted for a core with
            other kernels.
        UsageError: MLPerf Tiny's commands for an AVR.
        ToolchainError: there is no compiler, or it fails.
    """
    files = firmware_files(model, board, mlperf, observe=observe)
    link = _link(model, board, mlperf, observe=observe)
    compiler = firmware_compiler(board, compiler_name, link)
    if observe:
        compiler = observing(compiler)
    suffix = "-mlperf" if mlperf else "-observe" if observe else ""
    folder = output or model.folder / f"{board.name}-{compiler.name}{suffix}"
    return build_project(files, board, compiler, folder, model.facts)


def firmware_files(
    model: ConvertedModel, board: Board, mlperf: Mlperf | None = None, *, observe: bool = False
) -> dict[str, str]:
    """The sources of a model's firmware by name, the linker script among them.

    Raises:
        DoesNotFitError, ModelError: as ``build_firmware``.
    """
    _check_kernels(model, board)
    if mlperf and isinstance(board, AvrBoard):
        raise UsageError("--protocol mlperf is for boards with a Cortex-M")
    _check_places(model, board)
    runtime = data_folder("firmware_templates") / "runtime"
    sources = [runtime / name for name in model.runtime_sources]
    sources += [*runtime.glob("*.h"), *model.sources]
    files = {path.name: path.read_text(encoding="utf-8") for path in sources}
    harness = harness_files(board, _link(model, board, mlperf, observe=observe))
    if mlperf:
        harness = mlperf.serve(harness, model.graph)
    if observe:
        files |= observer_files()
    return files | harness


def _link(
    model: ConvertedModel, board: Board, mlperf: Mlperf | None, *, observe: bool
) -> LinkMemory:
    """The link's share of the board's RAM."""
    if mlperf:
        return mlperf.link
    taken = _in_ram(model, board) + board.stack_in_ram
    if observe:
        taken += observer_ram(observed_layers(model))
    return link_memory(board, model.graph.input_tensor.size, model.graph.output_tensor.size, taken)


def firmware_compiler(
    board: Board, name: CompilerName | None = None, link: LinkMemory | None = None
) -> Compiler:
    """A compiler for a board's firmware: see ``cross_compiler``; of Arduino boards with their core.

    Raises:
        ToolchainError: none, or not the named one, is installed, or compiles for the board.
    """
    if not isinstance(board, AvrBoard):
        return cross_compiler(board.core, name)
    if name not in (None, "gcc"):
        raise ToolchainError(f"{name} does not compile for {board.mcu}", hint="--compiler gcc")
    return arduino_compiler(board, (link or LinkMemory()).ring)


def kernel_note(model: ConvertedModel, board: Board) -> str:
    """The loss where kernels were chosen by another core than the board's; else empty."""
    core = _core(model)
    if core.has_kernels_of(board.instruction_set):
        return ""
    return (
        f"kernels were made for {core.name}; {_conversion(model, board)} makes {board.name}'s own"
    )


def _core(model: ConvertedModel) -> Core:
    """The core that a model's kernels were chosen by."""
    return CORES[str(model.manifest["core"])]


def _conversion(model: ConvertedModel, board: Board) -> str:
    """The command that converts a model for a board's core."""
    return f"tinyedge convert {model.folder / GRAPH_FILE} -o DIR --core {board.core}"


def _check_kernels(model: ConvertedModel, board: Board) -> None:
    """Refuses a model that the board does not hold, or whose code does not run there.

    Code that reads its constants in another way than the board's core needs does not run. Where
    only kernels for the board's own core would fit, that is said.
    """
    core, frame = _core(model), model.graph.input_tensor.size
    runs = core.flash_apart or not board.instruction_set.flash_apart
    taken = ""
    try:
        check_memories(board, _in_flash(model, board), _in_ram(model, board) + frame)
    except DoesNotFitError:
        if core.has_kernels_of(board.instruction_set):
            raise
        own = export_c(model.graph, CodeOptions(board.core, model.manifest["optimize"]))
        least = own.plan.size + frame
        check_memories(board, own.weight_bytes, least)
        least += board.stack_in_ram
        taken = f" (it then takes at least {least:,} of {board.ram.size:,} bytes of RAM)"
    message = f"{model.folder}: was converted for {core.name}: --core {board.core}{taken}"
    if not runs:
        raise ModelError(
            f"{message}; the kernels of {core.name} do not run on {board.name}",
            hint=_conversion(model, board),
        )
    if taken:
        raise DoesNotFitError(f"{message} fits {board.name}", hint=_conversion(model, board))


def _in_flash(model: ConvertedModel, board: Board) -> int:
    """Bytes of weights that go to the board's own flash, at least."""
    memory = board.memory
    apart = any(map(memory.is_flash, memory.arrays)) or memory.at("weights") in memory.regions
    return 0 if apart and memory.is_flash(memory.at("weights")) else model.weight_bytes


def _in_ram(model: ConvertedModel, board: Board) -> int:
    """Bytes of the model that go to the board's own RAM, at least."""
    memory = board.memory
    arena = model.arena_bytes if memory.at("arena") == memory.at("state") == "ram" else 0
    return arena + (model.weight_bytes if memory.at("weights") == "ram" else 0)


def _check_places(model: ConvertedModel, board: Board) -> None:
    """Refuses arrays that the model does not have, and what is larger than its memory."""
    memory = board.memory
    code = "".join(path.read_text(encoding="utf-8") for path in model.sources)
    known = re.findall(r"^TE_WEIGHTS\((\w+)\)", code, re.MULTILINE)
    for array in (each for arrays in memory.arrays.values() for each in arrays):
        if array not in known:
            raise BoardError(
                f"{board.name}: memory.place.{array}: {model.folder} has no such array of weights",
                hint=f"arena, state, weights, stack, or one of {', '.join(known) or 'none'}",
            )
    for what, size in (("arena", model.arena_bytes), ("weights", model.weight_bytes)):
        name = memory.at(what)
        alone = memory.at("state") == name if what == "arena" else not memory.arrays
        if alone and name in memory.regions and size > memory.region(name).size:
            raise DoesNotFitError(
                f"the model does not fit {board.name}: {what} takes {size:,} bytes of {name}, "
                f"which has {memory.region(name).size:,}",
                hint=f"place it elsewhere: memory.place.{what} in the board's description",
            )


def build_project(
    files: dict[str, str],
    board: Board,
    compiler: Compiler,
    folder: Path,
    model: dict[str, Any] | None = None,
) -> Firmware:
    """Compiles and links a firmware, unless the folder holds one of the same sources already.

    Args:
        files: all sources by name, the linker script among them.
        board: what they were rendered for.
        compiler: with the flags and libraries that linking takes.
        folder: for sources and program.
        model: what the build's record says of the model, see ``ConvertedModel.facts``.

    Raises:
        DoesNotFitError, ToolchainError: as ``build_firmware``.
    """
    identity, firmware_hash = firmware_id(files, board)
    version = f"{compiler.name}: {compiler.version()}"
    command = [*compiler.command[1:], *compiler.link_flags, compiler.libraries_hash()]
    record = {"hash": firmware_hash, "compiler": version, "command": command, "model": model}
    if not _is_current(folder, record, compiler):
        _compile(folder, files | identity, compiler, board, record)
    return Firmware(
        elf=folder / _ELF,
        image=folder / _IMAGE,
        board=board,
        compiler=version,
        hash=firmware_hash,
        footprint=read_footprint(folder / _ELF, board),
    )


def firmware_id(files: dict[str, str], board: Board) -> tuple[dict[str, str], str]:
    """The header that tells a firmware who it is, by name, and the SHA-256 of its sources."""
    digest = _hash(files)
    context = {"board": board, "hash_bytes": ", ".join(f"0x{byte:02x}" for byte in digest)}
    header = render_template("harness/firmware_id.h.j2", context)
    return {"firmware_id.h": header}, digest.hex()


def check_memories(board: Board, constants: int, variables: int) -> None:
    """Refuses before compiling what cannot fit.

    Args:
        board: with its flash and RAM.
        constants: bytes of flash that the model takes at least.
        variables: bytes of RAM that it takes at least, the stack not counted.

    Raises:
        DoesNotFitError: says by how much, and which boards would hold it, the smallest first.
    """
    least_ram = variables + board.stack_in_ram
    for name, needed, size, made_of, way_out in (
        (
            "flash",
            constants,
            board.constants_size,
            "",
            "narrower layers, fewer bits a weight, 'convert --optimize size'",
        ),
        (
            "RAM",
            least_ram,
            board.ram.size,
            f" (arena and link {variables:,}, stack {board.stack_in_ram:,})",
            "a smaller input, fewer channels in the first layers, 'convert --optimize ram'",
        ),
    ):
        if needed > size:
            raise DoesNotFitError(
                f"the model does not fit {board.name}: it needs at least {needed:,} bytes of "
                f"{name}, {needed - size:,} more than the board's {size:,}{made_of}",
                hint=f"{way_out}, or a larger board ('tinyedge boards fit DIR' tries all): "
                + _larger_boards(constants, variables),
            )


def _larger_boards(constants: int, variables: int) -> str:
    """The smallest boards that hold so much, by their RAM, and how many others do."""
    boards = [
        board
        for board in map(load_board, board_names())
        if board.constants_size >= constants and board.ram.size >= variables + board.minimum_stack
    ]
    boards.sort(key=lambda board: (board.ram.size, board.constants_size))
    if not boards:
        return "none that tinyedge knows is large enough"
    named = ", ".join(board.name for board in boards[:_SUGGESTED_BOARDS])
    others = len(boards) - _SUGGESTED_BOARDS
    return f"{named} and {others} more" if others > 0 else named


def harness_files(board: Board, link: LinkMemory | None = None) -> dict[str, str]:
    """Sources of the link's device half and of a board's start-up, its linker script included."""
    templates = data_folder("firmware_templates")
    headers = [templates / "runtime" / name for name in ("te_flash.h", "te_memory.h")]
    context = {"board": board, "link": link or LinkMemory()}
    files = {
        "linker.ld": render_template(board.linker_script, context),
        "link_memory.h": render_template("harness/link_memory.h.j2", context),
    }
    if isinstance(board, AvrBoard):
        sketch = {"name": "the model", "header": "model.h", "baud": board.uart.baud}
        files["sketch.cpp"] = render_template("arduino/Harness.ino.j2", sketch)
        wanted = arduino_harness()
    else:
        folders = ("harness", "cortex_m", *board.platform)
        if board.memory.copied or board.memory.zeroed:
            folders = (*folders, "placed")
        wanted = [path for folder in folders for path in (templates / folder).glob("*.[ch]")]
        files["board.h"] = render_template(f"{board.family}/board.h.j2", context)
    return files | {path.name: path.read_text(encoding="utf-8") for path in [*wanted, *headers]}


def arduino_harness() -> list[Path]:
    """Sources of the link's device half on Arduino, but for the sketch that calls it.

    Arduino's core brings ``main`` and a buffer for what is received, its C library the rest. An
    AVR knows no faults, and on other cores their vectors are Arduino's: none is reported.
    """
    templates = data_folder("firmware_templates")
    without = ("main.c", "te_memory.c", "te_receive.c", "te_server_fault.c")
    harness = [path for path in (templates / "harness").glob("*.[ch]") if path.name not in without]
    return sorted([*harness, *(templates / "arduino").glob("*.cpp")])


def _hash(files: dict[str, str]) -> bytes:
    digest = hashlib.sha256()
    for name in sorted(files):
        digest.update(f"{name}\0{files[name]}\0".encode())
    return digest.digest()


def _is_current(folder: Path, record: dict[str, Any], compiler: Compiler) -> bool:
    """Whether the folder holds the programs that this user had compiled from the same sources."""
    try:
        kept = json.loads((folder / _RECORD).read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return False
    if not isinstance(kept, dict) or {key: kept.get(key) for key in record} != record:
        return False
    programs = (folder / name for name in (_ELF, _IMAGE, *_hex_of(compiler)))
    seals = kept.get("seals")
    return isinstance(seals, dict) and all(
        is_sealed(program, _made_from(record), seals.get(program.name)) for program in programs
    )


def _made_from(record: dict[str, Any]) -> str:
    """A program's seal over its sources and its compiler."""
    return json.dumps(record, sort_keys=True)


def _hex_of(compiler: Compiler) -> tuple[str, ...]:
    """Name of the image as Intel HEX, where the compiler writes it."""
    return (_HEX,) if compiler.objcopy else ()


def _compile(
    folder: Path, files: dict[str, str], compiler: Compiler, board: Board, record: dict[str, Any]
) -> None:
    with folder_aside(folder) as aside:
        source = aside / "src"
        source.mkdir()
        for name, text in files.items():
            (source / name).write_text(text, encoding="utf-8")
        elf = aside / _ELF
        sources = sorted(p for p in source.iterdir() if p.suffix in (".c", *CXX_SUFFIXES))
        compile_firmware(compiler, sources, source / "linker.ld", elf)
        (aside / _IMAGE).write_bytes(_flash_image(elf, board.flash))
        for name, other in board.memory.other_images.items():
            if outside := _flash_image(elf, board.memory.regions[name]):
                (aside / other).write_bytes(outside)
        if compiler.objcopy:
            hexadecimal = ["-O", "ihex", "-R", ".eeprom", str(elf), str(aside / _HEX)]
            run_compiler(compiler.objcopy, (compiler.objcopy,), hexadecimal)
        content = {
            **record,
            "board": board.name,
            "elf_sha256": hashlib.sha256(elf.read_bytes()).hexdigest(),
            "footprint": asdict(read_footprint(elf, board)),
            "seals": {
                name: seal_of(aside / name, _made_from(record))
                for name in (_ELF, _IMAGE, *_hex_of(compiler))
            },
        }
        (aside / _RECORD).write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")


def _flash_image(elf: Path, flash: Region) -> bytes:
    """The bytes of a flash from its start on; gaps hold 0xff, as erased flash does."""
    image = bytearray()
    with elf.open("rb") as file:
        for segment in ELFFile(file).iter_segments():
            inside = flash.origin <= segment["p_paddr"] < flash.end
            if segment["p_type"] == "PT_LOAD" and segment["p_filesz"] and inside:
                offset = segment["p_paddr"] - flash.origin
                image.extend(b"\xff" * (offset + segment["p_filesz"] - len(image)))
                image[offset : offset + segment["p_filesz"]] = segment.data()
    return bytes(image)
