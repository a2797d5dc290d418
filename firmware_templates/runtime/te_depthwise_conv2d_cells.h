/* SPDX-License-Identifier: Apache-2.0 */
/* Depthwise convolution of any shape, four channels at a time. */
#ifndef TE_DEPTHWISE_CONV2D_CELLS_H
#define TE_DEPTHWISE_CONV2D_CELLS_H

#include "te_scale.h"

/* At least four channels, an input channel to each. Weights are ordered (four channels, height, width,
 * channel); the last four channels are the last ones, whether or not some of them came before. */
typedef struct {
    te_shape input;
    te_shape output;
    te_window window;
    te_activation activation;
    const uint8_t *packed;
    te_unpack unpack;
    te_scales scale;
} te_depthwise_cells;

/* Scratch: the weights of four channels. */
void te_depthwise_conv2d_cells_s8(const te_depthwise_cells *layer, const int8_t *input,
                                  int8_t *output, int8_t *scratch);

/* The same in less time where weights are int8 as they lie, every window meets the input, channels have
 * multipliers of their own and no step, outputs take the whole int8 range, and every shift to the right
 * is at least 1, unless nothing lies below the zero point -128. It takes no scratch. */
void te_depthwise_conv2d_fours_s8(const te_depthwise_cells *layer, const int8_t *input,
                                  int8_t *output, int8_t *scratch);

#endif
