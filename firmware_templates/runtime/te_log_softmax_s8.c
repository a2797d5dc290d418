/* SPDX-License-Identifier: Apache-2.0 */
/* The logarithm of a softmax, in fixed point. */
#include "te_fixed_point.h"
#include "te_gemmlowp.h"
#include "te_runtime.h"

#define SQRT_HALF 1518500250
#define FOURTH_ROOT_OF_HALF 1805811301
#define LOG_OF_TWO 1488522236
#define OUTPUT_ZERO_POINT 127

/* log(x) in Q5, x >= 1 in Q12. It is brought near one by a power of two, in two ways; the smaller
 * remainder counts, whose logarithm is a ratio of polynomials. Powers are in Q6. */
static int32_t log_of_at_least_one(int32_t x)
{
    const int32_t quarter = (int32_t)1 << 23;
    const int32_t one = (int32_t)1 << 25;
    const int32_t zeros = te_leading_zeros((uint32_t)x);
    const int32_t first =
        te_shift_left(te_fixed_multiply(te_shift_left(x, zeros - 1), SQRT_HALF), 1);
    const int32_t first_power = (12 - zeros) * one + quarter;
    const int32_t headroom = te_leading_zeros((uint32_t)te_fixed_multiply(x, SQRT_HALF)) - 1;
    const int32_t second = te_shift_left(x, headroom);
    const int32_t second_power = (12 - headroom) * one - quarter;
    const int32_t rest = first < second ? first : second;
    const int32_t power = first_power > second_power ? first_power : second_power;

    const int32_t half_sum = (int32_t)(((int64_t)rest + FOURTH_ROOT_OF_HALF + 1) >> 1);
    const int32_t twice = 2 * (rest - FOURTH_ROOT_OF_HALF);
    const int32_t square = te_fixed_multiply(twice, twice);
    /* 11/240 of r, the fourth root of two; 2 / r - r, r / 20, r / 4. */
    const int32_t above = te_fixed_multiply(twice, rest) +
                          te_fixed_multiply(te_fixed_multiply(twice, square), 117049297);
    const int32_t below =
        te_fixed_multiply(half_sum, 1057819769 + twice + te_fixed_multiply(127690142, square)) +
        te_fixed_multiply(638450708, twice);
    const int32_t ratio =
        te_fixed_multiply(te_rounding_divide_by_pot(above, 6), te_one_over_one_plus(below));
    return te_shift_left(te_fixed_multiply(power, LOG_OF_TWO) + ratio, 1);
}

static void log_softmax(const TE_FLASH te_log_softmax *layer, const int8_t *input, int8_t *output)
{
    const TE_FLASH te_softmax *softmax = &layer->softmax;
    int32_t largest;
    const int32_t log = log_of_at_least_one(te_sum_of_exponentials(softmax, input, &largest));
    const int32_t reached = te_multiply(log + INT32_MIN, layer->reverse_mantissa, layer->reverse_shift);
    const int32_t least = reached > softmax->smallest - 1 ? reached : softmax->smallest - 1;
    for (int32_t i = 0; i < softmax->depth; i++) {
        const int32_t difference = input[i] - largest;
        if (difference > least) {
            const int32_t scaled = te_multiply(difference, softmax->mantissa, softmax->shift);
            output[i] = te_clamp(te_rounding_divide_by_pot(scaled - log, 22) + OUTPUT_ZERO_POINT,
                                 INT8_MIN, INT8_MAX);
        } else {
            output[i] = INT8_MIN;
        }
    }
}

void te_log_softmax_s8(const TE_FLASH te_log_softmax *layer, const int8_t *input, int8_t *output)
{
    const int32_t depth = layer->softmax.depth;
    for (int32_t row = 0; row < layer->softmax.rows; row++) {
        log_softmax(layer, input + row * depth, output + row * depth);
    }
}
