/* SPDX-License-Identifier: Apache-2.0 */
/* A convolution by dot products of columns, with the DSP extension. */
#include "te_conv2d_dsp_s8.h"

#include "te_dsp_widen.h"

#define MAXIMUM_CHANNELS 4 /* of one `dot` */

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
    int32_t i = 0;
    for (; i < count - bytewise; i += TE_DSP_STEP) {
        te_store_word(to + i, te_load_word(from + i));
    }
    if (bytewise > 0) {
        for (; i < count; i++) {
            to[i] = from[i];
        }
    }
    return to + count;
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

/* Bias, scaling and activation of the output channels [first, last). */
TE_INLINE void finish(const te_conv2d_dsp *layer, te_scale_kind kind, int32_t first, int32_t last,
                      const int32_t *sums, int32_t cells, int8_t *output)
{
    const te_activation *activation = &layer->activation;
    const te_scale *scale = layer->scale + first;
    const te_scale *behind = layer->scale + last;
    const int32_t channels = layer->output.channels;
    output += first;
    if (cells == 2) { /* as most large windows have it */
        while (scale < behind) {
            const te_scale own = *scale++;
            const int32_t one = sums[0], other = sums[1];
            sums += TE_DSP_CELLS;
            output[0] = te_scaled_sum(&own, activation, kind, one);
            output[channels] = te_scaled_sum(&own, activation, kind, other);
            output++;
        }
        return;
    }
    while (scale < behind) {
        const te_scale own = *scale++;
        const int32_t *sum = sums;
        const int32_t *end = sums + cells;
        int8_t *out = output++;
        if (cells & 1) {
            *out = te_scaled_sum(&own, activation, kind, *sum++);
            out += channels;
        }
        while (sum < end) {
            const int32_t one = sum[0], other = sum[1];
            sum += 2;
            out[0] = te_scaled_sum(&own, activation, kind, one);
            out[channels] = te_scaled_sum(&own, activation, kind, other);
            out += 2 * channels;
        }
        sums += TE_DSP_CELLS;
    }
}

static TE_NOINLINE void finish_relu(const te_conv2d_dsp *layer, int32_t first, int32_t last,
                                    const int32_t *sums, int32_t cells, int8_t *output)
{
    finish(layer, TE_SCALE_RELU, first, last, sums, cells, output);
}

static TE_NOINLINE void finish_plain(const te_conv2d_dsp *layer, int32_t first, int32_t last,
                                     const int32_t *sums, int32_t cells, int8_t *output)
{
    finish(layer, TE_SCALE_PLAIN, first, last, sums, cells, output);
}

static TE_NOINLINE void finish_any(const te_conv2d_dsp *layer, int32_t first, int32_t last,
                                   const int32_t *sums, int32_t cells, int8_t *output)
{
    finish(layer, TE_SCALE_CLAMP, first, last, sums, cells, output);
}

/* Where the sums of a whole window may not fit. */
static TE_NOINLINE const uint8_t *dot_in_parts(const te_conv2d_dsp *layer, const uint32_t *words,
                                               const uint8_t *weights, int32_t *sums)
{
    const int32_t pixels = layer->pixels;
    for (int32_t i = 0; i < pixels; i++) {
        for (int32_t channel = 0; channel < layer->channels; channel++) {
            sums[channel * TE_DSP_CELLS + i] = 0;
        }
    }
    for (int32_t at = 0; at < layer->steps; at += layer->safe_steps) {
        const int32_t left = layer->steps - at;
        int32_t part[MAXIMUM_CHANNELS * TE_DSP_CELLS];
        weights = layer->dot(words + at * 2 * pixels, weights,
                             left < layer->safe_steps ? left : layer->safe_steps, part);
        for (int32_t i = 0; i < pixels; i++) {
            for (int32_t channel = 0; channel < layer->channels; channel++) {
                sums[channel * TE_DSP_CELLS + i] += part[channel * TE_DSP_CELLS + i];
            }
        }
    }
    return weights;
}

/* All output channels of some cells. */
static TE_NOINLINE void multiply(const te_conv2d_dsp *layer, const uint32_t *words, int32_t cells,
                                 int8_t *output)
{
    const te_scale_kind kind = te_scale_kind_of(&layer->activation);
    const te_dsp_dot dot = layer->dot;
    const int32_t steps = layer->steps;
    const int32_t channels = layer->output.channels;
    const int32_t abreast = layer->channels;
    const int32_t pixels = layer->pixels;
    const int32_t group_words = steps * 2 * pixels;
    const uint8_t *weights = layer->packed;
    int32_t sums[MAXIMUM_CHANNELS * TE_DSP_CELLS];
    for (int32_t first = 0; first < channels; first += abreast) {
        const uint8_t *next = weights;
        const uint32_t *word = words;
        for (int32_t cell = 0; cell < cells; cell += pixels) {
            next = steps <= layer->safe_steps ? dot(word, weights, steps, sums + cell)
                                              : dot_in_parts(layer, word, weights, sums + cell);
            word += group_words;
        }
        weights = next;
        const int32_t last = first + abreast < channels ? first + abreast : channels;
        switch (kind) {
        case TE_SCALE_RELU:
            finish_relu(layer, first, last, sums, cells, output);
            break;
        case TE_SCALE_PLAIN:
            finish_plain(layer, first, last, sums, cells, output);
            break;
        case TE_SCALE_CLAMP:
            finish_any(layer, first, last, sums, cells, output);
            break;
        }
    }
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
        multiply(layer, words, count, output);
        output += count * layer->output.channels;
        cells -= count;
    }
}
