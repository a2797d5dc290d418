/* SPDX-License-Identifier: Apache-2.0 */
/* Resizes an int8 image, with weighted neighbours. */
#include "te_runtime.h"

/* Shares of rows and columns are 1024ths, so that products are parts of 2^20; rounded halves away from
 * zero. */
#define WHOLE 1024
#define HALF ((int32_t)1 << 19)

void te_resize_bilinear_s8(const TE_FLASH te_resize *layer, const int8_t *input, int8_t *output)
{
    const int32_t channels = layer->input.channels;
    const int32_t row = layer->input.width * channels;
    for (int32_t y = 0; y < layer->output.height; y++) {
        const int8_t *upper = input + layer->rows[y].first * row;
        const int8_t *lower = input + layer->rows[y].second * row;
        const int32_t down = layer->rows[y].share;
        for (int32_t x = 0; x < layer->output.width; x++) {
            const int32_t left = layer->columns[x].first * channels;
            const int32_t right = layer->columns[x].second * channels;
            const int32_t across = layer->columns[x].share;
            for (int32_t channel = 0; channel < channels; channel++) {
                const int32_t above = upper[left + channel] * (WHOLE - across) +
                                      upper[right + channel] * across;
                const int32_t below = lower[left + channel] * (WHOLE - across) +
                                      lower[right + channel] * across;
                const int32_t sum = above * (WHOLE - down) + below * down;
                *output++ = (int8_t)((sum + (sum > 0 ? HALF : -HALF)) / (2 * HALF));
            }
        }
    }
}
