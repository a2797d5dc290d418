/* SPDX-License-Identifier: Apache-2.0 */
/* A function of one int8, by its table. */
#include "te_runtime.h"

void te_lookup_s8(const TE_FLASH te_lookup *layer, const int8_t *input, int8_t *output)
{
    for (int32_t i = 0; i < layer->size; i++) {
        output[i] = layer->table[input[i] + 128];
    }
}
