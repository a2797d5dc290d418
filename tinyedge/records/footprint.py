"""The format of a file with a footprint: version 1, whose keys ``docs/cli.md`` names.

Keys are added within a version, never changed: a record of an earlier release lacks some.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

from pydantic import Field, NonNegativeFloat, PositiveInt, model_validator

from tinyedge.errors import DataError
from tinyedge.records.parts import Count, Name, Part, Rows, as_model, read_record
from tinyedge.schema import Fault, refuse

MemoryName = Literal["flash", "ram"]


class Row(Part):
    """The use of memory by one thing."""

    name: Name
    flash: Count
    ram: Count


class Symbol(Part):
    """The use of memory by a symbol, or by the nameless bytes of a section."""

    name: Name
    section: Name
    file: Name | None
    group: Name | None = None
    layer: Name | None = None
    flash: Count
    ram: Count
    aliases: Rows[Name] = Field(default=[])


class Kernel(Row):
    """The use of memory by a kernel, and the layers that call it."""

    layers: Rows[Name]


class Layer(Part):
    """The use of memory by the constants of a layer."""

    name: Name
    operator: Name | None = None
    kind: Name | None = None
    kernel: Name | None = None
    bits: PositiveInt | None = None
    packing: Name | None = None
    macs: Count | None = None
    weights: Count = 0
    biases: Count = 0
    multipliers: Count = 0
    other: Count = 0
    flash: Count
    count: NonNegativeFloat | None = None


class Extent(Part):
    """The use of one memory; its size and the bytes left where the board is known."""

    total: Count
    gaps: int = 0
    size: PositiveInt | None = None
    left: int | None = None


class RamExtent(Extent):
    """The same of RAM, with the most of the stack in use that a run measured."""

    stack_peak: Count | None = None


class RegionExtent(Extent):
    """The same of another memory that the board's description places something in."""

    name: Name
    kind: MemoryName


class Buffer(Part):
    """A buffer of the arena, from its first operator to its last."""

    name: Name
    size: Count
    first: Count
    last: Count
    offset: Count


class ArenaPlan(Part):
    """The plan of the arena."""

    bytes: Count
    lower_bound: Count
    buffers: Rows[Buffer]
    operators: Rows[Name]


class Growth(Part):
    """The use of memory before and after."""

    before: Count
    after: Count
    change: int
    percent: float | None


class Changed(Part):
    """A row whose size changed."""

    name: Name
    status: Literal["new", "gone", "changed"]
    flash: Growth
    ram: Growth


class ChangedSymbol(Part):
    """A symbol whose size changed."""

    name: Name
    file: Name | None = None
    status: Literal["new", "gone", "changed"]
    flash: Growth
    ram: Growth


class Baseline(Part):
    """The build that a footprint was compared with."""

    board: Name | None = None
    compiler: Name | None = None
    elf: Name | None = None
    hash: Name | None = None


class Comparison(Part):
    """The changes since a baseline."""

    with_: Baseline | None = Field(default=None, alias="with")
    flash: Growth
    ram: Growth
    groups: Rows[Changed]
    layers: Rows[Changed]
    symbols: Rows[ChangedSymbol]


class GateResult(Part):
    """A limit, and what was held against it, in bytes."""

    gate: Name
    memory: MemoryName
    limit: int
    value: int
    over: int


class ModelName(Part):
    """The converted model."""

    name: Name
    hash: Name


class Footprint(Part):
    """A record: sizes in bytes."""

    elf: Name | None = None
    compiler: Name | None = None
    hash: Name | None = None
    board: Name | None = None
    model: ModelName | None = None
    flash: Extent
    ram: RamExtent
    regions: Rows[RegionExtent] = Field(default_factory=list)
    groups: Rows[Row]
    sections: Rows[Row] = Field(default_factory=list)
    layers: Rows[Layer]
    unit: Name | None = None
    kernels: Rows[Kernel] = Field(default_factory=list)
    arena: ArenaPlan | None = None
    symbols: Rows[Symbol]
    compare: Comparison | None = None
    gates: Rows[GateResult] = Field(default_factory=list)

    @model_validator(mode="after")
    def _adds_up(self) -> Footprint:
        faults = []
        for memory in ("flash", "ram"):
            total = getattr(self, memory).total
            total += sum(region.total for region in self.regions if region.kind == memory)
            found = sum(getattr(symbol, memory) for symbol in self.symbols)
            if found != total:
                faults.append(
                    Fault(f"{memory}.total", total, f"what its symbols add up to, {found}")
                )
        refuse(faults)
        return self


def load_footprint(path: Path) -> dict[str, Any]:
    """Reads what ``tinyedge footprint -o`` wrote; what an earlier release did not know is None.

    Raises:
        DataError: the file is missing, damaged, no footprint, or one that does not add up.
    """
    hint = "write it with 'tinyedge footprint DIR -o FILE.json'"
    content = read_record(path, hint)
    if "symbols" not in content:
        raise DataError(f"{path}: not a footprint: it has no symbols", hint)
    return as_model(content, path, Footprint, hint).model_dump(by_alias=True)
