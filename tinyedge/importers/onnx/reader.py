"""Reads an ``.onnx`` file into plain records, and refuses what is damaged or lies elsewhere.

Nothing is computed here, no function of the file is run, and no other file is opened.
"""

from __future__ import annotations

import contextlib
import math
import struct
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tinyedge.distribution import install_hint
from tinyedge.errors import MissingDependencyError, ModelError
from tinyedge.graph.description import MAXIMUM_OPERATORS
from tinyedge.naming import one_line

LARGEST_FILE = 2**27
"""Bytes. The weights of a network for a microcontroller take a hundredth, as floats too."""
MOST_NODES = 2 * MAXIMUM_OPERATORS
"""Nodes, most of which become part of an operator, or are constants."""
OLDEST_OPSET = 7
DOMAINS = {"": "", "ai.onnx": "", "com.microsoft": "com.microsoft"} | dict.fromkeys(
    ("qonnx.custom_op.general", "finn.custom_op.general", "onnx.brevitas"), "qonnx"
)
"""Domains whose operators are known, and what they are called here."""
_MOST_AXES = 8
_LONGEST_NAME = 1024
_MOST_SHOWN = 12
_DAMAGE = (
    AttributeError,
    IndexError,
    KeyError,
    OverflowError,
    RecursionError,
    TypeError,
    UnicodeError,
    ValueError,
    ZeroDivisionError,
    struct.error,
)
"""Errors that reading a damaged file can raise."""

Array = NDArray[Any]


@dataclass(frozen=True, eq=False)
class OnnxNode:
    """A node of a file.

    Attributes:
        name: its own, or that of its first output.
        kind: the operator; of another domain than ONNX's own with that before it.
        inputs: names; empty where an optional one is left out.
        outputs: names.
        attributes: by name: numbers, texts, lists of them, or arrays.
    """

    name: str
    kind: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    attributes: dict[str, Any] = field(default_factory=dict)

    def __str__(self) -> str:
        return f"node '{self.name}' ({self.kind})"


@dataclass(frozen=True)
class OnnxValue:
    """An input or an output of a file.

    Attributes:
        name: of the value.
        type: ``FLOAT``, ``UINT8``, …
        shape: with the batch, which is 1 where the file leaves it open.
    """

    name: str
    type: str
    shape: tuple[int, ...]


@dataclass(frozen=True, eq=False)
class OnnxModel:
    """A file.

    Attributes:
        nodes: in the order they run.
        constants: initializers by name.
        input: the only one that is no initializer.
        output: name of the only one.
        opset: version of ONNX's own operators.
        producer: what wrote the file.
    """

    nodes: tuple[OnnxNode, ...]
    constants: dict[str, Array]
    input: OnnxValue
    output: str
    opset: int
    producer: str


@contextlib.contextmanager
def reading(what: str) -> Iterator[None]:
    """Turns whatever a damaged file makes its reader raise into an error that says where."""
    try:
        yield
    except _DAMAGE as error:
        raise ModelError(
            f"{what} is damaged ({type(error).__name__}: {one_line(str(error)):.160})",
            hint="copy or export it again",
        ) from error


def blocked(reasons: list[str], hint: str = "") -> ModelError:
    """One error for all that keeps a file from being imported.

    Args:
        reasons: one each, not empty; those that are the same are told once.
        hint: what to do.
    """
    told = list(dict.fromkeys(reasons))
    more = f"; and {len(told) - _MOST_SHOWN} more" if len(told) > _MOST_SHOWN else ""
    return ModelError(one_line("; ".join(told[:_MOST_SHOWN]) + more), hint)


def onnx_package() -> Any:
    """The package ``onnx``.

    Raises:
        MissingDependencyError: it is not installed.
    """
    try:
        import onnx
        import onnx.numpy_helper
    except ImportError as error:
        raise MissingDependencyError(
            f"reading .onnx files needs the package onnx ({error})", hint=install_hint("onnx")
        ) from error
    return onnx


def read_bytes(path: Path) -> bytes:
    """The file's content.

    Raises:
        ModelError: it cannot be read, or is larger than ``LARGEST_FILE``.
    """
    try:
        size = path.stat().st_size
        if size > LARGEST_FILE:
            raise ModelError(
                f"{size:,} bytes, allowed: up to {LARGEST_FILE:,}",
                hint="a network for a microcontroller takes a hundredth of it",
            )
        return path.read_bytes()
    except OSError as error:
        raise ModelError(f"cannot be read: {error.strerror or error}") from error


def parse(content: bytes) -> Any:
    """The ``ModelProto`` of a file's content; raises ModelError where it is none."""
    onnx = onnx_package()
    from google.protobuf.message import DecodeError

    try:
        return onnx.ModelProto.FromString(content)
    except DecodeError as error:
        raise ModelError(
            f"not an .onnx file, or damaged ({one_line(str(error)):.80})",
            hint="copy or export it again",
        ) from error


def read_onnx(path: Path, known: Collection[str]) -> OnnxModel:
    """Reads a file.

    Args:
        path: of the file.
        known: the operators that can be imported, as ``OnnxNode.kind`` names them.

    Raises:
        ModelError: it cannot be read, is damaged or too large, needs newer operators than those
            that are known, keeps data in other files, has open axes besides the batch, several
            inputs or outputs, or operators of its own. All of these are told at once.
        MissingDependencyError: the package ``onnx`` is not installed.
    """
    content = read_bytes(path)
    with reading("the file"):
        return _Reader(parse(content), known).model()


class _Reader:
    def __init__(self, proto: Any, known: Collection[str]) -> None:
        self._known = known
        self._onnx = onnx_package()
        self._proto = proto
        self._reasons: list[str] = []
        self._types: dict[int, str] = {
            number: name for name, number in self._onnx.TensorProto.DataType.items()
        }

    def model(self) -> OnnxModel:
        graph = self._proto.graph
        if not graph.node:
            raise ModelError("holds no nodes", hint="is it an ONNX model at all?")
        if len(graph.node) > MOST_NODES:
            raise ModelError(f"{len(graph.node):,} nodes, allowed: up to {MOST_NODES:,}")
        opset = self._opset()
        if self._proto.functions:
            names = ", ".join(f"'{_text(each.name)}'" for each in self._proto.functions)
            self._reasons.append(f"functions of the file's own: {names}")
        if graph.sparse_initializer:
            self._reasons.append("sparse initializers")
        constants = {}
        for tensor in graph.initializer:
            name = _text(tensor.name)
            with self._noting(f"initializer '{name}'"):
                constants[name] = self._array(tensor)
        nodes = []
        for index, node in enumerate(graph.node):
            with self._noting(f"node {index}"):
                nodes.append(self._node(index, node))
        given = [each for each in graph.input if each.name not in constants]
        source = OnnxValue("", "", ())
        if len(given) != 1:
            self._reasons.append(f"{len(given)} inputs (supported: one){_names(given)}")
        else:
            with self._noting("input"):
                source = self._value(given[0])
        if len(graph.output) != 1:
            count = len(graph.output)
            self._reasons.append(f"{count} outputs (supported: one){_names(graph.output)}")
        if self._reasons:
            raise blocked(self._reasons)
        producer = f"{_text(self._proto.producer_name)} {_text(self._proto.producer_version)}"
        return OnnxModel(
            tuple(nodes),
            constants,
            source,
            _text(graph.output[0].name),
            opset,
            producer.strip() or "unknown",
        )

    @contextlib.contextmanager
    def _noting(self, what: str) -> Iterator[None]:
        """Notes what is wrong with a part, so that the others are read too."""
        try:
            with reading(what):
                yield
        except ModelError as error:
            self._reasons.append(str(error))

    def _opset(self) -> int:
        newest = int(self._onnx.defs.onnx_opset_version())
        found = 0
        for entry in self._proto.opset_import:
            domain = _text(entry.domain)
            if DOMAINS.get(domain) == "":
                found = int(entry.version)
                if not OLDEST_OPSET <= found <= newest:
                    self._reasons.append(f"opset {found}, allowed: {OLDEST_OPSET} to {newest}")
                    return found
        if not found:
            self._reasons.append(
                f"no opset of ONNX's own operators, allowed: {OLDEST_OPSET} to {newest}"
            )
        return found

    def _node(self, index: int, node: Any) -> OnnxNode:
        outputs = tuple(map(_text, node.output))
        name = _text(node.name) or next(filter(None, outputs), f"node {index}")
        domain = _text(node.domain)
        kind = _text(node.op_type)
        if domain not in DOMAINS:
            raise ModelError(f"node '{name}' ({domain}.{kind}): a custom domain")
        if DOMAINS[domain]:
            kind = f"{DOMAINS[domain]}.{kind}"
        if kind not in self._known:
            raise ModelError(f"node '{name}' ({kind}): not a supported operator")
        with reading(f"node '{name}' ({kind})"):
            attributes = {
                _text(each.name): self._attribute(f"node '{name}' ({kind})", each)
                for each in node.attribute
            }
        return OnnxNode(name, kind, tuple(map(_text, node.input)), outputs, attributes)

    def _attribute(self, where: str, attribute: Any) -> Any:
        kinds = self._onnx.AttributeProto
        match attribute.type:
            case kinds.FLOAT:
                return float(attribute.f)
            case kinds.INT:
                return int(attribute.i)
            case kinds.STRING:
                return attribute.s.decode()
            case kinds.FLOATS:
                return list(attribute.floats)
            case kinds.INTS:
                return list(attribute.ints)
            case kinds.STRINGS:
                return [text.decode() for text in attribute.strings]
            case kinds.TENSOR:
                try:
                    return self._array(attribute.t)
                except ModelError as error:
                    raise ModelError(f"{where}: {error}") from error
            case _:
                return None  # graphs of control flow, whose operators are refused

    def _value(self, given: Any) -> OnnxValue:
        """An input, whose shape has to be known but for the batch."""
        name = _text(given.name)
        tensor = given.type.tensor_type
        if given.type.WhichOneof("value") != "tensor_type" or not tensor.HasField("shape"):
            raise ModelError(f"input '{name}': a tensor whose shape is not told")
        shape = []
        for axis, dimension in enumerate(tensor.shape.dim):
            known = dimension.WhichOneof("value") == "dim_value"
            size = int(dimension.dim_value) if known else 0
            if axis == 0 and not known:
                size = 1
            if size < 1:
                named = dimension.dim_param
                told = f"'{_text(named)}'" if named else str(size) if known else "open"
                raise ModelError(
                    f"input '{name}': axis {axis} is {told}; only the batch, axis 0, may be open"
                )
            shape.append(size)
        if not 2 <= len(shape) <= _MOST_AXES:
            raise ModelError(f"input '{name}': {len(shape)} axes, allowed: 2 to {_MOST_AXES}")
        if shape[0] != 1:
            raise ModelError(f"input '{name}': a batch of {shape[0]}; allowed: 1, or an open one")
        return OnnxValue(name, self._types.get(tensor.elem_type, "?"), tuple(shape))

    def _array(self, tensor: Any) -> Array:
        """A constant; every byte of it has to be there."""
        kind = self._types.get(tensor.data_type, f"type {tensor.data_type}")
        shape = tuple(int(size) for size in tensor.dims)
        if tensor.external_data or tensor.data_location == tensor.EXTERNAL:
            raise ModelError(
                f"initializer '{_text(tensor.name)}' keeps its data in another file; save the "
                "model with its data inside (torch.onnx.export with external_data=False, onnx.save "
                "without save_as_external_data)"
            )
        if len(shape) > _MOST_AXES or any(size < 0 for size in shape) or tensor.HasField("segment"):
            raise ModelError(f"initializer '{_text(tensor.name)}': shape {shape}")
        if kind not in _BITS:
            raise ModelError(f"initializer '{_text(tensor.name)}' is {kind}")
        size = math.prod(shape)
        if tensor.HasField("raw_data"):
            right = len(tensor.raw_data) == -(-size * _BITS[kind] // 8)
        else:
            fields = ("float_data", "int32_data", "int64_data", "double_data", "uint64_data")
            counts = [len(getattr(tensor, name)) for name in fields]
            packed = -(-size * _BITS[kind] // 8) if _BITS[kind] < 8 else size
            right = max(counts) == sum(counts) == packed
        if not right:
            raise ModelError(
                f"initializer '{_text(tensor.name)}' ({kind}): its bytes do not fill {shape}"
            )
        with np.errstate(all="ignore"):
            values = np.asarray(self._onnx.numpy_helper.to_array(tensor))
        if values.shape != shape:
            raise ModelError(f"initializer '{_text(tensor.name)}': shape {shape}")
        return values


_BITS = {
    "FLOAT": 32,
    "DOUBLE": 64,
    "FLOAT16": 16,
    "BOOL": 8,
    "INT2": 2,
    "UINT2": 2,
    "INT4": 4,
    "UINT4": 4,
    "INT8": 8,
    "UINT8": 8,
    "INT16": 16,
    "UINT16": 16,
    "INT32": 32,
    "UINT32": 32,
    "INT64": 64,
}
"""Bits of one element of a constant, by the types that are read."""


def _text(value: str | bytes) -> str:
    text = value.decode() if isinstance(value, bytes) else value
    if len(text) > _LONGEST_NAME:
        raise ValueError(f"a name of {len(text)} characters")
    return text


def _names(values: Iterable[Any]) -> str:
    names = ", ".join(f"'{_text(each.name)}'" for each in list(values)[:4])
    return f": {names}" if names else ""
