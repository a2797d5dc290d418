#include "te_runtime.h"

const int8_t *te_unpack_int8(te_stream *stream, uint32_t count, int8_t *scratch)
{
    (void)scratch;
    const int8_t *weights = (const int8_t *)stream->next;
    stream->next += count;
    return weights;
}
