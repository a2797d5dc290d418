"""The host twin as runs and attacks ask it: the board's C code, then vector kernels."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from tinyedge.errors import ToolchainError
from tinyedge.exporters.converted import ConvertedModel
from tinyedge.firmware.twin import Twin
from tinyedge.firmware.vector_twin import PATH_VARIABLE, VectorTwin, wanted_path, wanted_workers
from tinyedge.graph.graph import Graph
from tinyedge.graph.reference import as_sequences, leading_axes

Int8 = NDArray[np.int8]

_BY_THE_BOARDS_C = 16
"""Samples that the board's C code computes in any case, unless more are asked for."""
_WORTH = 500_000_000
"""Multiply-accumulates that take the board's C code as long as vector kernels to be compiled."""
_BYTE = 8
"""The cost of an element of an activation beside them."""


class HostTwin:
    """The twin, which turns to vector kernels where there is much to compute.

    The board's C code computes the first samples. Vector kernels have to give the same bytes for
    these before they compute any others, so that a fault in the board's code shows in all of them.

    Args:
        model: what ``convert`` wrote.
        first: samples that the board's C code computes in any case.

    Raises:
        ToolchainError: there is no C compiler, or it fails.
        UsageError: ``$TINYEDGE_TWIN_PATH`` or ``$TINYEDGE_TWIN_WORKERS`` is wrong.
    """

    def __init__(self, model: ConvertedModel, first: int = _BY_THE_BOARDS_C) -> None:
        self._model = model
        self._asked_first = first
        self._wanted = wanted_path()
        wanted_workers()  # a wrong value is told before anything is computed
        self._board = Twin(model)
        self._cost = _cost(model.graph)
        self._done = 0
        self._first: list[tuple[Int8, Int8]] = []
        self._vector: VectorTwin | None = None
        self._board_alone = self._wanted == "board"

    def run(self, samples: Int8, progress: Callable[[int], None] | None = None) -> Int8:
        """Computes samples; they and logits are as those of ``reference.run``.

        Raises:
            DataError: the samples are not int8 or not of the input's shape.
            ToolchainError: the path that ``$TINYEDGE_TWIN_PATH`` names cannot be compiled, gives
                other bytes than the board's code, or has no memory.
        """
        graph = self._model.graph
        sequences = as_sequences(graph, samples)
        known = sum(len(inputs) for inputs, _ in self._first)
        head = min(max(self._asked_first - known, 0), len(sequences))
        if not self._worth(sequences[head:]):
            head = len(sequences)
        parts = []
        if head:
            outputs = self._board.run(_unpacked(graph, sequences[:head]), progress)
            if known < self._asked_first:
                self._first.append((sequences[:head].copy(), outputs))
            parts.append(outputs)
        if head < len(sequences):
            computing = self._trusted() or self._board
            parts.append(computing.run(_unpacked(graph, sequences[head:]), progress))
        self._done += sequences.shape[0] * sequences.shape[1]
        shape = (*leading_axes(graph, samples), *graph.output_tensor.shape)
        return np.concatenate(parts).reshape(shape) if parts else np.empty(shape, np.int8)

    def _worth(self, sequences: Int8) -> bool:
        """Whether vector kernels are to compute samples: are there, wanted, or soon worth it."""
        if self._board_alone or not len(sequences):
            return False
        frames = self._done + sequences.shape[0] * sequences.shape[1]
        return bool(self._vector or self._wanted) or frames * self._cost > _WORTH

    def _trusted(self) -> VectorTwin | None:
        """The vector kernels, if they give what the board's C code has given."""
        if self._vector is None and not self._board_alone:
            try:
                vector = VectorTwin(self._model)
                same = all(
                    np.array_equal(vector.run(_unpacked(self._model.graph, inputs)), outputs)
                    for inputs, outputs in self._first
                )
            except ToolchainError:
                if self._wanted:
                    raise
                self._board_alone = True  # an odd compiler, or little memory
                return None
            if self._wanted and not same:
                raise ToolchainError(
                    f"the board's C code and vector kernels ({vector.path}) give other bytes",
                    hint=f"'tinyedge check --with twin' names the fault; {PATH_VARIABLE}=board "
                    "computes by the board's code alone",
                )
            self._board_alone = not same
            self._vector = vector if same else None
        return self._vector


def _unpacked(graph: Graph, sequences: Int8) -> Int8:
    """Sequences as ``run`` takes them: of a graph without states, samples."""
    return sequences if graph.states else sequences[:, 0]


def _cost(graph: Graph) -> int:
    """The cost of an inference, in multiply-accumulates."""
    macs = sum(graph.macs_of(operator) for operator in graph.operators)
    return macs + _BYTE * sum(tensor.size for tensor in graph.tensors.values())
