/* SPDX-License-Identifier: Apache-2.0 */
/* Ternary weights, five a byte, as int8, with Helium. */
#include "te_mve.h"

#define DIGITS 5

/* 16 bytes hold 80 weights, each byte one of every 16: of a fraction in 256ths, the first five
 * digits to the base of 3 are weight + 1. Multiplied by 3, a digit is what goes beyond the byte. */
const int8_t *te_unpack_ternary_base3_mve(te_stream *stream, uint32_t count, int8_t *scratch)
{
    int8_t *to = scratch;
    const int8_t *end = scratch + count;
    while (to != end) {
        const uint8_t *from = stream->next;
#if defined(TE_MVE)
        const uint8x16_t three = vdupq_n_u8(3);
        uint8x16_t rest = vldrbq_u8(from);
        for (te_code skipped = 0; skipped < stream->count; skipped++) {
            rest = vmulq_u8(rest, three);
        }
        do {
            const uint8x16_t digits = vmulhq_u8(rest, three);
            vstrbq_s8(to, vsubq_n_s8(vreinterpretq_s8_u8(digits), 1));
            rest = vmulq_u8(rest, three);
            to += TE_MVE_BYTES;
            stream->count++;
        } while (to != end && stream->count < DIGITS);
#else
        uint32_t power = 1;
        for (te_code skipped = 0; skipped < stream->count; skipped++) {
            power = power * 3;
        }
        do {
            for (int32_t i = 0; i < TE_MVE_BYTES; i++) {
                to[i] = (int8_t)((int32_t)((from[i] * power & 255u) * 3 >> 8) - 1);
            }
            power = power * 3;
            to += TE_MVE_BYTES;
            stream->count++;
        } while (to != end && stream->count < DIGITS);
#endif
        if (stream->count == DIGITS) {
            stream->count = 0;
            stream->next += TE_MVE_BYTES;
        }
    }
    return scratch;
}
