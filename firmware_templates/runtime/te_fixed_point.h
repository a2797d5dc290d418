/* SPDX-License-Identifier: Apache-2.0 */
/* TensorFlow Lite's fixed-point scaling of int32 accumulators (two roundings, as TFLite-Micro). */
#ifndef TE_FIXED_POINT_H
#define TE_FIXED_POINT_H

#include <stdint.h>

#if (-3 >> 1) != -2
#error "the runtime needs an arithmetic right shift of negative numbers"
#endif

/* round(a * b / 2^31). The one overflow, both INT32_MIN, cannot occur: b is a mantissa >= 0. */
static inline int32_t te_doubling_high_mul(int32_t a, int32_t b)
{
    return (int32_t)(((int64_t)a * b + ((int64_t)1 << 30)) >> 31);
}

/* round(x / 2^exponent), halves away from zero; exponent in [0, 31]. */
static inline int32_t te_rounding_divide_by_pot(int32_t x, int32_t exponent)
{
    const int32_t mask = (int32_t)(((uint32_t)1 << exponent) - 1u);
    const int32_t remainder = x & mask;
    const int32_t threshold = (mask >> 1) + (x < 0 ? 1 : 0);
    return (x >> exponent) + (remainder > threshold ? 1 : 0);
}

/* x * mantissa * 2^(shift - 31). The exporter proves that x * 2^shift fits in 32 bits. */
static inline int32_t te_multiply(int32_t x, int32_t mantissa, int32_t shift)
{
    const int32_t left = shift > 0 ? shift : 0;
    const int32_t right = shift > 0 ? 0 : -shift;
    const int32_t high = te_doubling_high_mul(x * (int32_t)((uint32_t)1 << left), mantissa);
    return te_rounding_divide_by_pot(high, right);
}

static inline int8_t te_clamp(int32_t x, int32_t low, int32_t high)
{
    return (int8_t)(x < low ? low : x > high ? high : x);
}

#endif
