"""Other implementations of a graph, compared with the numpy reference tensor by tensor."""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from tinyedge.errors import MissingDependencyError
from tinyedge.exporters.tflite import export_tflite
from tinyedge.graph import reference
from tinyedge.graph.graph import Graph

Int8 = NDArray[np.int8]
Witness = Literal["twin", "tflite-micro", "litert-reference", "litert-optimized"]
WITNESSES: tuple[Witness, ...] = (
    "twin",
    "tflite-micro",
    "litert-reference",
    "litert-optimized",
)
EXACT: tuple[Witness, ...] = ("twin", "tflite-micro")
"""Those that have to agree on every byte; LiteRT's kernels round otherwise now and then."""


@dataclass(frozen=True)
class TensorComparison:
    """One tensor of a witness against the reference.

    Attributes:
        name: of the tensor.
        kind: of the operator that writes it.
        values: how many were compared, over all samples.
        differing: how many differ.
        largest: difference, in steps of the tensor.
        agreement: share of samples whose largest element, the first of equals, is the same one.
    """

    name: str
    kind: str
    values: int
    differing: int
    largest: int
    agreement: float


def random_inputs(graph: Graph, count: int, seed: int) -> Int8:
    """Samples int8 (count, *input shape): noise, then ramps, and the extremes first."""
    shape = graph.input_tensor.shape
    rng = np.random.default_rng(seed)
    samples = rng.integers(-128, 128, (count, *shape)).astype(np.int8)
    for index, value in enumerate((-128, 127, graph.input_tensor.quantization.zero_point)):
        if index < count:
            samples[index] = value
    # Noise averages out in deep networks; smooth inputs of other means reach other values.
    for index in range(3, count, 2):
        low, high = sorted(rng.integers(-128, 128, 2))
        ramp = np.linspace(low, high, samples[index].size)
        samples[index] = (
            np.rint(ramp).reshape(shape) if index % 4 == 1 else rng.integers(low, high + 1, shape)
        )
    return samples


def compare(
    graph: Graph,
    witness: Witness,
    samples: Int8,
    *,
    layers: bool = False,
    folder: Path,
    original: bytes | None = None,
    progress: Callable[[int], None] | None = None,
) -> list[TensorComparison]:
    """Runs samples on a witness and on the reference.

    Args:
        graph: the graph.
        witness: one of ``WITNESSES``.
        samples: int8 (n, *input shape).
        layers: whether to compare every activation, not the output alone; not for the twin.
        folder: where the twin may be built.
        original: the ``.tflite`` file that the graph was imported from, if TFLite-Micro can take
            int8 samples with it; its output is compared instead of the export's.
        progress: called with the number of samples the witness has finished.

    Returns:
        A comparison a tensor, in the order they are computed.

    Raises:
        MissingDependencyError, ToolchainError: the witness is not installed.
        ModelError: the witness refuses the model.
    """
    names = [operator.output for operator in graph.operators] if layers else [graph.output]
    expected: dict[str, list[Int8]] = {name: [] for name in names}

    def tap(name: str, value: Int8) -> None:
        if name in expected:
            expected[name].append(value)

    reference.run(graph, samples, tap=tap)
    found = _run(graph, witness, names, samples, folder, None if layers else original, progress)
    kinds = {operator.output: type(operator).__name__ for operator in graph.operators}
    return [
        _comparison(name, kinds[name], np.concatenate(expected[name]), value)
        for name, value in zip(names, found, strict=True)
    ]


def _comparison(name: str, kind: str, expected: Int8, found: Int8) -> TensorComparison:
    mine = expected.reshape(len(expected), -1).astype(np.int16)
    theirs = found.reshape(len(expected), -1).astype(np.int16)
    distance = np.abs(mine - theirs)
    return TensorComparison(
        name=name,
        kind=kind,
        values=distance.size,
        differing=int(np.count_nonzero(distance)),
        largest=int(distance.max(initial=0)),
        agreement=float((mine.argmax(axis=1) == theirs.argmax(axis=1)).mean()),
    )


def _run(
    graph: Graph,
    witness: Witness,
    names: list[str],
    samples: Int8,
    folder: Path,
    original: bytes | None,
    progress: Callable[[int], None] | None,
) -> list[Int8]:
    """The named tensors of a witness, each int8 (n, *shape)."""
    if witness == "twin":
        from tinyedge.exporters.converted import write_converted
        from tinyedge.firmware.twin import Twin

        model = write_converted(graph, folder, "tinyedge check")
        return [Twin(model).run(samples, progress)]
    exported = original or export_tflite(graph, names)
    if witness == "tflite-micro":
        from tinyedge.tflm.interpreter import Interpreter

        return Interpreter(exported).run(samples, len(names), progress)
    return _run_litert(exported, witness, samples, progress)


def _run_litert(
    model: bytes,
    witness: Witness,
    samples: Int8,
    progress: Callable[[int], None] | None,
) -> list[Int8]:
    try:
        from ai_edge_litert import interpreter as litert
    except ImportError as error:
        raise MissingDependencyError(
            f"this needs LiteRT, which is TensorFlow Lite's interpreter ({error})",
            hint=f"{sys.executable} -m pip install 'tinyedge[tflite]'",
        ) from error

    kernels = {
        "litert-reference": litert.OpResolverType.BUILTIN_REF,
        "litert-optimized": litert.OpResolverType.AUTO,
    }
    interpreter: Any = litert.Interpreter(
        model_content=model, experimental_op_resolver_type=kernels[witness]
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
    return [np.stack(result) for result in results]
