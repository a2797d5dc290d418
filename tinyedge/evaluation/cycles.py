"""Cycles of inferences in QEMU: counted address by address, priced by a model of the core."""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from tinyedge.boards import Board
from tinyedge.errors import ToolchainError
from tinyedge.targets.counter import Counter, counting_obstacle
from tinyedge.timing import Code, Counts, Segment, TimingModel, read_segments, timing_model

_INVOKE = "tinyedge_model_invoke"
_OBSERVE = "te_observe"
_FILE = "counts"


@dataclass(frozen=True)
class CycleCounter:
    """The counter of a firmware's work in QEMU, inference by inference.

    Attributes:
        code: of the firmware.
        model: of the board's core.
        counter: that QEMU is started with.
    """

    code: Code
    model: TimingModel
    counter: Counter

    def layers(self) -> list[list[Mapping[int, Counts]]]:
        """Gives the counts of each inference that has ended, layer by layer.

        A firmware whose layers are not watched has one entry an inference.
        """
        begin = self.code.function(_INVOKE)
        watched = self._observe()
        inferences: list[list[Mapping[int, Counts]]] = []
        for segment in self._segments():
            if segment.begin == begin:
                inferences.append([])
            if inferences and (segment.begin == begin or segment.end == watched):
                inferences[-1].append(segment.counts)
        return inferences

    def cycles(self, model: TimingModel | None = None) -> NDArray[np.float64]:
        """Modelled cycles, (inferences, layers).

        Args:
            model: another than the board's.
        """
        priced = [
            [(model or self.model).cycles(self.code, layer) for layer in layers]
            for layers in self.layers()
        ]
        return np.array(priced, np.float64)

    def _observe(self) -> int | None:
        return self.code.find(_OBSERVE)

    def _segments(self) -> Iterator[Segment]:
        return read_segments(self.counter.out.read_bytes())


def modelling_obstacle(board: Board) -> str | None:
    """Why cycles of a board's firmware in QEMU are not modelled here; None where they are."""
    if timing_model(board.timing) is None:
        return f"there is no model of the {board.core}'s timings"
    if not board.emulator.qemu:
        return "only what runs in QEMU is counted address by address"
    if obstacle := counting_obstacle():
        return obstacle
    try:
        Code.require_disassembler()
    except ToolchainError as error:
        return str(error)
    return None


@contextlib.contextmanager
def cycle_counter(board: Board, elf: Path) -> Iterator[CycleCounter]:
    """A counter for a firmware, whose file is removed in the end.

    Raises:
        ToolchainError: cycles are not modelled here; see ``modelling_obstacle``.
    """
    if obstacle := modelling_obstacle(board):
        raise ToolchainError(f"no cycles: {obstacle}")
    model = timing_model(board.timing)
    assert model
    code = Code.read(elf)
    marks = [code.function(_INVOKE), *code.returns(_INVOKE)]
    if (observe := code.find(_OBSERVE)) is not None:
        marks += [observe, *code.returns(_OBSERVE)]
    with tempfile.TemporaryDirectory(prefix="tinyedge-counts-") as folder:
        counter = Counter(Path(folder) / _FILE, tuple(marks))
        yield CycleCounter(code, model, counter)
