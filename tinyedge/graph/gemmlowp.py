"""gemmlowp's fixed-point functions, vectorized: what TensorFlow Lite's softmax and logistic use.

Formulas from gemmlowp's ``fixedpoint/fixedpoint.h``. A number with ``i`` integer bits is an int32
whose value is ``raw * 2**(i - 31)``; here raw numbers are int64 arrays that hold such int32 values.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from tinyedge.graph.fixed_point import (
    INT32_MAX,
    INT32_MIN,
    Int64,
    rounding_divide_by_power_of_two,
)
from tinyedge.graph.fixed_point import saturating_rounding_doubling_high_mul as multiply

_EXP_OF_MINUS_EIGHTH = 1895147668
_ONE_THIRD = 715827883
EXP_OF_MINUS_POWERS = (1672461947, 1302514674, 790015084, 290630308, 39332535, 720401, 242)
"""exp(-2**k) for k from -2 to 4, with no integer bits."""
_LOG_OF_TWO, _SQRT_HALF, _FOURTH_ROOT_OF_HALF = 1488522236, 1518500250, 1805811301
_LOG_ABOVE = 117049297
"""11/240 of the fourth root of two."""
_LOG_BELOW = (1057819769, 127690142, 638450708)
"""``2 / r - r``, ``r / 20`` and ``r / 4``, of the fourth root of two."""
_48_OVER_17, _MINUS_32_OVER_17 = 1515870810, -1010580540


def _saturated(x: Int64) -> Int64:
    return np.clip(x, INT32_MIN, INT32_MAX)


def exp_on_negative_values(x: ArrayLike, integer_bits: int) -> Int64:
    """``exp(x)`` for ``x <= 0``.

    Args:
        x: raw numbers <= 0 with ``integer_bits`` integer bits.
        integer_bits: at most 5.

    Returns:
        Raw numbers with no integer bits.
    """
    values = np.asarray(x, dtype=np.int64)
    fraction_bits = 31 - integer_bits
    quarter = 1 << (fraction_bits - 2)
    below_quarter = (values & (quarter - 1)) - quarter
    result = _exp_from_minus_quarter(_saturated(below_quarter << integer_bits))
    remainder = below_quarter - values
    for exponent, factor in enumerate(EXP_OF_MINUS_POWERS[: integer_bits + 2], start=-2):
        bit = 1 << (fraction_bits + exponent)
        result = np.where(remainder & bit, multiply(result, factor), result)
    return np.where(values == 0, INT32_MAX, result)


def _exp_from_minus_quarter(a: Int64) -> Int64:
    """``exp(a)`` for a in [-1/4, 0): the Taylor series around -1/8."""
    x = a + (1 << 28)
    x2 = multiply(x, x)
    x3, x4 = multiply(x2, x), multiply(x2, x2)
    x4_over_4 = rounding_divide_by_power_of_two(x4, 2)
    rest = rounding_divide_by_power_of_two(multiply(x4_over_4 + x3, _ONE_THIRD) + x2, 1)
    result: Int64 = _EXP_OF_MINUS_EIGHTH + multiply(np.int64(_EXP_OF_MINUS_EIGHTH), x + rest)
    return result


def _reciprocal_of_half_sum(a: Int64) -> Int64:
    """``2 / (1 + a)`` for a in [0, 1), with 2 integer bits: three steps of Newton and Raphson."""
    half_denominator = (a + INT32_MAX + 1) // 2  # halves away from zero; both are positive
    x = _48_OVER_17 + multiply(half_denominator, _MINUS_32_OVER_17)
    for _ in range(3):
        error = (1 << 29) - multiply(half_denominator, x)
        x = x + _saturated(multiply(x, error) << 2)
    return x


def one_over_one_plus(a: ArrayLike) -> Int64:
    """``1 / (1 + a)`` for a in [0, 1); raw numbers with no integer bits, in and out."""
    return _saturated(_reciprocal_of_half_sum(np.asarray(a, dtype=np.int64)) << 1)


def _one_minus_over_one_plus(a: Int64) -> Int64:
    return _saturated((_reciprocal_of_half_sum(a) - (1 << 29)) << 2)


def log_of_at_least_one(x: ArrayLike) -> Int64:
    """``log(x)`` for ``x >= 1``: raw numbers with 12 integer bits in, with 5 out.

    The number is brought near one by a power of two, in two ways, of which the one with the smaller
    remainder counts; a ratio of polynomials has the remainder's logarithm (``log_x_for_x_…`` in
    TensorFlow Lite's ``common.h``).
    """
    values = np.asarray(x, dtype=np.int64)
    zeros = 32 - _bit_length(values)
    first = _saturated(multiply(_saturated(values << (zeros - 1)), _SQRT_HALF) << 1)
    first_power = ((12 - zeros) << 25) + (1 << 23)
    headroom = 31 - _bit_length(multiply(values, _SQRT_HALF))
    second = _saturated(values << headroom)
    second_power = ((12 - headroom) << 25) - (1 << 23)
    rest = np.minimum(first, second)
    power = np.maximum(first_power, second_power)
    half_sum = (rest + _FOURTH_ROOT_OF_HALF + 1) >> 1
    twice = 2 * (rest - _FOURTH_ROOT_OF_HALF)
    square = multiply(twice, twice)
    above = multiply(twice, rest) + multiply(multiply(twice, square), _LOG_ABOVE)
    below = multiply(half_sum, _LOG_BELOW[0] + twice + multiply(_LOG_BELOW[1], square))
    below += multiply(_LOG_BELOW[2], twice)
    ratio = multiply(rounding_divide_by_power_of_two(above, 6), one_over_one_plus(below))
    return _saturated((multiply(power, _LOG_OF_TWO) + ratio) << 1)


def _bit_length(x: Int64) -> Int64:
    """Lengths in bits of positive numbers below 2**53."""
    return np.frexp(x.astype(np.float64))[1].astype(np.int64)


def logistic(x: ArrayLike, integer_bits: int) -> Int64:
    """``1 / (1 + exp(-x))``: raw numbers with ``integer_bits`` in, with no integer bits out."""
    values = np.asarray(x, dtype=np.int64)
    positive = one_over_one_plus(exp_on_negative_values(-np.abs(values), integer_bits))
    result = np.where(values > 0, positive, INT32_MAX - positive)
    return np.where(values == 0, 1 << 30, result)


def tanh(x: ArrayLike, integer_bits: int) -> Int64:
    """``tanh(x)``: raw numbers with ``integer_bits`` in, with no integer bits out."""
    values = np.asarray(x, dtype=np.int64)
    # Read with one integer bit more, the same raw number is twice the value.
    size = _one_minus_over_one_plus(exp_on_negative_values(-np.abs(values), integer_bits + 1))
    return np.where(values < 0, -size, np.where(values == 0, 0, size))
