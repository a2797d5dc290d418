/* SPDX-License-Identifier: Apache-2.0 */
/* Convolution with windows of one cell, ternary or binary weights, for cores with dual 16-bit
 * multiplication. */
#ifndef TE_CONV1X1_QUAD_S8_H
#define TE_CONV1X1_QUAD_S8_H

#include "te_scale.h"

/* Four products in one dual multiplication (te_quad.h). Cells are computed `block` at a time, in order,
 * and their outputs written then.
 *
 * Weights: for every two pairs of output channels, columns / 4 words. `order` gives the output channels
 * of the pairs, low one first; where their number is no multiple of four, some are there twice.
 *
 * Scratch: of each cell of a block columns * 2 bytes, and 4 a segment. */
typedef struct {
    te_shape input;
    te_shape output;
    int32_t stride_height;
    int32_t stride_width;
    te_activation activation;
    const uint32_t *packed;
    te_scales scale; /* in the order of `order`; bias holds the input's offset, and that of the low field */
    const uint16_t *order;
    int32_t ordered; /* channels in it */
    int32_t block;   /* a multiple of 15, at most TE_QUAD_BLOCK */
    int32_t columns; /* input channels, rounded up to 8 */
    int32_t segment; /* columns, a multiple of 8, that the low field holds for sure */
} te_conv1x1_quad;

void te_conv1x1_quad_s8(const te_conv1x1_quad *layer, const int8_t *input, int8_t *output,
                        int8_t *scratch);

#endif
