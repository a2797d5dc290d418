/* SPDX-License-Identifier: Apache-2.0 */
/* Depthwise convolution with Helium, one output channel to an input channel. */
#ifndef TE_DEPTHWISE_CONV2D_MVE_S8_H
#define TE_DEPTHWISE_CONV2D_MVE_S8_H

#include "te_mve.h"

/* Weights ordered (channels / 16, height, width, 16); channels that are missing are never read. An
 * output row is written when all rows that its windows touch have been read, and none of these is
 * read again: it may overwrite input rows before its last one.
 *
 * Scratch: the last `window.height` input rows with their padding, 16 bytes for every column and
 * 16 channels; where weights are packed, all of them. */
typedef struct {
    te_shape input;
    te_shape output;
    te_window window; /* dilations are 1 */
    te_activation activation;
    const uint8_t *packed;
    te_unpack unpack;     /* NULL where the weights are int8 */
    const int32_t *scale; /* the start holds the input's offset */
    int32_t stepped;
    int32_t columns; /* of an input row with its padding, as far as windows touch it */
} te_depthwise_mve;

void te_depthwise_conv2d_mve_s8(const te_depthwise_mve *layer, const int8_t *input, int8_t *output,
                                int8_t *scratch);

#endif
