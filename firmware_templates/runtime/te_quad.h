/* SPDX-License-Identifier: Apache-2.0 */
/* Four ternary products in one dual 16-bit multiplication.
 *
 * A 16-bit weight holds two output channels, (a + 1) + 2^14 * b, so that multiplying it by an input
 * adds (a + 1) * x to the low field of a sum, 14 bits, and b * x to the high field. A pair of such
 * weights takes only the bits of TE_QUAD_MASK, and four pairs, rotated by 0, 4, 8 and 12 bits to the
 * left, one word: the weights of eight columns and two channels. A sum starts from TE_QUAD_START minus
 * the sum of x, so that its low field ends as 2^13 + the sum of a * x, which is not negative and
 * borrows nothing from the high field; for how many columns that fits, the exporter says. */
#ifndef TE_QUAD_H
#define TE_QUAD_H

#include "te_cpu.h"

#define TE_QUAD_MASK 0xc003c003u
#define TE_QUAD_CELLS 3
#define TE_QUAD_BLOCK 30 /* cells, the most whose sums exist at one time */
#define TE_QUAD_START 0x2000

/* 2^13 above the sum of the low channel. */
static inline int32_t te_quad_low(int32_t sum)
{
    return (int32_t)((uint32_t)sum & 0x3fffu);
}

static inline int32_t te_quad_high(int32_t sum)
{
    return sum >> 14;
}

/* Sums of products of 4 * `words` columns, an even number of words, with two pairs of channels. A word of
 * weights holds four columns of both: the pairs in turn, for columns (0, 2), then for (1, 3).
 *
 * Cells come in `groups` of three, at least one. `columns` holds for every two columns a word of two
 * 16-bit lanes of each of three cells, group after group; `starts` holds one number a cell, `sums` two
 * rows of TE_QUAD_BLOCK numbers, one for each pair. */
void te_quad_dot(const uint32_t *packed, const uint32_t *columns, int32_t words,
                 const int32_t *starts, int32_t *sums, int32_t groups);

#endif
