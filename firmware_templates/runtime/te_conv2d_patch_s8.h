/* SPDX-License-Identifier: Apache-2.0 */
/* Convolution, and matrix product, with 8-bit weights for cores that multiply one pair of numbers at a time. */
#ifndef TE_CONV2D_PATCH_S8_H
#define TE_CONV2D_PATCH_S8_H

#include "te_scale.h"

/* The window of each output cell is gathered into a patch of bytes; output channels are computed two
 * at a time. Inputs and weights are unsigned, 128 above their values, as ARMv6-M loads signed bytes
 * only with an index: the sum of the patch times 128 is taken off at the end.
 *
 * Weights: for every pair of output channels, `columns` times a byte of each; where the channels are
 * odd in number, the last one is there twice. Dilations are 1. Scratch: `columns` bytes. */
typedef struct {
    te_shape input;
    te_shape output;
    te_window window;
    te_activation activation;
    const uint8_t *packed;
    te_scales scale; /* bias holds the input's offset */
    int32_t columns;       /* of a window, rounded up to 4 */
} te_conv2d_patch;

void te_conv2d_patch_s8(const te_conv2d_patch *layer, const int8_t *input, int8_t *output,
                        int8_t *scratch);

#endif
