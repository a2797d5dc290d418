"""The integer graph: what importers make, exporters read and executors run."""

from __future__ import annotations

import dataclasses
import hashlib
import io
import json
import re
import zipfile
from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tinyedge.errors import ModelError
from tinyedge.files import read_arrays, write_atomically
from tinyedge.graph.description import check_description, check_operator_count
from tinyedge.graph.operators import (
    MAXIMUM_CONCATENATED,
    OPERATORS,
    ArgMax,
    Join,
    Operator,
    Part,
    Reshape,
    Weighted,
)
from tinyedge.graph.ranges import ranges_of
from tinyedge.graph.tensors import Quantization, Tensor, Weights

FORMAT_VERSION = 2
GRAPH_FILE = "graph.npz"
METADATA_NAME = "tinyedge"
"""The entry of a ``.tflite`` file's metadata that tells, as JSON, which graph it was made from."""
MAXIMUM_FILE = 2**28
"""Bytes of a graph's arrays in its file, which are those of its weights."""
MAXIMUM_SIZE = 2**31 - 1
"""Bytes of one tensor; C counts them in an int32_t."""
MAXIMUM_STATES = 2**26
"""Bytes of all states together: a file of a few bytes may ask for any size."""
MAXIMUM_CHANNELS = 2**22
"""Channels of all tensors together: the proofs for each of them have to fit in memory."""


_ARRAY = re.compile(r"NDArray\[np\.(\w+)\]")


@dataclass(frozen=True, eq=False)
class State:
    """The value kept from one inference to the next: a stream's frames run in order.

    Attributes:
        next: name of the tensor, written by an operator, that becomes its value.
        initial: int8, of the tensor's shape: its value in the first inference.
    """

    next: str
    initial: NDArray[np.int8]


@dataclass(frozen=True, eq=False)
class Graph:
    """Integer operators in the order they run, from one input to one output.

    Attributes:
        name: of the model, a C identifier is derived from it.
        tensors: all activations by name, the input included.
        operators: in execution order.
        input: name of the input tensor.
        output: name of the output tensor, the logits.
        source: where the graph came from: file name, SHA-256, producer, command.
        constants: int8 values, of their tensor's shape, of the tensors that no operator writes.
        states: by the name of their tensor, which no operator writes either. All operators of an
            inference read what the one before it has left.
    """

    name: str
    tensors: dict[str, Tensor]
    operators: tuple[Operator, ...]
    input: str
    output: str
    source: dict[str, Any] = field(default_factory=dict)
    constants: dict[str, NDArray[np.int8]] = field(default_factory=dict)
    states: dict[str, State] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.check()

    @property
    def input_tensor(self) -> Tensor:
        """The tensor that samples are written to."""
        return self.tensors[self.input]

    @property
    def inputs(self) -> tuple[Tensor, ...]:
        """The model's inputs: several where Parts cut the graph's own."""
        parts = [each for each in self.operators if isinstance(each, Part)]
        if not parts:
            return (self.input_tensor,)
        parts.sort(key=lambda part: part.begin)
        return tuple(self.tensors[part.output] for part in parts)

    @property
    def output_tensor(self) -> Tensor:
        """The tensor that the logits are read from."""
        return self.tensors[self.output]

    @property
    def results(self) -> tuple[Tensor, ...]:
        """The model's outputs: several where the graph's own is a Join of them."""
        last = self.operators[-1] if self.operators else None
        if isinstance(last, Join) and last.output == self.output:
            return tuple(self.inputs_of(last))
        return (self.output_tensor,)

    @property
    def int32_results(self) -> set[str]:
        """Names of the outputs that hold an int32 in every four bytes."""
        return {each.output for each in self.operators if isinstance(each, ArgMax)}

    def inputs_of(self, operator: Operator) -> list[Tensor]:
        """The input tensors of an operator."""
        return [self.tensors[name] for name in operator.inputs]

    def macs_of(self, operator: Operator) -> int:
        """Dense multiply-accumulates of one operator in one inference."""
        shapes = [tensor.shape for tensor in self.inputs_of(operator)]
        return operator.macs(shapes, self.tensors[operator.output].shape)

    @property
    def parameters(self) -> int:
        """Number of weights and biases."""
        return sum(
            operator.weights.codes.size + operator.bias.size
            if isinstance(operator, Weighted)
            else sum(
                array.size for array in _arrays_of(operator).values() if array.dtype.kind == "i"
            )
            for operator in self.operators
        )

    def check(self) -> None:
        """Raises ModelError, naming the operator, unless every executor can run the graph."""
        check_operator_count(len(self.operators))
        written = {self.input, *self.constants, *self.states}
        self._check_tensors()
        self._check_constants()
        names = [operator.name for operator in self.operators]
        if len(set(names)) != len(names):
            raise ModelError(f"graph '{self.name}': two operators share a name")
        for operator in self.operators:
            missing = [name for name in operator.inputs if name not in written]
            if missing or operator.output not in self.tensors or operator.output in written:
                raise operator.fail(f"inputs {operator.inputs} or output '{operator.output}'")
            if not operator.inputs or len(operator.inputs) != (
                operator.arity or len(operator.inputs)
            ):
                raise operator.fail(f"needs {operator.arity} inputs, not {len(operator.inputs)}")
            if all(name in self.constants for name in operator.inputs):
                raise operator.fail("all of its inputs are constant")
            inputs = self.inputs_of(operator)
            shape = operator.output_shape([tensor.shape for tensor in inputs])
            output = self.tensors[operator.output]
            if shape != output.shape:
                raise operator.fail(f"gives {shape}, its output is {output.shape}")
            try:
                operator.check(inputs, output)
            except (ValueError, OverflowError) as error:
                raise operator.fail(str(error)) from error
            written.add(operator.output)
        if self.output not in written:
            raise ModelError(f"graph '{self.name}': nothing writes the output '{self.output}'")
        if any(isinstance(each, Join) and each.output != self.output for each in self.operators):
            raise ModelError(f"graph '{self.name}': a Join that is not the output")
        self._check_parts()
        words = self.int32_results
        for operator in self.operators:
            if words.intersection(operator.inputs) and not isinstance(operator, Join):
                raise operator.fail("reads an ArgMax's output, which may only be a result")
        self._check_states()
        ranges_of(self)

    def _check_parts(self) -> None:
        """Parts begin the graph, and are all of its input, one behind the other."""
        parts = [each for each in self.operators if isinstance(each, Part)]
        if not parts:
            return
        first = self.operators[: len(parts)]
        readers = [each for each in self.operators if self.input in each.inputs]
        if list(first) != parts or readers != parts or self.output == self.input:
            raise parts[0].fail("Parts read the graph's input, alone, and before all else")
        if len(parts) > MAXIMUM_CONCATENATED or len(self.input_tensor.shape) != 1:
            raise parts[0].fail(
                f"one of {len(parts)} of an input of {self.input_tensor.shape}, allowed: up to "
                f"{MAXIMUM_CONCATENATED}, of one axis"
            )
        end = 0
        for part in parts:
            if part.begin != end:
                raise part.fail(f"begins at byte {part.begin}, the one before it ends at {end}")
            end += self.tensors[part.output].size
        if end != self.input_tensor.size:
            raise parts[-1].fail(f"ends at byte {end}, the input at {self.input_tensor.size}")
        if self.inputs[0].quantization != self.input_tensor.quantization:
            raise parts[0].fail("has another quantization than the input")

    def _check_states(self) -> None:
        check_state_bytes(state.initial.size for state in self.states.values())
        kept = set(self.states)
        written = {operator.output for operator in self.operators}
        for operator in self.operators:
            if isinstance(operator, Reshape) and operator.inputs[0] in kept:
                kept.add(operator.output)
        if self.output in kept:
            raise ModelError(f"graph '{self.name}': the output '{self.output}' is a state")
        for name, state in self.states.items():
            tensor, source = self.tensors.get(name), self.tensors.get(state.next)
            shape = tensor.shape if tensor else None
            if name == self.input or name in self.constants:
                raise ModelError(f"state '{name}': is an input or a constant too")
            if state.initial.shape != shape or state.initial.dtype != np.int8:
                raise ModelError(f"state '{name}': its initial value has to be int8 of {shape}")
            if not tensor or not source or state.next not in written - kept:
                raise ModelError(f"state '{name}': no operator computes '{state.next}'")
            if state.next in self.int32_results:
                raise ModelError(f"state '{name}': takes an ArgMax's output")
            if (source.shape, source.quantization) != (tensor.shape, tensor.quantization):
                raise ModelError(f"state '{name}': '{state.next}' has another shape or grid")

    def _check_constants(self) -> None:
        for name, values in self.constants.items():
            shape = self.tensors[name].shape if name in self.tensors else None
            if name == self.input or values.shape != shape or values.dtype != np.int8:
                raise ModelError(f"constant '{name}': has to be int8 of shape {shape}")

    def _check_tensors(self) -> None:
        for name in (self.input, self.output):
            if name not in self.tensors:
                raise ModelError(f"graph '{self.name}': tensor '{name}' is not in it")
        channels = sum(tensor.shape[-1] for tensor in self.tensors.values() if tensor.shape)
        if channels > MAXIMUM_CHANNELS:
            raise ModelError(
                f"graph '{self.name}': tensors of {channels:,} channels together, allowed: up to "
                f"{MAXIMUM_CHANNELS:,}"
            )
        for name, tensor in self.tensors.items():
            scale, zero_point = tensor.quantization.scale, tensor.quantization.zero_point
            if not np.isfinite(scale) or scale <= 0.0 or not -128 <= zero_point <= 127:
                raise ModelError(f"tensor '{name}': scale {scale}, zero point {zero_point}")
            if not tensor.shape or min(tensor.shape) < 1 or tensor.size > MAXIMUM_SIZE:
                raise ModelError(f"tensor '{name}': shape {tensor.shape}")

    @cached_property
    def hash(self) -> str:
        """SHA-256 of tensors and operators, as 64 hexadecimal digits: not of name and source."""
        description, arrays = self._encode()
        del description["name"], description["source"]
        digest = hashlib.sha256(json.dumps(description, sort_keys=True).encode())
        for key in sorted(arrays):
            digest.update(key.encode())
            digest.update(np.ascontiguousarray(arrays[key]).tobytes())
        return digest.hexdigest()

    def _encode(self) -> tuple[dict[str, Any], dict[str, NDArray[Any]]]:
        arrays: dict[str, NDArray[Any]] = {
            f"constants/{name}": values for name, values in self.constants.items()
        }
        arrays |= {f"states/{name}": state.initial for name, state in self.states.items()}
        operators = []
        for index, operator in enumerate(self.operators):
            record: dict[str, Any] = {"kind": type(operator).__name__}
            for attribute in dataclasses.fields(operator):
                value = getattr(operator, attribute.name)
                if isinstance(value, Weights):
                    arrays[f"{index}/codes"] = value.codes
                    arrays[f"{index}/scales"] = value.scales
                    if value.steps is not None:
                        arrays[f"{index}/steps"] = value.steps
                    value = {"bits": value.bits}
                elif isinstance(value, np.ndarray):
                    arrays[f"{index}/{attribute.name}"] = value
                    continue
                record[attribute.name] = value
            operators.append(record)
        description = {
            "format": FORMAT_VERSION,
            "name": self.name,
            "input": self.input,
            "output": self.output,
            "source": self.source,
            "tensors": [
                {
                    "name": tensor.name,
                    "shape": tensor.shape,
                    "scale": tensor.quantization.scale,
                    "zero_point": tensor.quantization.zero_point,
                }
                for tensor in self.tensors.values()
            ],
            "constants": list(self.constants),
            "operators": operators,
        }
        if self.states:  # graphs without any keep the hash they have always had
            description["states"] = [
                {"name": name, "next": state.next} for name, state in self.states.items()
            ]
        return description, arrays

    def save(self, path: Path) -> None:
        """Writes the graph to one ``.npz`` file; the same graph gives the same bytes."""
        description, arrays = self._encode()
        encoded = np.frombuffer(json.dumps(description).encode(), dtype=np.uint8)
        buffer = io.BytesIO()
        np.savez(buffer, allow_pickle=False, graph=encoded, **arrays)
        write_atomically(path, buffer.getvalue())

    @classmethod
    def load(cls, path: Path) -> Graph:
        """Reads a graph that ``save`` wrote.

        Raises:
            ModelError: the file is missing, damaged, of another version or does not check.
        """
        if not path.is_file():
            raise ModelError(
                f"{path}: no such file",
                hint=f"a folder made by 'tinyedge convert' holds {GRAPH_FILE}",
            )
        try:
            _check_size(path)
            arrays = read_arrays(path)
            if "graph" not in arrays and arrays.keys() & {"x", "inputs", "y"}:
                raise ModelError(
                    f"{path}: samples ({', '.join(sorted(arrays))}), not a model",
                    hint="samples go behind --data or --calibration",
                )
            description = json.loads(arrays.pop("graph").tobytes())
            if description["format"] != FORMAT_VERSION:
                raise ModelError(
                    f"{path}: graph format {description['format']}, this reads {FORMAT_VERSION}",
                    hint="convert the model again",
                )
            check_description(description, path)
            tensors = {
                record["name"]: Tensor(
                    record["name"],
                    tuple(record["shape"]),
                    Quantization(record["scale"], record["zero_point"]),
                )
                for record in description["tensors"]
            }
            operators = tuple(
                _decode_operator(record, index, arrays)
                for index, record in enumerate(description["operators"])
            )
            return cls(
                description["name"],
                tensors,
                operators,
                description["input"],
                description["output"],
                description["source"],
                {
                    name: _array(arrays, f"constants/{name}", np.int8)
                    for name in description["constants"]
                },
                {
                    record["name"]: State(
                        record["next"], _array(arrays, f"states/{record['name']}", np.int8)
                    )
                    for record in description.get("states", [])
                },
            )
        except ModelError as error:
            if str(error).startswith(f"{path}: "):
                raise
            raise ModelError(f"{path}: {error}", error.hint) from error
        except (
            ValueError,
            KeyError,
            TypeError,
            AttributeError,
            IndexError,
            OSError,
            RecursionError,
            zipfile.BadZipFile,
            NotImplementedError,
        ) as error:
            raise ModelError(
                f"{path}: not a tinyedge graph, or damaged ({error})",
                hint="convert the model again",
            ) from error


def check_state_bytes(sizes: Iterable[int]) -> None:
    """Raises ModelError where states of so many bytes each are too large together."""
    if (total := sum(sizes)) > MAXIMUM_STATES:
        raise ModelError(f"states of {total:,} bytes together, allowed: up to {MAXIMUM_STATES:,}")


def _arrays_of(operator: Operator) -> dict[str, NDArray[Any]]:
    """The attributes that are arrays, by name."""
    values = {each.name: getattr(operator, each.name) for each in dataclasses.fields(operator)}
    return {name: value for name, value in values.items() if isinstance(value, np.ndarray)}


def _decode_operator(
    record: dict[str, Any], index: int, arrays: dict[str, NDArray[Any]]
) -> Operator:
    fields = dict(record)
    kind = OPERATORS[fields.pop("kind")]
    for key, value in fields.items():
        if isinstance(value, list):
            fields[key] = tuple(value)
    if issubclass(kind, Weighted):
        fields["weights"] = Weights(
            _array(arrays, f"{index}/codes", np.int8),
            fields["weights"]["bits"],
            _array(arrays, f"{index}/scales", np.float32),
            _array(arrays, steps, np.uint8) if (steps := f"{index}/steps") in arrays else None,
        )
        fields["bias"] = _array(arrays, f"{index}/bias", np.int32)
    else:
        for attribute in dataclasses.fields(kind):
            if found := _ARRAY.fullmatch(str(attribute.type)):
                fields[attribute.name] = _array(
                    arrays, f"{index}/{attribute.name}", getattr(np, found[1])
                )
    return kind(**fields)


def _array(arrays: dict[str, NDArray[Any]], key: str, kind: type[np.generic]) -> NDArray[Any]:
    """An array of the file; raises ModelError where it is of another type."""
    if arrays[key].dtype != kind:
        raise ModelError(f"{key} is {arrays[key].dtype}, allowed: {np.dtype(kind)}")
    return arrays[key]


def _check_size(path: Path) -> None:
    """Refuses a file that unpacks to more than a graph can take."""
    if not zipfile.is_zipfile(path):
        return
    with zipfile.ZipFile(path) as file:
        size = sum(entry.file_size for entry in file.infolist())
    if size > MAXIMUM_FILE:
        raise ModelError(f"{path}: unpacks to {size} bytes, allowed: up to {MAXIMUM_FILE}")
