"""Variables of a ``.tflite`` file, which become states of the graph.

An inference reads what the one before it has assigned. In the file a variable is a handle, found by
its name; a subgraph that runs once, before all else, gives initial values.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from tinyedge.errors import ModelError
from tinyedge.graph import operators as ops
from tinyedge.graph.graph import State, check_state_bytes
from tinyedge.graph.tensors import Tensor
from tinyedge.importers.tflite.builder import Builder, quantization_of
from tinyedge.importers.tflite.options import options_of
from tinyedge.importers.tflite.reader import TfliteOperator, TfliteTensor

VARIABLE_OPERATORS = ("CALL_ONCE", "VAR_HANDLE", "READ_VARIABLE", "ASSIGN_VARIABLE")
"""The operators that deal with variables."""

_Key = tuple[bytes, bytes]
"""Container and name of a variable."""


@dataclass
class Variables:
    """The variables of a file under import.

    Args:
        builder: of the graph.
        others: operators of the subgraphs behind the first.
    """

    builder: Builder
    others: Sequence[Sequence[TfliteOperator]]
    _handles: dict[int, _Key] = field(default_factory=dict)
    _initial: dict[_Key, TfliteTensor] = field(default_factory=dict)
    _states: dict[_Key, str] = field(default_factory=dict)
    _current: dict[_Key, str] = field(default_factory=dict)
    _called: set[int] = field(default_factory=set)

    def add(self, operator: TfliteOperator) -> None:
        """Takes in one of ``VARIABLE_OPERATORS``.

        Raises:
            ModelError: it does what a graph with states cannot.
        """
        if operator.name == "CALL_ONCE":
            self._call_once(operator)
        elif operator.name == "VAR_HANDLE":
            self._handles |= dict([_handle(operator)])
        elif operator.name == "READ_VARIABLE":
            self._read(operator)
        else:
            self._assign(operator)

    def check_called(self) -> None:
        """Raises ModelError where there is a subgraph that nothing calls."""
        rest = set(range(1, len(self.others) + 1)) - self._called
        if rest:
            raise ModelError(
                f"{len(self.others) + 1} subgraphs",
                "supported: one, and those that CALL_ONCE begins with; no control flow",
            )

    def finish(self) -> None:
        """Has every state take its next value.

        Raises:
            ModelError: an initial value is of another variable, or all are too large together.
        """
        check_state_bytes(self.builder.tensors[name].size for name in self._states.values())
        for key, name in self._states.items():
            current = self._current[key]
            if self._root(current) not in {each.output for each in self.builder.operators}:
                current = self._copied(current)
            self.builder.states[name] = State(current, self._first(key, name))

    def result(self, name: str) -> str:
        """The tensor that the graph gives out: of a state, or a reshaped one, a copy."""
        return self._copied(name) if self._root(name) in self._states.values() else name

    def _root(self, name: str) -> str:
        """Gives the tensor that another is a reshaped view of."""
        writers = {each.output: each for each in self.builder.operators}
        while isinstance(writers.get(name), ops.Reshape):
            name = writers[name].inputs[0]
        return name

    def _copied(self, name: str) -> str:
        shape = self.builder.tensors[name].shape
        return self.builder.between(
            self.builder.tensors[name],
            "copied",
            ops.Slice,
            name,
            begin=(0,) * len(shape),
            size=shape,
            stride=(1,) * len(shape),
        ).name

    def _first(self, key: _Key, name: str) -> NDArray[np.int8]:
        tensor = self.builder.tensors[name]
        given = self._initial.get(key)
        if given is None:  # TFLite-Micro's own choice: real zeros
            return np.full(tensor.shape, tensor.quantization.zero_point, np.int8)
        assert given.values is not None
        if given.values.size != tensor.size or quantization_of(given) != tensor.quantization:
            raise ModelError(f"{given}: begins the variable of {tensor.name}, which is another")
        return given.values.reshape(tensor.shape)

    def _call_once(self, operator: TfliteOperator) -> None:
        index = int(options_of(operator, "CallOnceOptions").InitSubgraphIndex())
        if not 0 < index <= len(self.others) or self._current:
            raise ModelError(f"{operator}: calls subgraph {index}, or behind a variable's use")
        self._called.add(index)
        handles: dict[int, _Key] = {}
        for inner in self.others[index - 1]:
            if inner.name == "VAR_HANDLE":
                handles |= dict([_handle(inner)])
                continue
            handle, value = inner.inputs if len(inner.inputs) == 2 else (None, None)
            if inner.name != "ASSIGN_VARIABLE" or not handle or handle.index not in handles:
                raise ModelError(f"{operator}: its subgraph does more than assign: {inner}")
            if not value or value.values is None or value.type != "INT8":
                raise ModelError(f"{operator}: its subgraph assigns {value}, allowed: int8")
            self._initial[handles[handle.index]] = value

    def _key(self, operator: TfliteOperator) -> _Key:
        handle = operator.inputs[0] if operator.inputs else None
        if handle is None or handle.index not in self._handles:
            raise ModelError(f"{operator}: {handle} is no handle of a variable")
        return self._handles[handle.index]

    def _read(self, operator: TfliteOperator) -> None:
        key = self._key(operator)
        if len(operator.outputs) != 1:
            raise ModelError(f"{operator}: {len(operator.outputs)} outputs")
        if key not in self._current:
            name = self.builder.tensor(operator.outputs[0])
            self._states[key] = self._current[key] = name
        source = self.builder.tensors[self._current[key]]
        self._same(operator, source, operator.outputs[0])
        self.builder.renamed(operator, source)

    def _assign(self, operator: TfliteOperator) -> None:
        key = self._key(operator)
        if len(operator.inputs) != 2 or operator.outputs:
            raise ModelError(f"{operator}: {len(operator.inputs)} inputs")
        value = self.builder.operand(operator, 1, strip=False)
        if key in self._states:
            state = self.builder.tensors[self._states[key]]
            given = operator.inputs[1]
            assert given
            self._same(operator, state, given)
            value = self.builder.reshaped(value, state.shape)
        self._current[key] = value.name

    @staticmethod
    def _same(operator: TfliteOperator, variable: Tensor, given: TfliteTensor) -> None:
        """Refuses a use of a variable on another grid: its bytes would mean something else."""
        size = int(np.prod(given.shape))
        if size != variable.size or quantization_of(given) != variable.quantization:
            raise ModelError(f"{operator}: {given} is not as the variable, '{variable.name}'")


def _handle(operator: TfliteOperator) -> tuple[int, _Key]:
    """The tensor that a VAR_HANDLE writes, and the variable that it stands for."""
    options = options_of(operator, "VarHandleOptions")
    if len(operator.outputs) != 1:
        raise ModelError(f"{operator}: {len(operator.outputs)} outputs")
    return operator.outputs[0].index, (options.Container() or b"", options.SharedName() or b"")
