"""The interface of a witness."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar, Literal

import numpy as np
from numpy.typing import NDArray

from tinyedge.errors import UsageError
from tinyedge.graph.graph import Graph
from tinyedge.graph.operators import Part
from tinyedge.graph.tensors import Tensor
from tinyedge.importers.result import Origin

Int8 = NDArray[np.int8]
Float64 = NDArray[np.float64]
Progress = Callable[[int], None]

Standard = Literal["bytes", "steps", "none"]

_ON_GRID = 1e-3
"""How far from an int8 step, in steps, a value lies that is on the grid but for rounding."""


@dataclass(frozen=True)
class Subject:
    """The model that a witness is to compute.

    Attributes:
        graph: the integer graph.
        model: the file of the QKeras model that it came from, if any.
        origins: of the graph's tensors in the model.
        original: the ``.tflite`` file that the graph came from, if TFLite-Micro can take int8
            samples with it; its output is compared instead of the export's.
        project: a folder with an hls4ml project to compile, instead of a new one.
        onnx: the ``.onnx`` file that the graph came from, if any.
    """

    graph: Graph
    model: Path | None = None
    origins: dict[str, Origin] = field(default_factory=dict)
    original: bytes | None = None
    project: Path | None = None
    onnx: Path | None = None

    def keras_file(self, witness: str) -> Path:
        """The QKeras model's file.

        Raises:
            UsageError: there is none.
        """
        if self.model is None:
            raise UsageError(f"--with {witness} takes a QKeras model (.h5, .keras, SavedModel)")
        return self.model


@dataclass(frozen=True, eq=False)
class Seen:
    """Values of one tensor.

    Attributes:
        values: int8 (n, *shape), on the grid of the graph's tensor.
        on_grid: whether the witness' own values lie on that grid; if not, these are rounded.
    """

    values: Int8
    on_grid: bool = True

    @classmethod
    def of_reals(cls, reals: NDArray[np.float32], tensor: Tensor) -> Seen:
        """Real values (n, ...) on the tensor's grid."""
        steps = reals.astype(np.float64) / tensor.quantization.scale
        steps += tensor.quantization.zero_point
        inside = (steps > -128.5) & (steps < 127.5)
        apart = np.abs(steps - np.rint(steps))[inside].max(initial=0.0)
        values = tensor.quantization.quantize(reals).reshape(len(reals), *tensor.shape)
        return cls(values, bool(apart < _ON_GRID))

    @classmethod
    def joined(cls, parts: list[Seen]) -> Seen:
        """Batches behind each other."""
        return cls(
            np.concatenate([part.values for part in parts]), all(part.on_grid for part in parts)
        )


@dataclass(frozen=True, eq=False)
class RealWeights:
    """Weights and bias of a layer as real numbers, with all that is folded into them.

    Attributes:
        weights: laid out as ``graph.tensors.Weights.codes``.
        bias: (out,).
    """

    weights: Float64
    bias: Float64


class Witness(ABC):
    """Another implementation of a model.

    Attributes:
        standard: what is a fault: any byte that differs; a layer that by itself is more than a step
            off, or has other weights; or nothing, as its rounding is its own affair.
    """

    standard: ClassVar[Standard]

    def __init__(self, subject: Subject) -> None:
        self.graph = subject.graph

    def shows(self) -> list[str]:
        """The tensors of the graph whose values it can show, in the order they are computed."""
        computed = (each for each in self.graph.operators if not isinstance(each, Part))
        return [operator.output for operator in computed]

    @abstractmethod
    def run(self, samples: Int8, names: list[str], progress: Progress | None) -> list[Seen]:
        """Computes samples, int8 (n, *input shape).

        Args:
            samples: the inputs.
            names: of the tensors to give, some of ``shows``.
            progress: called with the number of samples finished since the last call.
        """

    def weights(self) -> dict[str, RealWeights]:
        """The weights that it computes with, by the graph's tensor, where it can tell them."""
        return {}
