"""The use of a board's flash and RAM: by symbol, by layer, by part; and its growth."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from fractions import Fraction
from functools import cache
from pathlib import Path
from typing import Any, Literal

from tinyedge.boards import Board
from tinyedge.boards.board import Region
from tinyedge.errors import BoardError, DataError, ThresholdError, UsageError
from tinyedge.exporters.c.export import c_identifiers
from tinyedge.exporters.converted import ConvertedModel
from tinyedge.firmware.memory_map import (
    PADDING,
    UNNAMED,
    MemoryMap,
    Piece,
    read_memory_map,
)
from tinyedge.firmware.memory_map import extent as extent_of
from tinyedge.firmware.project import Firmware
from tinyedge.records.footprint import (
    ArenaPlan,
    Comparison,
    Extent,
    Footprint,
    GateResult,
    Kernel,
    Layer,
    MemoryName,
    ModelName,
    RamExtent,
    RegionExtent,
    Row,
    Symbol,
)
from tinyedge.records.parts import Count, Name, Part, as_model, dumped, made, read_record
from tinyedge.records.run import load_profile
from tinyedge.templates import data_folder, render_template

MEMORIES: tuple[MemoryName, ...] = ("flash", "ram")
_FACTS = ("kind", "kernel", "bits", "packing", "macs")
"""Facts of a layer, as ``model.json`` has them."""
PARTS = ("weights", "biases", "multipliers", "other")
"""The kinds of a layer's constants: all that is none of the first three is other."""

_MODEL_FILES = ("model.c", "model.cc", "model_data.c")
_LAYER = "_layer"
"""How the structure of every layer is called, behind the layer's identifier."""
_CONSTANT = re.compile(r"_constant(_\d+)?$")
_SCALE_BYTES, _BIAS_BYTES = 16, 4
"""Bytes of a channel in what ``te_mve.h`` loads, and of the bias in it."""
_ARRAYS = {
    "weights": "weights",
    "bias": "biases",
    "mantissa": "multipliers",
    "shift": "multipliers",
    "step": "multipliers",
}
_CLONE = re.compile(r"\.(isra|constprop|part|cold|\d+)\b")
"""The suffixes that compilers append to names, some with numbers that change with every build."""

Record = dict[str, Any]


def footprint_record(
    memory: MemoryMap,
    board: Board | None = None,
    model: Mapping[str, Any] | None = None,
) -> Record:
    """The record of a footprint, all sizes in bytes; its keys are in ``docs/cli.md``.

    The stack's peak is None: only a run can tell it, see ``load_stack_peak``.

    Args:
        memory: of the firmware.
        board: what it is for, to tell what is left; None where that is not known.
        model: ``ConvertedModel.facts``; None where they are not known.

    Raises:
        BoardError: the firmware is for other addresses than the board's memories have.
    """
    identifiers = _layer_identifiers(memory)
    symbols = _symbols(memory.pieces, identifiers)
    facts = _layer_facts(model)
    with made("the footprint"):
        record = Footprint(
            board=board.name if board else None,
            model=ModelName(name=model["name"], hash=model["hash"]) if model else None,
            flash=_extent("flash", memory.written, board),
            ram=RamExtent(**dumped(_extent("ram", memory.held, board)), stack_peak=None),
            regions=_regions(memory, board),
            groups=_sums(symbols, lambda symbol: symbol.group or ""),
            sections=_sums(symbols, lambda symbol: symbol.section or "(between sections)"),
            layers=_layers(symbols, identifiers, facts),
            unit=None,
            kernels=_kernels(symbols, facts),
            arena=_arena(model),
            symbols=symbols,
            compare=None,
            gates=[],
        )
    return dumped(record)


def firmware_footprint(model: ConvertedModel, firmware: Firmware) -> Record:
    """The footprint of a converted model's firmware, with the kernels of its layers.

    Args:
        model: what was built.
        firmware: its build.
    """
    about = {
        "elf": str(firmware.elf),
        "compiler": firmware.compiler,
        "hash": firmware.hash,
    }
    return about | footprint_record(read_memory_map(firmware.elf), firmware.board, model.facts)


def _layer_facts(model: Mapping[str, Any] | None) -> dict[str, Record]:
    """Gives the facts of each layer but its bytes, by its C identifier."""
    layers = {layer["name"]: layer for layer in model["layers"]} if model else {}
    return {
        name: {"operator": operator, **{key: layers[operator][key] for key in _FACTS}}
        for operator, name in c_identifiers(layers).items()
    }


def _arena(model: Mapping[str, Any] | None) -> ArenaPlan | None:
    """The plan of the arena, with the operators that its buffers' lifetimes count."""
    if not model or "buffers" not in model["arena"]:
        return None
    operators = [layer["name"] for layer in model["layers"]]
    return ArenaPlan.model_validate({**model["arena"], "operators": operators})


def _regions(memory: MemoryMap, board: Board | None) -> list[RegionExtent]:
    """The board's other memories that hold something."""
    used = []
    for name, region in board.memory.regions.items() if board else ():
        parts = memory.written if region.kind == "flash" else memory.held
        inside = extent_of(part for part in parts if region.origin <= part[0] < region.end)
        if inside.total:
            end = inside.end - region.origin
            used.append(
                RegionExtent(
                    name=name,
                    kind=region.kind,
                    total=inside.total,
                    gaps=end - inside.total,
                    size=region.size,
                    left=region.size - end,
                )
            )
    return used


def _extent(name: MemoryName, parts: Iterable[tuple[int, int]], board: Board | None) -> Extent:
    """Flash or RAM: what is loaded, what lies unused between, what is left behind it."""
    others = board.memory.regions.values() if board else ()
    extent = extent_of(
        part for part in parts if not any(each.origin <= part[0] < each.end for each in others)
    )
    if not board:
        return Extent(
            total=extent.total,
            gaps=extent.end - extent.start - extent.total,
            size=None,
            left=None,
        )
    region: Region = getattr(board, name)
    end = region.origin + region.size
    if extent.total and not (region.origin <= extent.start and extent.end <= end):
        raise BoardError(
            f"the firmware is not for {board.name}: it takes {name} from 0x{extent.start:08x} to "
            f"0x{extent.end:08x}, the board's is from 0x{region.origin:08x} to 0x{end:08x}",
            hint="name the board that it was built for with --board",
        )
    used = extent.end - region.origin if extent.total else 0
    return Extent(
        total=extent.total,
        gaps=used - extent.total,
        size=region.size,
        left=region.size - used,
    )


def _layer_identifiers(memory: MemoryMap) -> list[str]:
    """C identifiers of the layers, in the model's order."""
    structures = {
        piece.name
        for piece in memory.pieces
        if piece.file == "model.c" and piece.name.endswith(_LAYER)
    }
    return [name.removesuffix(_LAYER) for name in memory.order if name in structures]


def _symbols(pieces: Iterable[Piece], identifiers: list[str]) -> list[Symbol]:
    """A row a symbol, the largest first; what has no name is one row a section."""
    rows: dict[tuple[str, str, str | None, int | None], Symbol] = {}
    for index, piece in enumerate(map(_with_file, pieces)):
        named = piece.name not in (PADDING, UNNAMED)
        group, layer = _owner(piece, identifiers)
        row = rows.setdefault(
            (piece.name, piece.section, piece.file, index if named else None),
            Symbol(
                name=piece.name,
                section=piece.section,
                file=piece.file,
                group=group,
                layer=layer,
                flash=0,
                ram=0,
                aliases=list(piece.aliases),
            ),
        )
        row.flash += piece.flash
        row.ram += piece.ram
    return sorted(rows.values(), key=lambda row: (-row.flash - row.ram, row.name))


def _with_file(piece: Piece) -> Piece:
    """A kernel with its file, which is called as it is: global symbols of an AVR tell none."""
    kernels, _ = _source_names()
    named = f"{piece.name}.c"
    return replace(piece, file=named) if piece.file is None and named in kernels else piece


def _owner(piece: Piece, identifiers: list[str]) -> tuple[str, str | None]:
    """The group that a piece counts to, and the layer."""
    if piece.name == PADDING:
        return "padding", None
    if piece.name == UNNAMED:
        return "unnamed", None
    if piece.section == ".arena":
        return "arena", None
    kernels, harness = _source_names()
    if piece.file == "model.c" and not _CONSTANT.search(piece.name):
        prefixes = [name for name in identifiers if piece.name.startswith(f"{name}_")]
        if prefixes:
            return "layers", max(prefixes, key=len)
    # Compilers leave no file for some global constants.
    if piece.file in _MODEL_FILES or piece.name.startswith("tinyedge_model_"):
        return "model", None
    if piece.file in kernels:
        return "kernels", None
    ours = piece.file in harness or (piece.file is None and piece.name.startswith("te_"))
    return ("harness" if ours else "libraries"), None


@cache
def _source_names() -> tuple[frozenset[str], frozenset[str]]:
    """Names of the runtime's sources, and of all other sources of a firmware."""
    templates = data_folder("firmware_templates")
    kernels = frozenset(path.name for path in templates.glob("runtime/*.c"))
    sources = (path.name for end in ("c", "cpp") for path in templates.glob(f"*/*.{end}"))
    return kernels, frozenset(sources) - kernels


def _sums(symbols: list[Symbol], key: Callable[[Symbol], str]) -> list[Row]:
    """Flash and RAM by a key, the largest first."""
    sums: dict[str, Row] = {}
    for symbol in symbols:
        name = key(symbol)
        row = sums.setdefault(name, Row(name=name, flash=0, ram=0))
        row.flash += symbol.flash
        row.ram += symbol.ram
    return sorted(sums.values(), key=lambda row: (-row.flash - row.ram, row.name))


def _layers(
    symbols: list[Symbol], identifiers: list[str], facts: Mapping[str, Record]
) -> list[Layer]:
    unknown = dict.fromkeys(("operator", *_FACTS))
    sizes: Record = dict.fromkeys((*PARTS, "flash"), 0)
    layers = {
        name: Layer(name=name, **facts.get(name, unknown), **sizes, count=None)
        for name in identifiers
    }
    for symbol in symbols:
        if symbol.layer is None:
            continue
        layer, size = layers[symbol.layer], symbol.flash
        array = symbol.name.removeprefix(f"{symbol.layer}_")
        layer.flash += size
        if array == "scale":
            biases = size // _SCALE_BYTES * _BIAS_BYTES
            layer.biases += biases
            layer.multipliers += size - biases
        else:
            part = _ARRAYS.get(array, "other")
            setattr(layer, part, getattr(layer, part) + size)
    return list(layers.values())


def _kernels(symbols: list[Symbol], facts: Mapping[str, Record]) -> list[Kernel]:
    """The runtime's sources, with the layers that call them; their code is shared."""
    kernels = [symbol for symbol in symbols if symbol.group == "kernels"]
    return [
        Kernel(
            name=row.name,
            flash=row.flash,
            ram=row.ram,
            layers=[name for name, layer in facts.items() if layer["kernel"] == row.name],
        )
        for row in _sums(kernels, lambda symbol: Path(symbol.file or "").stem)
    ]


def called_by(record: Record) -> list[str]:
    """Names the callers of each of the runtime's sources, in words.

    Args:
        record: a footprint's.

    Returns:
        For each of ``kernels``: the layers that call it, or whose weights it unpacks; else the
        other kernels of the record that call it; ``other kernels`` where the runtime has no such
        part any more. Empty where the model, and so its layers, are not known.
    """
    kernels = record["kernels"]
    called = {kernel["name"] for kernel in kernels if kernel["layers"]}
    if not called:
        return ["" for _ in kernels]
    unpacked: dict[str, list[str]] = {}
    for layer in record["layers"]:
        unpacked.setdefault(f"te_unpack_{layer['packing']}", []).append(layer["name"])
    return [
        ", ".join(
            kernel["layers"]
            or unpacked.get(kernel["name"])
            or sorted(_callers(kernel["name"]) & called)
        )
        or "other kernels"
        for kernel in kernels
    ]


@cache
def _callers(part: str) -> frozenset[str]:
    """The runtime's sources that name a part, or else that include the header that declares it.

    A layer's structure may hold the address of a part; then no kernel's source names it.
    """
    texts = {
        path.name: path.read_text(encoding="utf-8")
        for end in ("c", "h")
        for path in data_folder("firmware_templates").glob(f"runtime/*.{end}")
    }
    own, word = f"{part}.c", re.compile(rf"\b{re.escape(part)}\b")
    naming = {name for name, text in texts.items() if name != own and word.search(text)}
    sources = {name for name in naming if name.endswith(".c")}
    if not sources:
        reached = naming
        while reached:
            included = re.compile("|".join(f'#include "{re.escape(name)}"' for name in reached))
            reached = {name for name, text in texts.items() if included.search(text)} - sources
            sources |= reached
    return frozenset(Path(name).stem for name in sources if name.endswith(".c") and name != own)


def network_alone(groups: Iterable[Mapping[str, Any]]) -> Record:
    """Gives the network's part of a firmware, and so of any other program that it is built into.

    Args:
        groups: of a footprint's record.

    Returns:
        ``flash`` and ``ram`` in bytes: the layers' constants, the rest of the model, its kernels
        and its arena. Not the harness, nor what comes from the compiler's libraries.
    """
    own = [row for row in groups if row["name"] in NETWORK]
    return {memory: sum(row[memory] for row in own) for memory in MEMORIES}


def network_line(record: Record) -> str:
    """The same in words; empty where the record has no part of a network."""
    alone = network_alone(record["groups"])
    if not any(alone.values()):
        return ""
    regions = record.get("regions") or ()
    rest = {
        memory: record[memory]["total"]
        + sum(region["total"] for region in regions if region["kind"] == memory)
        - alone[memory]
        for memory in MEMORIES
    }
    return (
        f"The network alone, as your own program pays for it: {alone['flash']:,} bytes of flash "
        f"(constants and kernels), {alone['ram']:,} of RAM (the arena first of all). The other "
        f"{rest['flash']:,} and {rest['ram']:,} are tinyedge's harness, libraries and padding."
    )


def add_costs(record: Record, profile: Path) -> None:
    """Adds what an inference costs in each layer: ``unit``, and ``count`` of the layers.

    Args:
        record: the footprint.
        profile: the file of ``run --profile -o``, of the same model.

    Raises:
        DataError: the file is missing, damaged, no such record, or of another model.
        UsageError: the footprint does not tell of which model it is.
    """
    if not record["model"]:
        raise UsageError(
            "--profile goes with a build that tells its model",
            hint="name what 'tinyedge convert' or 'tinyedge build' wrote, not an .elf file",
        )
    found = load_profile(profile, record["model"]["hash"])
    counts = {layer.name: layer.count for layer in found.layers}
    record["unit"] = found.unit
    for layer in record["layers"]:
        layer["count"] = counts.get(layer["operator"])


def compare_records(before: Record, after: Record) -> Record:
    """Compares two footprints; the keys are in ``docs/cli.md``.

    Symbols count as the same where name and file are, without what compilers append to names; what
    has no name is compared by section. The changes of symbols, as those of groups, add up to those
    of the totals.
    """
    flash, ram = (_change(before[name]["total"], after[name]["total"]) for name in MEMORIES)
    compare = Comparison.model_validate(
        {
            "with": {key: before.get(key) for key in ("board", "compiler", "elf", "hash")},
            "flash": flash,
            "ram": ram,
            "groups": _changes(before["groups"], after["groups"], _by_name),
            "layers": _changes(before["layers"], after["layers"], _by_name),
            "symbols": _changes(before["symbols"], after["symbols"], _by_symbol),
        }
    )
    return dumped(compare)


def _by_name(row: Record) -> Record:
    return {"name": row["name"]}


def _by_symbol(row: Record) -> Record:
    if row["name"] in (PADDING, UNNAMED):
        return {"name": f"{row['name']} {row['section']}".rstrip(), "file": None}
    return {"name": _CLONE.sub("", row["name"]), "file": row["file"]}


def _change(before: int, after: int) -> Record:
    return {
        "before": before,
        "after": after,
        "change": after - before,
        "percent": 100 * (after - before) / before if before else None,
    }


def _changes(
    before: list[Record], after: list[Record], key: Callable[[Record], Record]
) -> list[Record]:
    """The rows that changed, the largest change first."""
    sizes: dict[tuple[Any, ...], dict[str, list[int]]] = {}
    names: dict[tuple[Any, ...], Record] = {}
    seen: tuple[set[tuple[Any, ...]], set[tuple[Any, ...]]] = (set(), set())
    for side, rows in enumerate((before, after)):
        for row in rows:
            identity = key(row)
            place = tuple(identity.values())
            names[place] = identity
            seen[side].add(place)
            memories = sizes.setdefault(place, {memory: [0, 0] for memory in MEMORIES})
            for memory in MEMORIES:
                memories[memory][side] += row.get(memory, 0)
    changed = []
    for place, memories in sizes.items():
        row = {memory: _change(*memories[memory]) for memory in MEMORIES}
        if any(row[memory]["change"] for memory in MEMORIES):
            status = (
                "new" if place not in seen[0] else "gone" if place not in seen[1] else "changed"
            )
            changed.append({**names[place], "status": status, **row})
    return sorted(
        changed,
        key=lambda row: (-sum(abs(row[memory]["change"]) for memory in MEMORIES), row["name"]),
    )


@dataclass(frozen=True)
class Growth:
    """How much a memory may grow.

    Attributes:
        amount: bytes, or per cent of what it was.
        percent: which of them.
    """

    amount: Fraction
    percent: bool

    def allowed(self, before: int) -> int:
        """Bytes that may come to so many."""
        return int(before * self.amount / 100) if self.percent else int(self.amount)


Gate = Literal["max-flash", "max-ram", "max-regression"]


def check_gates(
    record: Record,
    max_flash: int | None = None,
    max_ram: int | None = None,
    max_regression: Growth | None = None,
) -> list[Record]:
    """Holds a footprint against limits.

    Args:
        record: the footprint, with ``compare`` where growth is limited.
        max_flash: bytes that ``flash.total`` may have.
        max_ram: bytes that ``ram.total`` may have, the stack not counted.
        max_regression: how much flash, and how much RAM, may have grown.

    Returns:
        for each limit ``gate``, ``memory``, ``limit`` and ``value`` in bytes, and ``over``: bytes
        above the limit, negative where below it.
    """

    def gate(name: Gate, memory: MemoryName, limit: int, value: int) -> Record:
        over = value - limit
        return dumped(GateResult(gate=name, memory=memory, limit=limit, value=value, over=over))

    gates = []
    if max_flash is not None:
        gates.append(gate("max-flash", "flash", max_flash, record["flash"]["total"]))
    if max_ram is not None:
        gates.append(gate("max-ram", "ram", max_ram, record["ram"]["total"]))
    if max_regression:
        for memory in MEMORIES:
            change = record["compare"][memory]
            limit = max_regression.allowed(change["before"])
            gates.append(gate("max-regression", memory, limit, change["change"]))
    return gates


def gate_line(gate: Record) -> str:
    """A gate in words."""
    memory = MEMORY_LABELS[gate["memory"]]
    takes = "takes"
    if gate["gate"] == "max-regression":
        takes = "grew by" if gate["value"] >= 0 else "shrank by"
    side = "over" if gate["over"] > 0 else "under"
    return (
        f"{memory} {takes} {abs(gate['value']):,} bytes, {abs(gate['over']):,} {side} "
        f"--{gate['gate']} ({gate['limit']:,})"
    )


def gate_advice(record: Record, gate: Record) -> str:
    """Advises on a limit that is exceeded: the largest parts, and the ways out."""
    memory: MemoryName = gate["memory"]
    if gate["gate"] == "max-regression":
        symbols = record["compare"]["symbols"] if record["compare"] else []
        grown = sorted(
            (row for row in symbols if row[memory]["change"] > 0),
            key=lambda row: -row[memory]["change"],
        )
        most = ", ".join(f"{row['name']} {row[memory]['change']:+,}" for row in grown[:3])
        return (
            f"most of the growth is {most}; " if most else ""
        ) + "undo it, or raise the limit where it is meant"
    return f"{largest_parts(record, memory)}; {SMALLER[memory]}, or raise the limit"


def largest_parts(record: Record, memory: MemoryName) -> str:
    """Names the largest parts of a memory, in words."""
    rows = sorted(record["groups"], key=lambda row: -row[memory])
    most = ", ".join(
        f"{GROUP_LABELS.get(row['name'], row['name'])} ({row[memory]:,})"
        for row in rows[:2]
        if row[memory]
    )
    return f"the largest parts are: {most}" if most else "nothing takes it"


SMALLER: dict[MemoryName, str] = {
    "flash": "narrower layers, fewer bits a weight and 'convert --optimize size' take less",
    "ram": "narrower layers, smaller inputs and 'convert --optimize ram' take less",
}
"""Ways to need less of a memory."""


def missed(record: Record) -> ThresholdError | None:
    """Describes the limits of a footprint that are exceeded."""
    over = [gate for gate in record["gates"] if gate["over"] > 0]
    if not over:
        return None
    advice = dict.fromkeys(gate_advice(record, gate) for gate in over)
    return ThresholdError("; ".join(map(gate_line, over)), hint="; ".join(advice))


def footprint_markdown(record: Record, *, title: bool = True) -> str:
    """Markdown of a footprint, for a pull request.

    Args:
        record: the footprint, with ``compare`` and ``gates``.
        title: whether it begins with a heading.
    """
    return render_template(
        "report/footprint.md.j2",
        {
            "record": record,
            "title": title,
            "parts": PARTS,
            "labels": GROUP_LABELS,
            "called_by": called_by(record),
            "network": network_line(record),
            "gate_lines": [
                (gate["over"] <= 0, gate_line(gate), gate_advice(record, gate))
                for gate in record["gates"]
            ],
        },
    )


MEMORY_LABELS = {"flash": "flash", "ram": "RAM"}
NETWORK = ("layers", "kernels", "arena", "model")
"""Groups that come with the network into any program."""
GROUP_LABELS = {
    "layers": "layers' constants",
    "kernels": "kernels, shared by layers",
    "arena": "arena",
    "model": "rest of the model",
    "harness": "harness",
    "libraries": "compiler's and other libraries",
    "unnamed": "literals and other unnamed data",
    "padding": "padding",
}


class _Total(Part):
    total: Count


class _StackPeak(Part):
    stack_peak: Count


class _Memory(Part):
    flash: _Total
    ram: _StackPeak


class _Run(Part):
    """The part of a run's record that is needed."""

    board: Name
    memory: _Memory


def load_stack_peak(path: Path, board: str | None, flash: int) -> int:
    """The most of the stack in use, in bytes, from the record of a run of the same firmware.

    Args:
        path: what ``run --on emulator --json`` printed, or a ``report.json``.
        board: name of the firmware's board, where known.
        flash: bytes of flash that the firmware takes.

    Raises:
        DataError: the file is missing or no such record, or tells of another firmware.
    """
    hint = "write it with 'tinyedge run DIR --on emulator --json', of the same build"
    run = as_model(read_record(path, hint), path, _Run, hint)
    measured = run.memory.flash.total
    if measured != flash or (board and run.board != board):
        raise DataError(
            f"{path}: of another firmware: {measured} bytes on {run.board}, not {flash} on {board}",
            hint,
        )
    return run.memory.ram.stack_peak
