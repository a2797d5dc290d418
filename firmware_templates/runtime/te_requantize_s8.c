/* SPDX-License-Identifier: Apache-2.0 */
/* Brings an int8 tensor to another scale and zero point. */
#include "te_fixed_point.h"
#include "te_runtime.h"

void te_requantize_s8(const TE_FLASH te_requantize *layer, const int8_t *input, int8_t *output)
{
    const TE_FLASH te_activation *activation = &layer->activation;
    for (int32_t i = 0; i < layer->size; i++) {
        const int32_t scaled =
            te_multiply(input[i] + activation->input_offset, layer->mantissa, layer->shift);
        output[i] = te_clamp(scaled + activation->output_offset, activation->clamp_min,
                             activation->clamp_max);
    }
}
