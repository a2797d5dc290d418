"""What a file with a footprint holds: version 1, whose keys ``docs/cli.md`` names.

Keys are added within a version, never changed: a record of an earlier release lacks some.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

from pydantic import Field, NonNegativeFloat, NonNegativeInt, PositiveInt, model_validator

from tinyedge.errors import DataError
from tinyedge.reports.run_record import Part, read_record
from tinyedge.schema import Fault, refuse, validate


class _Named(Part):
    name: str


class _Row(_Named):
    flash: NonNegativeInt
    ram: NonNegativeInt


class _Symbol(_Row):
    section: str
    file: str | None


class _Kernel(_Row):
    layers: list[str]


class _Layer(_Named):
    operator: str | None = None
    kind: str | None = None
    kernel: str | None = None
    bits: PositiveInt | None = None
    packing: str | None = None
    macs: NonNegativeInt | None = None
    weights: NonNegativeInt = 0
    biases: NonNegativeInt = 0
    multipliers: NonNegativeInt = 0
    other: NonNegativeInt = 0
    flash: NonNegativeInt
    count: NonNegativeFloat | None = None


class _Memory(Part):
    total: NonNegativeInt
    gaps: int = 0
    size: PositiveInt | None = None
    left: int | None = None


class _Ram(_Memory):
    stack_peak: NonNegativeInt | None = None


class _Buffer(_Named):
    size: NonNegativeInt
    first: NonNegativeInt
    last: NonNegativeInt
    offset: NonNegativeInt


class _Arena(Part):
    bytes: NonNegativeInt
    lower_bound: NonNegativeInt
    buffers: list[_Buffer]
    operators: list[str]


class _Change(Part):
    before: NonNegativeInt
    after: NonNegativeInt
    change: int
    percent: float | None


class _Changed(_Named):
    status: Literal["new", "gone", "changed"]
    flash: _Change
    ram: _Change


class _Compare(Part):
    flash: _Change
    ram: _Change
    groups: list[_Changed]
    layers: list[_Changed]
    symbols: list[_Changed]


class _Gate(Part):
    gate: str
    memory: Literal["flash", "ram"]
    limit: int
    value: int
    over: int


class _Model(_Named):
    hash: str


class _Footprint(Part):
    """A record: sizes in bytes."""

    elf: str | None = None
    board: str | None = None
    compiler: str | None = None
    hash: str | None = None
    model: _Model | None = None
    flash: _Memory
    ram: _Ram
    groups: list[_Row]
    sections: list[_Row] = Field(default_factory=list)
    layers: list[_Layer]
    unit: str | None = None
    kernels: list[_Kernel] = Field(default_factory=list)
    arena: _Arena | None = None
    symbols: list[_Symbol]
    compare: _Compare | None = None
    gates: list[_Gate] = Field(default_factory=list)

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
    try:
        return validate(content, path, _Footprint, DataError).model_dump()
    except DataError as error:
        error.hint = hint
        raise
