"""The interface of a float model that can be quantized."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from tinyedge.errors import ModelError
from tinyedge.importers import import_model
from tinyedge.importers.result import ImportResult

Float32 = NDArray[np.float32]
Range = tuple[float, float]


def import_quantized(file: Path, path: Path) -> ImportResult:
    """Imports what a float model became.

    Args:
        file: the quantized one.
        path: of the float model, which errors name.

    Raises:
        ModelError: it holds what is not supported.
    """
    try:
        return import_model(file)
    except ModelError as error:
        told = str(error).replace(str(file), f"{path}: quantized to {file.name}")
        raise ModelError(told, error.hint) from error


class FloatModel(ABC):
    """A float model.

    Attributes:
        shape: of one sample, NHWC without the batch.
        pixels: what 0 and 255 of a pixel stand for, unless the user says otherwise.
        quantizer: the library that quantizes it, with its version.
    """

    shape: tuple[int, ...]
    pixels: Range = (0.0, 1.0)
    quantizer: str

    @abstractmethod
    def logits(self, samples: Float32) -> Float32:
        """The outputs before a final softmax, or the sigmoid of one output, (n, outputs).

        Args:
            samples: (n, *shape).
        """

    @abstractmethod
    def quantized(self, samples: Float32) -> Path:
        """Quantizes it to int8 and gives the file, which can be imported.

        Args:
            samples: real inputs (n, *shape).

        Raises:
            ModelError: the library refuses it.
        """

    @abstractmethod
    def values(self, imported: ImportResult, samples: Float32) -> Iterable[tuple[str, Float32]]:
        """Values of the graph's tensors before quantization, as far as the model has them.

        Args:
            imported: from what ``quantized`` gave.
            samples: (n, *shape).

        Yields:
            A tensor's name, and (n, size) as it lies in the graph.
        """
