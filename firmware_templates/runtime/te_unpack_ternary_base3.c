/* SPDX-License-Identifier: Apache-2.0 */
/* Ternary weights, five a byte, as int8. */
#include "te_runtime.h"

const int8_t *te_unpack_ternary_base3(te_stream *stream, uint32_t count, int8_t *scratch)
{
    for (uint32_t i = 0; i < count; i++) {
        if (stream->count == 0) {
            stream->rest = *stream->next++;
            stream->count = 5;
        }
        scratch[i] = (int8_t)((int32_t)(stream->rest % 3) - 1);
        stream->rest /= 3;
        stream->count--;
    }
    return scratch;
}
