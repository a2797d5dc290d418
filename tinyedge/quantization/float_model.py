"""The interface of a float model that can be quantized."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from tinyedge.importers.result import ImportResult

Float32 = NDArray[np.float32]
Range = tuple[float, float]


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
