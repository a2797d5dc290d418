/* SPDX-License-Identifier: Apache-2.0 */
/* Weights of 4 bits, two a byte, as int8. */
#include "te_runtime.h"

const int8_t *te_unpack_int4(te_stream *stream, uint32_t count, int8_t *scratch)
{
    for (uint32_t i = 0; i < count; i++) {
        if (stream->count == 0) {
            stream->rest = *stream->next++;
            stream->count = 2;
        }
        const int32_t nibble = stream->rest & 15;
        scratch[i] = (int8_t)(nibble - (nibble & 8) * 2);
        stream->rest >>= 4;
        stream->count--;
    }
    return scratch;
}
