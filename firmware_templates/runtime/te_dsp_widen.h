/* SPDX-License-Identifier: Apache-2.0 */
/* Activations as 16-bit lanes, in the order of te_dsp_dot.h. */
#ifndef TE_DSP_WIDEN_H
#define TE_DSP_WIDEN_H

#include "te_cpu.h"
#include "te_dsp_dot.h"

/* `count` columns, whole steps; words lie `pitch` apart. Gives the address behind them. */
static inline uint32_t *te_dsp_widen(uint32_t *to, const int8_t *from, int32_t count, int32_t pitch)
{
    const int8_t *end = from + count;
    if (count & TE_DSP_STEP) {
        const uint32_t word = te_load_word(from);
        from += TE_DSP_STEP;
        to[0] = te_even_bytes(word);
        to[pitch] = te_odd_bytes(word);
        to += 2 * pitch;
    }
    while (from < end) {
        const uint32_t first = te_load_word(from);
        const uint32_t second = te_load_word(from + TE_DSP_STEP);
        from += 2 * TE_DSP_STEP;
        to[0] = te_even_bytes(first);
        to[pitch] = te_odd_bytes(first);
        to += 2 * pitch;
        to[0] = te_even_bytes(second);
        to[pitch] = te_odd_bytes(second);
        to += 2 * pitch;
    }
    return to;
}

/* A row of `count` columns, and zeros after them for `steps` steps in all. */
static inline void te_dsp_widen_row(uint32_t *to, const int8_t *from, int32_t count, int32_t steps)
{
    uint32_t *end = to + 2 * steps;
    const int32_t whole = count / TE_DSP_STEP * TE_DSP_STEP;
    to = te_dsp_widen(to, from, whole, 1);
    uint32_t rest = 0;
    for (int32_t i = whole; i < count; i++) {
        rest |= (uint32_t)(uint8_t)from[i] << 8 * (i - whole);
    }
    while (to < end) {
        *to++ = te_even_bytes(rest);
        *to++ = te_odd_bytes(rest);
        rest = 0;
    }
}

#endif
