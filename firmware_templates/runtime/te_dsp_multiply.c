/* SPDX-License-Identifier: Apache-2.0 */
/* Columns times rows of weights by a dot product, then scaling, with the DSP extension. */
#include "te_conv2d_dsp_s8.h"

#define MAXIMUM_CHANNELS 4 /* of one `dot` */

/* Bias, scaling and activation of the output channels [first, last). */
TE_INLINE void finish(const te_conv2d_dsp *layer, te_scale_kind kind, int32_t first, int32_t last,
                      const int32_t *sums, int32_t cells, int8_t *output)
{
    const te_activation *activation = &layer->activation;
    const int32_t zero_point =
        kind == TE_SCALE_RELU ? TE_SCALE_RELU_ZERO : activation->output_offset;
    const int32_t channels = layer->output.channels;
    output += first;
    if (cells == 2) { /* as most large windows have it */
        for (; first < last; first++) {
            const te_scale own = te_scale_of(&layer->scale, zero_point, first);
            const int32_t one = sums[0], other = sums[1];
            sums += TE_DSP_CELLS;
            output[0] = te_scaled_sum(&own, activation, kind, one);
            output[channels] = te_scaled_sum(&own, activation, kind, other);
            output++;
        }
        return;
    }
    for (; first < last; first++) {
        const te_scale own = te_scale_of(&layer->scale, zero_point, first);
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

void te_dsp_multiply(const te_conv2d_dsp *layer, const uint32_t *words, int32_t cells,
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
