/* SPDX-License-Identifier: Apache-2.0 */
/* Sums over the cells of a window. */
#ifndef TE_CELLS_H
#define TE_CELLS_H

#include "te_cpu.h"
#include "te_window.h"

/* Cells whose values + 128 a lane of 16 bits holds the sum of. */
#define TE_CELLS_LANE 257

/* Adds the sums of four channels to `sums`: `rows` rows of `columns` cells, of which the first is given;
 * `channels` bytes a cell, `width` cells an input row. */
static inline void te_sum_four(const int8_t *cell, int32_t rows, int32_t columns, int32_t channels,
                               int32_t width, int32_t *sums)
{
    const int32_t offset = -128 * rows * columns;
    const int32_t skip = (width - columns) * channels;
    if (skip == 0) {
        columns *= rows;
        rows = 1;
    }
    uint32_t even = 0, odd = 0;
    int32_t room = TE_CELLS_LANE;
    for (int32_t i = 0; i < 4; i++) {
        sums[i] = offset;
    }
    for (; rows > 0; rows--) {
        int32_t left = columns;
        while (left > 0) {
            const int32_t run = left < room ? left : room;
            for (int32_t i = run; i > 0; i--) {
                const uint32_t word = te_load_word(cell) ^ 0x80808080u;
                even = te_add_even_bytes(even, word);
                odd = te_add_odd_bytes(odd, word);
                cell += channels;
            }
            left -= run;
            room -= run;
            if (room == 0 || (rows == 1 && left == 0)) {
                sums[0] += (int32_t)(even & 0xffffu);
                sums[1] += (int32_t)(odd & 0xffffu);
                sums[2] += (int32_t)(even >> 16);
                sums[3] += (int32_t)(odd >> 16);
                even = 0;
                odd = 0;
                room = TE_CELLS_LANE;
            }
        }
        cell += skip;
    }
}

/* The same for one channel. */
static inline int32_t te_sum_one(const int8_t *cell, int32_t rows, int32_t columns,
                                 int32_t channels, int32_t width)
{
    int32_t sum = 0;
    for (; rows > 0; rows--) {
        for (int32_t i = columns; i > 0; i--) {
            sum += *cell;
            cell += channels;
        }
        cell += (width - columns) * channels;
    }
    return sum;
}

#endif
