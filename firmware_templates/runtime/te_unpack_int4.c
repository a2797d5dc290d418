#include "te_runtime.h"

const int8_t *te_unpack_int4(const uint8_t *packed, uint32_t first, uint32_t count,
                             int8_t *scratch)
{
    for (uint32_t i = 0; i < count; i++) {
        const uint32_t at = first + i;
        const int32_t nibble = (packed[at / 2] >> (at % 2 * 4)) & 15;
        scratch[i] = (int8_t)(nibble - (nibble & 8) * 2);
    }
    return scratch;
}
