/* SPDX-License-Identifier: Apache-2.0 */
/* Averages of windows of int8, with Helium. */
#include "te_elementwise_mve.h"
#include "te_mve_cells.h"
#include "te_window.h"

#define CHANNELS (TE_MVE_ABREAST * TE_MVE_LANES)

/* All channels of one window. */
static TE_NOINLINE void average(const te_pool2d *layer, const int8_t *cell, int32_t rows,
                                int32_t columns, int8_t *output)
{
    const int32_t channels = layer->input.channels;
    const int32_t count = rows * columns;
    const int32_t half = count / 2;
    const te_mve_words low = te_mve_all(layer->clamp_min), high = te_mve_all(layer->clamp_max);
    for (int32_t left = channels; left > 0; left -= CHANNELS) {
        int32_t sums[CHANNELS];
        te_mve_sum_cells(cell, left, rows, columns, channels, layer->input.width, sums);
        int32_t *sum = sums;
        /* One exit: clang makes a tail-predicated loop of this, which may not be left early. */
        int32_t here = left < CHANNELS ? left : CHANNELS;
        for (; here > 0; here -= TE_MVE_LANES) {
            /* round(sum / count), halves away from zero. */
            te_mve_words found = te_mve_load_words(sum);
            const te_mve_words signs = te_mve_both_negative(found, found);
            found = te_mve_add(te_mve_add_all(found, half), te_mve_mul_all(signs, 2 * half));
            te_mve_store_words(sum, found);
            sum[0] /= count;
            sum[1] /= count;
            sum[2] /= count;
            sum[3] /= count;
            te_mve_store_some(output, te_mve_clamp(te_mve_load_words(sum), low, high), here);
            output += TE_MVE_LANES;
            sum += TE_MVE_LANES;
        }
        cell += CHANNELS;
    }
}

void te_average_pool2d_mve_s8(const te_pool2d *layer, const int8_t *input, int8_t *output)
{
    const te_window *window = &layer->window;
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
