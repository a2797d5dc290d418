#include "te_elementwise_mve.h"
#include "te_mve_cells.h"
#include "te_window.h"

#define CHANNELS (TE_MVE_ABREAST * TE_MVE_LANES)

/* round(total / count), halves away from zero. */
static inline int32_t divide(int32_t total, int32_t count)
{
    return total > 0 ? (total + count / 2) / count : (total - count / 2) / count;
}

/* All channels of one window. */
static TE_NOINLINE void average(const te_pool2d *layer, const int8_t *cell, int32_t rows,
                                int32_t columns, int8_t *output)
{
    const int32_t channels = layer->input.channels;
    const int32_t count = rows * columns;
    for (int32_t left = channels; left > 0; left -= CHANNELS) {
        const int32_t here = left < CHANNELS ? left : CHANNELS;
        int32_t sums[CHANNELS];
        te_mve_sum_cells(cell, here, rows, columns, channels, layer->input.width, sums);
        for (int32_t i = 0; i < here; i++) {
            *output++ = te_clamp(divide(sums[i], count), layer->clamp_min, layer->clamp_max);
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
