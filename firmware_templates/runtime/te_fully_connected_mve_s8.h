/* SPDX-License-Identifier: Apache-2.0 */
/* Matrix product with Helium. */
#ifndef TE_FULLY_CONNECTED_MVE_S8_H
#define TE_FULLY_CONNECTED_MVE_S8_H

#include "te_mve_dot.h"

/* Scratch: 16 * steps bytes where the inputs are no whole steps, and for four channels where
 * weights are packed. */
typedef struct {
    int32_t inputs;
    int32_t outputs;
    te_activation activation;
    const uint8_t *packed;
    te_unpack unpack;     /* NULL where the weights are int8 */
    const int32_t *scale; /* the start holds the input's offset */
    int32_t stepped;
    int32_t steps;
} te_fully_connected_mve;

void te_fully_connected_mve_s8(const te_fully_connected_mve *layer, const int8_t *input,
                               int8_t *output, int8_t *scratch);

#endif
