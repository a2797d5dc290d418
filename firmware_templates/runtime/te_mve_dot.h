/* SPDX-License-Identifier: Apache-2.0 */
/* Sums of products with Helium: of one or two cells with four output channels. */
#ifndef TE_MVE_DOT_H
#define TE_MVE_DOT_H

#include "te_mve.h"

/* sums[c] = start[c] + the products with channel c, modulo 2^32. `steps` of 16 columns, at least
 * one. */
void te_mve_dot1(const int8_t *columns, const int8_t *weights, int32_t steps, const int32_t *start,
                 int32_t *sums);

/* The same of two cells: the other's sums follow those of the first one. */
void te_mve_dot2(const int8_t *columns, const int8_t *others, const int8_t *weights, int32_t steps,
                 const int32_t *start, int32_t *sums);

#if !defined(TE_MVE)
/* The same in C, of one cell. */
static inline void te_mve_sums(const int8_t *columns, const int8_t *weights, int32_t steps,
                               const int32_t *start, int32_t *sums)
{
    for (int32_t channel = 0; channel < TE_MVE_LANES; channel++) {
        uint32_t sum = (uint32_t)start[channel];
        for (int32_t step = 0; step < steps; step++) {
            const int8_t *column = columns + step * TE_MVE_BYTES;
            const int8_t *weight = weights + (step * TE_MVE_LANES + channel) * TE_MVE_BYTES;
            for (int32_t i = 0; i < TE_MVE_BYTES; i++) {
                sum += (uint32_t)(column[i] * weight[i]);
            }
        }
        sums[channel] = (int32_t)sum;
    }
}
#endif

#endif
