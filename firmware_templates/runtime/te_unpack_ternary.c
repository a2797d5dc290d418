/* SPDX-License-Identifier: Apache-2.0 */
/* Ternary weights, four a byte, as int8. */
#include "te_runtime.h"

static inline int8_t weight(te_code code)
{
    return (int8_t)((int32_t)(code & 3u) - 1);
}

const int8_t *te_unpack_ternary(te_stream *stream, uint32_t count, int8_t *scratch)
{
    int8_t *at = scratch;
    const int8_t *end = scratch + count;
    if (stream->count == 0) {
        /* Whole bytes, as far as they go. */
        const TE_FLASH uint8_t *next = stream->next;
        for (; end - at >= 4; at += 4) {
            const te_code codes = *next++;
            at[0] = weight(codes);
            at[1] = weight(codes >> 2);
            at[2] = weight(codes >> 4);
            at[3] = weight(codes >> 6);
        }
        stream->next = next;
    }
    while (at != end) {
        if (stream->count == 0) {
            stream->rest = *stream->next++;
            stream->count = 4;
        }
        *at++ = weight(stream->rest);
        stream->rest >>= 2;
        stream->count--;
    }
    return scratch;
}
