"""Models of the cores' timings: cycles from counts and a disassembly.

Everything is zero wait states: memory that answers at once, as a microcontroller's RAM and a flash
with a cache mostly do. What a model says is *modelled*: nothing was measured on silicon.

- **M0, M0+**: the cycles of the Technical Reference Manuals (DDI 0432, DDI 0484), a multiplier of
  one cycle. ``rp2040js``, an emulator by others with its own timing, checks the M0+.
- **M4**: the manual's table (DDI 0439), in the form by which kernels are judged here: a load takes
  2 cycles, and 1 behind another single load or store; a store takes 1; ``ldm`` and ``stm`` take 1
  and one a word; an address that the instruction before makes costs 1; a branch that is taken costs
  2 more.
- **M4, refined**: besides, a store whose address has a register as offset takes 2, and 1 behind
  another load or store.
- **M3**: as the refined M4, and products take longer (DDI 0337): ``mla`` 2, long ones 4.
- **M7**: two instructions a cycle, in their order. Arm publishes no table; the pipes and latencies
  are those that LLVM's scheduler has for the core. Branches are predicted rightly; a taken one ends
  its cycle.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field

from tinyedge.timing.counts import Counts
from tinyedge.timing.instructions import Code, Instruction, Kind

_SINGLE = (Kind.LOAD, Kind.STORE)
_MULTIPLE = (Kind.LOAD_MULTIPLE, Kind.STORE_MULTIPLE)


@dataclass(frozen=True)
class TimingModel(ABC):
    """A core's timings.

    Attributes:
        name: of the core, and of the variant.
        title: for people.
    """

    name: str
    title: str

    @abstractmethod
    def by_address(self, code: Code, counts: Mapping[int, Counts]) -> dict[int, float]:
        """Cycles that the instruction at each address took, of what was counted.

        Args:
            code: the firmware.
            counts: by address.
        """

    def cycles(self, code: Code, counts: Mapping[int, Counts]) -> float:
        """Cycles of all that was counted."""
        return sum(self.by_address(code, counts).values())


@dataclass(frozen=True)
class _SingleIssue(TimingModel):
    """A core that issues one instruction after the other: a price each, and what neighbours change.

    Attributes:
        extra: cycles beyond the first, by kind.
        taken: cycles that a taken branch costs beyond, by kind; ``loads_pc`` those of loads.
        loads_pc: see ``taken``.
        pipelined: single loads and stores take 1 behind one another.
        hazard: cycles that an address costs which the instruction before makes.
        indexed_stores: cycles beyond the first of a store with a register as offset.
    """

    extra: Mapping[Kind, int] = field(default_factory=dict)
    taken: Mapping[Kind, int] = field(default_factory=dict)
    loads_pc: int = 0
    pipelined: bool = False
    hazard: int = 0
    indexed_stores: int = 0

    def by_address(self, code: Code, counts: Mapping[int, Counts]) -> dict[int, float]:
        """See ``TimingModel``."""
        priced: dict[int, float] = {}
        before: Instruction | None = None
        for instruction in code.sequence(counts):
            count = counts[instruction.address]
            adjacent = 0  # how often the instruction before is what ran before
            if before and before.address + before.size == instruction.address:
                counted = counts[before.address]
                adjacent = max(0, min(count.executed, counted.executed - counted.taken))
            priced[instruction.address] = float(
                count.executed
                + self._own(instruction, count)
                + self._neighbour(instruction, before, adjacent, count)
            )
            before = instruction
        return priced

    def _own(self, instruction: Instruction, count: Counts) -> int:
        """Cycles beyond the first of each execution, whatever ran before."""
        kind = instruction.kind
        if kind in _MULTIPLE:
            cycles = count.accessed
        elif kind in _SINGLE:
            cycles = self._single(instruction) * min(count.executed, count.accessed)
        else:
            cycles = self.extra.get(kind, 0) * count.executed
        if instruction.loads_pc:
            return cycles + self.loads_pc * count.taken
        return cycles + self.taken.get(kind, 0) * count.taken

    def _single(self, instruction: Instruction) -> int:
        extra = self.extra.get(instruction.kind, 0)
        if instruction.kind == Kind.STORE and instruction.offset_in_register:
            return max(extra, self.indexed_stores)
        return extra

    def _neighbour(
        self, instruction: Instruction, before: Instruction | None, adjacent: int, count: Counts
    ) -> int:
        if not before or instruction.kind not in (*_SINGLE, *_MULTIPLE):
            return 0
        cycles = 0
        single = instruction.kind in _SINGLE
        if self.pipelined and single and before.kind in _SINGLE:
            cycles -= self._single(instruction) * min(adjacent, count.accessed)
        if instruction.address_from & before.writes:
            cycles += self.hazard * adjacent
        return cycles


_M7_UNITS = {
    Kind.PLAIN: "alu",
    Kind.CONDITION: "alu",
    Kind.SYSTEM: "alu",
    Kind.LOAD: "load",
    Kind.STORE: "store",
    Kind.MULTIPLY: "mac",
    Kind.MULTIPLY_ADD: "mac",
    Kind.MULTIPLY_PACKED: "mac",
    Kind.MULTIPLY_LONG: "mac",
    Kind.DIVIDE: "mac",
}
_M7_WIDTH = {"alu": 2, "load": 2, "store": 1, "mac": 1, "branch": 1}
_M7_LATENCY = {
    Kind.LOAD: 2,
    Kind.MULTIPLY: 2,
    Kind.MULTIPLY_ADD: 2,
    Kind.MULTIPLY_PACKED: 2,
    Kind.MULTIPLY_LONG: 2,
    Kind.DIVIDE: 7,
}
_ISSUE_WIDTH = 2


@dataclass(frozen=True)
class _DualIssue(TimingModel):
    """A core that issues up to two instructions a cycle, in their order."""

    def by_address(self, code: Code, counts: Mapping[int, Counts]) -> dict[int, float]:
        """See ``TimingModel``."""
        priced: dict[int, float] = {}
        before: Instruction | None = None
        pipe = _Pipe()
        for instruction in code.sequence(counts):
            count = counts[instruction.address]
            adjacent = 0
            if before and before.address + before.size == instruction.address:
                counted = counts[before.address]
                adjacent = max(0, counted.executed - counted.taken)
            if 2 * adjacent < count.executed:  # mostly jumped to
                pipe = _Pipe()
            priced[instruction.address] = float(pipe.issue(instruction) * count.executed)
            before = instruction
        return priced


class _Pipe:
    """The state of an in-order pipeline as instructions of a straight line are issued."""

    def __init__(self) -> None:
        self._cycle = -1
        self._issued = _ISSUE_WIDTH
        self._used: dict[str, int] = {}
        self._ready: dict[str, int] = {}

    def issue(self, instruction: Instruction) -> int:
        """Issues an instruction; gives the cycles that it begins behind the one before."""
        started = self._cycle
        multiple = instruction.kind in _MULTIPLE
        unit = "load" if multiple else _M7_UNITS.get(instruction.kind, "branch")
        earliest = max((self._ready.get(name, 0) for name in instruction.reads), default=0)
        # The sum that a product is added to is needed a cycle later than its factors.
        if _M7_UNITS.get(instruction.kind) == "mac":
            own = instruction.reads & instruction.writes
            factors = instruction.reads - own
            earliest = max((self._ready.get(name, 0) for name in factors), default=0)
            earliest = max([earliest, *(self._ready.get(name, 0) - 1 for name in own)])
        # Two words a cycle go between memory and registers.
        busy = -(-instruction.transfers // 2) if multiple else 1
        full = self._issued >= _ISSUE_WIDTH or self._used.get(unit, 0) >= _M7_WIDTH[unit]
        alone = multiple and self._issued > 0
        if earliest > self._cycle or full or alone:
            self._cycle = max(earliest, self._cycle + 1)
            self._issued, self._used = 0, {}
        self._issued += 1
        self._used[unit] = self._used.get(unit, 0) + 1
        if multiple:
            self._cycle += busy - 1
            self._issued = _ISSUE_WIDTH
        latency = 2 if multiple else _M7_LATENCY.get(instruction.kind, 1)
        addressed = instruction.address_from & instruction.writes
        for name in instruction.writes:
            self._ready[name] = self._cycle + (1 if name in addressed else latency)
        return self._cycle - started


_BRANCHES_M3 = {
    Kind.BRANCH: 2,
    Kind.CALL: 2,
    Kind.BRANCH_REGISTER: 2,
    Kind.TABLE_BRANCH: 2,
}
_DIVIDE = 5  # of 2 to 12 cycles in all

MODELS: dict[str, TimingModel] = {
    model.name: model
    for model in (
        _SingleIssue(
            "cortex-m0",
            "Cortex-M0",
            extra={Kind.LOAD: 1, Kind.STORE: 1, Kind.SYSTEM: 3},
            taken={Kind.BRANCH: 2, Kind.CALL: 3, Kind.BRANCH_REGISTER: 2},
            loads_pc=3,
        ),
        _SingleIssue(
            "cortex-m0plus",
            "Cortex-M0+",
            extra={Kind.LOAD: 1, Kind.STORE: 1, Kind.SYSTEM: 2},
            taken={Kind.BRANCH: 1, Kind.CALL: 2, Kind.BRANCH_REGISTER: 1},
            loads_pc=2,
        ),
        _SingleIssue(
            "cortex-m3",
            "Cortex-M3",
            extra={
                Kind.LOAD: 1,
                Kind.MULTIPLY_ADD: 1,
                Kind.MULTIPLY_LONG: 3,
                Kind.DIVIDE: _DIVIDE,
            },
            taken=_BRANCHES_M3,
            loads_pc=2,
            pipelined=True,
            hazard=1,
            indexed_stores=1,
        ),
        _SingleIssue(
            "cortex-m4",
            "Cortex-M4",
            extra={Kind.LOAD: 1, Kind.DIVIDE: _DIVIDE},
            taken=_BRANCHES_M3,
            loads_pc=2,
            pipelined=True,
            hazard=1,
        ),
        _SingleIssue(
            "cortex-m4-refined",
            "Cortex-M4, refined",
            extra={Kind.LOAD: 1, Kind.DIVIDE: _DIVIDE},
            taken=_BRANCHES_M3,
            loads_pc=2,
            pipelined=True,
            hazard=1,
            indexed_stores=1,
        ),
        _DualIssue("cortex-m7", "Cortex-M7"),
    )
}
"""Every model by name."""


def variants(core: str) -> list[TimingModel]:
    """The models of a core, the one by which kernels are judged first."""
    return [model for name, model in MODELS.items() if name.startswith(core)]


def timing_model(name: str) -> TimingModel | None:
    """The model of a core by its name; None where there is none."""
    return MODELS.get(name)
