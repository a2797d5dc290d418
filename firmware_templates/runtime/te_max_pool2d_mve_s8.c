/* SPDX-License-Identifier: Apache-2.0 */
/* Maxima of windows of int8, with Helium. */
#include "te_elementwise_mve.h"
#include "te_window.h"

#if defined(TE_MVE)

typedef int8x16_t te_bytes;

static inline te_bytes all_bytes(int32_t value)
{
    return vdupq_n_s8((int8_t)value);
}

/* The larger ones of `best` and 16 bytes, of which `count` are there. */
static inline te_bytes larger(te_bytes best, const int8_t *from, int32_t count)
{
    return vmaxq_m_s8(best, best, vldrbq_z_s8(from, vctp8q((uint32_t)count)),
                      vctp8q((uint32_t)count));
}

static inline te_bytes larger_whole(te_bytes best, const int8_t *from)
{
    return vmaxq_s8(best, vldrbq_s8(from));
}

static inline void store_limited(int8_t *to, te_bytes best, int32_t high, int32_t count)
{
    vstrbq_p_s8(to, vminq_s8(best, vdupq_n_s8((int8_t)high)), vctp8q((uint32_t)count));
}

#else

typedef struct {
    int8_t lane[TE_MVE_BYTES];
} te_bytes;

static inline te_bytes all_bytes(int32_t value)
{
    te_bytes bytes;
    for (int32_t i = 0; i < TE_MVE_BYTES; i++) {
        bytes.lane[i] = (int8_t)value;
    }
    return bytes;
}

static inline te_bytes larger(te_bytes best, const int8_t *from, int32_t count)
{
    for (int32_t i = 0; i < TE_MVE_BYTES && i < count; i++) {
        best.lane[i] = from[i] > best.lane[i] ? from[i] : best.lane[i];
    }
    return best;
}

static inline te_bytes larger_whole(te_bytes best, const int8_t *from)
{
    return larger(best, from, TE_MVE_BYTES);
}

static inline void store_limited(int8_t *to, te_bytes best, int32_t high, int32_t count)
{
    for (int32_t i = 0; i < TE_MVE_BYTES && i < count; i++) {
        to[i] = te_clamp(best.lane[i], -128, high);
    }
}

#endif

/* All channels of one window: `rows` rows of `columns` cells, of which the first is given. */
static TE_NOINLINE void largest(const te_pool2d *layer, const int8_t *cell, int32_t rows,
                                int32_t columns, int8_t *output)
{
    const int32_t channels = layer->input.channels;
    const int32_t skip = (layer->input.width - columns) * channels;
    for (int32_t left = channels; left > 0; left -= TE_MVE_BYTES) {
        te_bytes best = all_bytes(layer->clamp_min);
        const int8_t *at = cell;
        for (int32_t y = rows; y > 0; y--) {
            for (int32_t x = columns; x > 0; x--) {
                best = left >= TE_MVE_BYTES ? larger_whole(best, at) : larger(best, at, left);
                at += channels;
            }
            at += skip;
        }
        store_limited(output, best, layer->clamp_max, left);
        cell += TE_MVE_BYTES;
        output += TE_MVE_BYTES;
    }
}

void te_max_pool2d_mve_s8(const te_pool2d *layer, const int8_t *input, int8_t *output)
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
            largest(layer, line + (left + columns.first) * layer->input.channels,
                    rows.last - rows.first, columns.last - columns.first, output);
            output += layer->input.channels;
        }
    }
}
