#include "te_fixed_point.h"
#include "te_runtime.h"

/* gemmlowp's fixed-point functions, as TensorFlow Lite uses them. Q<i> has i integer bits: an int32_t
 * of the value raw * 2^(i - 31). */

static int32_t shift_left(int32_t x, int32_t bits)
{
    const int64_t wide = (int64_t)x * ((int64_t)1 << bits);
    return wide > INT32_MAX ? INT32_MAX : wide < INT32_MIN ? INT32_MIN : (int32_t)wide;
}

/* As te_doubling_high_mul, for factors of any sign: half away from zero, then towards zero. */
static int32_t multiply(int32_t a, int32_t b)
{
    const int64_t product = (int64_t)a * b;
    const int64_t nudge = product >= 0 ? (int64_t)1 << 30 : 1 - ((int64_t)1 << 30);
    return (int32_t)((product + nudge) / ((int64_t)1 << 31));
}

/* exp(a), a in Q0 from -1/4 to 0: the Taylor series around -1/8. */
static int32_t exp_from_minus_quarter(int32_t a)
{
    const int32_t exp_of_minus_eighth = 1895147668;
    const int32_t third = 715827883;
    const int32_t x = a + ((int32_t)1 << 28);
    const int32_t x2 = multiply(x, x);
    const int32_t x3 = multiply(x2, x);
    const int32_t x4 = multiply(x2, x2);
    const int32_t higher = multiply(te_rounding_divide_by_pot(x4, 2) + x3, third);
    const int32_t rest = te_rounding_divide_by_pot(higher + x2, 1);
    return exp_of_minus_eighth + multiply(exp_of_minus_eighth, x + rest);
}

/* exp(a) in Q0, a <= 0 in Q5. */
static int32_t exp_of_negative(int32_t a)
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
    int32_t result = exp_from_minus_quarter(shift_left(below_quarter, 5));
    for (int bit = 0; bit < 7; bit++) {
        if (remainder & (quarter << bit)) {
            result = multiply(result, factors[bit]);
        }
    }
    return result;
}

/* 1 / (1 + a), a in Q0 from 0 to 1: three steps of Newton and Raphson in Q2. */
static int32_t one_over_one_plus(int32_t a)
{
    const int32_t half_denominator = (int32_t)(((int64_t)a + INT32_MAX + 1) / 2);
    int32_t x = 1515870810 + multiply(half_denominator, -1010580540); /* 48/17, -32/17 */
    for (int step = 0; step < 3; step++) {
        const int32_t error = ((int32_t)1 << 29) - multiply(half_denominator, x);
        x += shift_left(multiply(x, error), 2);
    }
    return shift_left(x, 1);
}

static int32_t exponential(const TE_FLASH te_softmax *layer, int32_t difference)
{
    if (difference < layer->smallest) {
        return 0;
    }
    return exp_of_negative(te_multiply(difference, layer->mantissa, layer->shift));
}

static void softmax(const TE_FLASH te_softmax *layer, const int8_t *input, int8_t *output)
{
    int32_t largest = INT8_MIN;
    for (int32_t i = 0; i < layer->depth; i++) {
        largest = input[i] > largest ? input[i] : largest;
    }
    int32_t sum = 0; /* in Q12 */
    for (int32_t i = 0; i < layer->depth; i++) {
        sum += te_rounding_divide_by_pot(exponential(layer, input[i] - largest), 12);
    }
    int32_t zeros = 0;
    while (!((uint32_t)sum << zeros & 0x80000000u)) {
        zeros++;
    }
    const int32_t scale = one_over_one_plus((int32_t)(((uint32_t)sum << zeros) - 0x80000000u));
    const int32_t exponent = 12 - zeros + 31 - 8;
    for (int32_t i = 0; i < layer->depth; i++) {
        const int32_t share = multiply(scale, exponential(layer, input[i] - largest));
        const int32_t rounded = exponent > 31 ? 0 : te_rounding_divide_by_pot(share, exponent);
        output[i] = te_clamp(rounded - 128, INT8_MIN, INT8_MAX);
    }
}

void te_softmax_s8(const TE_FLASH te_softmax *layer, const int8_t *input, int8_t *output)
{
    for (int32_t row = 0; row < layer->rows; row++) {
        softmax(layer, input + row * layer->depth, output + row * layer->depth);
    }
}
