/* SPDX-License-Identifier: Apache-2.0 */
/* Weights of 4 bits, two a byte, as int8, with Helium. */
#include "te_mve.h"

/* 16 bytes hold 32 weights: bits 0-3 the first 16, bits 4-7 the others; two's complement. */
const int8_t *te_unpack_int4_mve(te_stream *stream, uint32_t count, int8_t *scratch)
{
    const int8_t *from = (const int8_t *)stream->next;
    stream->next += count / 2;
    for (int8_t *to = scratch; to != scratch + count; to += 2 * TE_MVE_BYTES) {
#if defined(TE_MVE)
        const int8x16_t packed = vldrbq_s8(from);
        vstrbq_s8(to, vshrq_n_s8(vshlq_n_s8(packed, 4), 4));
        vstrbq_s8(to + TE_MVE_BYTES, vshrq_n_s8(packed, 4));
#else
        for (int32_t i = 0; i < 2 * TE_MVE_BYTES; i++) {
            const int32_t field = from[i % TE_MVE_BYTES] >> (i / TE_MVE_BYTES * 4) & 15;
            to[i] = (int8_t)((field ^ 8) - 8);
        }
#endif
        from += TE_MVE_BYTES;
    }
    return scratch;
}
