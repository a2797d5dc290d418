"""TFLite-Micro's interpreter on this machine, from the ``tflite-micro`` package."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tinyedge.distribution import install_hint
from tinyedge.errors import MissingDependencyError, ModelError
from tinyedge.graph.graph import Graph
from tinyedge.graph.reference import as_sequences, int32_bytes, leading_axes, split_inputs
from tinyedge.graph.tensors import Tensor

_ARENA_BYTES = 16 * 2**20


def runtime() -> Any:
    """The package's interpreter module.

    Raises:
        MissingDependencyError: it is not installed.
    """
    try:
        from tflite_micro.python.tflite_micro import runtime as module
    except ImportError as error:
        raise MissingDependencyError(
            f"this needs TFLite-Micro's interpreter ({error})",
            hint=f"{install_hint('tflite')} (Linux on x86-64)",
        ) from error
    return module


def shifted(values: NDArray[Any], kind: type[np.int8 | np.uint8]) -> NDArray[Any]:
    """Bytes of a file that takes or gives uint8 for int8, or the other way round."""
    return (np.ascontiguousarray(values).view(np.uint8) ^ np.uint8(128)).view(kind)


def _as_int8(values: NDArray[Any], tensor: Tensor) -> NDArray[np.int8]:
    """Converts the values at an end of a file to the int8 values of the graph's tensor."""
    if values.dtype == np.int32:
        return int32_bytes(values)
    if values.dtype == np.float32:
        return tensor.quantization.quantize(values)
    return shifted(values, np.int8) if values.dtype == np.uint8 else values


class Interpreter:
    """A ``.tflite`` model in TFLite-Micro's reference kernels.

    Args:
        model: content of the file.

    Raises:
        MissingDependencyError: the package is not installed.
        ModelError: TFLite-Micro refuses the model.
    """

    def __init__(self, model: bytes) -> None:
        self._model = model
        self._begin()

    def _begin(self) -> None:
        """Has all variables begin anew: TFLite-Micro's own reset leaves initial values out."""
        try:
            self._interpreter = runtime().Interpreter.from_bytes(
                self._model, arena_size=_ARENA_BYTES
            )
        except RuntimeError as error:
            raise ModelError(f"TFLite-Micro refuses the model: {error}") from error

    def run_graph(
        self, graph: Graph, samples: NDArray[Any], progress: Callable[[int], None] | None = None
    ) -> NDArray[Any]:
        """Runs samples, or sequences of a model with states, as ``reference.run`` does.

        Ends of the model that are uint8 or float32 are given, and read, as what int8 stands for.

        Args:
            graph: that the model is, or was imported from.
            samples: int8, as ``reference.run`` takes them.
            progress: called with the number of samples finished since the last call.

        Returns:
            The bytes of all outputs, behind each other, as int8 (n, *output shape), or
            (n, frames, *output shape).
        """
        given: list[NDArray[Any]] = []
        for position, (values, tensor) in enumerate(
            zip(split_inputs(graph, as_sequences(graph, samples)), graph.inputs, strict=True)
        ):
            kind = self.input_type(position)
            if kind == "uint8":
                given.append(shifted(values, np.uint8))
            elif kind == "float32":
                given.append(tensor.quantization.dequantize(values))
            else:
                given.append(values)
        count = len(graph.results)
        if graph.states:
            found = self.run(given, count, progress, sequences=True)
        else:
            found = self.run([each[:, 0] for each in given], count, progress)
        axes = leading_axes(graph, samples)
        parts = [_as_int8(each, tensor) for each, tensor in zip(found, graph.results, strict=True)]
        flat = np.concatenate([each.reshape(*axes, -1) for each in parts], axis=-1)
        return flat.reshape(*axes, *graph.output_tensor.shape)

    def input_type(self, position: int = 0) -> str:
        """Type of the samples that an input takes, as ``int8`` or ``float32``."""
        return str(np.dtype(self._interpreter.get_input_details(position)["dtype"]))

    def run(
        self,
        samples: NDArray[Any] | Sequence[NDArray[Any]],
        outputs: int = 1,
        progress: Callable[[int], None] | None = None,
        *,
        sequences: bool = False,
    ) -> list[NDArray[Any]]:
        """Runs samples (n, *input shape) one by one.

        Args:
            samples: of ``input_type``, or those of several inputs; with ``sequences``
                (n, frames, *input shape).
            outputs: how many of the model's outputs to read.
            progress: called with the number of samples finished since the last call.
            sequences: whether variables begin anew before each sample, of several frames.

        Returns:
            For each output an array (n, *shape), or (n, frames, *shape).
        """
        given = [samples] if isinstance(samples, np.ndarray) else samples
        if sequences:
            runs = []
            for frames in zip(*given, strict=True):
                self._begin()
                runs.append(self.run(frames, outputs))
                if progress:
                    progress(1)
            return [np.stack(each) for each in zip(*runs, strict=True)]
        results: list[list[NDArray[Any]]] = [[] for _ in range(outputs)]
        for sample in zip(*given, strict=True):
            for position, values in enumerate(sample):
                self._interpreter.set_input(values[np.newaxis], position)
            self._interpreter.invoke()
            for index, result in enumerate(results):
                result.append(self._interpreter.get_output(index)[0])
            if progress:
                progress(1)
        return [np.stack(result) for result in results]
