"""ONNX Runtime, on the ``.onnx`` file that the graph came from."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from tinyedge.distribution import install_hint
from tinyedge.errors import MissingDependencyError, ModelError, UsageError
from tinyedge.evaluation.witnesses.witness import (
    Int8,
    Progress,
    Seen,
    Standard,
    Subject,
    Witness,
)
from tinyedge.importers.onnx import layouts
from tinyedge.importers.onnx.reader import parse, read_bytes
from tinyedge.importers.onnx.standard import in_real_numbers

_UNSIGNED = 128
"""What a byte of the file is more than the int8 of the graph."""


class OnnxRuntimeWitness(Witness):
    """ONNX Runtime on what the file says, without optimizations.

    Its own products of integers saturate on processors without VNNI, many steps away from what the
    file says. Operators on integers are therefore given to it as the real numbers that they stand
    for, and QONNX's quantizers, which it lacks, as what they compute.
    """

    standard: ClassVar[Standard] = "steps"

    def __init__(self, subject: Subject) -> None:
        super().__init__(subject)
        if subject.onnx is None:
            raise UsageError("--with onnxruntime takes an ONNX model (.onnx)")
        self._runtime = _onnxruntime()
        self._model = in_real_numbers(parse(read_bytes(subject.onnx)))
        self._layouts = layouts(subject.onnx)
        self._values = {
            name: origin.value_of
            for name, origin in subject.origins.items()
            if origin.value_of in self._layouts
        }

    def shows(self) -> list[str]:
        computed = {name for node in self._model.graph.node for name in node.output}
        return [
            name
            for name in super().shows()
            if self._values.get(name) in computed and self._fits(name)
        ]

    def _fits(self, name: str) -> bool:
        return self._layouts[self._values[name]].size == self.graph.tensors[name].size

    def run(self, samples: Int8, names: list[str], progress: Progress | None) -> list[Seen]:
        given = self.graph.input_tensor
        session = self._session([self._values[name] for name in names])
        source = session.get_inputs()[0]
        places = self._layouts[source.name]
        parts: list[list[NDArray[Any]]] = [[] for _ in names]
        for sample in samples:
            value: NDArray[Any] = sample
            if source.type == "tensor(uint8)":
                value = (sample.astype(np.int16) + _UNSIGNED).astype(np.uint8)
            elif source.type != "tensor(int8)":
                value = given.quantization.dequantize(sample)
            if source.type == "tensor(float16)":
                value = value.astype(np.float16)
            feeds = {source.name: np.ascontiguousarray(value.ravel()[places])}
            for part, value in zip(parts, session.run(None, feeds), strict=True):
                part.append(value)
            if progress:
                progress(1)
        return [self._seen(name, np.stack(part)) for name, part in zip(names, parts, strict=True)]

    def _session(self, values: list[str]) -> Any:
        """A session whose outputs are these values of the file."""
        model = type(self._model)()
        model.CopyFrom(self._model)
        del model.graph.output[:]
        for value in values:
            model.graph.output.add().name = value
        options = self._runtime.SessionOptions()
        options.graph_optimization_level = self._runtime.GraphOptimizationLevel.ORT_DISABLE_ALL
        options.log_severity_level = 4
        try:
            return self._runtime.InferenceSession(
                model.SerializeToString(), options, providers=["CPUExecutionProvider"]
            )
        except Exception as error:
            raise ModelError(
                f"ONNX Runtime refuses the model: {' '.join(str(error).split()):.300}"
            ) from error

    def _seen(self, name: str, values: NDArray[Any]) -> Seen:
        """Values (n, *the file's shape) as they lie in the graph."""
        tensor, places = self.graph.tensors[name], self._layouts[self._values[name]]
        laid = np.empty((len(values), tensor.size), values.dtype)
        laid[:, places.ravel()] = values.reshape(len(values), -1)
        if values.dtype == np.uint8:
            laid = (laid.astype(np.int16) - _UNSIGNED).astype(np.int8)
        if laid.dtype == np.int8:
            return Seen(laid.reshape(-1, *tensor.shape))
        return Seen.of_reals(laid.astype(np.float32), tensor)


def _onnxruntime() -> Any:
    try:
        import onnxruntime
    except ImportError as error:
        raise MissingDependencyError(
            f"this needs ONNX Runtime ({error})", hint=install_hint("onnxruntime")
        ) from error
    return onnxruntime
