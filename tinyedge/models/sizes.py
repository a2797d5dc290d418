"""How large a network's parameters are, counted from a built model."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from tinyedge.models.kernels import quantized_kernels

_FLOAT_BITS = 32


@dataclass(frozen=True)
class ModelSize:
    """Parameters of a model by their bits.

    Attributes:
        parameters: all of them, normalization's moving statistics included.
        by_bits: number of parameters of each number of bits; biases and normalization have 32.
    """

    parameters: int
    by_bits: dict[int, int]

    @property
    def stored(self) -> float:
        """Bytes of all parameters, each at its own bits."""
        return sum(bits * count for bits, count in self.by_bits.items()) / 8

    @property
    def nominal(self) -> float:
        """Bytes as arXiv 2503.08973 counts them.

        A network whose kernels all have the same bits counts every parameter with these, biases and
        normalization too; one of mixed bits counts each parameter at its own.
        """
        quantized = [bits for bits in self.by_bits if bits != _FLOAT_BITS]
        if len(quantized) == 1:
            return self.parameters * quantized[0] / 8
        return self.stored


def model_size(model: Any) -> ModelSize:
    """Counts a Keras model's parameters."""
    by_bits: dict[int, int] = {}
    total = int(model.count_params())
    for kernel in quantized_kernels(model):
        bits = int(kernel.quantizer.bits)
        by_bits[bits] = by_bits.get(bits, 0) + int(np.prod(kernel.variable.shape))
    by_bits[_FLOAT_BITS] = total - sum(by_bits.values())
    return ModelSize(total, dict(sorted(by_bits.items())))
