"""A ``.tflite`` file under construction, in the terms of the format's own schema."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import flatbuffers
import numpy as np
import tflite
from numpy.typing import NDArray

FILE_IDENTIFIER = b"TFL3"
SCHEMA_VERSION = 3
_TENSOR_TYPES = {
    np.dtype(np.int8): tflite.TensorType.INT8,
    np.dtype(np.int16): tflite.TensorType.INT16,
    np.dtype(np.int32): tflite.TensorType.INT32,
}
_DATA_ALIGNMENT = 16
"""Bytes; the schema asks it of every buffer's data."""


@dataclass(frozen=True)
class Options:
    """The options of an operator: name of the schema's table, and its fields by name."""

    table: str
    fields: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class _Tensor:
    name: str
    shape: tuple[int, ...]
    kind: int
    buffer: int
    scales: NDArray[np.float32] | None
    zero_points: NDArray[np.int64] | None
    axis: int
    variable: bool = False


@dataclass(frozen=True)
class _Operator:
    code: tuple[int, int]
    options: Options | None
    inputs: list[int]
    output: int | None


@dataclass
class _Body:
    """Tensors and operators of a subgraph."""

    tensors: list[_Tensor] = field(default_factory=list)
    operators: list[_Operator] = field(default_factory=list)


@dataclass
class Writer:
    """Collects tensors and operators; ``serialize`` gives the file.

    ``body`` says of which subgraph they are: 0 is the model, 1 what runs once before it.
    """

    _buffers: list[bytes] = field(default_factory=lambda: [b""])
    _bodies: tuple[_Body, _Body] = field(default_factory=lambda: (_Body(), _Body()))

    def add_tensor(
        self,
        name: str,
        shape: Sequence[int],
        values: NDArray[Any] | None = None,
        scales: NDArray[np.float32] | None = None,
        zero_point: int = 0,
        axis: int = 0,
        body: int = 0,
        kind: type[np.generic] = np.int8,
    ) -> int:
        """Adds a tensor and gives its index.

        Args:
            name: as viewers show it.
            shape: with the batch.
            values: int8, int16 or int32 for a constant; None for an activation.
            scales: one, or one for each index along ``axis``; None without quantization.
            zero_point: of all scales.
            axis: see ``scales``.
            body: which subgraph.
            kind: of an activation.
        """
        buffer = 0
        if values is not None:
            self._buffers.append(np.ascontiguousarray(values).tobytes())
            buffer = len(self._buffers) - 1
        dtype = _TENSOR_TYPES[np.dtype(kind) if values is None else values.dtype]
        zero_points = None if scales is None else np.full(len(scales), zero_point, np.int64)
        tensors = self._bodies[body].tensors
        tensors.append(_Tensor(name, tuple(shape), dtype, buffer, scales, zero_points, axis))
        return len(tensors) - 1

    def add_own_state(
        self, name: str, shape: Sequence[int], kind: type, scale: float, zero: int
    ) -> int:
        """Adds a tensor of int8 or int16 that an operator keeps from one inference to the next."""
        tensors = self._bodies[0].tensors
        scales, zeros = np.array([scale], np.float32), np.array([zero], np.int64)
        dtype = _TENSOR_TYPES[np.dtype(kind)]
        tensors.append(_Tensor(name, tuple(shape), dtype, 0, scales, zeros, 0, variable=True))
        return len(tensors) - 1

    def add_variable(self, name: str, body: int = 0) -> int:
        """Adds the handle of the variable of a name, and gives its tensor's index."""
        tensors = self._bodies[body].tensors
        tensors.append(_Tensor(name, (), tflite.TensorType.RESOURCE, 0, None, None, 0))
        options = Options("VarHandleOptions", {"Container": "", "SharedName": name})
        code = tflite.BuiltinOperator.VAR_HANDLE
        self.add_operator(code, 1, options, [], len(tensors) - 1, body)
        return len(tensors) - 1

    def add_operator(
        self,
        code: int,
        version: int,
        options: Options | None,
        inputs: list[int],
        output: int | None,
        body: int = 0,
    ) -> None:
        """Adds a builtin operator.

        Args:
            code: of ``tflite.BuiltinOperator``.
            version: of the operator, the first one that takes int8.
            options: its options, where it has any.
            inputs: indices of tensors, -1 for one that is left out.
            output: index of a tensor; None where it writes none.
            body: which subgraph.
        """
        self._bodies[body].operators.append(_Operator((code, version), options, inputs, output))

    def serialize(
        self, name: str, inputs: list[int], outputs: list[int], metadata: dict[str, bytes]
    ) -> bytes:
        """The file.

        Args:
            name: of the first subgraph.
            inputs: indices of its inputs.
            outputs: indices of its outputs.
            metadata: contents by name.
        """
        builder = flatbuffers.Builder(1024)
        bodies = [body for body in self._bodies if body.operators]
        codes = list(dict.fromkeys(each.code for body in bodies for each in body.operators))
        first_metadata = len(self._buffers)
        buffers = [_buffer(builder, data) for data in (*self._buffers, *metadata.values())]
        subgraphs: list[int] = []
        for body in bodies:
            tensors = [_tensor(builder, tensor) for tensor in body.tensors]
            operators = [
                _operator(builder, each, codes.index(each.code)) for each in body.operators
            ]
            main = not subgraphs
            subgraphs.append(
                _table(
                    builder,
                    "SubGraph",
                    Name=builder.CreateString(name if main else "initial"),
                    Inputs=_numbers(builder, inputs if main else []),
                    Outputs=_numbers(builder, outputs if main else []),
                    Tensors=_offsets(builder, tensors),
                    Operators=_offsets(builder, operators),
                )
            )
        entries = [
            _table(builder, "Metadata", Name=builder.CreateString(key), Buffer=first_metadata + i)
            for i, key in enumerate(metadata)
        ]
        model = _table(
            builder,
            "Model",
            Version=SCHEMA_VERSION,
            Description=builder.CreateString("tinyedge"),
            OperatorCodes=_offsets(builder, [_code(builder, *code) for code in codes]),
            Subgraphs=_offsets(builder, subgraphs),
            Buffers=_offsets(builder, buffers),
            Metadata=_offsets(builder, entries),
        )
        builder.Finish(model, FILE_IDENTIFIER)
        return bytes(builder.Output())


def _table(builder: Any, kind: str, **fields: Any) -> int:
    """Writes a table of the schema; fields that are None keep their default."""
    getattr(tflite, f"{kind}Start")(builder)
    for name, value in fields.items():
        if value is not None:
            getattr(tflite, f"{kind}Add{name}")(builder, value)
    return int(getattr(tflite, f"{kind}End")(builder))


def _offsets(builder: Any, offsets: list[int]) -> int:
    builder.StartVector(4, len(offsets), 4)
    for offset in reversed(offsets):
        builder.PrependUOffsetTRelative(offset)
    return int(builder.EndVector())


def _numbers(builder: Any, values: Any, kind: type[np.generic] = np.int32) -> int:
    return int(builder.CreateNumpyVector(np.asarray(values, dtype=kind)))


def _buffer(builder: Any, data: bytes) -> int:
    if not data:
        return _table(builder, "Buffer")
    builder.Prep(_DATA_ALIGNMENT, len(data))
    return _table(builder, "Buffer", Data=builder.CreateByteVector(data))


def _tensor(builder: Any, tensor: _Tensor) -> int:
    quantization = None
    if tensor.scales is not None:
        quantization = _table(
            builder,
            "QuantizationParameters",
            Scale=_numbers(builder, tensor.scales, np.float32),
            ZeroPoint=_numbers(builder, tensor.zero_points, np.int64),
            QuantizedDimension=tensor.axis,
        )
    return _table(
        builder,
        "Tensor",
        Name=builder.CreateString(tensor.name),
        Shape=_numbers(builder, tensor.shape),
        Type=tensor.kind,
        Buffer=tensor.buffer,
        Quantization=quantization,
        IsVariable=tensor.variable or None,
    )


def _operator(builder: Any, operator: _Operator, code: int) -> int:
    options: dict[str, Any] = {}
    if operator.options:
        fields = dict(operator.options.fields)
        for name, value in fields.items():
            if isinstance(value, list):
                fields[name] = _numbers(builder, value)
            elif isinstance(value, str):
                fields[name] = builder.CreateString(value)
        table = operator.options.table
        options["BuiltinOptionsType"] = getattr(tflite.BuiltinOptions, table)
        options["BuiltinOptions"] = _table(builder, table, **fields)
    return _table(
        builder,
        "Operator",
        Inputs=_numbers(builder, operator.inputs),
        Outputs=_numbers(builder, [] if operator.output is None else [operator.output]),
        OpcodeIndex=code,
        **options,
    )


def _code(builder: Any, code: int, version: int) -> int:
    # Readers of the older, one-byte field take the larger of the two.
    return _table(
        builder,
        "OperatorCode",
        DeprecatedBuiltinCode=min(code, tflite.BuiltinOperator.PLACEHOLDER_FOR_GREATER_OP_CODES),
        BuiltinCode=code,
        Version=version,
    )
