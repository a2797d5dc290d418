"""The integer graph of a ``.tflite`` file under construction."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tinyedge.errors import ModelError
from tinyedge.graph import operators as ops
from tinyedge.graph.fixed_point import multiply_by_quantized_multiplier, quantize_multiplier
from tinyedge.graph.graph import Graph, State
from tinyedge.graph.tensors import Quantization, Tensor
from tinyedge.importers.tflite.reader import TfliteOperator, TfliteTensor
from tinyedge.naming import clean_name


@dataclass
class Builder:
    """A graph under construction.

    Attributes:
        tensors: by name.
        constants: int8 values by the tensor's name.
        states: by the tensor's name.
        operators: in order.
        names: name in the graph of each activation of the file, by its index.
        notes: what the user should know.
    """

    tensors: dict[str, Tensor] = field(default_factory=dict)
    constants: dict[str, NDArray[np.int8]] = field(default_factory=dict)
    states: dict[str, State] = field(default_factory=dict)
    operators: list[ops.Operator] = field(default_factory=list)
    names: dict[int, str] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    _entries: dict[int, str | None] = field(default_factory=dict)
    _taken: set[int] = field(default_factory=set)
    _constant_names: dict[tuple[int, tuple[int, ...]], str] = field(default_factory=dict)

    def begin(self, given: TfliteTensor) -> None:
        """Makes an input; one that is not int8 waits for its QUANTIZE."""
        if given.index in self._entries:
            raise ModelError(f"{given} is an input twice")
        self._entries[given.index] = None
        if given.type == "INT8":
            self._entries[given.index] = self.names[given.index] = self.tensor(given)

    def waiting(self, given: TfliteTensor) -> bool:
        """Whether this is an input that no QUANTIZE has brought to int8 yet."""
        return given.index in self._entries and self._entries[given.index] is None

    def graph(
        self,
        name: str,
        inputs: Sequence[TfliteTensor],
        outputs: Sequence[TfliteTensor],
        result: Callable[[str], str],
    ) -> Graph:
        """The graph, checked.

        Args:
            name: of the graph.
            inputs: of the file; several are parts of one.
            outputs: of the file; several are joined.
            result: gives the tensor of the graph to give out, for the only one that is the output.
        """
        if not self.operators:
            raise ModelError("no operator computes anything")
        for entry in inputs:
            if self.waiting(entry):
                raise ModelError(f"the input, {entry}, is never quantized to int8")
        for output in outputs:
            if output.index not in self.names:
                raise ModelError(f"the output, {output}, is not computed from the input in int8")
        names = tuple(self.names[output.index] for output in outputs)
        given = result(names[0]) if len(names) == 1 else self._outputs(names)
        entries = [self._entries[entry.index] or "" for entry in inputs]
        taken = entries[0] if len(entries) == 1 else self._inputs(entries)
        return Graph(
            clean_name(name),
            self.tensors,
            tuple(self.operators),
            taken,
            given,
            constants=self.constants,
            states=self.states,
        )

    def _inputs(self, names: Sequence[str]) -> str:
        """All inputs in one tensor, of which each is a part."""
        first = self.tensors[names[0]]
        size = sum(self.tensors[name].size for name in names)
        whole = self.add_tensor("inputs", (size,), first.quantization)
        parts: list[ops.Operator] = []
        begin = 0
        for name in names:
            shape = self.tensors[name].shape
            parts.append(
                ops.Part(name=name, inputs=(whole,), output=name, begin=begin, shape=shape)
            )
            begin += self.tensors[name].size
        self.operators[:0] = parts
        return whole

    def _outputs(self, names: tuple[str, ...]) -> str:
        """All outputs in one tensor."""
        first = self.tensors[names[0]]
        size = sum(self.tensors[name].size for name in names)
        name = self.add_tensor("outputs", (size,), first.quantization)
        self.operators.append(ops.Join(name=name, inputs=names, output=name))
        return name

    def at_the_ends(self, operator: TfliteOperator) -> bool:
        """Whether this converts the input to int8, or the output from it."""
        if len(operator.inputs) != 1 or len(operator.outputs) != 1 or not operator.inputs[0]:
            return False
        source, target = operator.inputs[0], operator.outputs[0]
        if source.shape != target.shape:
            raise ModelError(f"{operator}: {source} cannot become {target}")
        if source.index in self._entries and source.type != "INT8" and target.type == "INT8":
            if not self.waiting(source):
                raise ModelError(f"{operator}: the input is quantized twice")
            if source.type == "UINT8":
                _check_uint8(operator, source, target)
            elif source.type != "FLOAT32":
                return False
            self._entries[source.index] = self.names[target.index] = self.tensor(target)
            which = f" {self.names[target.index]}" if len(self._entries) > 1 else ""
            self.notes.append(f"the input{which} is int8, as behind the file's {operator.name}")
            return True
        if source.index in self.names and target.type in ("FLOAT32", "UINT8"):
            if target.type == "UINT8":
                _check_uint8(operator, target, source)
            self.names[target.index] = self.names[source.index]
            self.notes.append(f"the output is int8, as before the file's {operator.name}")
            return True
        return False

    def unique(self, name: str) -> str:
        """The name, or the nearest one that no tensor has."""
        candidate, count = name, 1
        while candidate in self.tensors:
            count += 1
            candidate = f"{name}_{count}"
        return candidate

    def tensor(self, given: TfliteTensor) -> str:
        """Adds an activation of the file under a readable name."""
        if not given.shape or given.shape[0] != 1:
            raise ModelError(f"{given}: the batch has to be one")
        return self.add_tensor(_short(given.name), given.shape[1:] or (1,), quantization_of(given))

    def add_tensor(self, name: str, shape: tuple[int, ...], quantization: Quantization) -> str:
        """Adds a tensor under its name, or the nearest one that is free."""
        unique = self.unique(name)
        self.tensors[unique] = Tensor(unique, shape, quantization)
        return unique

    def take(self, operator: TfliteOperator, given: TfliteTensor) -> None:
        """Has a variable be the state of one operator; raises ModelError where another has it."""
        if given.index in self._taken:
            raise ModelError(f"{operator}: {given} is a state of another operator already")
        self._taken.add(given.index)

    def source(self, operator: TfliteOperator, position: int = 0) -> Tensor:
        """An input that is an activation."""
        given = operator.inputs[position] if position < len(operator.inputs) else None
        if given is None or given.index not in self.names:
            raise ModelError(f"{operator}: input {position}, {given}, has to be computed")
        if given.type == "INT32":
            raise ModelError(f"{operator}: {given} may only be a result of the model")
        return self.tensors[self.names[given.index]]

    def operand(
        self,
        operator: TfliteOperator,
        position: int,
        *,
        strip: bool,
        shape: tuple[int, ...] | None = None,
    ) -> Tensor:
        """An input that is an activation or a constant of int8.

        Args:
            operator: whose input it is.
            position: which.
            strip: whether a constant loses all leading axes of one, or only the batch.
            shape: under which it is wanted; its own by default.
        """
        given = operator.inputs[position] if position < len(operator.inputs) else None
        if given is None or given.index in self.names:
            source = self.source(operator, position)
            return source if shape is None else self.reshaped(source, shape)
        wanted = shape
        if given.type != "INT8" or given.values is None:
            raise ModelError(f"{operator}: {given} is neither computed nor a constant of int8")
        shape = given.shape[1:]
        if strip:
            shape = given.shape
            while len(shape) > 1 and shape[0] == 1:
                shape = shape[1:]
        elif given.shape[:1] != (1,):
            raise ModelError(f"{operator}: {given}: the batch has to be one")
        shape = wanted or shape or (1,)
        key = (given.index, shape)
        if key not in self._constant_names:
            name = self.add_tensor(_short(given.name), shape, quantization_of(given))
            self._constant_names[key] = name
            self.constants[name] = given.values.reshape(shape)
        return self.tensors[self._constant_names[key]]

    @staticmethod
    def expect(operator: TfliteOperator, shape: Sequence[int]) -> None:
        """Raises ModelError where the file's output has another shape, batch included.

        TFLite-Micro takes it by that shape, and would give other bytes or none.
        """
        if operator.outputs[0].shape != tuple(shape):
            raise ModelError(
                f"{operator}: gives {tuple(shape)}, its output is {operator.outputs[0]}"
            )

    def expect_repeated(self, operator: TfliteOperator) -> None:
        """The same for the shape that the inputs have where axes of one are repeated."""
        shapes = [given.shape for given in operator.inputs if given]
        try:
            shape = np.broadcast_shapes(*shapes)
        except ValueError:
            told = " and ".join(map(str, shapes))
            raise ModelError(f"{operator}: inputs of shapes {told}") from None
        self.expect(operator, [int(size) for size in shape])

    def finish(
        self,
        operator: TfliteOperator,
        kind: type[ops.Operator],
        *inputs: str,
        position: int = 0,
        **rest: Any,
    ) -> None:
        """Adds an operator that writes an output of the file's, the first one by default."""
        given = operator.outputs[position]
        name = self.tensor(given)
        self.operators.append(kind(name=name, inputs=inputs, output=name, **rest))
        self.names[given.index] = name

    def finish_int32(
        self, operator: TfliteOperator, kind: type[ops.Operator], *inputs: str, **rest: Any
    ) -> None:
        """As ``finish``, for an output of int32, which the graph has as bytes."""
        given = operator.outputs[0]
        shape = kind(name="", inputs=inputs, output="", **rest).output_shape(
            [self.tensors[name].shape for name in inputs]
        )
        if given.type != "INT32" or given.shape[:1] != (1,):
            raise ModelError(f"{operator}: {given} has to be int32, with a batch of one")
        if math.prod(given.shape) != math.prod(shape[:-1]):
            raise ModelError(f"{operator}: gives {shape[:-1]}, its output is {given}")
        name = self.add_tensor(_short(given.name), shape, ops.ArgMax.output_quantization)
        self.operators.append(kind(name=name, inputs=inputs, output=name, **rest))
        self.names[given.index] = name

    def finish_reshaped(
        self,
        operator: TfliteOperator,
        shape: tuple[int, ...],
        kind: type[ops.Operator],
        *inputs: str,
        position: int = 0,
        **rest: Any,
    ) -> None:
        """As ``finish``, for an operator of the graph whose result has another shape."""
        given = operator.outputs[position]
        if given.shape[1:] == shape:
            self.finish(operator, kind, *inputs, position=position, **rest)
            return
        middle = self.add_tensor(f"{_short(given.name)}/cells", shape, quantization_of(given))
        self.operators.append(kind(name=middle, inputs=inputs, output=middle, **rest))
        shape = given.shape[1:] or (1,)
        self.finish(operator, ops.Reshape, middle, position=position, shape=shape)

    def renamed(self, operator: TfliteOperator, source: Tensor, position: int = 0) -> None:
        """Has an output of the file's be a tensor, whose elements may have another shape there."""
        given = operator.outputs[position]
        if given.shape[1:] == source.shape and source.quantization == quantization_of(given):
            self.names[given.index] = source.name
        else:
            shape = given.shape[1:] or (1,)
            self.finish(operator, ops.Reshape, source.name, position=position, shape=shape)

    def between(
        self, like: Tensor, what: str, kind: type[ops.Operator], *inputs: str, **rest: Any
    ) -> Tensor:
        """Adds an operator whose output the file does not have, on the grid of a tensor."""
        shapes = [self.tensors[name].shape for name in inputs]
        shape = kind(name=like.name, inputs=inputs, output="", **rest).output_shape(shapes)
        name = self.add_tensor(f"{like.name}/{what}", shape, like.quantization)
        self.operators.append(kind(name=name, inputs=inputs, output=name, **rest))
        return self.tensors[name]

    def joined(self, like: Tensor, names: Sequence[str], axis: int) -> list[str]:
        """Has tensors joined until they are no more than one Concatenation takes."""
        joined = list(names)
        most = ops.MAXIMUM_CONCATENATED
        while len(joined) > most:
            parts = [joined[first : first + most] for first in range(0, len(joined), most)]
            joined = [self._joined(like, part, axis) for part in parts]
        return joined

    def _joined(self, like: Tensor, names: Sequence[str], axis: int) -> str:
        if len(names) == 1:
            return names[0]
        if not all(name in self.constants for name in names):
            return self.between(like, "joined", ops.Concatenation, *names, axis=axis).name
        values = np.concatenate([self.constants[name] for name in names], axis=axis)
        name = self.add_tensor(f"{like.name}/joined", values.shape, like.quantization)
        self.constants[name] = values
        return name

    def reshaped(self, tensor: Tensor, shape: tuple[int, ...]) -> Tensor:
        """A tensor under another shape."""
        if tensor.shape == shape:
            return tensor
        name = self.add_tensor(f"{tensor.name}/reshaped", shape, tensor.quantization)
        self.operators.append(
            ops.Reshape(name=name, inputs=(tensor.name,), output=name, shape=shape)
        )
        return self.tensors[name]

    def target(self, operator: TfliteOperator) -> Quantization:
        """The quantization of the output."""
        return quantization_of(operator.outputs[0])


def _short(name: str) -> str:
    """The first of the names that TensorFlow's converter joins, but not a variable's."""
    parts = name.split(";")
    chosen = next((part for part in parts if "ReadVariableOp" not in part and part), parts[0])
    return clean_name(chosen or "tensor")


def quantization_of(tensor: TfliteTensor) -> Quantization:
    """The quantization of an activation; raises ModelError where it is not int8 with one scale."""
    if tensor.type != "INT8" or tensor.scales.size != 1:
        raise ModelError(
            f"{tensor} has {tensor.scales.size} scales",
            hint="activations have to be int8 with one scale and one zero point",
        )
    return Quantization(float(tensor.scales[0]), int(tensor.zero_points[0]))


def _check_uint8(operator: TfliteOperator, outside: TfliteTensor, inside: TfliteTensor) -> None:
    """Refuses a uint8 tensor whose values TFLite-Micro does not turn into the int8 ones plus 128.

    Scales may differ in their last bits, which no value feels.
    """
    if outside.scales.size == inside.scales.size == 1:
        ends = [(outside, np.arange(256)), (inside, np.arange(256) - 128)]
        if operator.inputs[0] is inside:
            ends.reverse()
        (source, values), (target, expected) = ends
        with np.errstate(all="ignore"):
            ratio = float(np.float64(source.scales[0]) / np.float64(target.scales[0]))
        if 0.5 < ratio < 2.0:
            centred = values - source.zero_points[0]
            scaled = multiply_by_quantized_multiplier(centred, *quantize_multiplier(ratio))
            limited = np.clip(scaled + target.zero_points[0], expected.min(), expected.max())
            if np.array_equal(limited, expected):
                return
    raise ModelError(f"{operator}: {outside} is not {inside} plus 128")
