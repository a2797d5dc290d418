"""What a file with a footprint holds: version 1, whose keys ``docs/cli.md`` names.

Keys are added within a version, never changed: a record of an earlier release lacks some.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

from pydantic import Field, NonNegativeFloat, PositiveInt, model_validator

from tinyedge.errors import DataError
from tinyedge.reports.parts import Count, Name, Part, Rows, as_model, read_record
from tinyedge.schema import Fault, refuse


class _Named(Part):
    name: Name


class _Row(_Named):
    flash: Count
    ram: Count


class _Symbol(_Row):
    section: Name
    file: Name | None


class _Kernel(_Row):
    layers: Rows[Name]


class _Layer(_Named):
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


class _Memory(Part):
    total: Count
    gaps: int = 0
    size: PositiveInt | None = None
    left: int | None = None


class _Ram(_Memory):
    stack_peak: Count | None = None


class _Buffer(_Named):
    size: Count
    first: Count
    last: Count
    offset: Count


class _Arena(Part):
    bytes: Count
    lower_bound: Count
    buffers: Rows[_Buffer]
    operators: Rows[Name]


class _Change(Part):
    before: Count
    after: Count
    change: int
    percent: float | None


class _Changed(_Named):
    status: Literal["new", "gone", "changed"]
    flash: _Change
    ram: _Change


class _Compare(Part):
    flash: _Change
    ram: _Change
    groups: Rows[_Changed]
    layers: Rows[_Changed]
    symbols: Rows[_Changed]


class _Gate(Part):
    gate: Name
    memory: Literal["flash", "ram"]
    limit: int
    value: int
    over: int


class _Model(_Named):
    hash: Name


class _Footprint(Part):
    """A record: sizes in bytes."""

    elf: Name | None = None
    board: Name | None = None
    compiler: Name | None = None
    hash: Name | None = None
    model: _Model | None = None
    flash: _Memory
    ram: _Ram
    groups: Rows[_Row]
    sections: Rows[_Row] = Field(default_factory=list)
    layers: Rows[_Layer]
    unit: Name | None = None
    kernels: Rows[_Kernel] = Field(default_factory=list)
    arena: _Arena | None = None
    symbols: Rows[_Symbol]
    compare: _Compare | None = None
    gates: Rows[_Gate] = Field(default_factory=list)

    @model_validator(mode="after")
    def _adds_up(self) -> _Footprint:
        faults = []
        for memory in ("flash", "ram"):
            total = getattr(self, memory).total
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
    return as_model(content, path, _Footprint, hint).model_dump()
