"""ONNX Runtime and qonnx, on the ``.onnx`` file that the graph came from."""

from __future__ import annotations

from typing import ClassVar

import numpy as np

from tinyedge.errors import UsageError
from tinyedge.evaluation.witnesses.witness import (
    Int8,
    Progress,
    Seen,
    Standard,
    Subject,
    Witness,
)
from tinyedge.importers.onnx import layouts
from tinyedge.importers.onnx.runtime import QonnxRuntime, Runtime
from tinyedge.names import WitnessName


class OnnxRuntimeWitness(Witness):
    """The file's own operators in ONNX Runtime, given the inputs that int8 can hold."""

    standard: ClassVar[Standard] = "steps"
    name: ClassVar[WitnessName] = "onnxruntime"
    runtime: ClassVar[type[Runtime]] = Runtime

    def __init__(self, subject: Subject) -> None:
        super().__init__(subject)
        if subject.onnx is None:
            raise UsageError(f"--with {self.name} takes an ONNX model (.onnx)")
        self._runtime = self.runtime(subject.onnx, layouts(subject.onnx))
        self._values: dict[str, str] = {}
        for name, origin in subject.origins.items():
            value, size = origin.value_of or "", self.graph.tensors[name].size
            if value in self._runtime.values and self._runtime.size(value) == size:
                self._values[name] = value

    def shows(self) -> list[str]:
        return [name for name in super().shows() if name in self._values]

    def run(self, samples: Int8, names: list[str], progress: Progress | None) -> list[Seen]:
        given = self.graph.input_tensor.quantization
        values = [self._values[name] for name in names]
        found = []
        for name, value in zip(
            names, self._runtime.run(samples, given, values, progress), strict=True
        ):
            tensor = self.graph.tensors[name]
            if value.dtype == np.int8:
                found.append(Seen(value.reshape(-1, *tensor.shape)))
            else:
                found.append(Seen.of_reals(value.astype(np.float32), tensor))
        return found


class QonnxWitness(OnnxRuntimeWitness):
    """The same in the package qonnx, whose quantizers are code of its own."""

    name: ClassVar[WitnessName] = "qonnx"
    runtime: ClassVar[type[Runtime]] = QonnxRuntime
