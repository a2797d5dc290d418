/* SPDX-License-Identifier: Apache-2.0 */
/* Fully connected layers for cores with the DSP extension, for ternary and binary weights. */
#ifndef TE_FULLY_CONNECTED_QUAD_S8_H
#define TE_FULLY_CONNECTED_QUAD_S8_H

#include "te_scale.h"

/* One `smlad` makes four products: two columns of two output channels a, b, whose weights share a
 * lane as (a + 1) + 2^14 * b. Its sum holds that of the a in its low 14 bits; these are moved
 * elsewhere before they overflow.
 *
 * Columns come in steps of eight, four words as te_dsp_dot.h orders them; output channels in fours,
 * two pairs, each of one word a step. Turned right by 0, 4, 8 and 12 bits, the bits 0xc003c003 of
 * it are the lanes for the four words of columns.
 *
 * The input is widened to scratch first, so the output may overwrite it. Scratch: 16 bytes a
 * step. */
typedef struct {
    int32_t inputs;
    int32_t outputs;
    te_activation activation;
    const uint8_t *packed;
    te_scales scale; /* bias holds the input's offset */
    int32_t steps;
} te_fully_connected_quad;

void te_fully_connected_quad_s8(const te_fully_connected_quad *layer, const int8_t *input,
                                int8_t *output, int8_t *scratch);

#endif
