"""TensorFlow Lite's interpreters, on the model's ``.tflite`` export or on the file it came from."""

from __future__ import annotations

from typing import Any, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray

from tinyedge.distribution import install_hint
from tinyedge.errors import MissingDependencyError, UsageError
from tinyedge.evaluation.witnesses.witness import (
    Int8,
    Progress,
    Seen,
    Standard,
    Subject,
    Witness,
)
from tinyedge.exporters.tflite import export_tflite
from tinyedge.graph.reference import as_sequences


class MicroWitness(Witness):
    """TFLite-Micro's reference kernels."""

    standard: ClassVar[Standard] = "bytes"

    def __init__(self, subject: Subject) -> None:
        super().__init__(subject)
        self._original = subject.original

    def run(self, samples: Int8, names: list[str], progress: Progress | None) -> list[Seen]:
        from tinyedge.tflm.interpreter import Interpreter

        whole = names == [self.graph.output] and self._original is not None
        model = self._original if whole else export_tflite(self.graph, names)
        assert model is not None
        interpreter = Interpreter(model)
        sequences = as_sequences(self.graph, samples)
        if interpreter.input_type == "uint8":
            samples, sequences = (_shifted(each, np.uint8) for each in (samples, sequences))
        if not self.graph.states:
            found = interpreter.run(samples, len(names), progress)
        else:
            runs = interpreter.run(sequences, len(names), progress, sequences=True)
            found = [value.reshape(-1, *value.shape[2:]) for value in runs]
        return [
            Seen(_shifted(value, np.int8) if value.dtype == np.uint8 else value) for value in found
        ]


def _shifted(values: NDArray[Any], kind: type[np.int8 | np.uint8]) -> NDArray[Any]:
    """Bytes of a file that takes or gives uint8 for int8, or the other way round."""
    return (values.view(np.uint8) ^ np.uint8(128)).view(kind)


class LiteRTWitness(Witness):
    """LiteRT (TensorFlow Lite), whose kernels round otherwise now and then.

    Args:
        subject: what to compute.
        kernels: which of its kernels.
    """

    standard: ClassVar[Standard] = "none"

    def __init__(
        self, subject: Subject, kernels: Literal["litert-reference", "litert-optimized"]
    ) -> None:
        super().__init__(subject)
        self._kernels = kernels

    def run(self, samples: Int8, names: list[str], progress: Progress | None) -> list[Seen]:
        if self.graph.states:
            raise UsageError("--with litert-… goes with models without states", "tflite-micro")
        try:
            from ai_edge_litert import interpreter as litert
        except ImportError as error:
            raise MissingDependencyError(
                f"this needs LiteRT, which is TensorFlow Lite's interpreter ({error})",
                hint=install_hint("tflite"),
            ) from error

        resolvers = {
            "litert-reference": litert.OpResolverType.BUILTIN_REF,
            "litert-optimized": litert.OpResolverType.AUTO,
        }
        interpreter: Any = litert.Interpreter(
            model_content=export_tflite(self.graph, names),
            experimental_op_resolver_type=resolvers[self._kernels],
        )
        interpreter.allocate_tensors()
        outputs = [details["index"] for details in interpreter.get_output_details()]
        source = interpreter.get_input_details()[0]["index"]
        results: list[list[Int8]] = [[] for _ in outputs]
        for sample in samples:
            interpreter.set_tensor(source, sample[np.newaxis])
            interpreter.invoke()
            for result, index in zip(results, outputs, strict=True):
                result.append(interpreter.get_tensor(index)[0])
            if progress:
                progress(1)
        return [Seen(np.stack(result)) for result in results]
