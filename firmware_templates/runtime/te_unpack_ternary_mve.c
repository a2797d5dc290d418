/* SPDX-License-Identifier: Apache-2.0 */
/* Ternary weights, four a byte, as int8, with Helium. */
#include "te_mve.h"

/* 16 bytes hold 64 weights: bits 0-1 the first 16, bits 6-7 the last; two's complement. */
const int8_t *te_unpack_ternary_mve(te_stream *stream, uint32_t count, int8_t *scratch)
{
    const int8_t *from = (const int8_t *)stream->next;
    stream->next += count / 4;
    for (int8_t *to = scratch; to != scratch + count; to += 4 * TE_MVE_BYTES) {
#if defined(TE_MVE)
        const int8x16_t packed = vldrbq_s8(from);
        vstrbq_s8(to, vshrq_n_s8(vshlq_n_s8(packed, 6), 6));
        vstrbq_s8(to + TE_MVE_BYTES, vshrq_n_s8(vshlq_n_s8(packed, 4), 6));
        vstrbq_s8(to + 2 * TE_MVE_BYTES, vshrq_n_s8(vshlq_n_s8(packed, 2), 6));
        vstrbq_s8(to + 3 * TE_MVE_BYTES, vshrq_n_s8(packed, 6));
#else
        for (int32_t i = 0; i < 4 * TE_MVE_BYTES; i++) {
            const int32_t field = from[i % TE_MVE_BYTES] >> (i / TE_MVE_BYTES * 2) & 3;
            to[i] = (int8_t)((field ^ 2) - 2);
        }
#endif
        from += TE_MVE_BYTES;
    }
    return scratch;
}
