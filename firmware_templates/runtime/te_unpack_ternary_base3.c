#include "te_runtime.h"

const int8_t *te_unpack_ternary_base3(const uint8_t *packed, uint32_t first, uint32_t count,
                                      int8_t *scratch)
{
    packed += first / 5;
    uint32_t digit = first % 5;
    uint32_t byte = *packed++;
    for (uint32_t i = 0; i < digit; i++) {
        byte /= 3;
    }
    for (uint32_t i = 0; i < count; i++) {
        if (digit == 5) {
            digit = 0;
            byte = *packed++;
        }
        scratch[i] = (int8_t)((int32_t)(byte % 3) - 1);
        byte /= 3;
        digit++;
    }
    return scratch;
}
