/* SPDX-License-Identifier: Apache-2.0 */
/* Binary weights, eight a byte, as int8, with Helium. */
#include "te_mve.h"

/* 8 bytes hold 64 weights, two of each 16 a byte: bits 7 and 3 of the first 16, bits 4 and 0 of
 * the last; 0 is +1, 1 is -1. */
const int8_t *te_unpack_binary_mve(te_stream *stream, uint32_t count, int8_t *scratch)
{
    const int8_t *from = (const int8_t *)stream->next;
    stream->next += count / 8;
    for (int8_t *to = scratch; to != scratch + count; to += 4 * TE_MVE_BYTES) {
#if defined(TE_MVE)
        const int8x16_t one = vdupq_n_s8(1);
        const int16x8_t bytes = vldrbq_s16(from);
        const int8x16_t bits = vreinterpretq_s8_s16(
            vorrq_s16(vandq_s16(bytes, vdupq_n_s16(255)), vshlq_n_s16(bytes, 12)));
        vstrbq_s8(to, vorrq_s8(vshrq_n_s8(bits, 7), one));
        vstrbq_s8(to + TE_MVE_BYTES, vorrq_s8(vshrq_n_s8(vshlq_n_s8(bits, 1), 7), one));
        vstrbq_s8(to + 2 * TE_MVE_BYTES, vorrq_s8(vshrq_n_s8(vshlq_n_s8(bits, 2), 7), one));
        vstrbq_s8(to + 3 * TE_MVE_BYTES, vorrq_s8(vshrq_n_s8(vshlq_n_s8(bits, 3), 7), one));
#else
        for (int32_t i = 0; i < 4 * TE_MVE_BYTES; i++) {
            const int32_t bit = 7 - i % 2 * 4 - i / TE_MVE_BYTES;
            to[i] = (int8_t)(1 - 2 * (from[i % TE_MVE_BYTES / 2] >> bit & 1));
        }
#endif
        from += TE_MVE_BYTES / 2;
    }
    return scratch;
}
