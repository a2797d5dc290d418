/* SPDX-License-Identifier: Apache-2.0 */
/* Resizes an int8 image by its nearest cells. */
#include "te_memory.h"

#include "te_runtime.h"

void te_resize_nearest_s8(const TE_FLASH te_resize *layer, const int8_t *input, int8_t *output)
{
    const int32_t channels = layer->input.channels;
    const int32_t row = layer->input.width * channels;
    for (int32_t y = 0; y < layer->output.height; y++) {
        const int8_t *line = input + layer->rows[y].first * row;
        for (int32_t x = 0; x < layer->output.width; x++) {
            memcpy(output, line + layer->columns[x].first * channels, (size_t)channels);
            output += channels;
        }
    }
}
