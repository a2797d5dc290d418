/* SPDX-License-Identifier: Apache-2.0 */
/* Puts a border of one value around an int8 tensor. */
#include "te_memory.h"

#include "te_runtime.h"

void te_pad_s8(const TE_FLASH te_pad *layer, const int8_t *input, int8_t *output)
{
    const int32_t channels = layer->input.channels;
    const int32_t padded = layer->output.width * layer->output.channels;
    memset(output, layer->value, (size_t)(layer->output.height * padded));
    output += layer->padding_top * padded + layer->padding_left * layer->output.channels +
              layer->padding_channel;
    for (int32_t y = 0; y < layer->input.height; y++) {
        int8_t *cell = output + y * padded;
        if (channels == layer->output.channels) {
            memcpy(cell, input, (size_t)(layer->input.width * channels));
            input += layer->input.width * channels;
        } else {
            for (int32_t x = 0; x < layer->input.width; x++) {
                memcpy(cell, input, (size_t)channels);
                cell += layer->output.channels;
                input += channels;
            }
        }
    }
}
