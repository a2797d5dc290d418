#include "te_runtime.h"

const int8_t *te_unpack_ternary(const uint8_t *packed, uint32_t first, uint32_t count,
                                int8_t *scratch)
{
    for (uint32_t i = 0; i < count; i++) {
        const uint32_t at = first + i;
        scratch[i] = (int8_t)((int32_t)((packed[at / 4] >> (at % 4 * 2)) & 3u) - 1);
    }
    return scratch;
}
