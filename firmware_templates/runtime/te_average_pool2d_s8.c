/* SPDX-License-Identifier: Apache-2.0 */
/* Averages of windows of int8. */
#include "te_cells.h"
#include "te_fixed_point.h"
#include "te_runtime.h"

/* round(total / count), halves away from zero. */
static int32_t divide(int32_t total, int32_t count)
{
    return total > 0 ? (total + count / 2) / count : (total - count / 2) / count;
}

/* All channels of one window. */
static void average(const TE_FLASH te_pool2d *layer, const int8_t *cell, int32_t rows,
                    int32_t columns, int8_t *output)
{
    const int32_t channels = layer->input.channels, width = layer->input.width;
    const int32_t count = rows * columns;
    int32_t left = channels;
    for (; left >= 4; left -= 4) {
        int32_t sums[4];
        te_sum_four(cell, rows, columns, channels, width, sums);
        for (int32_t i = 0; i < 4; i++) {
            *output++ = te_clamp(divide(sums[i], count), layer->clamp_min, layer->clamp_max);
        }
        cell += 4;
    }
    for (; left > 0; left--) {
        const int32_t sum = te_sum_one(cell++, rows, columns, channels, width);
        *output++ = te_clamp(divide(sum, count), layer->clamp_min, layer->clamp_max);
    }
}

void te_average_pool2d_s8(const TE_FLASH te_pool2d *layer, const int8_t *input, int8_t *output)
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
            average(layer, line + (left + columns.first) * layer->input.channels,
                    rows.last - rows.first, columns.last - columns.first, output);
            output += layer->input.channels;
        }
    }
}
