"""An ``.onnx`` file in ONNX Runtime or in qonnx, with values as they lie in the integer graph."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from tinyedge.distribution import install_hint
from tinyedge.errors import MissingDependencyError, ModelError
from tinyedge.graph.tensors import Quantization
from tinyedge.importers.onnx.reader import DOMAINS, parse, read_bytes
from tinyedge.importers.onnx.standard import in_real_numbers
from tinyedge.naming import one_line

_UNSIGNED = 128
"""The difference of a byte of the file and the graph's int8."""
_INPUT_TYPES = {2: "tensor(uint8)", 3: "tensor(int8)", 10: "tensor(float16)"}
"""ONNX's numbers of types, and what ONNX Runtime calls them; all others hold real numbers."""
_FLOAT = 1
_SMALL = (21, 22, 25, 26)
"""ONNX's numbers of types of 4 and 2 bits."""


class _Session(Protocol):
    """A model that is ready to run, as ONNX Runtime has it."""

    def get_inputs(self) -> list[Any]: ...

    def run(self, names: None, feed: dict[str, NDArray[Any]], /) -> list[NDArray[Any]]: ...


class Runtime:
    """ONNX Runtime on what a file says, without optimizations.

    Its own products of integers saturate on processors without VNNI, many steps away from what the
    file says. Operators on integers are therefore given to it as the real numbers that they stand
    for, and QONNX's quantizers, which it lacks, as what they compute.

    Args:
        path: of the file.
        layouts: where the elements of the file's values lie, by name (``importers.onnx.layouts``).

    Raises:
        MissingDependencyError: ONNX Runtime is not installed.
        ModelError: the file cannot be read.
    """

    def __init__(self, path: Path, layouts: dict[str, NDArray[np.int32]]) -> None:
        try:
            import onnxruntime
        except ImportError as error:
            raise MissingDependencyError(
                f"this needs ONNX Runtime ({error})", hint=install_hint("onnxruntime")
            ) from error
        self._runtime = onnxruntime
        self._take(in_real_numbers(parse(read_bytes(path))), layouts)

    def _take(self, model: Any, layouts: dict[str, NDArray[np.int32]]) -> None:
        self._model, self._layouts = model, layouts
        graph = self._model.graph
        small = {tensor.name for tensor in graph.initializer if tensor.data_type in _SMALL}
        self.values = {
            name
            for node in graph.node
            for name in node.output
            if name in layouts and small.isdisjoint(node.input)
        }
        """Names of the values that can be shown; numpy has no integers of fewer than 8 bits."""

    def size(self, value: str) -> int:
        """Number of elements of a value."""
        return self._layouts[value].size

    def run(
        self,
        samples: NDArray[np.int8],
        given: Quantization,
        values: list[str],
        progress: Callable[[int], None] | None = None,
    ) -> list[NDArray[Any]]:
        """Computes values of the file.

        Args:
            samples: int8 (n, *input shape), as the graph takes them.
            given: the quantization of the graph's input.
            values: their names.
            progress: called with the number of samples finished since the last call.

        Returns:
            Each value, (n, size), as it lies in the graph: int8, or real numbers.

        Raises:
            ModelError: the runtime refuses the file.
        """
        session = self._session(values)
        source = session.get_inputs()[0]
        places = self._layouts[source.name]
        parts: list[list[NDArray[Any]]] = [[] for _ in values]
        for sample in samples:
            value: NDArray[Any] = given.dequantize(sample)
            if source.type == "tensor(uint8)":
                value = (sample.astype(np.int16) + _UNSIGNED).astype(np.uint8)
            elif source.type == "tensor(int8)":
                value = sample
            elif source.type == "tensor(float16)":
                value = value.astype(np.float16)
            found = session.run(None, {source.name: np.ascontiguousarray(value.ravel()[places])})
            for part, one in zip(parts, found, strict=True):
                part.append(one.ravel())
            if progress:
                progress(1)
        return [self._laid(name, np.stack(part)) for name, part in zip(values, parts, strict=True)]

    def _session(self, values: list[str]) -> _Session:
        """A session whose outputs are these values."""
        model = type(self._model)()
        model.CopyFrom(self._model)
        del model.graph.output[:]
        for value in values:
            model.graph.output.add().name = value
        options = self._runtime.SessionOptions()
        options.graph_optimization_level = self._runtime.GraphOptimizationLevel.ORT_DISABLE_ALL
        options.log_severity_level = 4
        try:
            session: _Session = self._runtime.InferenceSession(
                model.SerializeToString(), options, providers=["CPUExecutionProvider"]
            )
        except Exception as error:
            raise ModelError(f"ONNX Runtime refuses it: {one_line(str(error)):.300}") from error
        return session

    def _laid(self, value: str, found: NDArray[Any]) -> NDArray[Any]:
        laid = np.empty_like(found)
        laid[:, self._layouts[value].ravel()] = found
        if laid.dtype == np.uint8:
            return (laid.astype(np.int16) - _UNSIGNED).astype(np.int8)
        return laid


class QonnxRuntime(Runtime):
    """The package qonnx on what a file says, node by node.

    QONNX's quantizers are its own code; ONNX's operators it gives to ONNX Runtime, one at a time,
    which makes it slow.

    Args:
        path: of the file, which was imported: qonnx imports modules by the names of operators'
            domains.
        layouts: as ``Runtime`` takes.

    Raises:
        MissingDependencyError: qonnx is not installed.
        ModelError: the file cannot be read, or has none of QONNX's quantizers.
    """

    def __init__(self, path: Path, layouts: dict[str, NDArray[np.int32]]) -> None:
        try:
            import qonnx  # noqa: F401
        except ImportError as error:
            raise MissingDependencyError(
                f"this needs qonnx ({error})", hint=install_hint("qonnx")
            ) from error
        model = parse(read_bytes(path))
        if not any(DOMAINS.get(node.domain) == "qonnx" for node in model.graph.node):
            raise ModelError(
                f"{path}: none of QONNX's quantizers is in it",
                hint="'--with onnxruntime' computes files of ONNX's own operators",
            )
        self._take(model, layouts)

    def _session(self, values: list[str]) -> _Session:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            try:
                return _QonnxSession(self._model, self._layouts, values)
            except Exception as error:
                raise ModelError(f"qonnx refuses it: {one_line(str(error)):.300}") from error


class _QonnxSession:
    def __init__(
        self, model: Any, layouts: dict[str, NDArray[np.int32]], values: list[str]
    ) -> None:
        from qonnx.core.modelwrapper import ModelWrapper
        from qonnx.core.onnx_exec import execute_onnx
        from qonnx.transformation.infer_shapes import InferShapes

        fixed = type(model)()
        fixed.CopyFrom(model)
        constants = {tensor.name for tensor in fixed.graph.initializer}
        (source,) = (given for given in fixed.graph.input if given.name not in constants)
        given = source.type.tensor_type
        for end in (source, *fixed.graph.output):  # whose shapes may be left open, or out
            held = end.type.tensor_type
            held.elem_type = held.elem_type or _FLOAT
            del held.shape.dim[:]
            for size in layouts[end.name].shape:
                held.shape.dim.add().dim_value = size
        self._input = SimpleNamespace(name=source.name, type=_INPUT_TYPES.get(given.elem_type, ""))
        self._model = ModelWrapper(fixed).transform(InferShapes())
        self._execute = execute_onnx
        self._values = values

    def get_inputs(self) -> list[Any]:
        return [self._input]

    def run(self, _names: None, feed: dict[str, NDArray[Any]], /) -> list[NDArray[Any]]:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            found = self._execute(self._model, feed, return_full_exec_context=True)
        return [np.asarray(found[value]) for value in self._values]
