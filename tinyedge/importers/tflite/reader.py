"""Reads a ``.tflite`` file into plain records, and refuses what is damaged.

The schema's own package finds the fields; it does not check them. Here every index, length and
shape is checked before it is used, and nothing is read that no operator refers to.
"""

from __future__ import annotations

import contextlib
import hashlib
import math
import struct
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import tflite
from flatbuffers import number_types
from numpy.typing import NDArray

from tinyedge.errors import ModelError
from tinyedge.graph.description import check_operator_count
from tinyedge.naming import clean_name

FILE_IDENTIFIER = b"TFL3"
_SCHEMA_VERSION = 3
_LONGEST_NAME = 1024
"""Bytes. Of a longer name, as TensorFlow's converter joins them, so many and a hash are kept."""
_MOST_AXES = 8
_MOST_SUBGRAPHS = 16
_MOST_SHARING = 16
"""How often the bytes of a file may be read as constants, or names; tensors may share a buffer."""
_NPU_OPERATORS = ("ethos-u", "edgetpu", "vela", "neutron", "tidl")
"""The prefixes, in lower case, of the names of custom operators that compilers for NPUs leave."""

TENSOR_TYPES: dict[int, str] = {
    value: name for name, value in vars(tflite.TensorType).items() if isinstance(value, int)
}
"""Names of the schema's tensor types."""
BUILTIN_OPERATORS: dict[int, str] = {
    value: name for name, value in vars(tflite.BuiltinOperator).items() if isinstance(value, int)
}
"""Names of the schema's builtin operators."""
_DAMAGE = (
    AttributeError,  # a table that is not there is None
    IndexError,
    OverflowError,
    RecursionError,
    TypeError,
    ValueError,
    ZeroDivisionError,
    struct.error,
)
"""The exceptions that reading a damaged file through the schema's package can raise."""
_DTYPES = {
    "INT8": np.int8,
    "UINT8": np.uint8,
    "INT16": np.int16,
    "INT32": np.int32,
    "FLOAT32": np.float32,
}


_BUILTIN_CODE = 10
"""Offset of ``OperatorCode.builtin_code``, its fourth field, in a vtable."""


@dataclass(frozen=True, eq=False)
class TfliteTensor:
    """A tensor of a file.

    Attributes:
        index: in its subgraph.
        name: as the file calls it.
        shape: with the batch.
        type: ``INT8``, ``FLOAT32``, …
        scales: float32 (n,), empty where the tensor is not quantized.
        zero_points: int64 (n,).
        axis: the axis that scales belong to, where there are several.
        values: of a constant; None for an activation, and where the type is not one of int8, uint8,
            int4, int16, int32 and float32.
        constant: whether the file holds its values.
        variable: whether it keeps its values between inferences; no operator writes it as output.
    """

    index: int
    name: str
    shape: tuple[int, ...]
    type: str
    scales: NDArray[np.float32]
    zero_points: NDArray[np.int64]
    axis: int
    values: NDArray[Any] | None
    constant: bool
    variable: bool

    def __str__(self) -> str:
        return f"tensor '{self.name}' ({self.type}, {'x'.join(map(str, self.shape)) or 'scalar'})"


@dataclass(frozen=True, eq=False)
class TfliteOperator:
    """An operator of a file.

    Attributes:
        index: in its subgraph.
        name: of the builtin operator, ``CONV_2D``, or of the custom one.
        version: of the operator's meaning.
        inputs: its tensors; None where an optional one is left out.
        outputs: its tensors.
        options_type: of the schema's union, 0 without options.
        options_table: the flatbuffer table of the options.
    """

    index: int
    name: str
    version: int
    inputs: tuple[TfliteTensor | None, ...]
    outputs: tuple[TfliteTensor, ...]
    options_type: int
    options_table: Any

    def __str__(self) -> str:
        written = f" writing '{self.outputs[0].name}'" if self.outputs else ""
        return f"operator {self.index} ({self.name}){written}"


@dataclass(frozen=True, eq=False)
class TfliteModel:
    """A file: its first subgraph, and the operators of the others.

    Attributes:
        description: what the producer wrote of itself.
        others: operators of the subgraphs behind the first, which it may call.
        operators: in the order they run.
        inputs: of the subgraph.
        outputs: of the subgraph.
        metadata: contents by name.
    """

    description: str
    others: tuple[tuple[TfliteOperator, ...], ...]
    operators: tuple[TfliteOperator, ...]
    inputs: tuple[TfliteTensor, ...]
    outputs: tuple[TfliteTensor, ...]
    metadata: dict[str, bytes]


@contextlib.contextmanager
def reading(what: str) -> Iterator[None]:
    """Turns whatever a damaged file makes its reader raise into an error that says where."""
    try:
        yield
    except _DAMAGE as error:
        raise ModelError(
            f"{what} is damaged ({type(error).__name__}: {error})", hint="copy or export it again"
        ) from error


def read_tflite(path: Path) -> TfliteModel:
    """Reads a file.

    Raises:
        ModelError: it cannot be read, is damaged, of another kind or version, or compiled for an
            NPU.
    """
    try:
        data = path.read_bytes()
    except OSError as error:
        raise ModelError(f"cannot be read: {error.strerror or error}") from error
    if data[4:8] != FILE_IDENTIFIER:
        raise ModelError(
            "not a .tflite file",
            hint="it has to begin as TensorFlow Lite's converter writes it ('TFL3' at byte 4)",
        )
    with reading("the file"):
        return _Reader(data).model()


class _Reader:
    def __init__(self, data: bytes) -> None:
        self._data = data
        self._model = tflite.Model.GetRootAs(data, 0)
        self._tensors: dict[int, TfliteTensor] = {}
        self._inputs = 0
        self._operators = 0
        self._constant_bytes = 0
        self._name_bytes = 0

    def model(self) -> TfliteModel:
        if self._model.Version() != _SCHEMA_VERSION:
            raise ModelError(f"schema version {self._model.Version()}, not {_SCHEMA_VERSION}")
        subgraphs = self._length(self._model.SubgraphsLength)
        if not subgraphs:
            raise ModelError("0 subgraphs", hint="copy or export it again")
        self._refuse_npu()
        others = []
        for index in range(1, min(subgraphs, _MOST_SUBGRAPHS)):
            with reading(f"subgraph {index}"):
                others.append(self._body(index))
        operators = self._body(0)
        if subgraphs > _MOST_SUBGRAPHS:
            raise ModelError(f"{subgraphs} subgraphs, allowed: up to {_MOST_SUBGRAPHS}")
        return TfliteModel(
            description=self._text(self._model.Description()),
            others=tuple(others),
            operators=operators,
            inputs=self._written(self._graph.InputsAsNumpy()),
            outputs=tuple(map(self._tensor, _integers(self._graph.OutputsAsNumpy()))),
            metadata=dict(self._metadata()),
        )

    def _body(self, index: int) -> tuple[TfliteOperator, ...]:
        """The operators of a subgraph, whose tensors are those that are read from then on."""
        self._graph = self._model.Subgraphs(index)
        self._tensors = {}
        count = self._length(self._graph.OperatorsLength)
        self._operators += count
        check_operator_count(self._operators)
        operators = []
        for each in range(count):
            with reading(f"operator {each}"):
                operators.append(self._operator(each))
        return tuple(operators)

    def _refuse_npu(self) -> None:
        """Refuses a file whose operators a compiler has turned into an NPU's commands."""
        for index in range(self._length(self._model.OperatorCodesLength)):
            name = self._text(self._model.OperatorCodes(index).CustomCode())
            if name.lower().startswith(_NPU_OPERATORS):
                raise ModelError(
                    f"compiled for an NPU: it holds the custom operator '{clean_name(name)}'",
                    hint="take the int8 file that the NPU's compiler (vela, edgetpu_compiler, …) "
                    "was given",
                )

    def _length(self, length: Callable[[], int]) -> int:
        """The length of a vector of tables, each of which takes at least four bytes."""
        count = length()
        if not 0 <= count <= len(self._data) // 4:
            raise ValueError(f"a vector of {count} tables")
        return count

    def _operator(self, index: int) -> TfliteOperator:
        operator = self._graph.Operators(index)
        opcode = operator.OpcodeIndex()
        if not 0 <= opcode < self._length(self._model.OperatorCodesLength):
            raise ValueError(f"operator {index} has code {opcode}")
        code = self._model.OperatorCodes(opcode)
        builtin = max(_builtin_code(code), code.DeprecatedBuiltinCode())
        name = BUILTIN_OPERATORS.get(builtin, f"builtin {builtin}")
        if builtin == tflite.BuiltinOperator.CUSTOM:
            name = f"custom '{self._text(code.CustomCode())}'"
        inputs = _integers(operator.InputsAsNumpy())
        self._inputs += len(inputs)
        if self._inputs > len(self._data) // 4:  # vectors that share their bytes
            raise ValueError(f"{self._inputs} inputs of operators")
        return TfliteOperator(
            index=index,
            name=name,
            version=code.Version(),
            inputs=tuple(None if i == -1 else self._tensor(i) for i in inputs),
            outputs=self._written(operator.OutputsAsNumpy()),
            options_type=operator.BuiltinOptionsType(),
            options_table=operator.BuiltinOptions(),
        )

    def _written(self, indices: Any) -> tuple[TfliteTensor, ...]:
        """Tensors that an operator or the caller writes, which therefore keep no state."""
        tensors = tuple(map(self._tensor, _integers(indices)))
        for tensor in tensors:
            if tensor.variable or tensor.constant:
                what = "a variable" if tensor.variable else "a constant"
                raise ModelError(
                    f"{tensor}: {what} that is an input of the model or an operator's output"
                )
        return tensors

    def _tensor(self, index: int) -> TfliteTensor:
        if index not in self._tensors:
            if not 0 <= index < self._length(self._graph.TensorsLength):
                raise ValueError(f"tensor {index} is not there")
            with reading(f"tensor {index}"):
                self._tensors[index] = self._read_tensor(index, self._graph.Tensors(index))
        return self._tensors[index]

    def _read_tensor(self, index: int, tensor: Any) -> TfliteTensor:
        name = self._text(tensor.Name()) or f"tensor {index}"
        shape = tuple(_integers(tensor.ShapeAsNumpy()))
        if len(shape) > _MOST_AXES or any(size < 0 for size in shape):
            raise ModelError(f"tensor '{name}': shape {shape}")
        kind = TENSOR_TYPES.get(tensor.Type(), f"type {tensor.Type()}")
        quantization = tensor.Quantization()
        scales = np.empty(0, np.float32)
        zero_points = np.empty(0, np.int64)
        axis = 0
        if quantization is not None and quantization.ScaleLength():
            scales = _array(quantization.ScaleAsNumpy(), np.float32)
            zero_points = _array(quantization.ZeroPointAsNumpy(), np.int64)
            axis = quantization.QuantizedDimension()
            if scales.size != zero_points.size:
                raise ModelError(
                    f"tensor '{name}': {scales.size} scales, {zero_points.size} zero points"
                )
        if tensor.Sparsity() is not None:
            raise ModelError(
                f"tensor '{name}': sparse, which TFLite-Micro does not read",
                hint="convert without Optimize.EXPERIMENTAL_SPARSITY; zeros may stay",
            )
        data = self._buffer(name, tensor.Buffer())
        if data is not None and tensor.IsVariable():
            raise ModelError(f"tensor '{name}': a variable that has values")
        self._constant_bytes += 0 if data is None else data.size
        if self._constant_bytes > _MOST_SHARING * len(self._data):
            raise ValueError(f"{self._constant_bytes} bytes of constants")
        return TfliteTensor(
            index=index,
            name=name,
            shape=shape,
            type=kind,
            scales=scales,
            zero_points=zero_points,
            axis=axis,
            values=None if data is None else _values(name, data, kind, shape),
            constant=data is not None,
            variable=bool(tensor.IsVariable()),
        )

    def _buffer(self, name: str, index: int) -> NDArray[np.uint8] | None:
        if index == 0:
            return None
        if not 0 <= index < self._length(self._model.BuffersLength):
            raise ModelError(f"tensor '{name}': buffer {index} is not there")
        data = _array(self._model.Buffers(index).DataAsNumpy(), np.uint8)
        return data if data.size else None

    def _text(self, value: bytes | None) -> str:
        """A text of the file; of a long one the beginning, and a hash of all of it."""
        if value is None:
            return ""
        self._name_bytes += len(value)
        if self._name_bytes > _MOST_SHARING * len(self._data):
            raise ValueError(f"{self._name_bytes} bytes of names")
        text = value.decode()
        if len(value) <= _LONGEST_NAME:
            return text
        kept = value[:_LONGEST_NAME].decode(errors="ignore")
        return f"{kept}…{hashlib.sha256(value).hexdigest()[:16]}"

    def _metadata(self) -> Iterable[tuple[str, bytes]]:
        for i in range(self._length(self._model.MetadataLength)):
            entry = self._model.Metadata(i)
            data = self._buffer("metadata", entry.Buffer())
            yield self._text(entry.Name()), b"" if data is None else data.tobytes()


def _builtin_code(code: Any) -> int:
    """The field ``builtin_code``; 0 where it is not there.

    The schema's package gives the deprecated field in its place where it is below 127, although
    TFLite takes the larger of both: some tools leave the deprecated one at zero.
    """
    table = code._tab  # noqa: SLF001
    at = table.Offset(_BUILTIN_CODE)
    return int(table.Get(number_types.Int32Flags, at + table.Pos)) if at else 0


def _array(values: Any, kind: type[np.generic]) -> NDArray[Any]:
    """A vector of the file; the schema's package gives 0 for one that is not there."""
    return np.empty(0, kind) if isinstance(values, int) else np.asarray(values, kind)


def _integers(values: Any) -> list[int]:
    return [int(value) for value in _array(values, np.int32)]


def _values(
    name: str, data: NDArray[np.uint8], kind: str, shape: tuple[int, ...]
) -> NDArray[Any] | None:
    size = math.prod(shape)
    if kind == "INT4":
        # Two a byte, the lower half first.
        if data.size != -(-size // 2):
            raise ModelError(f"tensor '{name}': {data.size} bytes do not fill its shape {shape}")
        halves = np.stack([data & 15, data >> 4], axis=1).reshape(-1)[:size]
        return ((halves.astype(np.int8) ^ 8) - 8).reshape(shape)
    if kind not in _DTYPES:
        return None
    dtype = np.dtype(_DTYPES[kind])
    if data.size != size * dtype.itemsize:
        raise ModelError(f"tensor '{name}': {data.size} bytes do not fill its shape {shape}")
    return np.frombuffer(data.tobytes(), dtype.newbyteorder("<")).astype(dtype).reshape(shape)
