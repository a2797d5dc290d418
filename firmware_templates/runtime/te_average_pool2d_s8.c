#include "te_fixed_point.h"
#include "te_runtime.h"
#include "te_window.h"

/* round(total / count), halves away from zero. */
static int32_t divide(int32_t total, int32_t count)
{
    return total > 0 ? (total + count / 2) / count : (total - count / 2) / count;
}

static int8_t average(const te_pool2d *layer, const int8_t *plane, te_span rows, te_span columns)
{
    int32_t sum = 0;
    for (int32_t y = rows.first; y < rows.last; y++) {
        for (int32_t x = columns.first; x < columns.last; x++) {
            sum += plane[(y * layer->input.width + x) * layer->input.channels];
        }
    }
    const int32_t count = (rows.last - rows.first) * (columns.last - columns.first);
    return te_clamp(divide(sum, count), layer->clamp_min, layer->clamp_max);
}

void te_average_pool2d_s8(const te_pool2d *layer, const int8_t *input, int8_t *output)
{
    const te_window *window = &layer->window;
    for (int32_t y = 0; y < layer->output.height; y++) {
        const int32_t top = y * window->stride_height - window->padding_top;
        te_span rows = te_inside(top, 1, window->height, layer->input.height);
        rows.first += top;
        rows.last += top;
        for (int32_t x = 0; x < layer->output.width; x++) {
            const int32_t left = x * window->stride_width - window->padding_left;
            te_span columns = te_inside(left, 1, window->width, layer->input.width);
            columns.first += left;
            columns.last += left;
            for (int32_t channel = 0; channel < layer->input.channels; channel++) {
                *output++ = average(layer, input + channel, rows, columns);
            }
        }
    }
}
