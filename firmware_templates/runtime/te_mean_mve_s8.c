/* SPDX-License-Identifier: Apache-2.0 */
/* Means over axes of an int8 tensor, with Helium. */
#include "te_elementwise_mve.h"
#include "te_mve_cells.h"

#define CHANNELS (TE_MVE_ABREAST * TE_MVE_LANES)

void te_mean_mve_s8(const te_mean *layer, const int8_t *input, int8_t *output)
{
    const int32_t height = layer->input.height, width = layer->input.width;
    const int32_t channels = layer->input.channels;
    const int32_t offset = height * width * layer->input_offset;
    for (int32_t left = channels; left > 0; left -= CHANNELS) {
        const int32_t here = left < CHANNELS ? left : CHANNELS;
        int32_t sums[CHANNELS];
        te_mve_sum_cells(input, here, height, width, channels, width, sums);
        for (int32_t i = 0; i < here; i++) {
            const int32_t mean = te_multiply(sums[i] + offset, layer->mantissa, layer->shift);
            *output++ = te_clamp(mean + layer->output_offset, -128, 127);
        }
        input += CHANNELS;
    }
}
