from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tinyedge.graph import fixed_point as fp

INT32 = st.integers(fp.INT32_MIN, fp.INT32_MAX)
EDGES = st.sampled_from([fp.INT32_MIN, fp.INT32_MIN + 1, -1, 0, 1, fp.INT32_MAX, 1 << 30])


def rounded_half_away(x: Fraction) -> int:
    return int(abs(x) + Fraction(1, 2)) * (1 if x >= 0 else -1)


def rounded_half_up(x: Fraction) -> int:
    return int((x + Fraction(1, 2)).__floor__())


@given(INT32 | EDGES, INT32 | EDGES)
def test_doubling_high_mul_rounds_the_exact_product(a: int, b: int) -> None:
    # gemmlowp's nudge rounds halves up, towards +infinity.
    expected = min(rounded_half_up(Fraction(a * b, 2**31)), fp.INT32_MAX)
    assert int(fp.saturating_rounding_doubling_high_mul(a, b)) == expected


@given(INT32 | EDGES, st.integers(0, 31))
def test_divide_by_power_of_two_rounds_halves_away_from_zero(x: int, exponent: int) -> None:
    expected = rounded_half_away(Fraction(x, 2**exponent))
    assert int(fp.rounding_divide_by_power_of_two(x, exponent)) == expected


@given(st.floats(2**-32, 2.0**30, allow_subnormal=False))
def test_quantized_multiplier_is_within_its_precision(real: float) -> None:
    mantissa, shift = fp.quantize_multiplier(real)
    assert 2**30 <= mantissa < 2**31 or mantissa == 0
    if mantissa:
        assert mantissa * 2.0 ** (shift - 31) == pytest.approx(real, rel=2**-30)
    else:
        assert real < 2**-32


@pytest.mark.parametrize(
    ("real", "expected"),
    [
        (0.0, (0, 0)),
        (1.0, (1 << 30, 1)),
        (0.5, (1 << 30, 0)),
        (0.75, (3 << 29, 0)),
        (1 - 2**-40, (1 << 30, 1)),  # the mantissa rounds up to 2**31 and is halved
        (2.0**-40, (0, 0)),
    ],
)
def test_quantized_multiplier_of_known_values(real: float, expected: tuple[int, int]) -> None:
    assert fp.quantize_multiplier(real) == expected


@pytest.mark.parametrize("real", [-0.5, float("nan"), float("inf"), 2.0**31])
def test_quantize_multiplier_refuses(real: float) -> None:
    with pytest.raises(ValueError, match="multiplier"):
        fp.quantize_multiplier(real)


def test_round_half_away() -> None:
    halves = [-2.5, -1.5, -0.5, 0.5, 1.5, 2.5, 0.49999999999999994]
    assert fp.round_half_away(halves)[:6].tolist() == [-3, -2, -1, 1, 2, 3]
    assert np.all(np.isfinite(fp.round_half_away(halves)))
