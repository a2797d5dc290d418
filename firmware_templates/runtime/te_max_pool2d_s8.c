/* SPDX-License-Identifier: Apache-2.0 */
/* Maxima of windows of int8. */
#include "te_cpu.h"
#include "te_runtime.h"
#include "te_window.h"

/* All channels of one window: `rows` rows of `columns` cells, of which the first is given. */
static void largest(const TE_FLASH te_pool2d *layer, const int8_t *cell, int32_t rows,
                    int32_t columns, int8_t *output)
{
    const int32_t channels = layer->input.channels;
    const int32_t skip = (layer->input.width - columns) * channels;
    const uint32_t low = (uint32_t)(uint8_t)layer->clamp_min * 0x01010101u;
    const uint32_t high = (uint32_t)(uint8_t)layer->clamp_max * 0x01010101u;
    int32_t left = channels;
    for (; left >= 4; left -= 4) {
        const int8_t *at = cell;
        uint32_t best = low;
        for (int32_t y = rows; y > 0; y--) {
            for (int32_t x = columns; x > 0; x--) {
                best = te_max_bytes(best, te_load_word(at));
                at += channels;
            }
            at += skip;
        }
        te_store_word(output, te_min_bytes(best, high));
        output += 4;
        cell += 4;
    }
    for (; left > 0; left--) {
        const int8_t *at = cell++;
        int32_t best = layer->clamp_min;
        for (int32_t y = rows; y > 0; y--) {
            for (int32_t x = columns; x > 0; x--) {
                best = *at > best ? *at : best;
                at += channels;
            }
            at += skip;
        }
        *output++ = (int8_t)(best > layer->clamp_max ? layer->clamp_max : best);
    }
}

void te_max_pool2d_s8(const TE_FLASH te_pool2d *layer, const int8_t *input, int8_t *output)
{
    const TE_FLASH te_window *window = &layer->window;
    for (int32_t y = 0; y < layer->output.height; y++) {
        const int32_t top = y * window->stride_height - window->padding_top;
        const te_span rows = te_inside(top, 1, window->height, layer->input.height);
        const int8_t *line =
            input + (top + rows.first) * layer->input.width * layer->input.channels;
        for (int32_t x = 0; x < layer->output.width; x++) {
            const int32_t left = x * window->stride_width - window->padding_left;
            const te_span columns = te_inside(left, 1, window->width, layer->input.width);
            largest(layer, line + (left + columns.first) * layer->input.channels,
                    rows.last - rows.first, columns.last - columns.first, output);
            output += layer->input.channels;
        }
    }
}
