/* SPDX-License-Identifier: Apache-2.0 */
/* A depthwise convolution, two windows a multiplication. */
#include "te_depthwise_dual.h"

/* The few registers of a Cortex-M0 leave make_two no faster than make_any. */
#if defined(TE_THUMB1)
#define MAKES_TWO 0
#else
#define MAKES_TWO 1
#endif

/* A row of weights times their step, in `words` words; a shifted one begins in an upper half. */
static uint32_t *put_row(uint32_t *at, int32_t words, int32_t shifted, const int8_t *code,
                         int32_t width, int32_t step)
{
    const int8_t *end = code + width;
    const uint32_t *last = at + words;
    if (shifted) {
        *at++ = te_weight_pair(0, *code++ * step);
    }
    for (; end - code > 1; code += 2) {
        *at++ = te_weight_pair(code[0] * step, code[1] * step);
    }
    if (code != end) {
        *at++ = te_weight_pair(*code * step, 0);
    }
    if (at != last) {
        *at++ = 0;
    }
    return at;
}

/* The rows of a channel. */
static TE_NOINLINE uint32_t *put_rows(const te_dual *dual, uint32_t *at, const int8_t *code,
                                      int32_t step)
{
    const te_window *window = &dual->ring.layer->window;
    for (int32_t y = window->height; y > 0; y--) {
        at = put_row(at, dual->words, 0, code, window->width, step);
        if (dual->row != dual->words) {
            at = put_row(at, dual->words, 1, code, window->width, step);
        }
        code += window->width;
    }
    return at;
}

static TE_NOINLINE void make_four(const te_dual *dual, int32_t x, int8_t *output)
{
    te_dual_make_three(dual, x, 0, output);
}

/* Whether there are blocks of six windows. */
static int32_t makes_six(const te_depthwise_ring *layer)
{
#if defined(TE_DSP)
    return layer->window.height == 3 && layer->scale.apart &&
           te_scale_kind_of(&layer->activation) == TE_SCALE_RELU;
#else
    (void)layer;
    return 1;
#endif
}

/* The sums of four windows: the first and third one begin at a word, and so do the others if the
 * stride is even. */
typedef struct {
    int32_t a, b, c, d;
} te_sums;

/* Where the first words of the others are, counted from the first window's. */
typedef struct {
    int32_t b, c, d;
} te_places;

TE_INLINE void add_words(te_sums *sums, const uint32_t *words, const te_places *places,
                         uint32_t even, uint32_t odd)
{
    sums->a = te_smlad(words[0], even, sums->a);
    sums->b = te_smlad(words[places->b], odd, sums->b);
    sums->c = te_smlad(words[places->c], even, sums->c);
    sums->d = te_smlad(words[places->d], odd, sums->d);
}

TE_INLINE void put_sums(const te_scale *scale, te_scale_kind kind, const te_sums *sums, int32_t count,
                        int8_t *output, int32_t next)
{
    int8_t *out = te_dual_scale(scale, kind, sums->a, output, next);
    if (count > 1) {
        out = te_dual_scale(scale, kind, sums->b, out, next);
    }
    if (count > 2) {
        out = te_dual_scale(scale, kind, sums->c, out, next);
    }
    if (count > 3) {
        te_dual_scale(scale, kind, sums->d, out, next);
    }
}

/* Up to four windows of any shape in all channels; x * stride is even. Windows past the end
 * of the row repeat the last one. */
TE_INLINE void make_block(const te_dual *dual, int32_t x, int32_t count, const te_places *places,
                          int32_t two, int8_t *output)
{
    const te_depthwise_ring *layer = dual->ring.layer;
    const te_window *window = &layer->window;
    const te_scale_kind kind = te_scale_kind_of(&layer->activation);
    const int32_t next = layer->output.channels, row = layer->words;
    const int32_t zero_point = layer->activation.output_offset;
    const int32_t length = dual->words, odd = two ? 0 : dual->row - length;
    const int32_t skip = (window->height - 1) * dual->row;
    const uint32_t *words = dual->ring.words + x * window->stride_width / 2;
    const uint32_t *weights = dual->weights + dual->rotation * dual->row;
    for (int32_t channel = 0; channel < next; channel++) {
        const int32_t bias = layer->scale.bias[channel];
        te_sums sums = {bias, bias, bias, bias};
        for (int32_t y = window->height; y > 0; y--) {
            if (two) {
                add_words(&sums, words, places, weights[0], weights[0]);
                add_words(&sums, words + 1, places, weights[1], weights[1]);
                weights += 2;
            } else {
                const uint32_t *word = words;
                for (const uint32_t *last = weights + length; weights != last; weights++) {
                    add_words(&sums, word++, places, weights[0], weights[odd]);
                }
                weights += odd;
            }
            words += row;
        }
        const te_scale fixed = te_scale_unstepped(&layer->scale, zero_point, channel);
        if (kind == TE_SCALE_RELU) {
            put_sums(&fixed, TE_SCALE_RELU, &sums, count, output, next);
        } else if (kind == TE_SCALE_PLAIN) {
            put_sums(&fixed, TE_SCALE_PLAIN, &sums, count, output, next);
        } else {
            const int32_t all[4] = {sums.a, sums.b, sums.c, sums.d};
            te_dual_finish(layer, channel, all, count, output);
        }
        output++;
        weights += skip;
    }
}

/* Three or four windows of two words at stride 2. */
static TE_NOINLINE void make_two(const te_dual *dual, int32_t x, int32_t four, int8_t *output)
{
    const te_places places = {1, 2, 3};
    make_block(dual, x, four ? 4 : 3, &places, 1, output);
}

static TE_NOINLINE void make_any(const te_dual *dual, int32_t x, int32_t count, int8_t *output)
{
    const int32_t stride = dual->ring.layer->window.stride_width;
    const te_places places = {
        (count < 2 ? 0 : 1) * stride / 2,
        (count < 3 ? count - 1 : 2) * stride / 2,
        (count - 1) * stride / 2,
    };
    make_block(dual, x, count, &places, 0, output);
}

static void make_row(const te_dual *dual, int8_t *output)
{
    const te_depthwise_ring *layer = dual->ring.layer;
    const int32_t channels = layer->output.channels, width = layer->output.width;
    for (int32_t x = 0; x < width;) {
        const int32_t left = width - x;
        if (dual->three) {
            /* An even number of at least four windows is so many blocks of four and six. Of four
             * alone, the last two may not be there. */
            if (dual->six && (left + 1) / 2 % 3 == 0) {
                te_dual_make_six(dual, x, output + x * channels);
                x += 6;
            } else {
                make_four(dual, x, output + x * channels);
                x += 4;
            }
        } else if (MAKES_TWO && dual->two) {
            if (left < 4 && width >= 4) {
                x = width - 4; /* windows of the block before are made again */
            }
            make_two(dual, x, width >= 4, output + x * channels);
            x += 4;
        } else {
            make_any(dual, x, left < 4 ? left : 4, output + x * channels);
            x += 4;
        }
    }
}

void te_depthwise_conv2d_dual_s8(const te_depthwise_ring *layer, const int8_t *input,
                                 int8_t *output, int8_t *scratch)
{
    const te_window *window = &layer->window;
    const int32_t odd = window->stride_width & 1;
    te_dual dual;
    dual.words = (window->width + 1 + odd) / 2;
    dual.three = window->stride_width == 1 && window->width == 3;
    dual.six = makes_six(layer);
    dual.two = window->stride_width == 2 && dual.words == 2 && layer->output.width > 2;
    dual.row = dual.three || !odd ? dual.words : 2 * dual.words;
    dual.weights = te_ring_lay_out(&dual.ring, layer, scratch);
    te_dual_unpack(&dual, dual.three ? te_dual_put_three : put_rows);
    for (int32_t y = 0; y < layer->output.height; y++) {
        te_dual_load(&dual, input, y);
        make_row(&dual, output);
        output += layer->output.width * layer->output.channels;
    }
}
