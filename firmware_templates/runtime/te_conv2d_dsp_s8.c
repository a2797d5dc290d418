#include "te_conv2d_dsp_s8.h"

#include "te_scale.h"
#include "te_window.h"

#define STEP_WORDS (2 * TE_DSP_PIXELS)

/* A row of a window: columns before, inside and after the input. */
typedef struct {
    const int8_t *from;
    int32_t before;
    int32_t inside;
    int32_t after;
} te_run;

/* Columns as 16 bits, among those of the other pixels; the runs are whole steps. */
static uint32_t *widen(uint32_t *to, const int8_t *from, int32_t count)
{
    const int8_t *end = from + count;
    while (from < end) {
        const uint32_t word = te_load_word(from);
        from += TE_DSP_STEP;
        to[0] = te_even_bytes(word);
        to[TE_DSP_PIXELS] = te_odd_bytes(word);
        to += STEP_WORDS;
    }
    return to;
}

static uint32_t *widen_padding(uint32_t *to, int32_t padding, int32_t count)
{
    const uint32_t lanes = ((uint32_t)padding & 0xffffu) * 0x10001u;
    for (; count > 0; count -= TE_DSP_STEP) {
        to[0] = lanes;
        to[TE_DSP_PIXELS] = lanes;
        to += STEP_WORDS;
    }
    return to;
}

static TE_NOINLINE uint32_t *widen_run(uint32_t *to, const te_run *run, int32_t padding)
{
    to = widen_padding(to, padding, run->before);
    to = widen(to, run->from, run->inside);
    return widen_padding(to, padding, run->after);
}

static int8_t *copy_padding(int8_t *to, int32_t padding, int32_t count)
{
    for (; count > 0; count--) {
        *to++ = (int8_t)padding;
    }
    return to;
}

static TE_NOINLINE int8_t *copy_run(int8_t *to, const te_run *run, int32_t padding)
{
    const int8_t *from = run->from;
    int32_t count = run->inside;
    to = copy_padding(to, padding, run->before);
    for (; count >= TE_DSP_STEP; count -= TE_DSP_STEP) {
        te_store_word(to, te_load_word(from));
        to += TE_DSP_STEP;
        from += TE_DSP_STEP;
    }
    for (; count > 0; count--) {
        *to++ = *from++;
    }
    return copy_padding(to, padding, run->after);
}

/* The window whose first cell is (top, left). Through `bytes`, unless that is NULL. */
static void gather(const te_conv2d_dsp *layer, const int8_t *input, int32_t top, int32_t left,
                   uint32_t *words, int8_t *bytes)
{
    const int32_t channels = layer->input.channels;
    const int32_t width = layer->window.width;
    const int32_t height = layer->input.height;
    const int32_t pitch = layer->input.width * channels;
    const int32_t padding = -layer->activation.input_offset;
    const te_span columns = te_inside(left, 1, width, layer->input.width);
    const te_run outside = {input, width * channels, 0, 0};
    te_run run = {input + top * pitch + (left + columns.first) * channels,
                  columns.first * channels, (columns.last - columns.first) * channels,
                  (width - columns.last) * channels};
    if (run.inside <= 0) {
        run = outside;
    }
    int8_t *byte = bytes;
    uint32_t *word = words;
    const int32_t bottom = top + layer->window.height;
    for (int32_t row = top; row < bottom; row++) {
        const te_run *chosen = row >= 0 && row < height ? &run : &outside;
        if (bytes) {
            byte = copy_run(byte, chosen, padding);
        } else {
            word = widen_run(word, chosen, padding);
        }
        run.from += pitch;
    }
    if (bytes) {
        (void)widen(words, bytes, layer->steps * TE_DSP_STEP);
    }
}

/* Bias, scaling and activation of one output channel. */
static inline void finish(const te_conv2d_dsp *layer, int32_t channel, const int32_t *sums,
                          int32_t cells, int8_t *output, int plain)
{
    const te_scale scale = te_scale_of(&layer->weights, &layer->activation, channel);
    const te_activation activation = layer->activation;
    const int32_t channels = layer->output.channels;
    const int32_t *end = sums + cells;
    do {
        *output = te_activated(&activation, plain,
                               te_scaled(&scale, *sums++ * scale.step + scale.bias));
        output += channels;
    } while (sums < end);
}

static TE_NOINLINE void finish_plain(const te_conv2d_dsp *layer, int32_t channel,
                                     const int32_t *sums, int32_t cells, int8_t *output)
{
    finish(layer, channel, sums, cells, output, 1);
}

static TE_NOINLINE void finish_clamped(const te_conv2d_dsp *layer, int32_t channel,
                                       const int32_t *sums, int32_t cells, int8_t *output)
{
    finish(layer, channel, sums, cells, output, 0);
}

/* Where the sums of a whole window may not fit. */
static TE_NOINLINE const uint8_t *dot_in_parts(const te_conv2d_dsp *layer, const uint32_t *words,
                                               const uint8_t *weights, int32_t *sums)
{
    for (int32_t i = 0; i < TE_DSP_PIXELS; i++) {
        sums[i] = 0;
        sums[TE_DSP_CELLS + i] = 0;
    }
    for (int32_t at = 0; at < layer->steps; at += layer->safe_steps) {
        const int32_t left = layer->steps - at;
        int32_t part[2 * TE_DSP_CELLS];
        weights = layer->dot(words + at * STEP_WORDS, weights,
                             left < layer->safe_steps ? left : layer->safe_steps, part);
        for (int32_t i = 0; i < TE_DSP_PIXELS; i++) {
            sums[i] += part[i];
            sums[TE_DSP_CELLS + i] += part[TE_DSP_CELLS + i];
        }
    }
    return weights;
}

/* All output channels of some cells. */
static TE_NOINLINE void multiply(const te_conv2d_dsp *layer, const uint32_t *words, int32_t cells,
                                 int8_t *output)
{
    const int plain = te_is_plain(&layer->activation);
    const te_dsp_dot dot = layer->dot;
    const int32_t steps = layer->steps;
    const int32_t channels = layer->output.channels;
    const uint8_t *weights = layer->weights.packed;
    int32_t sums[2 * TE_DSP_CELLS];
    for (int32_t channel = 0; channel < channels; channel++) {
        const int32_t *finished = sums + TE_DSP_CELLS;
        if ((channel & 1) == 0) {
            const uint8_t *next = weights;
            const uint32_t *word = words;
            for (int32_t cell = 0; cell < cells; cell += TE_DSP_PIXELS) {
                next = steps <= layer->safe_steps ? dot(word, weights, steps, sums + cell)
                                                  : dot_in_parts(layer, word, weights, sums + cell);
                word += steps * STEP_WORDS;
            }
            weights = next;
            finished = sums;
        }
        if (plain) {
            finish_plain(layer, channel, finished, cells, output);
        } else {
            finish_clamped(layer, channel, finished, cells, output);
        }
        output++;
    }
}

void te_conv2d_dsp_s8(const te_conv2d_dsp *layer, const int8_t *input, int8_t *output,
                      int8_t *scratch)
{
    const te_window *window = &layer->window;
    const int32_t group_words = layer->steps * STEP_WORDS;
    const int32_t block = layer->groups * TE_DSP_PIXELS;
    uint32_t *words = (uint32_t *)(void *)scratch; /* the exporter aligns scratch to words */
    int8_t *bytes = 0;
    if (layer->input.channels % TE_DSP_STEP != 0) {
        bytes = (int8_t *)(words + layer->groups * group_words);
    }
    int32_t top = -window->padding_top, left = -window->padding_left;
    const int32_t right = left + layer->output.width * window->stride_width;
    int32_t cells = layer->output.height * layer->output.width;
    while (cells > 0) {
        const int32_t count = cells < block ? cells : block;
        uint32_t *group = words;
        int32_t pixel = 0;
        for (int32_t i = 0; i < count; i++) {
            gather(layer, input, top, left, group + pixel, bytes);
            if (++pixel == TE_DSP_PIXELS) {
                pixel = 0;
                group += group_words;
            }
            left += window->stride_width;
            if (left == right) {
                left = -window->padding_left;
                top += window->stride_height;
            }
        }
        multiply(layer, words, count, output);
        output += count * layer->output.channels;
        cells -= count;
    }
}
