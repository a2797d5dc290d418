/* SPDX-License-Identifier: Apache-2.0 */
/* Sums over the cells of a window with Helium. */
#ifndef TE_MVE_CELLS_H
#define TE_MVE_CELLS_H

#include "te_mve.h"

/* How many vectors of four channels are summed up at once. */
#define TE_MVE_ABREAST 4

/* The sums of up to 16 channels, `channels` of which exist: `rows` rows of `columns` cells, of
 * which the first is given; `pitch` bytes from cell to cell, `width` cells an input row. */
static inline void te_mve_sum_cells(const int8_t *cell, int32_t channels, int32_t rows,
                                    int32_t columns, int32_t pitch, int32_t width, int32_t *sums)
{
    const int32_t skip = (width - columns) * pitch;
    if (channels >= TE_MVE_ABREAST * TE_MVE_LANES) {
        te_mve_words a = te_mve_all(0), b = a, c = a, d = a;
        for (; rows > 0; rows--) {
            for (int32_t left = columns; left > 0; left--) {
                a = te_mve_add(a, te_mve_load_four(cell));
                b = te_mve_add(b, te_mve_load_four(cell + TE_MVE_LANES));
                c = te_mve_add(c, te_mve_load_four(cell + 2 * TE_MVE_LANES));
                d = te_mve_add(d, te_mve_load_four(cell + 3 * TE_MVE_LANES));
                cell += pitch;
            }
            cell += skip;
        }
        te_mve_store_words(sums, a);
        te_mve_store_words(sums + TE_MVE_LANES, b);
        te_mve_store_words(sums + 2 * TE_MVE_LANES, c);
        te_mve_store_words(sums + 3 * TE_MVE_LANES, d);
        return;
    }
    for (; channels > 0; channels -= TE_MVE_LANES) {
        const int8_t *at = cell;
        te_mve_words total = te_mve_all(0);
        for (int32_t y = rows; y > 0; y--) {
            for (int32_t left = columns; left > 0; left--) {
                total = te_mve_add(total, te_mve_load_some(at, channels));
                at += pitch;
            }
            at += skip;
        }
        te_mve_store_words(sums, total);
        sums += TE_MVE_LANES;
        cell += TE_MVE_LANES;
    }
}

#endif
