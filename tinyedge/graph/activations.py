"""TensorFlow Lite's fused activations as int8 ranges."""

from __future__ import annotations

import numpy as np

from tinyedge.graph.fixed_point import INT8_MAX, INT8_MIN, round_half_away
from tinyedge.graph.operators import FULL_RANGE, Pair
from tinyedge.graph.tensors import Quantization

FUSED = {"RELU": (0.0, np.inf), "RELU6": (0.0, 6.0), "RELU_N1_TO_1": (-1.0, 1.0)}
"""Real bounds of each activation, by the name that the schema gives it."""


def clamp_of(name: str, quantization: Quantization) -> Pair:
    """The int8 range of an activation on a grid (``CalculateActivationRangeQuantized``).

    Args:
        name: ``NONE`` or a key of ``FUSED``.
        quantization: of the output. The bounds are divided by its scale in float32.

    Returns:
        The lowest and the highest value; the first is above the second where no int8 value of the
        grid lies in the activation's range.
    """
    if name == "NONE":
        return FULL_RANGE
    limits = []
    for bound, extreme in zip(FUSED[name], FULL_RANGE, strict=True):
        if np.isinf(bound):
            limits.append(extreme)
        else:
            with np.errstate(all="ignore"):
                steps = float(round_half_away(np.float32(bound) / np.float32(quantization.scale)))
            limits.append(quantization.zero_point + int(np.clip(steps, -(2**30), 2**30)))
    return max(limits[0], INT8_MIN), min(limits[1], INT8_MAX)
