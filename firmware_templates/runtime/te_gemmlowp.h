/* SPDX-License-Identifier: Apache-2.0 */
/* gemmlowp's fixed-point functions, as TensorFlow Lite uses them. Q<i> has i integer bits: an int32_t
 * of the value raw * 2^(i - 31). */
#ifndef TE_GEMMLOWP_H
#define TE_GEMMLOWP_H

#include "te_fixed_point.h"
#include "te_runtime.h"

static inline int32_t te_shift_left(int32_t x, int32_t bits)
{
    const int64_t wide = (int64_t)x * ((int64_t)1 << bits);
    return wide > INT32_MAX ? INT32_MAX : wide < INT32_MIN ? INT32_MIN : (int32_t)wide;
}

/* As te_doubling_high_mul, for factors of any sign: half away from zero, then towards zero. */
static inline int32_t te_fixed_multiply(int32_t a, int32_t b)
{
    const int64_t product = (int64_t)a * b;
    const int64_t nudge = product >= 0 ? (int64_t)1 << 30 : 1 - ((int64_t)1 << 30);
    return (int32_t)((product + nudge) / ((int64_t)1 << 31));
}

/* exp(a), a in Q0 from -1/4 to 0: the Taylor series around -1/8. */
static inline int32_t te_exp_from_minus_quarter(int32_t a)
{
    const int32_t exp_of_minus_eighth = 1895147668;
    const int32_t third = 715827883;
    const int32_t x = a + ((int32_t)1 << 28);
    const int32_t x2 = te_fixed_multiply(x, x);
    const int32_t x3 = te_fixed_multiply(x2, x);
    const int32_t x4 = te_fixed_multiply(x2, x2);
    const int32_t higher = te_fixed_multiply(te_rounding_divide_by_pot(x4, 2) + x3, third);
    const int32_t rest = te_rounding_divide_by_pot(higher + x2, 1);
    return exp_of_minus_eighth + te_fixed_multiply(exp_of_minus_eighth, x + rest);
}

/* exp(a) in Q0, a <= 0 in Q5. */
static inline int32_t te_exp_of_negative(int32_t a)
{
    /* exp(-2^k) in Q0 for k from -2 to 4. */
    static const TE_FLASH int32_t factors[] = {1672461947, 1302514674, 790015084, 290630308,
                                      39332535,   720401,     242};
    const int32_t quarter = (int32_t)1 << 24;
    if (a == 0) {
        return INT32_MAX;
    }
    const int32_t below_quarter = (a & (quarter - 1)) - quarter;
    const int32_t remainder = below_quarter - a;
    int32_t result = te_exp_from_minus_quarter(te_shift_left(below_quarter, 5));
    for (int bit = 0; bit < 7; bit++) {
        if (remainder & (quarter << bit)) {
            result = te_fixed_multiply(result, factors[bit]);
        }
    }
    return result;
}

/* 1 / (1 + a), a in Q0 from 0 to 1: three steps of Newton and Raphson in Q2. */
static inline int32_t te_one_over_one_plus(int32_t a)
{
    const int32_t half_denominator = (int32_t)(((int64_t)a + INT32_MAX + 1) / 2);
    int32_t x = 1515870810 + te_fixed_multiply(half_denominator, -1010580540); /* 48/17, -32/17 */
    for (int step = 0; step < 3; step++) {
        const int32_t error = ((int32_t)1 << 29) - te_fixed_multiply(half_denominator, x);
        x += te_shift_left(te_fixed_multiply(x, error), 2);
    }
    return te_shift_left(x, 1);
}

/* The exponential of a difference of a softmax's input, in Q0: long code, which is there once. */
static __attribute__((noinline, unused)) int32_t
te_exponential(const TE_FLASH te_softmax *layer, int32_t difference)
{
    if (difference < layer->smallest) {
        return 0;
    }
    return te_exp_of_negative(te_multiply(difference, layer->mantissa, layer->shift));
}

/* Zeros above the highest bit that is set; x is not 0. */
static inline int32_t te_leading_zeros(uint32_t x)
{
    int32_t zeros = 0;
    while (!(x << zeros & 0x80000000u)) {
        zeros++;
    }
    return zeros;
}

/* The largest of a row, and the sum of its exponentials, in Q12. */
static inline int32_t te_sum_of_exponentials(const TE_FLASH te_softmax *layer, const int8_t *input,
                                             int32_t *largest)
{
    *largest = INT8_MIN;
    for (int32_t i = 0; i < layer->depth; i++) {
        *largest = input[i] > *largest ? input[i] : *largest;
    }
    int32_t sum = 0;
    for (int32_t i = 0; i < layer->depth; i++) {
        sum += te_rounding_divide_by_pot(te_exponential(layer, input[i] - *largest), 12);
    }
    return sum;
}

#endif
