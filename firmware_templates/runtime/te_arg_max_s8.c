/* SPDX-License-Identifier: Apache-2.0 */
/* Where the largest or smallest int8 of an axis is. */
#include "te_runtime.h"

void te_arg_max_s8(const TE_FLASH te_arg_max *layer, const int8_t *input, int8_t *output)
{
    const int32_t inner = layer->inner;
    for (int32_t outer = 0; outer < layer->outer; outer++) {
        for (int32_t at = 0; at < inner; at++) {
            const int8_t *element = input + at;
            int32_t best = *element, chosen = 0;
            for (int32_t index = 1; index < layer->count; index++) {
                element += inner;
                if (layer->largest ? *element > best : *element < best) {
                    best = *element;
                    chosen = index;
                }
            }
            for (int32_t shift = 0; shift < 32; shift += 8) {
                const int32_t byte = (chosen >> shift) & 255;
                *output++ = (int8_t)(byte < 128 ? byte : byte - 256);
            }
        }
        input += layer->count * inner;
    }
}
