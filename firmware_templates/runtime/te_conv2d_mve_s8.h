/* SPDX-License-Identifier: Apache-2.0 */
/* Convolution with Helium. */
#ifndef TE_CONV2D_MVE_S8_H
#define TE_CONV2D_MVE_S8_H

#include "te_mve_dot.h"

#define TE_MVE_CELLS 16 /* that are computed together, at most */

/* How the columns of a window are had. */
typedef enum {
    TE_GATHER_NOTHING, /* one cell of whole steps: where it lies */
    TE_GATHER_CELL,    /* one cell that needs no padding: copied, with zeros behind */
    TE_GATHER_WINDOW
} te_gathering;

/* Output cells go row by row, whatever the width, up to `cells` at a time. What their windows hold
 * is gathered once for all output channels. Weights that are packed are expanded once for these
 * cells. The output may overwrite what no later window holds. Columns are ordered (height, width,
 * in).
 *
 * Scratch: 16 * steps bytes for each of `cells` where they are gathered, and for four channels
 * where weights are packed. */
typedef struct {
    te_shape input;
    te_shape output;
    te_window window; /* dilations are 1 */
    te_activation activation;
    const uint8_t *packed;
    te_unpack unpack;     /* NULL where the weights are int8 */
    const int32_t *scale; /* the start holds the input's offset */
    int32_t stepped;
    int32_t steps;
    int32_t cells;
    te_gathering gathering;
} te_conv2d_mve;

void te_conv2d_mve_s8(const te_conv2d_mve *layer, const int8_t *input, int8_t *output,
                      int8_t *scratch);

#endif
