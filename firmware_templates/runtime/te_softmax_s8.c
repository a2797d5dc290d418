/* SPDX-License-Identifier: Apache-2.0 */
/* A softmax in fixed point. */
#include "te_fixed_point.h"
#include "te_gemmlowp.h"
#include "te_runtime.h"

static void softmax(const TE_FLASH te_softmax *layer, const int8_t *input, int8_t *output)
{
    int32_t largest;
    const int32_t sum = te_sum_of_exponentials(layer, input, &largest);
    const int32_t zeros = te_leading_zeros((uint32_t)sum);
    const int32_t scale = te_one_over_one_plus((int32_t)(((uint32_t)sum << zeros) - 0x80000000u));
    const int32_t exponent = 12 - zeros + 31 - 8;
    for (int32_t i = 0; i < layer->depth; i++) {
        const int32_t share = te_fixed_multiply(scale, te_exponential(layer, input[i] - largest));
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
