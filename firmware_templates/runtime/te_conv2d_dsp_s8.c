/* SPDX-License-Identifier: Apache-2.0 */
/* A convolution by dot products of columns, with the DSP extension. */
#include "te_conv2d_dsp_s8.h"

#include "te_dsp_widen.h"

/* The columns of a window: rows of padding, rows that lie on the input, padding. */
typedef struct {
    const int8_t *from; /* the first column inside */
    int32_t pitch;      /* from row to row */
    int32_t rows;
    int32_t above; /* columns of the rows of padding */
    int32_t below;
    int32_t before; /* columns of one row */
    int32_t inside;
    int32_t after;
    int32_t first_row; /* where the row lies that `from` is in */
    int32_t padding;
    int32_t pixels;   /* whose words alternate */
    int32_t bytewise; /* columns at the end of a row, behind which nothing may be read */
} te_patch;

static TE_NOINLINE uint32_t *widen_padding(uint32_t *to, int32_t padding, int32_t pixels,
                                           int32_t count)
{
    const uint32_t lanes = ((uint32_t)padding & 0xffffu) * 0x10001u;
    for (; count > 0; count -= TE_DSP_STEP) {
        to[0] = lanes;
        to[pixels] = lanes;
        to += 2 * pixels;
    }
    return to;
}

/* Columns as 16 bits, among those of the other pixels; rows are whole steps. */
static TE_NOINLINE void widen_patch(uint32_t *to, const te_patch *patch)
{
    const int32_t padding = patch->padding;
    const int32_t pixels = patch->pixels;
    const int8_t *from = patch->from;
    if (patch->above > 0) {
        to = widen_padding(to, padding, pixels, patch->above);
    }
    for (int32_t rows = patch->rows; rows > 0; rows--) {
        if (patch->before > 0) {
            to = widen_padding(to, padding, pixels, patch->before);
        }
        to = te_dsp_widen(to, from, patch->inside, pixels);
        if (patch->after > 0) {
            to = widen_padding(to, padding, pixels, patch->after);
        }
        from += patch->pitch;
    }
    if (patch->below > 0) {
        (void)widen_padding(to, padding, pixels, patch->below);
    }
}

static TE_NOINLINE int8_t *copy_padding(int8_t *to, int32_t padding, int32_t count)
{
    for (; count > 0; count--) {
        *to++ = (int8_t)padding;
    }
    return to;
}

/* By words but for the last columns; if `bytewise` is 0, the last word may hold less. */
static int8_t *copy(int8_t *to, const int8_t *from, int32_t count, int32_t bytewise)
{
    int8_t *end = to + count;
    for (int32_t left = count - bytewise; left > 0; left -= TE_DSP_STEP) {
        te_store_word(to, te_load_word(from));
        to += TE_DSP_STEP;
        from += TE_DSP_STEP;
    }
    if (bytewise > 0) {
        while (to < end) {
            *to++ = *from++;
        }
    }
    return end;
}

/* Columns as they are, one after the other. */
static TE_NOINLINE void copy_patch(int8_t *to, const te_patch *patch)
{
    const int32_t padding = patch->padding;
    const int8_t *from = patch->from;
    if (patch->above > 0) {
        to = copy_padding(to, padding, patch->above);
    }
    for (int32_t rows = patch->rows; rows > 0; rows--) {
        if (patch->before > 0) {
            to = copy_padding(to, padding, patch->before);
        }
        to = copy(to, from, patch->inside, patch->bytewise);
        if (patch->after > 0) {
            to = copy_padding(to, padding, patch->after);
        }
        from += patch->pitch;
    }
    if (patch->below > 0) {
        (void)copy_padding(to, padding, patch->below);
    }
}

static int32_t limited(int32_t value, int32_t low, int32_t high)
{
    return value < low ? low : value > high ? high : value;
}

/* How many of `cells` from `origin` on lie before the input, and how many on it. */
static int32_t clip(int32_t origin, int32_t cells, int32_t size, int32_t *on)
{
    const int32_t before = limited(-origin, 0, cells);
    *on = limited(size - origin, before, cells) - before;
    return before;
}

/* The part of a patch that all windows share whose first row is `top`. */
static void place_rows(te_patch *patch, const te_conv2d_dsp *layer, int32_t top)
{
    const int32_t height = layer->window.height;
    const int32_t row = layer->window.width * layer->input.channels;
    const int32_t before = clip(top, height, layer->input.height, &patch->rows);
    const int32_t last = before + patch->rows;
    patch->above = before * row;
    patch->below = (height - last) * row;
    patch->bytewise = top + last < layer->input.height && patch->pitch >= TE_DSP_STEP
                          ? 0
                          : TE_DSP_STEP - 1;
    patch->first_row = (top + before) * patch->pitch;
}

/* The rest of it, for the window whose first column is `left`. */
static void place_columns(te_patch *patch, const te_conv2d_dsp *layer, const int8_t *input,
                          int32_t left)
{
    const int32_t channels = layer->input.channels;
    const int32_t width = layer->window.width;
    int32_t inside;
    const int32_t before = clip(left, width, layer->input.width, &inside);
    patch->before = before * channels;
    patch->inside = inside * channels;
    patch->after = (width - before - inside) * channels;
    patch->from = input + patch->first_row + (left + before) * channels;
}

void te_conv2d_dsp_s8(const te_conv2d_dsp *layer, const int8_t *input, int8_t *output,
                      int8_t *scratch)
{
    const te_window *window = &layer->window;
    const int32_t pixels = layer->pixels;
    const int32_t group_words = layer->steps * 2 * pixels;
    const int32_t block = layer->groups * pixels;
    uint32_t *words = (uint32_t *)(void *)scratch; /* the exporter aligns scratch to words */
    int8_t *bytes = 0;
    if (layer->input.channels % TE_DSP_STEP != 0) {
        bytes = (int8_t *)(words + layer->groups * group_words);
    }
    te_patch patch;
    patch.pixels = pixels;
    patch.padding = -layer->activation.input_offset;
    patch.pitch = layer->input.width * layer->input.channels;
    int32_t top = -window->padding_top;
    place_rows(&patch, layer, top);
    int32_t left = -window->padding_left;
    const int32_t right = left + layer->output.width * window->stride_width;
    int32_t cells = layer->output.height * layer->output.width;
    while (cells > 0) {
        const int32_t count = cells < block ? cells : block;
        uint32_t *group = words;
        int32_t pixel = 0;
        for (int32_t i = 0; i < count; i++) {
            place_columns(&patch, layer, input, left);
            if (bytes) {
                copy_patch(bytes, &patch);
                (void)te_dsp_widen(group + pixel, bytes, layer->steps * TE_DSP_STEP, pixels);
            } else {
                widen_patch(group + pixel, &patch);
            }
            if (++pixel == pixels) {
                pixel = 0;
                group += group_words;
            }
            left += window->stride_width;
            if (left == right) {
                left = -window->padding_left;
                top += window->stride_height;
                place_rows(&patch, layer, top);
            }
        }
        layer->multiply(layer, words, count, output);
        output += count * layer->output.channels;
        cells -= count;
    }
}
