/* SPDX-License-Identifier: Apache-2.0 */
/* Depthwise convolution over a ring of input rows: what its kernels share.
 *
 * Scratch holds the last `window.height` input rows channel by channel, as words of two columns in
 * two halves; values are x + 128, 0 to 255, so that a word is the integer low + 65536 * high. What lies
 * outside the input is the zero point, which the exporter takes off in the bias. A row has a fixed
 * place in the ring, row % height, and the weights of a channel lie there in the order of those
 * places: twice, but for one row, so that any rotation of them is found in one piece. */
#ifndef TE_DEPTHWISE_H
#define TE_DEPTHWISE_H

#include "te_depthwise_conv2d_ring.h"
#include "te_memory.h"

typedef struct {
    const te_depthwise_ring *layer;
    uint32_t *words; /* [channel][place in the ring][word] */
    int8_t *border;  /* a cell of zero points */
    int32_t loaded;  /* rows, counted from the padding's first */
} te_ring;

/* Gives the scratch behind the ring. */
static inline uint32_t *te_ring_lay_out(te_ring *ring, const te_depthwise_ring *layer,
                                        int8_t *scratch)
{
    const int32_t channels = layer->input.channels;
    ring->layer = layer;
    ring->loaded = 0;
    ring->border = scratch;
    memset(ring->border, -layer->activation.input_offset, (size_t)channels);
    /* The exporter aligns scratch to words. */
    ring->words = (uint32_t *)(void *)scratch + (channels + 3) / 4;
    return ring->words + channels * layer->window.height * layer->words;
}

/* Four channels at a time, `stride` words apart; gives the word behind them. */
TE_INLINE uint32_t *te_ring_put_fours(uint32_t *words, const int8_t *low, const int8_t *high,
                                      int32_t channels, int32_t stride)
{
    for (const int8_t *end = low + channels; low != end; low += 4) {
        const uint32_t a = te_load_word(low), b = te_load_word(high);
        const uint32_t even_a = te_even_offset_bytes(a), even_b = te_even_offset_bytes(b);
        const uint32_t odd_a = te_odd_offset_bytes(a), odd_b = te_odd_offset_bytes(b);
        words[0] = te_lower_halves(even_a, even_b);
        words[stride] = te_lower_halves(odd_a, odd_b);
        words[2 * stride] = te_upper_halves(even_a, even_b);
        words[3 * stride] = te_upper_halves(odd_a, odd_b);
        words += 4 * stride;
        high += 4;
    }
    return words;
}

static __attribute__((noinline, unused)) void te_ring_put_any(uint32_t *words, const int8_t *low,
                                                              const int8_t *high, int32_t channels,
                                                              int32_t stride)
{
    const int32_t fours = channels & -4;
    words = te_ring_put_fours(words, low, high, fours, stride);
    for (int32_t i = fours; i < channels; i++) {
        *words = (uint32_t)(low[i] + 128) | (uint32_t)(high[i] + 128) << 16;
        words += stride;
    }
}

/* The words of one cell pair, a channel each, `stride` words apart. */
static inline void te_ring_put(uint32_t *words, const int8_t *low, const int8_t *high,
                               int32_t channels, int32_t stride)
{
    if ((channels & 3) == 0) {
        te_ring_put_fours(words, low, high, channels, stride);
    } else {
        te_ring_put_any(words, low, high, channels, stride);
    }
}

static inline const int8_t *te_ring_cell(const te_ring *ring, const int8_t *line, int32_t column)
{
    const te_shape *shape = &ring->layer->input;
    return line && column >= 0 && column < shape->width ? line + column * shape->channels
                                                        : ring->border;
}

/* Reads the rows that the windows of output row y need and that are not there yet. Word i holds the
 * columns i * step and i * step + distance, counted from the padding's first. */
static __attribute__((noinline, unused)) void
te_ring_load(te_ring *ring, const int8_t *input, int32_t y, int32_t step, int32_t distance)
{
    const te_depthwise_ring *layer = ring->layer;
    const int32_t first = y * layer->window.stride_height;
    const int32_t stride = layer->window.height * layer->words;
    int32_t origin = ring->loaded > first ? ring->loaded : first;
    for (; origin < first + layer->window.height; origin++) {
        const int32_t row = origin - layer->window.padding_top;
        const int8_t *line = row >= 0 && row < layer->input.height
                                 ? input + row * layer->input.width * layer->input.channels
                                 : 0;
        uint32_t *words = ring->words + origin % layer->window.height * layer->words;
        int32_t column = -layer->window.padding_left;
        for (int32_t i = 0; i < layer->words; i++) {
            te_ring_put(words++, te_ring_cell(ring, line, column),
                        te_ring_cell(ring, line, column + distance), layer->input.channels, stride);
            column += step;
        }
    }
    ring->loaded = origin;
}

/* Which row of weights goes with the first place of the ring. */
static inline int32_t te_ring_rotation(const te_ring *ring, int32_t y)
{
    const te_window *window = &ring->layer->window;
    const int32_t place = y * window->stride_height % window->height;
    return place == 0 ? 0 : window->height - place;
}

#endif
