/* SPDX-License-Identifier: Apache-2.0 */
/* Convolution by tables of partial sums, for binary and ternary weights on any core. */
#ifndef TE_CONV2D_LUT_S8_H
#define TE_CONV2D_LUT_S8_H

#include "te_scale.h"

/* Output channels are summed in 16-bit lanes, eight columns of a row at once; column x lies in block
 * x % blocks, lane x / blocks. Inputs are summed without their zero point, so that padding adds nothing. An
 * input row is used for all output rows that it contributes to, and not read again: an output row may overwrite input rows that came before its last one.
 *
 * Weights are one index a group of input channels, or the weights that indices are made of, ordered
 * (chunk, height, width, out, group in chunk); a chunk holds the groups whose tables exist at one
 * time.
 *
 * A convolution with windows of one cell may be written as rows of eight columns, whatever the
 * image's shape: then `last_width` columns of the last row exist. Otherwise it is the width.
 *
 * Scratch, in this order: accumulators of 16 bits, live rows * blocks * out * 16 bytes, live rows
 * being (height - 1) / stride_height + 1; accumulators of 32 bits, twice that, unless `passes` is 0;
 * tables, chunk * base^digits * 16 bytes; one byte an input channel; where the weights are no indices,
 * those of a chunk, or of all. */
typedef struct {
    te_shape input;
    te_shape output;
    te_window window; /* dilations are 1 */
    te_activation activation;
    const uint8_t *packed;
    te_unpack unpack;      /* NULL where `packed` holds indices */
    te_scales scale;
    int32_t resident;      /* whether scratch holds the indices of all chunks at once */
    int32_t input_last_width;
    int32_t output_last_width;
    int32_t blocks;
    int32_t base;
    int32_t digits;
    int32_t chunk;
    int32_t passes; /* chunks of one input row that 16 bits hold for sure; 0 where they hold all */
} te_conv2d_lut;

void te_conv2d_lut_s8(const te_conv2d_lut *layer, const int8_t *input, int8_t *output,
                      int8_t *scratch);

#endif
