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
from tinyedge.exporters.tflite import export_tflite, hidden_tensors
from tinyedge.graph.reference import as_sequences, int32_bytes, split_inputs


class MicroWitness(Witness):
    """TFLite-Micro's reference kernels."""

    standard: ClassVar[Standard] = "bytes"

    def __init__(self, subject: Subject) -> None:
        super().__init__(subject)
        self._original = subject.original

    def shows(self) -> list[str]:
        hidden = hidden_tensors(self.graph)
        return [name for name in super().shows() if name not in hidden]

    def run(self, samples: Int8, names: list[str], progress: Progress | None) -> list[Seen]:
        from tinyedge.tflm.interpreter import Interpreter

        graph = self.graph
        if names == [graph.output]:
            interpreter = Interpreter(self._original or export_tflite(graph))
            logits = interpreter.run_graph(graph, samples, progress)
            return [Seen(logits.reshape(-1, *graph.output_tensor.shape))]
        interpreter = Interpreter(export_tflite(graph, names))
        if not graph.states:
            given = split_inputs(graph, samples)
            return [_seen(value) for value in interpreter.run(given, len(names), progress)]
        sequences = split_inputs(graph, as_sequences(graph, samples))
        runs = interpreter.run(sequences, len(names), progress, sequences=True)
        return [_seen(value.reshape(-1, *value.shape[2:])) for value in runs]


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
        sources = [details["index"] for details in interpreter.get_input_details()]
        results: list[list[Int8]] = [[] for _ in outputs]
        for sample in zip(*split_inputs(self.graph, samples), strict=True):
            for source, values in zip(sources, sample, strict=True):
                interpreter.set_tensor(source, values[np.newaxis])
            interpreter.invoke()
            for result, index in zip(results, outputs, strict=True):
                result.append(interpreter.get_tensor(index)[0])
            if progress:
                progress(1)
        return [_seen(np.stack(result)) for result in results]


def _seen(values: NDArray[Any]) -> Seen:
    return Seen(int32_bytes(values) if values.dtype == np.int32 else values)
