/* SPDX-License-Identifier: Apache-2.0 */
/* Means over axes of an int8 tensor. */
#include "te_cells.h"
#include "te_fixed_point.h"
#include "te_runtime.h"

static int8_t scaled(const TE_FLASH te_mean *layer, int32_t sum)
{
    const int32_t offset = layer->input.height * layer->input.width * layer->input_offset;
    const int32_t mean = te_multiply(sum + offset, layer->mantissa, layer->shift);
    return te_clamp(mean + layer->output_offset, -128, 127);
}

void te_mean_s8(const TE_FLASH te_mean *layer, const int8_t *input, int8_t *output)
{
    const int32_t height = layer->input.height, width = layer->input.width;
    const int32_t channels = layer->input.channels;
    int32_t channel = 0;
    for (; channel + 4 <= channels; channel += 4) {
        int32_t sums[4];
        te_sum_four(input + channel, height, width, channels, width, sums);
        for (int32_t i = 0; i < 4; i++) {
            *output++ = scaled(layer, sums[i]);
        }
    }
    for (; channel < channels; channel++) {
        *output++ = scaled(layer, te_sum_one(input + channel, height, width, channels, width));
    }
}
