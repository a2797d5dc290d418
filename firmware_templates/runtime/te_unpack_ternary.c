#include "te_runtime.h"

const int8_t *te_unpack_ternary(te_stream *stream, uint32_t count, int8_t *scratch)
{
    for (uint32_t i = 0; i < count; i++) {
        if (stream->count == 0) {
            stream->rest = *stream->next++;
            stream->count = 4;
        }
        scratch[i] = (int8_t)((int32_t)(stream->rest & 3u) - 1);
        stream->rest >>= 2;
        stream->count--;
    }
    return scratch;
}
