/* SPDX-License-Identifier: Apache-2.0 */
/* Depthwise convolution over a ring of input rows, with dilations of 1. */
#ifndef TE_DEPTHWISE_CONV2D_RING_H
#define TE_DEPTHWISE_CONV2D_RING_H

#include "te_scale.h"

/* Weights ordered (channel, height, width), one output channel to an input channel. An output row is
 * written when all rows that its windows touch have been read, and none of these is read again: it may
 * overwrite input rows before its last one.
 *
 * Scratch, in this order: a cell of zero points, channels bytes, rounded up to words; the ring,
 * channels * height * words * 4 bytes; what the kernel needs. */
typedef struct {
    te_shape input;
    te_shape output;
    te_window window;
    te_activation activation;
    const uint8_t *packed;
    te_unpack unpack;
    te_scales scale; /* bias is what a shifted sum over inputs + 128 starts from */
    int32_t words;         /* of a channel in a row of the ring */
    int32_t half;          /* pair: output columns from a word's lower half to its upper one */
    int32_t stepped;       /* pair: whether sums count in a channel's shifted step already */
} te_depthwise_ring;

/* Two output columns in the 16-bit halves of a word: one multiplication by a weight serves both. The
 * exporter proves that the halves hold every sum, and has taken the 0x8000 that they start from off
 * the bias. Scratch: 16 bytes for each of at most 32 channels; channels * (2 * height - 1) * width
 * bytes of weights; height * width bytes. */
void te_depthwise_conv2d_pair_s8(const te_depthwise_ring *layer, const int8_t *input,
                                 int8_t *output, int8_t *scratch);

/* Dual multiplications of two input columns by two 16-bit weights. Scratch: weights, channels *
 * (2 * height - 1) rows of 8 bytes for a width of 3 and a stride of 1, else of (width + 1) / 2 words,
 * or 2 * (width / 2 + 1) if the stride is odd; height * width bytes. */
void te_depthwise_conv2d_dual_s8(const te_depthwise_ring *layer, const int8_t *input,
                                 int8_t *output, int8_t *scratch);

/* The same for a width of 3, a stride of 1, and rows of 6 n or 6 n - 1 outputs. On a core with DSP
 * instructions the height is 3, and an output's range begins at its zero point -128. */
void te_depthwise_conv2d_six_s8(const te_depthwise_ring *layer, const int8_t *input, int8_t *output,
                                int8_t *scratch);

#endif
