/* SPDX-License-Identifier: Apache-2.0 */
/* Ternary weights in a code of one or two bits each, as int8. */
#include "te_runtime.h"

static te_code next_bit(te_stream *stream)
{
    if (stream->count == 0) {
        stream->rest = *stream->next++;
        stream->count = 8;
    }
    const te_code bit = stream->rest & 1u;
    stream->rest >>= 1;
    stream->count--;
    return bit;
}

const int8_t *te_unpack_ternary_prefix(te_stream *stream, uint32_t count, int8_t *scratch)
{
    for (uint32_t i = 0; i < count; i++) {
        scratch[i] = (int8_t)(next_bit(stream) ? next_bit(stream) ? -1 : 1 : 0);
    }
    return scratch;
}
