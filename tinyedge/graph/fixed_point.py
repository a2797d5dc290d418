"""TensorFlow Lite's int8 fixed-point arithmetic, vectorized.

Formulas from TensorFlow Lite's ``kernels/internal/common.h`` and ``quantization_util.cc`` as built
for TFLite-Micro, which rounds twice (``TFLITE_SINGLE_ROUNDING`` unset): once in the doubling high
multiplication, once in the shift.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import ArrayLike, NDArray

Int64 = NDArray[np.int64]

INT32_MIN, INT32_MAX = -(2**31), 2**31 - 1
INT8_MIN, INT8_MAX = -128, 127


def round_half_away(x: ArrayLike) -> NDArray[np.float64]:
    """Rounds to the nearest integer, halves away from zero, as C's ``round``."""
    values = np.asarray(x, dtype=np.float64)
    return np.copysign(np.floor(np.abs(values) + 0.5), values)


def quantize_multiplier(real: float) -> tuple[int, int]:
    """Expresses a multiplier as ``mantissa * 2**(shift - 31)``.

    Args:
        real: a finite multiplier >= 0.

    Returns:
        ``(mantissa, shift)`` with the mantissa 0 or in [2**30, 2**31) and the shift in [-31, 31];
        a positive shift is to the left. Multipliers under 2**-32 become zero.

    Raises:
        ValueError: the multiplier is negative, not finite or 2**31 and over.
    """
    if not math.isfinite(real) or real < 0.0 or real >= 2.0**31:
        raise ValueError(f"a multiplier has to be in [0, 2**31), not {real}")
    if real == 0.0:
        return 0, 0
    fraction, shift = math.frexp(real)
    mantissa = int(round_half_away(fraction * 2.0**31))
    if mantissa == 2**31:
        mantissa //= 2
        shift += 1
    if shift < -31:
        return 0, 0
    return mantissa, shift


def saturating_rounding_doubling_high_mul(a: ArrayLike, b: ArrayLike) -> Int64:
    """``round(a * b / 2**31)`` for int32 operands, saturated; gemmlowp's SRDHM."""
    product: Int64 = np.asarray(a, dtype=np.int64) * np.asarray(b, dtype=np.int64)
    # gemmlowp adds 1 - 2**30 to a negative product, and C's division truncates towards zero: both
    # together round halves up, as adding 2**30 and shifting, which rounds down, does for any sign.
    product += 1 << 30  # in place, as millions of accumulators pass here
    product >>= 31
    return np.minimum(product, INT32_MAX)


def rounding_divide_by_power_of_two(x: ArrayLike, exponent: ArrayLike) -> Int64:
    """``round(x / 2**exponent)``, halves away from zero; exponent in [0, 31]."""
    values = np.asarray(x, dtype=np.int64)
    bits = np.asarray(exponent, dtype=np.int64)
    half = (np.int64(1) << bits) >> 1
    # A negative half has to go down, which one less than it does; no half is there for no bits.
    total: Int64 = values + half
    total -= (values < 0) & (half > 0)
    total >>= bits
    return total


def multiply_by_quantized_multiplier(x: ArrayLike, mantissa: ArrayLike, shift: ArrayLike) -> Int64:
    """Scales int32 accumulators by ``mantissa * 2**(shift - 31)``.

    The caller guarantees that ``x * 2**max(shift, 0)`` fits in 32 bits, where TFLite's own result
    would be undefined; graphs are checked for it (``Graph.check``).
    """
    shifts = np.asarray(shift, dtype=np.int64)
    left = np.asarray(x, dtype=np.int64)
    if np.any(shifts > 0):
        left = left << np.maximum(shifts, 0)
    high = saturating_rounding_doubling_high_mul(left, mantissa)
    return rounding_divide_by_power_of_two(high, np.maximum(-shifts, 0))
