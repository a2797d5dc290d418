/* SPDX-License-Identifier: Apache-2.0 */
/* Depthwise convolution, two windows a multiplication: what its kernels share. */
#ifndef TE_DEPTHWISE_DUAL_H
#define TE_DEPTHWISE_DUAL_H

#include "te_depthwise.h"

/* A window that starts at an even column, and so at a word, begins with the first weight in the lower
 * half; one that starts at an odd column has it in the upper half of its first word. Rows of weights
 * hold both versions, `words` words each, where the stride is odd, else the first one. Three weights
 * a, b and c at stride 1 are two words instead, (a, b) and (b, c): what is missing is half a
 * multiplication with either. */
typedef struct {
    te_ring ring;
    uint32_t *weights; /* [channel][2 * height - 1][row] */
    int32_t three;     /* whether rows are (a, b) and (b, c) */
    int32_t six;       /* of these, whether six windows are made at once */
    int32_t two;       /* whether windows are two words, and lie a word apart */
    int32_t words;
    int32_t row;
    int32_t rotation;
} te_dual;

static inline uint32_t te_weight_pair(int32_t low, int32_t high)
{
    return ((uint32_t)low & 0xffffu) | (uint32_t)high << 16;
}

/* Writes the rows of a channel's weights times their step; gives the word behind them. */
typedef uint32_t *te_dual_put(const te_dual *dual, uint32_t *at, const int8_t *code, int32_t step);

/* Rows of three weights, in two words. */
uint32_t *te_dual_put_three(const te_dual *dual, uint32_t *at, const int8_t *code, int32_t step);

/* Writes the weights of all channels, all rows but the last twice. */
void te_dual_unpack(const te_dual *dual, te_dual_put *put);

/* Makes six windows of three columns, stride 1, in all channels, or as many of them as there are (on
 * a core with DSP instructions at least five); the first begins at a word. */
void te_dual_make_six(const te_dual *dual, int32_t x, int8_t *output);

/* Reads the rows that the windows of output row y need. */
void te_dual_load(te_dual *dual, const int8_t *input, int32_t y);

/* Scales `count` sums of a channel, whose outputs lie a cell apart. */
static __attribute__((noinline, unused)) void te_dual_finish(const te_depthwise_ring *layer,
                                                             int32_t channel, const int32_t *sums,
                                                             int32_t count, int8_t *output)
{
    const te_activation *activation = &layer->activation;
    const te_scale scale =
        te_scale_unstepped(&layer->scale, activation->output_offset, channel);
    for (; count > 0; count--) {
        *output = te_scaled(&scale, activation, TE_SCALE_CLAMP, *sums++);
        output += layer->output.channels;
    }
}

/* Scales a sum into the whole int8 range. */
TE_INLINE int8_t *te_dual_scale(const te_scale *scale, te_scale_kind kind, int32_t sum,
                                int8_t *output, int32_t next)
{
    *output = te_scaled(scale, 0, kind, sum);
    return output + next;
}

/* The sums of a window that begins at a word, and of one a column later; three columns wide. */
TE_INLINE int32_t te_add_even(int32_t sum, uint32_t first, uint32_t second, uint32_t ab, uint32_t bc)
{
    return te_high_mul_add(te_smlad(first, ab, sum), bc, (int32_t)second);
}

TE_INLINE int32_t te_add_odd(int32_t sum, uint32_t first, uint32_t second, uint32_t ab, uint32_t bc)
{
    return te_smlad(second, bc, te_high_mul_add(sum, first, (int32_t)ab));
}

/* Four or six windows of three columns, stride 1, in all channels, or as many of them as there are; the
 * first begins at a word. */
TE_INLINE void te_dual_make_three(const te_dual *dual, int32_t x, int32_t six, int8_t *output)
{
    const te_depthwise_ring *layer = dual->ring.layer;
    const int32_t count = six ? 6 : 4, left = layer->output.width - x;
    const int32_t missing = left < count ? count - left : 0;
    const int32_t relu = left > 2 && te_scale_kind_of(&layer->activation) == TE_SCALE_RELU;
    const int32_t next = layer->output.channels, row = layer->words;
    const int32_t zero_point = layer->activation.output_offset;
    const int32_t height = layer->window.height;
    const int32_t skip = (height - 1) * 2;
    const uint32_t *words = dual->ring.words + x / 2;
    const uint32_t *weights = dual->weights + dual->rotation * 2;
    for (int32_t channel = 0; channel < next; channel++) {
        const int32_t bias = layer->scale.bias[channel];
        int32_t a = bias, b = bias, c = bias, d = bias, e = bias, f = bias;
        for (const uint32_t *last = weights + height * 2; weights != last; weights += 2) {
            const uint32_t ab = weights[0], bc = weights[1];
            const uint32_t early = words[0], middle = words[1], late = words[2];
            a = te_add_even(a, early, middle, ab, bc);
            b = te_add_odd(b, early, middle, ab, bc);
            c = te_add_even(c, middle, late, ab, bc);
            d = te_add_odd(d, middle, late, ab, bc);
            if (six) {
                const uint32_t latest = words[3];
                e = te_add_even(e, late, latest, ab, bc);
                f = te_add_odd(f, late, latest, ab, bc);
            }
            words += row;
        }
        if (relu) {
            const te_scale fixed = te_scale_unstepped(&layer->scale, zero_point, channel);
            int8_t *out = te_dual_scale(&fixed, TE_SCALE_RELU, a, output, next);
            out = te_dual_scale(&fixed, TE_SCALE_RELU, b, out, next);
            out = te_dual_scale(&fixed, TE_SCALE_RELU, c, out, next);
            if (six) {
                out = te_dual_scale(&fixed, TE_SCALE_RELU, d, out, next);
                out = te_dual_scale(&fixed, TE_SCALE_RELU, e, out, next);
            }
            if (!missing) {
                te_dual_scale(&fixed, TE_SCALE_RELU, six ? f : d, out, next);
            }
        } else {
            const int32_t sums[6] = {a, b, c, d, e, f};
            te_dual_finish(layer, channel, sums, count - missing, output);
        }
        output++;
        weights += skip;
    }
}

#endif
