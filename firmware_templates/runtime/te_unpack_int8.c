/* SPDX-License-Identifier: Apache-2.0 */
/* int8 weights, as they are. */
#include "te_runtime.h"

const int8_t *te_unpack_int8(te_stream *stream, uint32_t count, int8_t *scratch)
{
    const TE_FLASH int8_t *weights = (const TE_FLASH int8_t *)stream->next;
    stream->next += count;
#if TE_FLASH_APART
    for (uint32_t i = 0; i < count; i++) {
        scratch[i] = weights[i];
    }
    return scratch;
#else
    (void)scratch;
    return weights;
#endif
}
