"""Reads a ``.tflite`` file into plain records, and refuses what is damaged.

The schema's own package finds the fields; it does not check them. Here every index, length and
shape is checked before it is used, and nothing is read that no operator refers to.
"""

from __future__ import annotations

import contextlib
import math
import struct
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import tflite
from numpy.typing import NDArray

from tinyedge.errors import ModelError
from tinyedge.graph.description import check_operator_count

FILE_IDENTIFIER = b"TFL3"
_SCHEMA_VERSION = 3
_LONGEST_NAME = 1024
_MOST_AXES = 8
_MOST_SHARING = 16
"""How often the bytes of a file may be read as constants; tensors may share a buffer."""

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
"""What reading a damaged file through the schema's package can raise."""
_DTYPES = {"INT8": np.int8, "UINT8": np.uint8, "INT32": np.int32, "FLOAT32": np.float32}


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
            int4, int32 and float32.
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

    def __str__(self) -> str:
        return f"tensor '{self.name}' ({self.type}, {'x'.join(map(str, self.shape)) or 'scalar'})"


@dataclass(frozen=True, eq=False)
class TfliteOperator:
    """An operator of a file.

    Attributes:
        index: in its subgraph.
        name: of the builtin operator, ``CONV_2D``, or of the custom one.
        inputs: its tensors; None where an optional one is left out.
        outputs: its tensors.
        options_type: of the schema's union, 0 without options.
        options_table: the flatbuffer table of the options.
    """

    index: int
    name: str
    inputs: tuple[TfliteTensor | None, ...]
    outputs: tuple[TfliteTensor, ...]
    options_type: int
    options_table: Any

    def __str__(self) -> str:
        written = f" writing '{self.outputs[0].name}'" if self.outputs else ""
        return f"operator {self.index} ({self.name}){written}"


@dataclass(frozen=True, eq=False)
class TfliteModel:
    """The only subgraph of a file.

    Attributes:
        description: what the producer wrote of itself.
        operators: in the order they run.
        inputs: of the subgraph.
        outputs: of the subgraph.
        metadata: contents by name.
    """

    description: str
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
        ModelError: it cannot be read, is damaged, of another kind or version, or has several
            subgraphs.
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
        self._constant_bytes = 0

    def model(self) -> TfliteModel:
        if self._model.Version() != _SCHEMA_VERSION:
            raise ModelError(f"schema version {self._model.Version()}, not {_SCHEMA_VERSION}")
        if self._model.SubgraphsLength() != 1:
            raise ModelError(
                f"{self._model.SubgraphsLength()} subgraphs",
                hint="supported: one, without control flow",
            )
        self._graph = self._model.Subgraphs(0)
        count = self._length(self._graph.OperatorsLength)
        check_operator_count(count)
        operators = []
        for index in range(count):
            with reading(f"operator {index}"):
                operators.append(self._operator(index))
        return TfliteModel(
            description=_text(self._model.Description()),
            operators=tuple(operators),
            inputs=tuple(map(self._tensor, _integers(self._graph.InputsAsNumpy()))),
            outputs=tuple(map(self._tensor, _integers(self._graph.OutputsAsNumpy()))),
            metadata=dict(self._metadata()),
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
        builtin = max(code.BuiltinCode(), code.DeprecatedBuiltinCode())
        name = BUILTIN_OPERATORS.get(builtin, f"builtin {builtin}")
        if builtin == tflite.BuiltinOperator.CUSTOM:
            name = f"custom '{_text(code.CustomCode())}'"
        inputs = _integers(operator.InputsAsNumpy())
        self._inputs += len(inputs)
        if self._inputs > len(self._data) // 4:  # vectors that share their bytes
            raise ValueError(f"{self._inputs} inputs of operators")
        return TfliteOperator(
            index=index,
            name=name,
            inputs=tuple(None if i == -1 else self._tensor(i) for i in inputs),
            outputs=tuple(map(self._tensor, _integers(operator.OutputsAsNumpy()))),
            options_type=operator.BuiltinOptionsType(),
            options_table=operator.BuiltinOptions(),
        )

    def _tensor(self, index: int) -> TfliteTensor:
        if index not in self._tensors:
            if not 0 <= index < self._length(self._graph.TensorsLength):
                raise ValueError(f"tensor {index} is not there")
            with reading(f"tensor {index}"):
                self._tensors[index] = self._read_tensor(index, self._graph.Tensors(index))
        return self._tensors[index]

    def _read_tensor(self, index: int, tensor: Any) -> TfliteTensor:
        name = _text(tensor.Name()) or f"tensor {index}"
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
        data = self._buffer(name, tensor.Buffer())
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
        )

    def _buffer(self, name: str, index: int) -> NDArray[np.uint8] | None:
        if index == 0:
            return None
        if not 0 <= index < self._length(self._model.BuffersLength):
            raise ModelError(f"tensor '{name}': buffer {index} is not there")
        data = _array(self._model.Buffers(index).DataAsNumpy(), np.uint8)
        return data if data.size else None

    def _metadata(self) -> Iterable[tuple[str, bytes]]:
        for i in range(self._length(self._model.MetadataLength)):
            entry = self._model.Metadata(i)
            data = self._buffer("metadata", entry.Buffer())
            yield _text(entry.Name()), b"" if data is None else data.tobytes()


def _text(value: bytes | None) -> str:
    if value is None:
        return ""
    if len(value) > _LONGEST_NAME:
        raise ValueError(f"a name of {len(value)} bytes")
    return value.decode()


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
